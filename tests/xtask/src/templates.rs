//! `cargo xtask policy-templates`: every template of `kbc-mirror policy new` is made, built with its ordinary tools,
//! checked and tested, as its README says.
//!
//! The tools of JavaScript and Python come from their registries, and C needs clang and lld, so this is no part of an ordinary
//! test run; that of Rust is.

use anyhow::{Context, Result, bail};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A language, and the commands of its README up to the component.
struct Language {
    lang: &'static str,
    name: &'static str,
    commands: &'static [&'static [&'static str]],
    /// What was built.
    built: &'static str,
}

const LANGUAGES: [Language; 4] = [
    Language {
        lang: "rust",
        name: "rust-words",
        commands: &[
            &["cargo", "test", "--quiet"],
            &[
                "cargo",
                "build",
                "--quiet",
                "--release",
                "--target",
                "wasm32-unknown-unknown",
            ],
        ],
        built: "target/wasm32-unknown-unknown/release/rust_words.wasm",
    },
    Language {
        lang: "js",
        name: "js-words",
        commands: &[
            &["npm", "install", "--no-audit", "--no-fund"],
            &["npm", "test"],
            &["npm", "run", "build"],
        ],
        built: "js-words.wasm",
    },
    Language {
        lang: "python",
        name: "python-words",
        commands: &[
            &["python3", "-m", "venv", ".venv"],
            &[".venv/bin/pip", "install", "--quiet", "-r", "requirements.txt"],
            &[".venv/bin/python", "-m", "unittest"],
            &[
                ".venv/bin/componentize-py",
                "-d",
                "wit",
                "-w",
                "redaction-policy",
                "componentize",
                "--stub-wasi",
                "app",
                "-o",
                "python-words.wasm",
            ],
        ],
        built: "python-words.wasm",
    },
    Language {
        lang: "c",
        name: "c-words",
        commands: &[&["make", "check"], &["make"]],
        built: "c-words.wasm",
    },
];

/// Makes, builds and tries all templates, or one.
///
/// # Errors
/// The first command that fails.
pub(crate) fn run(root: &Path, only: &[String]) -> Result<()> {
    let has_template = |lang: &&String| LANGUAGES.iter().any(|language| language.lang == **lang);
    if let Some(unknown) = only.iter().find(|lang| !has_template(lang)) {
        bail!("there is no template for `{unknown}`, but for rust, js, python and c");
    }
    let out = super::target(root).join("policy-templates");
    if out.exists() {
        fs::remove_dir_all(&out)?;
    }
    let is_wanted = |language: &&Language| only.is_empty() || only.iter().any(|lang| lang == language.lang);
    let wanted: Vec<&Language> = LANGUAGES.iter().filter(is_wanted).collect();
    // Compiling a whole interpreter is too slow without optimisation.
    let is_large = |language: &&&Language| matches!(language.lang, "js" | "python");
    let binary = match wanted.iter().find(is_large) {
        Some(_) => super::release(root)?,
        None => super::product(root)?,
    };
    for language in wanted {
        tried(&binary, &out, language).with_context(|| format!("the template for {}", language.lang))?;
        println!("{}: builds, fits and passes its cases", language.lang);
    }
    Ok(())
}

fn tried(binary: &Path, out: &Path, language: &Language) -> Result<()> {
    let Language {
        lang,
        name,
        commands,
        built,
    } = *language;
    let project = out.join(name);
    let dir = text(&project)?;
    call(
        binary,
        out,
        &["policy", "new", name, "--lang", lang, "--dir", dir],
    )?;
    for command in commands {
        let (program, arguments) = command.split_first().context("an empty command")?;
        // One in the project's directory would else be looked for where this process is.
        let program = if program.starts_with('.') {
            project.join(program)
        } else {
            PathBuf::from(program)
        };
        call(&program, &project, arguments)?;
    }
    let settings = "cases/settings.json";
    for arguments in [
        &["policy", "check", built, "--settings", settings][..],
        &["policy", "test", "cases", "--policy", built],
        &["policy", "bench", built, "--settings", settings],
    ] {
        call(binary, &project, arguments)?;
    }
    Ok(())
}

fn call(program: &Path, directory: &Path, arguments: &[&str]) -> Result<()> {
    eprintln!("+ {} {}", program.display(), arguments.join(" "));
    fs::create_dir_all(directory)?;
    let status = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        // What cargo tells its children is not for theirs.
        .env_remove("CARGO_TARGET_DIR")
        .status()
        .with_context(|| format!("cannot run `{}`; install it and try again", program.display()))?;
    if !status.success() {
        bail!(
            "`{} {}` failed with {status}",
            program.display(),
            arguments.join(" ")
        );
    }
    Ok(())
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("the build's path is not UTF-8")
}
