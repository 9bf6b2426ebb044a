//! `policy new`: a project that builds, is tested and says how to go on.

use crate::{app::Failure, output::outln};
use clap::{Args, ValueEnum};
use serde_json::json;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

#[derive(Debug, Args)]
pub struct New {
    /// The policy's name: 1 to 40 characters of a-z, 0-9 and -, the first a letter and the last no -. Not that of a package that the
    /// project depends on. An example has one of its own.
    #[arg(required_unless_present = "example")]
    name: Option<String>,
    /// The language.
    #[arg(long, value_enum, required_unless_present = "example")]
    lang: Option<Language>,
    /// Start from a policy that does something, instead of the scaffold of a language.
    #[arg(long, value_enum, conflicts_with = "lang")]
    example: Option<Example>,
    /// Where the project goes; must not exist or be empty. Left out, it is a directory of the policy's name.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Print the files as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Language {
    Rust,
    /// With QuickJS.
    #[value(name = "js", alias = "javascript")]
    JavaScript,
    Python,
    /// With clang or Zig, without a C library.
    C,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Example {
    /// In Rust: customer numbers, and e-mail addresses outside of the own domains.
    CustomerData,
}

/// A file of a template: where it goes, and its text with `{{name}}` and `{{module}}` in it.
type Template = &'static [(&'static str, &'static str)];

/// Reads a file of a template at build time.
macro_rules! template {
    ($language:literal: $($path:literal => $file:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../../../policies/templates/", $language, "/", $file)))),*]
    };
}

const RUST: Template = template! {
    "rust":
    "Cargo.toml" => "Cargo.toml.tmpl",
    "README.md" => "README.md.tmpl",
    ".gitignore" => "gitignore.tmpl",
    ".cargo/config.toml" => "cargo-config.toml.tmpl",
    "src/lib.rs" => "src/lib.rs.tmpl",
    "src/judge.rs" => "src/judge.rs.tmpl",
    "src/settings.rs" => "src/settings.rs.tmpl",
    "src/glue.rs" => "src/glue.rs.tmpl",
};

const JAVASCRIPT: Template = template! {
    "javascript":
    "package.json" => "package.json.tmpl",
    "README.md" => "README.md.tmpl",
    ".gitignore" => "gitignore.tmpl",
    "judge.js" => "judge.js.tmpl",
    "judge.test.js" => "judge.test.js.tmpl",
    "policy.js" => "policy.js.tmpl",
};

const PYTHON: Template = template! {
    "python":
    "requirements.txt" => "requirements.txt.tmpl",
    "README.md" => "README.md.tmpl",
    ".gitignore" => "gitignore.tmpl",
    "judge.py" => "judge.py.tmpl",
    "test_judge.py" => "test_judge.py.tmpl",
    "app.py" => "app.py.tmpl",
};

const C: Template = template! {
    "c":
    "Makefile" => "Makefile.tmpl",
    "README.md" => "README.md.tmpl",
    ".gitignore" => "gitignore.tmpl",
    "judge.c" => "judge.c.tmpl",
    "settings.h" => "settings.h.tmpl",
    "settings.c" => "settings.c.tmpl",
    "mirror.h" => "mirror.h.tmpl",
    "mirror.c" => "mirror.c.tmpl",
    "test.c" => "test.c.tmpl",
};

/// Reads a file of the example at build time.
macro_rules! example {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../../../policies/examples/customer-data/", $path)))),*]
    };
}

/// The name that the example has in its files, and as a module.
const EXAMPLE_NAME: &str = "customer-data";
const EXAMPLE_MODULE: &str = "customer_data";

/// A member of this workspace. A project of its own has its own `wit/`, profile and settings of cargo.
const EXAMPLE: Template = example! {
    "Cargo.toml",
    "src/lib.rs",
    "src/judge.rs",
    "src/settings.rs",
    "src/glue.rs",
    "cases/settings.json",
    "cases/orders/findings.json",
    "cases/orders/input/configs/main/extractor/acme.ex-crm/orders/config.json",
};

/// What the example has besides as a project of its own, beside what it has from the scaffold in its language.
const EXAMPLE_PROJECT: Template = template! {
    "customer-data":
    "README.md" => "README.md.tmpl",
};
const MANIFEST: &str = "Cargo.toml";
const OF_SCAFFOLD: [&str; 2] = [".gitignore", ".cargo/config.toml"];

/// Where the example finds the WIT package in this repository.
const WIT_OF_WORKSPACE: &str = "\"../../../wit\"";

/// The same in every language.
const CASES: Template = template! {
    "rust":
    "cases/settings.json" => "cases/settings.json",
    "cases/words/findings.json" => "cases/words/findings.json",
    "cases/words/input/configs/main/extractor/acme.ex-crm/orders/config.json" =>
        "cases/words/input/configs/main/extractor/acme.ex-crm/orders/config.json",
    "cases/words/input/configs/main/transformation/acme.sql/clean/blocks/001-a/001-b/code.sql" =>
        "cases/words/input/configs/main/transformation/acme.sql/clean/blocks/001-a/001-b/code.sql",
};

/// What of the WIT package a policy is built against.
const WIT: [&str; 2] = ["types.wit", "redaction.wit"];

pub(super) fn run(new: &New) -> Result<(), Failure> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let name = new.name.as_deref().unwrap_or(EXAMPLE_NAME);
    if !(1..=40).contains(&name.len())
        || !name.bytes().all(fits)
        || !name.starts_with(|c: char| c.is_ascii_lowercase())
        || name.ends_with('-')
    {
        return Err(Failure::usage(format!(
            "`{name}` cannot be a policy's name; it must be 1 to 40 characters of a-z, 0-9 and -, begin with a letter and not end with -"
        )));
    }
    let root = new.dir.clone().unwrap_or_else(|| PathBuf::from(name));
    if root.is_file() || crate::system::is_used(&root) {
        return Err(Failure::usage(format!(
            "`{}` is there already; choose another with `--dir`",
            root.display()
        )));
    }
    let wit = mirror_sandbox::WIT.iter().filter(|(file, _)| WIT.contains(file));
    let wit = wit.map(|(file, text)| (format!("wit/{file}"), (*text).to_owned()));
    let own = match (new.example, new.lang) {
        (Some(Example::CustomerData), _) => example(name),
        (None, Some(Language::Rust) | None) => scaffold(RUST, name),
        (None, Some(Language::JavaScript)) => scaffold(JAVASCRIPT, name),
        (None, Some(Language::Python)) => scaffold(PYTHON, name),
        (None, Some(Language::C)) => scaffold(C, name),
    };
    let files: Vec<(String, String)> = own.into_iter().chain(wit).collect();
    if files.iter().any(|(path, text)| depends_on(path, text, name)) {
        return Err(Failure::usage(format!(
            "the project depends on a package `{name}`, so it cannot have this name; choose another, such as `{name}-policy`"
        )));
    }
    write(&root, &files)
        .map_err(|error| Failure::message(format!("cannot write `{}`: {error}", root.display())))?;
    let written: Vec<&str> = files.iter().map(|(path, _)| path.as_str()).collect();
    if new.json {
        outln!(
            "{}",
            json!({ "directory": root.display().to_string(), "files": written })
        );
        return Ok(());
    }
    outln!(
        "{} files in {}; go on with its README.md",
        written.len(),
        root.display()
    );
    Ok(())
}

