//! Limits of the process: what it remembers and how much it does at a time changes what it costs, not what it does.

use crate::support::{Installation, JANE, Keboola, Options};

/// One place of each kind, and nothing remembered.
const TIGHT: &str = "
[sync]
rebuilds_max = 1
attempts_max = 1
remembered_bytes_max = 0
cache_bytes_max = 0";

#[tokio::test(flavor = "multi_thread")]
async fn many_lanes_in_one_place_without_memory_mirror_everything() {
    let keboola = Keboola::generated(40);
    let mut site = Installation::new(&keboola, Options::default());
    site.configure(|options| options.keboola = TIGHT);
    let branches = [keboola.branch("One", JANE), keboola.branch("Two", JANE)];
    let mut server = site.start().await;
    site.settle(&mut server).await;
    let project = keboola.project();
    let edited = project
        .default_branch()
        .configurations
        .iter()
        .find(|found| found.component_id.contains(".ex-"))
        .expect("there are extractors");
    let at = keboola.at(&edited.component_id, edited.id());
    for round in 0..3 {
        keboola.set(&at, JANE, "zz_new", round);
        for branch in &branches {
            let at = fake_keboola::ConfigAt {
                branch: branch.clone(),
                ..at.clone()
            };
            keboola.set(&at, JANE, "zz_new", round);
        }
        site.settle(&mut server).await;
    }
    site.check(&[]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_nothing_at_a_time_is_refused() {
    let keboola = Keboola::generated(3);
    for (limit, value) in [("rebuilds_max", 0), ("attempts_max", 0)] {
        let site = Installation::new(&keboola, Options::default());
        let line = format!("[sync]\n{limit} = {value}\n\n[keboola]");
        site.write("mirror.toml", &site.config().replace("[keboola]", &line));
        let output = site.once();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(output.stderr.contains(&format!("sync.{limit}")), "{output:?}");
    }
}
