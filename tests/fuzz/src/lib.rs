//! What must hold for any input: one function of bytes for each place where a stranger's bytes come in.
//!
//! A target returns where all is well and panics where something is not, so the same functions serve libFuzzer
//! (`cargo xtask fuzz`, guided by coverage) and an ordinary test, which gives each target its kept seeds and a fixed
//! number of inputs made of them. How inputs are found is not known here.

pub mod compile;
mod component;
mod csv;
mod documents;
mod findings;
mod git_protocol;
mod json_walker;
pub mod mutation;
mod rule_engine;

use std::path::{Path, PathBuf};

/// Something that takes a stranger's bytes.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// A word, also that of its directory of seeds and of its dictionary.
    pub name: &'static str,
    /// What is fuzzed, for people.
    pub about: &'static str,
    /// Takes any bytes; panics where the product does not do what it must.
    pub run: fn(&[u8]),
    /// Longer inputs find nothing more here.
    pub bytes_max: usize,
    /// Inputs of an ordinary test run beside the seeds: dearer targets get fewer.
    pub mutations: usize,
}

/// All targets, in the order of the command.
pub const TARGETS: [Target; 7] = [
    Target {
        name: "json_walker",
        about: "JSON and JSON Lines are cut as serde_json reads them, and put together again",
        run: json_walker::run,
        bytes_max: 4 << 10,
        mutations: 20_000,
    },
    Target {
        name: "findings",
        about: "findings are applied so that what they name is gone and the file is whole, or refused",
        run: findings::run,
        bytes_max: 4 << 10,
        mutations: 20_000,
    },
    Target {
        name: "rule_engine",
        about: "the built-in policy answers findings that fit, spares ciphers and comes to an end",
        run: rule_engine::run,
        bytes_max: 16 << 10,
        mutations: 20_000,
    },
    Target {
        name: "csv",
        about: "CSV is read as the `csv` crate reads it, and samples are rendered, chosen from and cut",
        run: csv::run,
        bytes_max: 4 << 10,
        mutations: 10_000,
    },
    Target {
        name: "component",
        about: "components are refused with a reason, or loaded and held to their limits",
        run: component::run,
        bytes_max: 64 << 10,
        mutations: 100,
    },
    Target {
        name: "compile",
        about: "the compiler's process is believed where it did its work, and a component comes to the same by it",
        run: compile::run,
        bytes_max: 64 << 10,
        mutations: 300,
    },
    Target {
        name: "git_protocol",
        about: "a Git server's answers, packs and indexes are read or refused",
        run: git_protocol::run,
        bytes_max: 8 << 10,
        mutations: 40_000,
    },
];

impl Target {
    /// Returns the target of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        TARGETS.iter().find(|target| target.name == name)
    }

    /// Returns the directory of the inputs that are kept: each found something once, or reaches what no other one does.
    #[must_use]
    pub fn seeds(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("seeds")
            .join(self.name)
    }

    /// Returns the file of the words that inputs are made of.
    #[must_use]
    pub fn dictionary(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("dictionaries/{}.dict", self.name))
    }
}