/// Fills a language's template.
fn scaffold(own: Template, name: &str) -> Vec<(String, String)> {
    own.iter().chain(CASES).map(|file| filled(file, name)).collect()
}

fn filled((path, text): &(&str, &str), name: &str) -> (String, String) {
    let text = text
        .replace("{{name}}", name)
        .replace("{{module}}", &name.replace('-', "_"));
    ((*path).to_owned(), text)
}

/// Makes a project of its own of the example, under another name.
fn example(name: &str) -> Vec<(String, String)> {
    let renamed = |(path, text): &(&str, &str)| {
        let text = text
            .replace(WIT_OF_WORKSPACE, "\"wit\"")
            .replace(EXAMPLE_NAME, name)
            .replace(EXAMPLE_MODULE, &name.replace('-', "_"));
        ((*path).to_owned(), text)
    };
    let mut files: Vec<(String, String)> = EXAMPLE.iter().map(renamed).collect();
    // What the workspace says for its members.
    let manifest = RUST.iter().find(|(path, _)| *path == MANIFEST);
    let profile = manifest.and_then(|(_, text)| Some(&text[text.find("[profile.release]")?..]));
    if let Some((_, own)) = files.iter_mut().find(|(path, _)| path == MANIFEST) {
        own.push('\n');
        own.push_str(profile.unwrap_or_default());
    }
    let of_scaffold = RUST.iter().filter(|(path, _)| OF_SCAFFOLD.contains(path));
    files.extend(of_scaffold.chain(EXAMPLE_PROJECT).map(|file| filled(file, name)));
    files
}

/// Says whether a project's file names a package of this name as a dependency. A project of the same name does not build.
fn depends_on(path: &str, text: &str, name: &str) -> bool {
    let is_it = |package: &str| package.replace('_', "-") == name;
    match path {
        MANIFEST => {
            let manifest: toml::Table = text.parse().unwrap_or_default();
            let tables = ["dependencies", "dev-dependencies", "build-dependencies"].into_iter();
            let tables = tables.filter_map(|table| manifest.get(table)?.as_table());
            tables.flat_map(toml::Table::keys).any(|package| is_it(package))
        }
        "package.json" => {
            let manifest: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
            let tables = ["dependencies", "devDependencies"].into_iter();
            let tables = tables.filter_map(|table| manifest[table].as_object());
            tables
                .flat_map(serde_json::Map::keys)
                .any(|package| is_it(package))
        }
        _ => false,
    }
}

/// Writes the project as a whole or not at all: beside its place first, or in it where that is an empty directory.
fn write(root: &Path, files: &[(String, String)]) -> io::Result<()> {
    let parent = match root.parent() {
        Some(parent) if parent != Path::new("") => parent,
        Some(_) | None => Path::new("."),
    };
    let is_there = root.is_dir();
    let beside = if is_there { root } else { parent };
    fs::create_dir_all(beside)?;
    // Gone when this returns, whatever is left in it.
    let temporary = tempfile::Builder::new()
        .prefix(".kbc-mirror-")
        .tempdir_in(beside)?;
    let project = temporary.path().join("project");
    for (path, text) in files {
        let file = project.join(path);
        fs::create_dir_all(file.parent().unwrap_or(&project))?;
        fs::write(&file, text)?;
    }
    if !is_there {
        return fs::rename(&project, root);
    }
    for entry in fs::read_dir(&project)? {
        let entry = entry?;
        fs::rename(entry.path(), root.join(entry.file_name()))?;
    }
    Ok(())
}
