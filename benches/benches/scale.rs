//! What does a first sync take, with one core and with two, and what one change after it, in projects of different sizes?
//!
//! Counts are asserted; times and memory are printed. The mirror is a process of its own, so that time and memory
//! are its alone. `KBC_MIRROR_SIZES` names other numbers of configurations, such as `300,3000,30000`;
//! `KBC_MIRROR_UNDER` a program to run the mirror under, such as `heaptrack`; `KBC_MIRROR_LINES` further lines of the
//! mirror's configuration.

#![expect(clippy::print_stdout, reason = "the bench's report")]

mod support;

use fake_keboola::ConfigAt;
use mirror_benches::process::cores;
use serde_json::{Value, json};
use std::process::Command;
use support::{Part, Site, Start, figure, mean, mirror, source_of};

const COMPONENT: &str = "keboola.ex-http";
/// Edits of which the mean is told.
const EDITS: u32 = 20;

fn main() {
    let executor = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let executor = executor.expect("a runtime can be made");
    let start = Start::of("scale");
    match &start {
        Start::Listed => {}
        Start::Part(_, source) => executor.block_on(mirror(source_of(source))),
        Start::Timed | Start::Tested => {
            let _inside = executor.enter();
            for size in start.sizes("300,3000", "60") {
                measure(size);
            }
        }
    }
}

fn measure(configurations: usize) {
    let mut site = Site::new(configurations);
    let under: Vec<String> = std::env::var("KBC_MIRROR_UNDER").into_iter().collect();
    println!("{configurations} configurations");
    if under.is_empty() {
        first_syncs(&site);
    }
    let mut mirror = Part::start("mirror", &site.source, &under);
    report("first sync", &mirror.answer());

    let at = ConfigAt::new(&site.main, COMPONENT, "probe");
    let content = json!({"parameters": {"baseUrl": "https://example.com/", "note": 0}});
    let change = site.change();
    site.fake
        .create_configuration(&at, &change, "Probe of the cost", content)
        .expect("the id is free");
    report("create", &mirror.ask(&site.event()));
    let mut edits: Vec<Value> = Vec::new();
    for note in 1..=EDITS {
        let edit = |configuration: &mut Value| configuration["parameters"]["note"] = note.into();
        let change = site.change();
        site.fake
            .update_configuration(&at, &change, edit)
            .expect("it is there");
        edits.push(mirror.ask(&site.event()));
    }
    let first = edits.first().expect("there were edits");
    for edit in &edits {
        for count in ["inspected", "rendered", "gathered", "files", "gitObjects", "rows"] {
            assert_eq!(edit[count], first[count], "{count} of an edit");
        }
    }
    assert_eq!((&first["rendered"], &first["gathered"]), (&json!(1), &json!(0)));
    let mut all = first.clone();
    for name in ["cpuMs", "ms", "fetchMs"] {
        all[name] = json!(mean(&edits, |edit| figure(edit, name)));
    }
    report("edit", &all);
    let change = site.change();
    site.fake
        .rename_configuration(&at, &change, "Another name for it")
        .expect("it is there");
    report("rename", &mirror.ask(&site.event()));
    let change = site.change();
    site.fake.delete_configuration(&at, &change).expect("it is there");
    report("delete", &mirror.ask(&site.event()));
    mirror.end();
}

/// The first sync with one core and with two, each in an empty repository. What stands in for Keboola has all of them: it is
/// on the second one when the mirror is on the first.
fn first_syncs(site: &Site) {
    let cores = cores();
    let has_taskset = Command::new("taskset").arg("--version").output().is_ok();
    let ([one, two, ..], true) = (cores.as_slice(), has_taskset) else {
        println!("  with one core and with two: not measured; it needs two cores, and `taskset`");
        return;
    };
    let sync = |cores: &str| {
        let under = ["taskset", "--cpu-list", cores].map(str::to_owned);
        let mut mirror = Part::start("mirror", &site.source, &under);
        let first = mirror.answer();
        mirror.end();
        first
    };
    let alone = sync(&one.to_string());
    let both = sync(&format!("{one},{two}"));
    assert_eq!(
        alone["tree"], both["tree"],
        "cores make no difference to the content"
    );
    let after = |answer: &Value| figure(answer, "ms") - figure(answer, "fetchMs");
    println!(
        "  first sync  with one core {:.0} ms, with two {:.0} ms: {:.2} times as quick, {:.2} times once all is fetched; {:.2} times the CPU",
        figure(&alone, "ms"),
        figure(&both, "ms"),
        figure(&alone, "ms") / figure(&both, "ms"),
        after(&alone) / after(&both),
        figure(&both, "cpuMs") / figure(&alone, "cpuMs"),
    );
}

fn report(what: &str, figures: &Value) {
    println!(
        "  {what:<11} {:>9.1} ms CPU {:>9.1} ms, {:>8.1} of them fetching; rendered {}, shards {} of {} entries, \
         files {} of {} bytes, Git objects {}, rows {}; peak {:.0} MB",
        figure(figures, "cpuMs"),
        figure(figures, "ms"),
        figure(figures, "fetchMs"),
        figures["rendered"],
        figures["gathered"],
        figures["entries"],
        figures["files"],
        figures["bytes"],
        figures["gitObjects"],
        figures["rows"],
        figure(figures, "peakKb") / 1024.0,
    );
}
