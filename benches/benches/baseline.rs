//! What does the whole job take, beside a straightforward mirror: the same project fetched from the same source, laid out and
//! redacted by the same code (there natively, here in the sandbox), written as files, `git add --all`, `git commit`, `git push`?
//!
//! Asked of a first snapshot and of one edited configuration. Both must come to the same tree each time. Figures are of the
//! processor, of a process and of those that it waited for, and without what stands in for Keboola. `KBC_MIRROR_SIZES` names
//! other numbers of configurations, such as `7500`, which are 100,000 files.

#![expect(clippy::print_stdout, reason = "the bench's report")]

mod support;

use fake_keboola::ConfigAt;
use mirror_benches::peer::{File, Transform, WorkTree, fetch, fetch_one};
use mirror_core::ids::{ComponentId, ConfigId, ObjectKey};
use mirror_git_benches::{Cost, figures::measured, git, measure};
use mirror_it::{Rig, Settings, SourceAt};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};
use support::{Part, Site, Start, figure, mean, mirror, source_of, sum};
use tokio::runtime::Runtime;

const COMPONENT: &str = "keboola.ex-http";
const PROBE: &str = "probe";

/// Stages that make content of what was fetched. All others but fetching come on top of it.
const TRANSFORM: [&str; 8] = [
    "inspect", "names", "place", "render", "gather", "redact", "filter", "guard",
];
const BESIDE: [&str; 8] = [
    "start", "spool", "account", "tree", "commit", "pack", "push", "state",
];
/// The same of the peer.
const FILES_AND_GIT: [&str; 4] = ["write", "add", "commit", "push"];

fn main() {
    let executor = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let executor = executor.expect("a runtime can be made");
    let start = Start::of("baseline");
    match &start {
        Start::Listed => {}
        Start::Part(part, source) if part == "mirror" => executor.block_on(mirror(source_of(source))),
        Start::Part(_, source) => files_and_git(&executor, source_of(source)),
        Start::Timed | Start::Tested => {
            let _inside = executor.enter();
            let edits = if matches!(start, Start::Timed) { 10 } else { 2 };
            for size in start.sizes("300,3000", "40") {
                compare(size, edits);
            }
        }
    }
}

/// Measures both on a project of so many configurations; at each but the last edit the peer is told what changed.
fn compare(configurations: usize, edits: u32) {
    let mut site = Site::new(configurations);
    let at = ConfigAt::new(&site.main, COMPONENT, PROBE);
    let change = site.change();
    let content = json!({"parameters": {"baseUrl": "https://example.com/", "note": 0}});
    site.fake
        .create_configuration(&at, &change, "Probe of the cost", content)
        .expect("the id is free");
    site.event();

    let mut ours = Part::start("mirror", &site.source, &[]);
    let first = ours.answer();
    let mut theirs = Part::start("files-and-git", &site.source, &[]);
    let baseline = theirs.answer();
    same_tree("first snapshot", &first, &baseline);
    println!(
        "{configurations} configurations: {} files of {:.1} MB; the same tree",
        first["files"],
        figure(&first, "bytes") / 1e6
    );
    snapshot(&first, &baseline);

    let (mut ours_of, mut told, mut untold) = (Vec::new(), Vec::new(), Vec::new());
    for number in 1..=edits {
        let change = site.change();
        let edit = |content: &mut Value| content["parameters"]["note"] = number.into();
        site.fake
            .update_configuration(&at, &change, edit)
            .expect("it is there");
        let commit = ours.ask(&site.event());
        let is_told = number < edits;
        let baseline = theirs.ask(&json!({ "told": is_told }).to_string());
        same_tree(&format!("edit {number}"), &commit, &baseline);
        assert_eq!((&commit["rendered"], &commit["gathered"]), (&json!(1), &json!(0)));
        ours_of.push(commit);
        match is_told {
            true => told.push(baseline),
            false => untold.push(baseline),
        }
    }
    edit(configurations, &ours_of, &told, &untold);
    ours.end();
    theirs.end();
}

/// Both must have come to the same tree.
fn same_tree(step: &str, ours: &Value, theirs: &Value) {
    if ours["tree"] == theirs["tree"] {
        return;
    }
    let files = |answer: &Value| -> BTreeSet<String> {
        let repository = answer["repository"].as_str().expect("it says where");
        let files = git(Path::new(repository), &["ls-tree", "-r", "main"], b"");
        files
            .expect("it has a commit")
            .lines()
            .map(str::to_owned)
            .collect()
    };
    let (ours, theirs) = (files(ours), files(theirs));
    let differing: Vec<&String> = ours.symmetric_difference(&theirs).take(20).collect();
    panic!("{step}: the trees differ, at first in {differing:#?}");
}

