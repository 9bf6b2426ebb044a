//! A data directory that is taken away: who runs on it says so and ends, and who only asks makes none.

use super::event;
use crate::support::{Installation, JANE, Keboola, LogBook, Options, until};
use std::{fs, os::unix::fs::PermissionsExt, path::Path};

/// Runs on a database that is taken away by `take`, and returns once the next process has mirrored everything.
async fn check_taken(take: impl FnOnce(&Path), says: &str) {
    let site = Installation::new(&Keboola::small(), Options::default());
    let mut server = site.start().await;
    site.settle(&mut server).await;
    let keboola = &site.keboola;
    take(&site.data_dir());

    // At once: nothing is taken that would be gone with the process.
    let answer = server
        .post(&event(keboola).to_string())
        .await
        .expect("it listens");
    assert_eq!(answer.status, 503, "{answer:?}");
    for path in ["/readyz", "/livez"] {
        let answer = server.get(path).await.expect("it listens");
        assert!(
            answer.status == 503 && answer.body.contains(says) && answer.body.contains("mirror.sqlite"),
            "{path}: {answer:?}"
        );
    }
    let status = server.status().await;
    assert!(
        status["log"].as_str().is_some_and(|log| log.contains(says)),
        "{status}"
    );
    until("the log says it", async || {
        let said = server.log().iter().filter(|line| line.contains(says)).count();
        (said > 0).then_some(())
    })
    .await;

    // A supervisor starts another one, which finds what was changed meanwhile.
    keboola.set(&keboola.orders(), JANE, "meanwhile", 1);
    assert_eq!(server.ended().await.code(), Some(1));
    let mut server = site.start().await;
    until("what was changed meanwhile is there", async || {
        site.has_versions(&keboola.main()).then_some(())
    })
    .await;
    site.settle(&mut server).await;
    let mode = |name: &str| {
        let metadata = fs::metadata(site.data_dir().join(name)).expect("it is there");
        format!("{:o}", metadata.permissions().mode() & 0o777)
    };
    assert_eq!([mode(""), mode("mirror.sqlite")], ["700", "600"]);
    site.check(&[]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_whose_data_directory_is_deleted_accepts_nothing_and_ends() {
    let delete = |directory: &Path| fs::remove_dir_all(directory).expect("the directory is ours");
    check_taken(delete, "was deleted or moved away").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_whose_database_is_replaced_accepts_nothing_and_ends() {
    let replace = |directory: &Path| {
        fs::rename(directory, directory.with_extension("away")).expect("the directory is ours");
        let mut builder = fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(directory).expect("the name is free");
        let options = mirror_runtime::database::DatabaseOptions::default();
        drop(mirror_runtime::database::Database::open(directory, options).expect("the directory is empty"));
    };
    check_taken(replace, "was replaced by another file").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_only_asks_makes_no_data_directory() {
    let site = Installation::new(&Keboola::small(), Options::default());
    fs::remove_dir_all(site.data_dir()).expect("the directory is ours");
    let main = site.keboola.main();
    let list = ["events", "list", "--mirror", "shop", "--branch", &main];
    let asked: [&[&str]; 6] = [
        &["mirror", "list"],
        &["mirror", "status", "--mirror", "shop"],
        &list,
        &["events", "dead-letters"],
        &["events", "replay", "--all"],
        &["verify", "--mirror", "shop"],
    ];
    for command in asked {
        let output = site.ask(command);
        assert!(
            output.stderr.contains("mirror.sqlite`: nothing ran here yet"),
            "{command:?}: {output:?}"
        );
        assert!(!site.data_dir().exists(), "{command:?}");
    }
    assert_eq!(LogBook::read(&site.data_dir()).map(|_| ()), None);
    // What changes something does.
    site.ask(&["mirror", "pause", "--mirror", "shop"]).ok();
    assert!(site.data_dir().exists());
    let list = site.ask(&["mirror", "list"]);
    assert!(
        !list.stderr.contains("nothing ran here yet") && list.stdout.contains("paused"),
        "{list:?}"
    );
}
