//! Builds the built-in guests as WebAssembly components and puts them where `src/builtin.rs` embeds
//! them, so that `cargo build` at the root is all that a fresh checkout needs.

use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use wit_component::ComponentEncoder;

const WASM_TARGET: &str = "wasm32-unknown-unknown";
const PROFILE: &str = "guest";

/// Package and directory below the workspace's root.
const GUESTS: [(&str, &str); 3] = [
    ("layout-renderer", "transforms/layout-renderer"),
    ("sample-filter", "transforms/sample-filter"),
    ("secret-redaction", "policies/secret-redaction"),
];

/// What of the outer build would change or misdirect the guests' own.
const INHERITED: [&str; 9] = [
    "RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_TARGET_DIR",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_BUILD_BUILD_DIR",
    "CARGO_BUILD_TARGET",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
];

fn main() -> Result<(), Box<dyn Error>> {
    let manifest_dir = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let root = manifest_dir.join("../..").canonicalize()?;
    let out = PathBuf::from(env::var("OUT_DIR")?);

    watch();
    require_target()?;
    let target_dir = guests_target_dir(&out);
    for (package, _) in GUESTS {
        let module = build(package, &root, &target_dir)?;
        let component = wrap(&fs::read(&module)?)
            .map_err(|error| format!("cannot wrap the guest `{package}` as a component: {error:#}"))?;
        fs::write(out.join(format!("{package}.wasm")), component)?;
    }
    Ok(())
}

fn watch() {
    let shared = [
        "wit",
        "transforms/guest-memory/src",
        "transforms/guest-memory/Cargo.toml",
        "Cargo.toml",
        "Cargo.lock",
        ".cargo/config.toml",
        "rust-toolchain.toml",
    ];
    let own = GUESTS
        .iter()
        .flat_map(|(_, dir)| [format!("{dir}/src"), format!("{dir}/Cargo.toml")]);
    // From this package on: a target directory may be shared by several work trees, of which each is to be watched itself.
    for path in shared.map(str::to_owned).into_iter().chain(own) {
        println!("cargo::rerun-if-changed=../../{path}");
    }
    println!("cargo::rerun-if-changed=build.rs");
}

/// Makes sure that the standard library for the guests' target is installed.
fn require_target() -> Result<(), Box<dyn Error>> {
    let rustc = env::var("RUSTC")?;
    let sysroot = Command::new(&rustc).args(["--print", "sysroot"]).output()?;
    let sysroot = String::from_utf8(sysroot.stdout)?;
    if Path::new(sysroot.trim())
        .join("lib/rustlib")
        .join(WASM_TARGET)
        .join("lib")
        .is_dir()
    {
        return Ok(());
    }
    match Command::new("rustup")
        .args(["target", "add", WASM_TARGET])
        .status()
    {
        Ok(status) if status.success() => Ok(()),
        _ => Err(format!("the guests' target is not installed; run: rustup target add {WASM_TARGET}").into()),
    }
}

/// Returns a target directory that is not the outer cargo's, whose lock is held while this runs.
///
/// `<target>/guests` is shared by all profiles of the outer build. `OUT_DIR` is
/// `<target>[/<triple>]/<profile>/build/<package>/out`, and cargo tags `<target>`.
fn guests_target_dir(out: &Path) -> PathBuf {
    let tagged = out.ancestors().find(|dir| dir.join("CACHEDIR.TAG").is_file());
    tagged.unwrap_or(out).join("guests")
}

/// Compiles one guest and returns the path of its core module.
fn build(package: &str, root: &Path, target_dir: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let mut cargo = Command::new(env::var("CARGO")?);
    cargo
        .current_dir(root)
        .args([
            "rustc",
            "--locked",
            "--lib",
            "--crate-type",
            "cdylib",
            "--package",
            package,
        ])
        .args(["--target", WASM_TARGET, "--profile", PROFILE, "--target-dir"])
        .arg(target_dir);
    for name in INHERITED {
        cargo.env_remove(name);
    }
    cargo.env("CARGO_ENCODED_RUSTFLAGS", rustflags(root).join("\x1f"));
    let status = cargo.status()?;
    if !status.success() {
        return Err(format!("cannot build the guest `{package}`; see the compiler's messages above").into());
    }
    Ok(target_dir
        .join(WASM_TARGET)
        .join(PROFILE)
        .join(format!("{}.wasm", package.replace('-', "_"))))
}

/// SIMD halves the time of text scanning; paths are cut so that a guest's digest does not tell, or
/// depend on, where it was built.
fn rustflags(root: &Path) -> Vec<String> {
    let mut flags = vec![
        "-Ctarget-feature=+simd128".to_owned(),
        format!("--remap-path-prefix={}=/workspace", root.display()),
    ];
    let home = env::var("CARGO_HOME").or_else(|_| env::var("HOME").map(|home| format!("{home}/.cargo")));
    if let Ok(home) = home {
        flags.push(format!("--remap-path-prefix={home}=/cargo"));
    }
    flags
}

fn wrap(module: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    Ok(ComponentEncoder::default()
        .validate(true)
        .module(module)?
        .encode()?)
}
