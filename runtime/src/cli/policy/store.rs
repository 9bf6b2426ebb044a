//! `policy add` and `policy list`: from a file of an author's to a mirror.
//!
//! Mirrors stand in the configuration file, which is the operator's to write: `add` makes sure that a policy works,
//! puts it where the configuration can name it by its digest, and says what to write.

use super::{
    check, component, name, settings,
    stored::{self, Note},
    unusable,
};
use crate::{
    app::Failure,
    config::{Config, PolicySpec},
    output::{errln, out, outln},
    policies::{Policies, PolicyError},
};
use clap::Args;
use serde_json::{Map, Value, json};
use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

#[derive(Debug, Args)]
pub struct Add {
    /// The component, or a core module that was built for the world `redaction-policy`.
    policy: PathBuf,
    /// The configuration file.
    #[arg(long)]
    config: PathBuf,
    /// Id of the mirror that it is for.
    #[arg(long)]
    mirror: String,
    /// How reasons, logs and metrics call it: 1 to 40 characters of a-z, 0-9 and -. Left out, it is the file's name.
    #[arg(long)]
    name: Option<String>,
    /// A JSON file with the policy's settings.
    #[arg(long)]
    settings: Option<PathBuf>,
    /// It is to watch only: what it finds is counted and told, and nothing is changed.
    #[arg(long)]
    shadow: bool,
    /// Store it without trying it on sample documents, whatever it makes of them.
    #[arg(long)]
    force: bool,
    /// Print the outcome as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub struct List {
    /// The configuration file.
    #[arg(long)]
    config: PathBuf,
    /// Id of the only mirror to list.
    #[arg(long)]
    mirror: Option<String>,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn add(add: &Add) -> Result<(), Failure> {
    let config = read(&add.config)?;
    let spec = config
        .mirror(&add.mirror)
        .map_err(|error| Failure::usage(error.to_string()))?;
    let called = add.name.clone().unwrap_or_else(|| word(&name(&add.policy)));
    if !PolicySpec::is_name(&called) {
        return Err(Failure::usage(format!(
            "`{called}` cannot be a policy's name; give another with `--name`: 1 to 40 characters of a-z, 0-9 and -"
        )));
    }
    if PolicySpec::is_reserved(&called) {
        return Err(Failure::usage(format!(
            "`{called}` is the name of what is built in; give another with `--name`, such as `own-{called}`"
        )));
    }
    let settings = settings(add.settings.as_ref())?;
    let Ok(Value::Object(table)) = serde_json::from_str::<Value>(&settings) else {
        return Err(Failure::usage(
            "the settings must be a JSON object, as they stand in the configuration as a table",
        ));
    };
    let bytes = component(&add.policy)?;
    let digest = mirror_sandbox::digest(&bytes);
    let stored = PolicySpec::stored(&config.data_dir, &digest);
    // As a server would, which may have narrower limits than the defaults.
    let policies = Policies::to_check(&config.policies).map_err(|error| Failure::failed(&error))?;
    let policy = policies
        .prepare_component(&called, &bytes, &settings)
        .map_err(|error| unusable(&error))?;
    if !add.force {
        let problems = check::on_samples(&policy)?;
        for problem in &problems {
            errln!("- {problem}");
        }
        if !problems.is_empty() {
            return Err(Failure::message(format!(
                "{}; nothing is stored, and `--force` stores it all the same",
                check::cannot_be_used(&add.policy, problems.len())
            )));
        }
    }
    let was_damaged = store(&stored, &bytes)
        .map_err(|error| Failure::message(format!("cannot write `{}`: {error}", stored.display())))?;
    if was_damaged {
        errln!("what was stored there was not what its name says; it is written anew");
    }
    let note = Note {
        added: crate::system::wall_clock(),
        mirror: add.mirror.clone(),
        name: called.clone(),
        policy: policy.info().name.clone(),
        version: policy.info().version.clone(),
    };
    note.write(&stored);
    let lines = toml_lines(&called, &digest, &table, add.shadow)?;
    if add.json {
        outln!(
            "{}",
            json!({
                "mirror": add.mirror,
                "name": called,
                "sha256": digest,
                "stored": stored.display().to_string(),
                "configuration": lines,
                "configured": spec.policies.iter().any(|policy| policy.digest.as_deref() == Some(&digest)),
            })
        );
        return Ok(());
    }
    // Only the table is the output, so that it can be appended to the file.
    errln!("stored as {}", stored.display());
    errln!(
        "write this below `[[mirror]]` of `{}` in `{}`, and start the server again; {}:",
        add.mirror,
        add.config.display(),
        judging_before(&called, &spec.policies)
    );
    out!("{lines}");
    Ok(())
}

/// Says how many policies judge before one: those above it where it is configured already, else all.
fn judging_before(called: &str, configured: &[PolicySpec]) -> String {
    let above = configured.iter().take_while(|policy| policy.name != called);
    let others = above.filter(|policy| !policy.shadow).count();
    let before = match others {
        0 => "only the built-in policy judges before it".to_owned(),
        others => format!("{} policies judge before it, with the built-in one", others + 1),
    };
    match configured.iter().any(|policy| policy.name == called) {
        true => format!("the mirror has a policy of this name, in whose place it goes; {before}"),
        false => before,
    }
}

pub(super) fn list(list: &List) -> Result<(), Failure> {
    let config = read(&list.config)?;
    if let Some(mirror) = &list.mirror {
        config
            .mirror(mirror)
            .map_err(|error| Failure::usage(error.to_string()))?;
    }
    let policies = Policies::to_check(&config.policies).map_err(|error| Failure::failed(&error))?;
    let (mut mirrors, mut broken) = (Vec::new(), 0);
    for spec in &config.mirrors {
        // Those of others are neither compiled nor judged: who asks for one mirror is told of that one.
        if list
            .mirror
            .as_ref()
            .is_some_and(|mirror| mirror != spec.id.as_str())
        {
            continue;
        }
        let mut listed = Vec::new();
        for policy in &spec.policies {
            let prepared = policies.prepare(spec.id.as_str(), policy);
            // A mirror runs whatever its shadows are.
            broken += usize::from(prepared.is_err() && !policy.shadow);
            listed.push((policy, prepared.map(|policy| policy.identity().0.clone())));
        }
        mirrors.push((spec.id.as_str(), listed));
    }
    let stored = stored::all(&config);
    if list.json {
        let mirrors: Vec<Value> = mirrors
            .iter()
            .map(|(mirror, policies)| {
                let policies: Vec<Value> = policies
                    .iter()
                    .map(|(spec, state)| as_json(spec, state))
                    .collect();
                json!({ "mirror": mirror, "policies": policies })
            })
            .collect();
        let unused = stored.iter().filter(|stored| !stored.is_used());
        let unused: Vec<String> = unused.map(|stored| stored.file.display().to_string()).collect();
        let stored: Vec<Value> = stored.iter().map(stored::Stored::as_json).collect();
        outln!(
            "{}",
            json!({ "mirrors": mirrors, "unused": unused, "stored": stored })
        );
    } else {
        for (mirror, policies) in &mirrors {
            outln!("{mirror}");
            outln!("  1 secret-redaction, built in");
            let mut number = 1;
            for (spec, state) in policies {
                // A shadow has a place, and no number: it is not one of those that judge.
                let place = if spec.shadow {
                    "- shadow".to_owned()
                } else {
                    number += 1;
                    number.to_string()
                };
                outln!("  {place} {}, {}", spec.name, spec.file.display());
                match state {
                    Ok(digest) => outln!("    sha256 {digest}, settings {}", spec.settings),
                    Err(error) => outln!("    cannot be used: {}", crate::app::chain(error)),
                }
            }
        }
        for stored in stored.iter().filter(|stored| !stored.is_used()) {
            outln!("not used by any mirror: {}", stored.line());
        }
    }
    match broken {
        0 => Ok(()),
        1 => Err(Failure::usage("1 policy cannot be used")),
        _ => Err(Failure::usage(format!("{broken} policies cannot be used"))),
    }
}

fn as_json(spec: &PolicySpec, state: &Result<String, PolicyError>) -> Value {
    let settings: Value = serde_json::from_str(&spec.settings).unwrap_or_default();
    json!({
        "name": spec.name,
        "file": spec.file.display().to_string(),
        "settings": settings,
        "shadow": spec.shadow,
        "sha256": state.as_ref().ok(),
        "problem": state.as_ref().err().map(|error| crate::app::chain(error)),
    })
}

pub(super) fn read(path: &Path) -> Result<Config, Failure> {
    Config::read(path).map_err(|error| Failure::usage(crate::app::chain(&error)))
}

/// Makes a word that can be a policy's name.
fn word(raw: &str) -> String {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let word: String = raw
        .to_lowercase()
        .chars()
        .map(|c| if fits(c) { c } else { '-' })
        .take(40)
        .collect();
    word.trim_matches('-').to_owned()
}

/// Returns the table that the configuration file needs.
fn toml_lines(
    name: &str,
    digest: &str,
    settings: &Map<String, Value>,
    shadow: bool,
) -> Result<String, Failure> {
    let mut policy = json!({ "name": name, "digest": digest, "settings": settings });
    if shadow {
        policy["shadow"] = true.into();
    }
    let table = json!({ "mirror": [{ "policy": [policy] }] });
    let lines = toml::to_string(&table).map_err(|error| {
        Failure::usage(format!(
            "the settings cannot stand in a TOML file: {error}; leave members out instead of `null`"
        ))
    })?;
    // The mirror's own table is there already.
    Ok(lines.trim_start_matches("[[mirror]]\n").to_owned())
}

/// Writes a component so that it is there as a whole or not at all. What is there stays if it is what its name says, and
/// else is written anew; says whether that was so.
fn store(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    let there = crate::files::read(path, bytes.len() as u64);
    if there.as_ref().is_ok_and(|there| there == bytes) {
        return Ok(false);
    }
    let was_damaged = !matches!(&there, Err(error) if error.kind() == io::ErrorKind::NotFound);
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)?;
    let temporary = path.with_extension("tmp");
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    // The name outlives a crash too.
    File::open(directory)?.sync_all()?;
    Ok(was_damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_name_becomes_a_word() {
        assert_eq!(word("Customer_Data.v2"), "customer-data-v2");
        assert_eq!(word("--"), "");
    }

    #[test]
    fn the_table_is_what_the_configuration_takes() {
        let settings =
            json!({ "numbers": [{ "prefix": "CUST-", "digits": 8 }], "own_domains": ["acme.example"] });
        let lines = toml_lines(
            "customer-data",
            &"a".repeat(64),
            settings.as_object().expect("an object"),
            true,
        );
        let lines = lines.expect("no null in it");
        let parsed: toml::Value = toml::from_str(&format!("[[mirror]]\nid = \"x\"\n{lines}")).expect("TOML");
        let policy = &parsed["mirror"][0]["policy"][0];
        assert_eq!(policy["name"].as_str(), Some("customer-data"));
        assert_eq!(policy["shadow"].as_bool(), Some(true));
        assert_eq!(policy["settings"]["numbers"][0]["digits"].as_integer(), Some(8));
    }
}
