//! `config`: is the file good, what does it say with all defaults, and what may it say?

use super::ConfigCommand;
use crate::{
    app::Failure,
    config::{Config, RepositorySpec, TAG_ROOT_BYTES_MIN},
    files,
    notify::channel::{Channels, Target},
    output::{counted, errln, out, outln},
    policies::Policies,
    system::StartError,
};
use secrecy::{ExposeSecret, SecretString};
use std::path::Path;

/// Runs a `config` command.
///
/// # Errors
/// A configuration that cannot be used, with every credential and repository that is not there.
pub fn run(command: ConfigCommand) -> Result<(), Failure> {
    let (path, json) = match command {
        ConfigCommand::Check { config, json } => (config, json),
        ConfigCommand::Print { config, json } => return print(&config, json),
        ConfigCommand::Schema => {
            outln!("{:#}", Config::schema());
            return Ok(());
        }
    };
    let Checked {
        mirrors,
        problems,
        warnings,
    } = check(&path);
    if json {
        outln!(
            "{}",
            serde_json::json!({ "ok": problems.is_empty(), "problems": problems, "warnings": warnings })
        );
    } else {
        for warning in &warnings {
            errln!("warning: {warning}");
        }
    }
    if !problems.is_empty() {
        return Err(Failure::usage(problems.join("\n")));
    }
    if !json {
        outln!("{}: good; {}", path.display(), counted(mirrors as u64, "mirror"));
    }
    Ok(())
}

/// What was found out about a configuration.
#[derive(Default)]
struct Checked {
    mirrors: usize,
    /// What keeps a mirror, or all, from being opened.
    problems: Vec<String>,
    /// What does not work, and keeps nothing from running.
    warnings: Vec<String>,
}

fn print(path: &Path, json: bool) -> Result<(), Failure> {
    let written = Config::written_out(path).map_err(|error| Failure::usage(crate::app::chain(&error)))?;
    match json {
        true => outln!(
            "{:#}",
            serde_json::to_value(&written).map_err(|error| Failure::failed(&error))?
        ),
        false => out!(
            "{}",
            toml::to_string(&written).map_err(|error| Failure::failed(&error))?
        ),
    }
    Ok(())
}

fn check(path: &Path) -> Checked {
    let config = match Config::read(path) {
        Ok(config) => config,
        Err(error) => {
            return Checked {
                problems: vec![crate::app::chain(&error)],
                ..Checked::default()
            };
        }
    };
    let mut problems = Vec::new();
    if let Err(source) = files::can_be_filled(&config.data_dir) {
        let path = config.data_dir.clone();
        problems.push(crate::app::chain(&StartError::DataDir { path, source }));
    }
    let mut credential = |key: String, reference: &crate::credential::CredentialRef| {
        if let Some(loose) = reference.writable_by_others() {
            errln!("`{key}`: {loose}");
        }
        if let Err(error) = reference.read() {
            problems.push(format!("`{key}`: {}", crate::app::chain(&error)));
        }
    };
    credential("tag_root".into(), &config.tag_root);
    let is_short = |root: SecretString| root.expose_secret().len() < TAG_ROOT_BYTES_MIN;
    let weak = config.tag_root.read().is_ok_and(is_short);
    for token in &config.http.ingest {
        credential(format!("http.ingest `{}`", token.name), &token.token);
    }
    for mirror in &config.mirrors {
        credential(format!("mirror `{}`, token", mirror.id), &mirror.token);
    }
    if let Some((_, password)) = config.notify.smtp.as_ref().and_then(|smtp| smtp.login.as_ref()) {
        credential("notify.smtp.password".into(), password);
    }
    for mirror in &config.mirrors {
        for target in &mirror.notify {
            let reference = match target {
                Target::Email { .. } => continue,
                Target::Slack { url } => url,
                Target::Webhook { secret, .. } => secret,
            };
            credential(format!("mirror `{}`, notify", mirror.id), reference);
        }
    }
    if let Err(error) = Channels::open(&config) {
        problems.push(crate::app::chain(&error));
    }
    if weak {
        problems.push(StartError::TagRootWeak.to_string());
    }
    let mut warnings = Vec::new();
    unusable_policies(&config, &mut problems, &mut warnings);
    for mirror in &config.mirrors {
        if let Err(error) = crate::repository::signing_key(mirror) {
            problems.push(crate::app::chain(&error));
        }
        let RepositorySpec::LocalBare(path) = &mirror.repository else {
            if let Err(error) = crate::repository::open(mirror, &config.git) {
                problems.push(crate::app::chain(&error));
            }
            continue;
        };
        if !path.join("objects").is_dir() || !path.join("refs").is_dir() {
            problems.push(format!(
                "mirror `{}`: `{}` is no bare repository; make one with `git init --bare`",
                mirror.id,
                path.display()
            ));
        }
    }
    Checked {
        mirrors: config.mirrors.len(),
        problems,
        warnings,
    }
}

/// Tells of each policy that a mirror names and cannot have; one that only watches keeps no mirror from being opened.
fn unusable_policies(config: &Config, problems: &mut Vec<String>, warnings: &mut Vec<String>) {
    let mut named = config
        .mirrors
        .iter()
        .flat_map(|mirror| mirror.policies.iter().map(move |policy| (mirror, policy)))
        .peekable();
    if named.peek().is_none() {
        return;
    }
    let policies = match Policies::to_check(&config.policies) {
        Ok(policies) => policies,
        Err(error) => return problems.push(crate::app::chain(&error)),
    };
    for (mirror, policy) in named {
        let Err(error) = policies.prepare(mirror.id.as_str(), policy) else {
            continue;
        };
        let start = StartError::Policy {
            mirror: mirror.id.clone(),
            policy: policy.name.clone(),
            source: Box::new(error),
        };
        let told = crate::app::chain(&start);
        if policy.shadow {
            warnings.push(format!("{told}; it is a shadow, so nothing else is affected"));
        } else {
            problems.push(told);
        }
    }
}
