//! No secret leaves, wherever people leave it: not into the repository, not into the logs, the
//! database or the pages, in no disguise. And what is none, stays.

mod outlets;
mod people;
mod scanner;
use crate::support::{
    INGEST_TOKEN, Installation, JANE, Keboola, Options, PETR, Server, TAG_ROOT, binary, run, until,
};
use outlets::{Leak, Outlet, data_outlets, files_below, leaks, no_leaks, page_outlets, repository_outlets};
use people::{Fresh, HARMLESS, Places, leave_secrets, script};
use sample_project::{Project, Shape, generate};
use scanner::{SLUG, Scanner, Secret};
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, path::PathBuf, process::Command, sync::OnceLock};

/// A project that has every kind of planted secret, and a dev branch.
fn project() -> Project {
    generate(&Shape {
        seed: 42,
        configurations: 40,
        dev_branches: 1,
        jobs: 30,
        ..Shape::default()
    })
}

fn planted(project: &Project) -> impl Iterator<Item = Secret> {
    let secret = |one: &sample_project::Planted| Secret {
        place: format!("planted: {}", one.place),
        value: one.value.clone(),
    };
    project.planted_secrets().iter().map(secret)
}

fn own_secrets(keboola: &Keboola) -> Vec<Secret> {
    [
        ("the storage token", keboola.token()),
        ("the ingest token", INGEST_TOKEN),
        ("the tag root", TAG_ROOT),
    ]
    .map(|(place, value)| Secret {
        place: place.into(),
        value: value.into(),
    })
    .to_vec()
}

/// Every encrypted value of a branch's configurations.
fn ciphers(project: &Project) -> BTreeSet<String> {
    fn collect(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::String(text) if text.starts_with("KBC::") => drop(found.insert(text.clone())),
            Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
            Value::Object(members) => members.values().for_each(|member| collect(member, found)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    for one in &project.default_branch().configurations {
        collect(&one.detail["configuration"], &mut found);
        for row in one.detail["rows"].as_array().into_iter().flatten() {
            collect(&row["configuration"], &mut found);
        }
    }
    found
}

fn contains(text: &[u8], part: &str) -> bool {
    let part = part.as_bytes();
    let first = part[0];
    (0..(text.len() + 1).saturating_sub(part.len()))
        .any(|at| text[at] == first && text[at..].starts_with(part))
}

/// What was found after a project with secrets everywhere was mirrored in every mode.
struct Scene {
    leaks: Vec<Leak>,
    /// Harmless texts that are not in the repository, by mode.
    taken: Vec<String>,
    /// Objects that a lane withholds, by mode and branch.
    withheld: Vec<String>,
    /// Encrypted values that are not where they belong, or where they do not, by mode.
    ciphers: Vec<String>,
    writes: u64,
}

/// Plays it once for all tests of this file.
fn scene() -> &'static Scene {
    static SCENE: OnceLock<Scene> = OnceLock::new();
    SCENE.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .worker_threads(4)
            .build();
        runtime.expect("a runtime can be made").block_on(play())
    })
}

/// As `Installation::settle`, where branches whose names must not be shown have names of the
/// product's choice.
async fn settle(site: &Installation, server: &mut Server) {
    site.deliver(server).await.expect("the process lives");
    until("the remote has everything", async || {
        let book = site.log()?;
        let names = site.repository.branches();
        let tips: BTreeSet<Option<String>> = names.iter().map(|name| site.repository.tip(name)).collect();
        let is_there = |branch: &String| {
            book.is_at_the_end(branch)
                && tips.contains(&book.lanes.get(branch).and_then(|lane| lane.tip.clone()))
        };
        site.branches().iter().all(is_there).then_some(())
    })
    .await;
}

