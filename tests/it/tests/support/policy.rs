//! Customers' redaction policies for tests: the example of the workspace, built as its author would, and hostile ones.

use super::{Installation, Keboola, MIRROR, Options, Output, command, run};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// What the example finds with [`CUSTOMER_DATA`]. Made up, like everything here.
pub(crate) const NUMBER: &str = "CUST-00412345";

/// Builds the example policy as its author would, with `cargo build` and the product's own command, once.
pub(crate) fn example() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    // Beside the product's own guests, whose dependencies are built there.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../guests");
    let mut build = Command::new("cargo");
    build
        .current_dir(&root)
        .args(["build", "--quiet", "--locked", "--package", "customer-data"])
        .args([
            "--target",
            "wasm32-unknown-unknown",
            "--profile",
            "guest",
            "--target-dir",
        ])
        .arg(&target);
    for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
        build.env_remove(name);
    }
    let built = run(&mut build);
    assert!(built.status.success(), "{}", built.stderr);
    target.join("wasm32-unknown-unknown/guest/customer_data.wasm")
}

/// Tests and builds the Rust project of a policy as its README says; returns the core module.
pub(crate) fn built(project: &Path, module: &str) -> PathBuf {
    // The same versions as ours, which are here already.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::copy(root.join("Cargo.lock"), project.join("Cargo.lock")).expect("the directory can be written");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../guests");
    for arguments in [
        &["test"][..],
        &["build", "--release", "--target", "wasm32-unknown-unknown"],
    ] {
        let mut cargo = Command::new("cargo");
        cargo
            .current_dir(project)
            .args(arguments)
            .args(["--quiet", "--offline", "--target-dir"])
            .arg(&target);
        for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
            cargo.env_remove(name);
        }
        let output = run(&mut cargo);
        assert!(output.status.success(), "{arguments:?}: {}", output.stderr);
    }
    target.join(format!("wasm32-unknown-unknown/release/{module}.wasm"))
}

pub(crate) fn policy(arguments: &[&str]) -> Output {
    let mut policy = command();
    policy.args(["--log-level", "error", "policy"]).args(arguments);
    run(&mut policy)
}

pub(crate) fn path(path: &Path) -> &str {
    path.to_str().expect("the path is UTF-8")
}

/// Makes an installation whose mirror has the policies that `table` names; files are in its directory.
pub(crate) fn installation(options: Options, files: impl FnOnce(&Installation)) -> Installation {
    let site = Installation::new(&Keboola::small(), options);
    files(&site);
    site
}

pub(crate) fn hostile(site: &Installation, name: &str) {
    let written = policy(&["selftest", "--only", name, "--write", path(&site.path("hostile"))]);
    assert!(written.status.success(), "{written:?}");
}

pub(crate) const CUSTOMER_DATA: &str = r#"
[[mirror.policy]]
name = "customer-data"
file = "customer-data.wasm"
settings = { numbers = [{ prefix = "CUST-", digits = 8 }], own_domains = ["acme.example"] }
"#;

pub(crate) fn with_example(options: Options) -> Installation {
    installation(options, put_example)
}

/// Puts the example in an installation's directory.
fn put_example(site: &Installation) {
    let wrapped = policy(&["wrap", path(&example()), "--out", path(&site.path(FILE))]);
    assert!(wrapped.status.success(), "{wrapped:?}");
}

const FILE: &str = "customer-data.wasm";
const SETTINGS_FILE: &str = "settings.json";
/// Those of [`CUSTOMER_DATA`].
pub(crate) const SETTINGS: &str =
    r#"{"numbers": [{"prefix": "CUST-", "digits": 8}], "own_domains": ["acme.example"]}"#;

/// Puts the example and its settings in an installation's directory, which does not use it, for [`replay`].
pub(crate) fn put_to_replay(site: &Installation) {
    put_example(site);
    site.write(SETTINGS_FILE, SETTINGS);
}

/// Replays the example over what the mirror has committed, and returns what is said.
pub(crate) fn replay(site: &Installation, more: &[&str]) -> Value {
    let (component, settings) = (site.path(FILE), site.path(SETTINGS_FILE));
    let of = ["policy", "replay", "--mirror", MIRROR];
    let with = ["--policy", path(&component), "--settings", path(&settings)];
    site.answer(&[of.as_slice(), with.as_slice(), more].concat())
}
