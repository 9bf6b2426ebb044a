//! What does one changed configuration take, warm, from its event to the commit that a bare repository on the same disk has,
//! and does that depend on how large the project is?
//!
//! The network is left out: what the processor does to fetch the content is told beside it. `KBC_MIRROR_SIZES` names other
//! numbers of configurations, such as `300,3000,30000,300000`.

#![expect(clippy::print_stdout, reason = "the bench's report")]

mod support;

use fake_keboola::ConfigAt;
use mirror_git_benches::figures::measured;
use serde_json::{Value, json};
use support::{Part, Site, Start, figure, mean, mirror, source_of, sum};

const COMPONENT: &str = "keboola.ex-http";
/// From the event to the commit, but for fetching.
const STAGES: [&str; 16] = [
    "start", "inspect", "names", "spool", "place", "render", "gather", "redact", "filter", "guard", "tree",
    "commit", "pack", "push", "state", "account",
];
/// Told one by one where they take more than this of the whole.
const WORTH_TELLING: f64 = 0.04;
/// So many that it can be told where the median of theirs lies.
const GROUPS: usize = 10;

fn main() {
    let executor = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let executor = executor.expect("a runtime can be made");
    let start = Start::of("event");
    let events = match &start {
        Start::Listed => return,
        Start::Part(_, source) => return executor.block_on(mirror(source_of(source))),
        Start::Timed => 200,
        Start::Tested => 5,
    };
    let _inside = executor.enter();
    let sizes = start.sizes("300,3000,30000", "20,60");
    let costs: Vec<Costs> = sizes.iter().map(|size| of(*size, events)).collect();
    let (smallest, largest) = (
        costs.iter().min_by_key(|one| one.size),
        costs.iter().max_by_key(|one| one.size),
    );
    if let (Some(smallest), Some(largest)) = (smallest, largest) {
        assert_eq!(
            smallest.counts, largest.counts,
            "an event costs the same, however large the project"
        );
        println!(
            "{} configurations instead of {}: {:.2} times the processor's time",
            largest.size,
            smallest.size,
            largest.inside / smallest.inside
        );
        let pairs = largest.groups.iter().zip(&smallest.groups);
        let ratios: Vec<f64> = pairs.map(|(largest, smallest)| largest / smallest).collect();
        measured("event/largest_by_smallest", &ratios);
    }
}

struct Costs {
    size: usize,
    /// Milliseconds of the processor, in the stages without fetching.
    inside: f64,
    /// The same of [`GROUPS`] groups of events, one after the other.
    groups: Vec<f64>,
    /// What an event comes to that can be counted.
    counts: Value,
}

fn of(configurations: usize, events: u32) -> Costs {
    let mut site = Site::new(configurations);
    let at = ConfigAt::new(&site.main, COMPONENT, "probe");
    let change = site.change();
    let content = json!({"parameters": {"baseUrl": "https://example.com/", "note": "0000"}});
    site.fake
        .create_configuration(&at, &change, "Probe of the cost", content)
        .expect("the id is free");
    site.event();
    let mut part = Part::start("mirror", &site.source, &[]);
    let first = part.answer();
    let mut edit = |number: u32| {
        let change = site.change();
        let note = format!("{number:04}");
        let edit = |content: &mut Value| content["parameters"]["note"] = note.as_str().into();
        site.fake
            .update_configuration(&at, &change, edit)
            .expect("it is there");
        part.ask(&site.event())
    };
    // What is made at the first change is there from then on.
    edit(1);
    let answers: Vec<Value> = (2..2 + events).map(&mut edit).collect();
    part.end();
    // Not bytes: the tenth version has a digit more.
    let counted = |answer: &Value| {
        let names = ["inspected", "rendered", "gathered", "files", "gitObjects", "rows"];
        names.iter().map(|name| answer[name].clone()).collect::<Value>()
    };
    let counts = answers.first().map(counted).expect("there were events");
    for answer in &answers {
        assert_eq!(counted(answer), counts, "each event comes to the same");
    }
    let inside = mean(&answers, |one| sum(one, &STAGES));
    let groups = answers.chunks(answers.len().div_ceil(GROUPS));
    let groups: Vec<f64> = groups.map(|group| mean(group, |one| sum(one, &STAGES))).collect();
    measured(&format!("event/{configurations}/ms"), &groups);
    println!(
        "{configurations} configurations, {} files: {inside:.2} ms of the processor from event to commit, mean of {events} ({:.2} ms with \
         fetching); peak {:.0} MB",
        first["files"],
        mean(&answers, |one| figure(one, "cpuMs")),
        answers.last().map_or(0.0, |last| figure(last, "peakKb")) / 1024.0,
    );
    let told = STAGES
        .iter()
        .map(|stage| (stage, mean(&answers, |one| sum(one, &[stage]))));
    let told: Vec<String> = told
        .filter(|(_, ms)| *ms > WORTH_TELLING * inside)
        .map(|(stage, ms)| format!("{stage} {ms:.2}"))
        .collect();
    println!("  of it {}", told.join(", "));
    Costs {
        size: configurations,
        inside,
        groups,
        counts,
    }
}