async fn play() -> Scene {
    let keboola = Keboola::of(project());
    let mut secrets = own_secrets(&keboola);
    let generated = keboola.project();
    secrets.extend(planted(&generated));
    let mut sites = Vec::new();
    for mode in ["encrypted", "masked", "omitted"] {
        // The fake allows ten requests at once.
        let options = Options {
            secrets: mode,
            keboola: "parallel_max = 3",
            ..Options::default()
        };
        let site = Installation::new(&keboola, options);
        let mut serve = site.serve();
        serve.args(["--log-level", "trace"]);
        let mut server = site.spawn(&mut serve);
        assert!(server.listening().await, "the process ended before it listened");
        sites.push((mode, site, server));
    }
    for (_, site, server) in &mut sites {
        settle(site, server).await;
    }
    let places = Places::of(&keboola);
    secrets.extend(leave_secrets(&keboola, &places, &mut Fresh::new()));
    keboola.edit(&places.sql, JANE, "Nothing secret", |configuration| {
        script(configuration).extend(HARMLESS.map(|text| json!(text)));
    });
    let scanner = Scanner::new(&secrets);
    let mut scene = Scene {
        leaks: Vec::new(),
        taken: Vec::new(),
        withheld: Vec::new(),
        ciphers: Vec::new(),
        writes: 0,
    };
    for (mode, site, mut server) in sites {
        settle(&site, &mut server).await;
        site.repository.fsck();
        let mut outlets = repository_outlets(Outlet::Repository, &site.repository);
        let objects = outlets[1].2.clone();
        outlets.extend(page_outlets(&server).await);
        outlets.extend(data_outlets(&site));
        let status = server.status().await;
        for lane in status["lanes"].as_array().expect("there are lanes") {
            for line in lane["withheld"].as_array().expect("a list") {
                let named = [&lane["branchId"], &line["object"], &line["reason"]]
                    .map(|text| text.as_str().unwrap_or_default());
                scene.withheld.push(format!("{mode}: {}", named.join(" ")));
            }
        }
        for cipher in ciphers(&keboola.project()) {
            if contains(&objects, &cipher) != (mode == "encrypted") {
                scene.ciphers.push(format!("{mode}: {cipher}"));
            }
        }
        let missing = HARMLESS.iter().filter(|text| !contains(&objects, text));
        scene.taken.extend(missing.map(|text| format!("{mode}: {text}")));
        assert!(contains(&objects, "[REDACTED:"), "{mode}: nothing was marked");
        server.stop().await;
        // What was in the write-ahead log has gone into the file.
        outlets.extend(data_outlets(&site));
        scene.leaks.extend(leaks(&scanner, mode, &outlets));
    }
    scene.writes = keboola.write_attempts();
    scene
}

#[track_caller]
fn none_of(wanted: impl Fn(&Leak) -> bool) {
    let found: BTreeSet<String> = scene()
        .leaks
        .iter()
        .filter(|leak| wanted(leak))
        .map(Leak::to_string)
        .collect();
    let list: Vec<String> = found.into_iter().collect();
    assert!(
        list.is_empty(),
        "{} secrets left:\n{}",
        list.len(),
        list.join("\n")
    );
}

#[test]
fn no_secret_is_in_the_repository() {
    none_of(|leak| leak.outlet == Outlet::Repository && leak.form != SLUG && leak.file != "refs");
}

#[test]
fn no_secret_in_a_name_is_in_a_path_or_ref_even_as_a_slug() {
    none_of(|leak| leak.outlet == Outlet::Repository && (leak.form == SLUG || leak.file == "refs"));
}

#[test]
fn no_secret_is_in_logs_and_pages() {
    none_of(|leak| leak.outlet == Outlet::Page);
}

#[test]
fn no_secret_is_in_the_data_directory() {
    none_of(|leak| leak.outlet == Outlet::Data && leak.form != SLUG);
}

#[test]
fn encrypted_values_are_there_in_the_mode_that_keeps_them_and_in_no_other() {
    assert!(scene().ciphers.is_empty(), "{}", scene().ciphers.join("\n"));
}

#[test]
fn what_only_looks_like_a_secret_stays() {
    assert!(
        scene().taken.is_empty(),
        "harmless, but not there:\n{}",
        scene().taken.join("\n")
    );
}

