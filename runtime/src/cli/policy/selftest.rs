//! `policy selftest`: does this host contain hostile policies?

use crate::{app::Failure, config::Config, output::outln, policies};
use clap::Args;
use mirror_sandbox::{
    CompileLimits, Limits, Sandbox, SandboxConfig,
    hostile::{Attack, Outcome, attacks, limits},
};
use serde_json::{Value, json};
use std::{fs, path::PathBuf, time::Instant};

#[derive(Debug, Args)]
pub struct Selftest {
    /// A configuration file, whose limits for compiling are used.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Only attacks whose name has this in it.
    #[arg(long)]
    only: Option<String>,
    /// Write the hostile components into this directory instead of trying them.
    #[arg(long)]
    write: Option<PathBuf>,
    /// Print the outcome as JSON.
    #[arg(long)]
    json: bool,
}

/// Memory that may stay with the process after all attacks: the allocator's, and that of lazily made tables.
const GROWTH_BYTES_MAX: u64 = 64 << 20;

struct Tried {
    attack: Attack,
    outcome: Outcome,
    ms: u128,
}

pub(super) fn run(selftest: &Selftest) -> Result<(), Failure> {
    let wanted = |attack: &Attack| {
        selftest
            .only
            .as_ref()
            .is_none_or(|only| attack.name.contains(only.as_str()))
    };
    let attacks: Vec<Attack> = attacks().into_iter().filter(wanted).collect();
    if attacks.is_empty() {
        return Err(Failure::usage(
            "no attack has such a name; without `--only` all are listed",
        ));
    }
    if let Some(directory) = &selftest.write {
        return write(directory, &attacks);
    }
    let sandbox = sandbox(selftest)?;
    // What is made once for the process must not count as a leak.
    if let Some(first) = attacks.first() {
        drop(first.run(&sandbox));
    }
    let before = resident_bytes();
    let tried: Vec<Tried> = attacks
        .into_iter()
        .map(|attack| {
            let began = Instant::now();
            let outcome = attack.run(&sandbox);
            let ms = began.elapsed().as_millis();
            if !selftest.json {
                let word = if outcome.contained {
                    "contained"
                } else {
                    "NOT CONTAINED"
                };
                outln!(
                    "{word}  {:<20} {ms:>5} ms  it {}: {}",
                    attack.name,
                    attack.about,
                    outcome.told
                );
            }
            Tried { attack, outcome, ms }
        })
        .collect();
    let growth = resident_bytes()
        .zip(before)
        .map(|(after, before)| after.saturating_sub(before));
    let contained = tried.iter().filter(|tried| tried.outcome.contained).count();
    if selftest.json {
        let attacks: Vec<Value> = tried
            .iter()
            .map(|Tried { attack, outcome, ms }| {
                json!({ "name": attack.name, "about": attack.about, "contained": outcome.contained, "told": outcome.told, "ms": ms })
            })
            .collect();
        outln!(
            "{}",
            json!({ "attacks": attacks, "contained": contained, "memory_growth_bytes": growth })
        );
    } else {
        outln!("{contained} of {} attacks contained", tried.len());
        if let Some(growth) = growth {
            outln!("memory that stays with the process: {growth} bytes more than before");
        }
    }
    if contained < tried.len() {
        return Err(Failure::message(format!(
            "{} attacks are not contained on this host; do not run customers' policies here",
            tried.len() - contained
        )));
    }
    match growth {
        Some(growth) if growth > GROWTH_BYTES_MAX => Err(Failure::message(format!(
            "{growth} bytes of memory stay with the process after the attacks, and {GROWTH_BYTES_MAX} are allowed"
        ))),
        _ => Ok(()),
    }
}

/// Components are compiled as a server does it, in a process of their own.
fn sandbox(selftest: &Selftest) -> Result<Sandbox, Failure> {
    let compile = match &selftest.config {
        // What takes longer is an attack here.
        None => CompileLimits {
            cpu_seconds_max: 2,
            ..CompileLimits::default()
        },
        Some(path) => {
            let config = Config::read(path).map_err(|error| Failure::usage(crate::app::chain(&error)))?;
            config.policies.compile
        }
    };
    let compiler = policies::compiler(compile).map_err(|error| Failure::failed(&error))?;
    let config = SandboxConfig {
        compiler,
        ..SandboxConfig::offline(Limits::default(), limits())
    };
    Sandbox::new(config).map_err(|error| Failure::failed(&error))
}

fn write(directory: &std::path::Path, attacks: &[Attack]) -> Result<(), Failure> {
    let unwritable = |error: std::io::Error| {
        Failure::message(format!("cannot write into `{}`: {error}", directory.display()))
    };
    fs::create_dir_all(directory).map_err(unwritable)?;
    for attack in attacks {
        fs::write(
            directory.join(format!("{}.wasm", attack.name)),
            attack.component(),
        )
        .map_err(unwritable)?;
    }
    outln!("{} components in {}", attacks.len(), directory.display());
    Ok(())
}

/// Returns what of the process lies in memory; none where the system does not tell.
fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}