fn snapshot(ours: &Value, theirs: &Value) {
    let all = figure(ours, "cpuMs");
    let (transform, beside) = (sum(ours, &TRANSFORM), sum(ours, &BESIDE));
    println!("  first snapshot                                    mirror    files + git");
    row(
        "fetching",
        all - transform - beside,
        figure(&theirs["stages"], "fetch"),
    );
    row(
        "making content (sandboxed; natively)",
        transform,
        figure(&theirs["stages"], "transform"),
    );
    row(
        "content to repository, and state",
        beside,
        sum(theirs, &FILES_AND_GIT),
    );
    row("all of it", all, figure(theirs, "cpuMs"));
    println!(
        "    {:<36} {:>11.0} ms {:>11.0} ms",
        "wall clock",
        figure(ours, "ms"),
        figure(theirs, "ms")
    );
    for stage in BESIDE {
        println!("      mirror, {stage:<10} {:>28.1} ms", sum(ours, &[stage]));
    }
    for stage in FILES_AND_GIT {
        println!(
            "      files + git, {stage:<10} {:>38.1} ms",
            sum(theirs, &[stage])
        );
    }
}

fn edit(configurations: usize, ours: &[Value], told: &[Value], untold: &[Value]) {
    println!("  one edited configuration, mean of {}", ours.len());
    let all = mean(ours, |one| figure(one, "cpuMs"));
    let inside = mean(ours, |one| sum(one, &TRANSFORM) + sum(one, &BESIDE));
    let beside = mean(ours, |one| sum(one, &BESIDE));
    println!(
        "    mirror: {all:.2} ms from event to pushed; {inside:.2} ms of it in its stages without fetching, {beside:.2} ms \
         without making content too"
    );
    let files_and_git = ["write", "add", "commit"];
    let pairs = ours.iter().zip(told);
    let ratios: Vec<f64> = pairs
        .map(|(ours, theirs)| sum(theirs, &files_and_git) / figure(ours, "cpuMs"))
        .collect();
    measured(&format!("baseline/{configurations}/edit_told"), &ratios);
    for (how, theirs) in [("the changed files", told), ("all files", untold)] {
        let whole = mean(theirs, |one| figure(one, "cpuMs"));
        let part = mean(theirs, |one| sum(one, &files_and_git));
        println!(
            "    {how} written, git add --all, git commit: {part:.1} ms, {:.0} times all that the mirror does, {:.0} times what it \
             does with content; with fetching, making content and pushing {whole:.1} ms, {:.0} times",
            part / all,
            part / beside,
            whole / all
        );
    }
}

fn row(what: &str, ours: f64, theirs: f64) {
    println!(
        "    {what:<36} {ours:>11.1} ms {theirs:>11.1} ms {:>8.2} times",
        theirs / ours
    );
}

/// The peer: mirrors a project, then its probe for each line, of which it is told, or not.
fn files_and_git(executor: &Runtime, source: SourceAt) {
    let rig = executor.block_on(Rig::new(source, Settings::default()));
    let lane = rig.lane().clone();
    let directory = tempfile::tempdir().expect("temporary directories can be made");
    let work = WorkTree::new(directory.path()).expect("the directory is ours");
    let mut transform = Transform::new(Arc::clone(&lane.transformer));
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    let probe = ObjectKey::Config {
        component: ComponentId::parse(COMPONENT).expect("an id"),
        config: ConfigId::parse(PROBE).expect("an id"),
    };
    let mut costs = Costs::default();
    let objects = costs.of("fetch", || executor.block_on(fetch(&lane)));
    let files = costs.of("transform", || transform.files(objects));
    deliver(&mut costs, &work, &files);
    costs.answer(&work);
    all.extend(files);
    for line in std::io::stdin().lines() {
        let line: Value = serde_json::from_str(&line.expect("it can be read")).expect("it is JSON");
        let mut costs = Costs::default();
        let objects = costs.of("fetch", || executor.block_on(fetch_one(&lane, &probe)));
        let mut files = costs.of("transform", || transform.files(objects));
        if line["told"] == json!(false) {
            all.extend(files);
            files = all.clone().into_iter().collect();
        }
        deliver(&mut costs, &work, &files);
        costs.answer(&work);
    }
}

fn deliver(costs: &mut Costs, work: &WorkTree, files: &[File]) {
    costs.of("write", || work.write(files));
    costs.of("add", || work.add());
    costs.of("commit", || work.commit());
    costs.of("push", || work.push());
}

/// What the peer's steps took.
#[derive(Default)]
struct Costs(Vec<(&'static str, Cost)>);

impl Costs {
    fn of<T>(&mut self, step: &'static str, work: impl FnOnce() -> anyhow::Result<T>) -> T {
        let (done, cost) = measure(work).unwrap_or_else(|error| panic!("{step}: {error:#}"));
        self.0.push((step, cost));
        done
    }

    fn answer(&self, work: &WorkTree) {
        let ms = |time: std::time::Duration| time.as_secs_f64() * 1000.0;
        let stages = self
            .0
            .iter()
            .map(|(step, cost)| ((*step).to_owned(), json!(ms(cost.cpu))));
        println!(
            "{}",
            json!({
                "cpuMs": self.0.iter().map(|(_, cost)| ms(cost.cpu)).sum::<f64>(),
                "ms": self.0.iter().map(|(_, cost)| ms(cost.wall)).sum::<f64>(),
                "stages": stages.collect::<serde_json::Map<_, _>>(),
                "tree": work.tree().expect("it was pushed"), "repository": work.remote(),
            })
        );
    }
}