#[test]
fn nothing_is_withheld_for_a_secret_that_can_be_marked() {
    assert!(scene().withheld.is_empty(), "{:#?}", scene().withheld);
}

#[test]
fn nothing_is_written_to_keboola() {
    assert_eq!(scene().writes, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_secret_is_in_what_a_command_prints_or_renders() {
    let keboola = Keboola::of(project());
    let generated = keboola.project();
    let secrets: Vec<Secret> = own_secrets(&keboola)
        .into_iter()
        .chain(planted(&generated))
        .collect();
    let site = Installation::new(&keboola, Options::default());
    let mut outlets = Vec::new();
    let mut printed = |name: &str, arguments: &[&str]| {
        let mut command = Command::new(binary());
        command.args(arguments).args(["--log-level", "trace"]);
        let output = run(&mut command);
        outlets.push((
            Outlet::Command,
            format!("{name}: stderr"),
            output.stderr.clone().into_bytes(),
        ));
        outlets.push((
            Outlet::Command,
            format!("{name}: stdout"),
            output.ok().into_bytes(),
        ));
    };
    let text = |path: PathBuf| path.into_os_string().into_string().expect("the path is UTF-8");
    let config = text(site.path("mirror.toml"));
    printed(
        "config check",
        &["config", "check", "--json", "--config", &config],
    );
    printed(
        "once",
        &["once", "--json", "--mirror", "shop", "--config", &config],
    );
    sample_project::write_directory(&generated, &site.path("project")).expect("it can be written");
    let (from, to) = (text(site.path("project")), text(site.path("tree")));
    printed(
        "render",
        &["render", "--json", "--samples", "--project", &from, "--out", &to],
    );
    let tree = files_below(&site.path("tree"));
    assert!(tree.len() > 100, "only {} files were rendered", tree.len());
    for path in tree {
        let name = path
            .strip_prefix(site.path("tree"))
            .expect("it lies below")
            .display()
            .to_string();
        outlets.push((
            Outlet::Command,
            format!("render: name of {name}"),
            name.clone().into_bytes(),
        ));
        outlets.push((
            Outlet::Command,
            format!("render: {name}"),
            fs::read(&path).expect("the file can be read"),
        ));
    }
    no_leaks(&secrets, &outlets);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_event_tells_beside_its_subject_is_not_kept_where_it_could_be_a_secret() {
    let keboola = Keboola::small();
    let site = Installation::new(&keboola, Options::default());
    let mut server = site.start().await;
    site.settle(&mut server).await;
    let mut fresh = Fresh::new();
    let left = &mut Vec::new();
    keboola.set(&keboola.orders(), JANE, "first", 1);
    let mut event: Value = serde_json::from_str(&keboola.outbox(0)[0].json).expect("events are JSON");
    event["diffRef"] = json!(format!(
        "https://ci:{}@diffs.example.com/1",
        fresh.take("url-user-info", "diffRef", left)
    ));
    event["author"] = json!(format!("ci {}", fresh.take("github-token", "author", left)));
    event["#password"] = json!(fresh.take("hash-key", "unknown member", left));
    assert_eq!(
        server.post(&event.to_string()).await.expect("it answers").status,
        202
    );
    // The same with a fault goes to the dead letters, as a shape.
    event["newVersion"] = json!(fresh.take("hash-key", "version", left));
    event["committedAt"] = json!(fresh.take("gitlab-token", "time", left));
    assert_eq!(
        server.post(&event.to_string()).await.expect("it answers").status,
        400
    );
    let broken = format!(
        "{{\"password\": \"{}\", ",
        fresh.take("prose-password", "broken JSON", left)
    );
    assert_eq!(server.post(&broken).await.expect("it answers").status, 400);
    site.settle(&mut server).await;
    assert_eq!(site.log().expect("there is a log").dead_letters.len(), 2);
    let mut outlets = page_outlets(&server).await;
    outlets.extend(repository_outlets(Outlet::Repository, &site.repository));
    outlets.extend(data_outlets(&site));
    server.stop().await;
    outlets.extend(data_outlets(&site));
    no_leaks(left, &outlets);
}

/// Waits until a lane withholds exactly one object, and returns its line of the status.
async fn withheld(server: &Server, branch: &str) -> Value {
    until("one object is withheld", async || {
        let lane = server.lane(branch).await;
        let list = lane["withheld"].as_array()?.clone();
        (list.len() == 1 && lane["state"] == "in sync").then(|| list[0].clone())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_with_the_mirrors_own_token_is_withheld_and_named() {
    let keboola = Keboola::small();
    let site = Installation::new(&keboola, Options::default());
    let mut server = site.start().await;
    site.settle(&mut server).await;
    let main = keboola.main();
    keboola.set(
        &keboola.orders(),
        JANE,
        "note",
        format!("call it with {}", keboola.token()),
    );
    // Its neighbour of the same window passes.
    keboola.set(&keboola.clean(), PETR, "neighbour", "passes");
    site.settle(&mut server).await;
    let line = withheld(&server, &main).await;
    let object = line["object"].as_str().unwrap_or_default();
    assert!(
        object.contains("keboola.ex-shop") && object.contains("orders"),
        "{line}"
    );
    assert!(
        line["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("guard-known-secret")),
        "{line}"
    );
    let listed = site
        .repository
        .file("main", "ai/withheld.jsonl")
        .expect("the list is there");
    assert!(
        listed.contains("keboola.ex-shop") && listed.contains("orders"),
        "{listed}"
    );
    until("the object is named in the log", async || {
        let logged = server.logged("withheld");
        let is_it = |line: &Value| line["object"].as_str() == Some(object) && line["level"] == "WARN";
        logged.iter().any(is_it).then_some(())
    })
    .await;
    let objects = repository_outlets(Outlet::Repository, &site.repository)
        .remove(1)
        .2;
    assert!(contains(&objects, "\"neighbour\": \"passes\""));
    let mut outlets = repository_outlets(Outlet::Repository, &site.repository);
    outlets.extend(page_outlets(&server).await);
    outlets.extend(data_outlets(&site));
    no_leaks(&own_secrets(&keboola), &outlets);
    // The next version is tried afresh.
    keboola.set(
        &keboola.orders(),
        JANE,
        "note",
        "call it with the token of the vault",
    );
    site.settle(&mut server).await;
    site.check_status(&server).await;
    server.stop().await;
    site.check_after_withholding(1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_a_guest_cannot_judge_is_withheld_and_named() {
    let keboola = Keboola::small();
    let site = Installation::new(&keboola, Options::default());
    let limited = site
        .config()
        .replace("[keboola]", "[sandbox]\nmemory_bytes_max = 16777216\n\n[keboola]");
    site.write("mirror.toml", &limited);
    let mut server = site.start().await;
    site.settle(&mut server).await;
    let huge: String = (0..12_000_000)
        .map(|n: u32| char::from(b'a' + u8::try_from(n % 23).expect("small")))
        .collect();
    keboola.set(&keboola.orders(), JANE, "note", huge);
    keboola.set(&keboola.clean(), PETR, "neighbour", "passes");
    site.settle(&mut server).await;
    let line = withheld(&server, &keboola.main()).await;
    let object = line["object"].as_str().unwrap_or_default();
    assert!(
        object.contains("keboola.ex-shop") && object.contains("orders"),
        "{line}"
    );
    assert!(
        line["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("memory")),
        "{line}"
    );
    let listed = site
        .repository
        .file("main", "ai/withheld.jsonl")
        .expect("the list is there");
    assert!(listed.contains("orders"), "{listed}");
    let objects = repository_outlets(Outlet::Repository, &site.repository)
        .remove(1)
        .2;
    assert!(contains(&objects, "\"neighbour\": \"passes\""));
    keboola.set(&keboola.orders(), JANE, "note", "short again");
    site.settle(&mut server).await;
    site.check_status(&server).await;
    server.stop().await;
    site.check_after_withholding(1);
}
