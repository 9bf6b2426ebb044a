//! Components that are stored for mirrors: which they are, how a mirror goes back to one, and how they go.

use crate::support::{
    MIRROR, Options, Output,
    policy::{SETTINGS, path, policy, with_example},
};
use serde_json::Value;
use std::fs;

fn json(output: &Output) -> Value {
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    serde_json::from_str(&output.stdout).expect("it is JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_component_is_known_by_name_and_date_and_goes_once_nobody_uses_it() {
    let mut site = with_example(Options::default());
    site.write("settings.json", SETTINGS);
    let (component, config) = (site.path("customer-data.wasm"), site.path("mirror.toml"));
    let (config, settings) = (path(&config).to_owned(), site.path("settings.json"));
    let add = |more: &[&str]| {
        let of = ["add", path(&component), "--config", &config, "--mirror", MIRROR];
        policy(&[&of[..], &["--settings", path(&settings)], more].concat())
    };
    let first = json(&add(&["--json"]));
    let digest = first["sha256"].as_str().expect("it says which").to_owned();
    // Another build of the same.
    let mut bytes = fs::read(&component).expect("it is there");
    bytes.extend([0, 2, 1, b'x']);
    fs::write(&component, &bytes).expect("it can be written");
    let second = add(&["--name", "newer"]);
    assert_eq!(second.status.code(), Some(0), "{second:?}");
    let lines = second.stdout.clone();
    site.configure(|options| options.mirror = Box::leak(lines.into_boxed_str()));

    let list = || policy(&["list", "--config", &config]).ok();
    let listed = list();
    let unused = listed
        .lines()
        .find(|line| line.starts_with("not used by any mirror: "));
    let unused = unused.expect("it is not used any more");
    for part in [
        digest.as_str(),
        "added 20",
        "as `customer-data` of mirror `",
        "(customer-data 0.1.0)",
    ] {
        assert!(unused.contains(part), "{part}: {unused}");
    }
    let listed = json(&policy(&["list", "--config", &config, "--json"]));
    let stored = listed["stored"].as_array().expect("they are listed");
    let of = |name: &str| {
        let found = stored.iter().find(|stored| stored["name"] == name);
        found.unwrap_or_else(|| panic!("{name}: {listed:#}"))
    };
    assert_eq!(of("customer-data")["usedBy"].as_array().map(Vec::len), Some(0));
    assert_eq!(of("newer")["usedBy"][0]["policy"], "newer");
    let newer = of("newer")["sha256"].as_str().expect("a digest");

    let remove = |digests: &[&str]| policy(&[&["remove"], digests, &["--config", &config]].concat());
    for (digests, why) in [
        (
            &[newer][..],
            format!("is used by policy `newer` of mirror `{MIRROR}`; nothing is removed"),
        ),
        (&[digest.as_str(), newer], "nothing is removed".to_owned()),
        (
            &["0123456789abcdef"],
            "no component `0123456789abcdef` is stored".to_owned(),
        ),
        (&["ab"], "is no digest".to_owned()),
        (&["../../etc/passwd"], "is no digest".to_owned()),
    ] {
        let refused = remove(digests);
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        assert!(refused.stderr.contains(&why), "{why}: {refused:?}");
    }
    let before = fs::read_dir(site.path("data/policies"))
        .expect("it is there")
        .count();
    assert_eq!(before, 4, "two components, each with its note");

    // Rolling back is the former digest.
    let back = format!(
        "[[mirror.policy]]\nname = \"customer-data\"\ndigest = \"{digest}\"\nsettings = {{ numbers = [{{ prefix = \"CUST-\", digits = 8 }}] }}\n"
    );
    site.configure(|options| options.mirror = Box::leak(back.into_boxed_str()));
    assert_eq!(site.once().status.code(), Some(0));
    let removed = remove(&[&newer[..8]]);
    assert_eq!(removed.status.code(), Some(0), "{removed:?}");
    assert!(removed.stdout.contains("as `newer` of mirror `"), "{removed:?}");
    let left = fs::read_dir(site.path("data/policies"))
        .expect("it is there")
        .count();
    assert_eq!(left, 2);
    assert!(!list().contains("not used by any mirror"));
    // Without a note, the file says since when.
    let note = site.path("data/policies").join(format!("{digest}.json"));
    fs::remove_file(note).expect("it is there");
    site.configure(|options| options.mirror = "");
    assert!(list().contains(".wasm, there since 20"), "{}", list());
}
