//! A mirror over a web server whose attempts are made when a test says so.

use super::{Keboola, Repository};
use git_servers::{HttpOptions, HttpServer};
use mirror_it::{Rig, Settings, SourceAt};

/// Takes the first snapshot of a project into a repository behind a Git web server.
pub(crate) async fn first_snapshot_over_http(keboola: &Keboola) -> (Rig, HttpServer) {
    let source = SourceAt {
        url: keboola.url().to_owned(),
        token: keboola.token().to_owned(),
        project: keboola.project().project_id,
    };
    let mut rig = Rig::new(source, Settings::default()).await;
    let root = rig.repository().parent().expect("it lies somewhere").to_owned();
    let serve = || HttpServer::start(&root, HttpOptions::default());
    let server = std::thread::scope(|scope| scope.spawn(serve).join()).expect("the server starts");
    let repository = Repository::at(rig.repository());
    for key in [
        "uploadpack.allowFilter",
        "uploadpack.allowAnySHA1InWant",
        "http.receivepack",
    ] {
        repository.git(&["config", key, "true"]);
    }
    rig.restart(|_, settings| {
        settings.lines = "[git]\nallow_networks = [\"127.0.0.0/8\"]\nallow_plain_http = true\n".to_owned();
        settings.repository = format!("repository = \"{}\"", server.url("repository.git"));
    })
    .await;
    rig.attempt().await;
    (rig, server)
}
