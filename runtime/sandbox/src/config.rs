//! What the sandbox needs to know, and the limits it holds guests to.

use crate::compile::Compiler;
use serde::{Deserialize, Serialize};
use std::{fmt, path::PathBuf};

/// Settings of a [`Sandbox`](crate::Sandbox).
#[derive(Clone)]
pub struct SandboxConfig {
    /// Where compiled guests are kept, so that the next start need not compile them. None: nowhere.
    /// The directory should be the program's own.
    pub cache_dir: Option<PathBuf>,
    /// Key of the code that authenticates what is in `cache_dir`. A secret of this installation:
    /// who knows it and may write there can run code in this process.
    pub cache_key: [u8; 32],
    /// For the built-in guests.
    pub limits: Limits,
    /// For customers' policies.
    pub policy_limits: Limits,
    /// Where customers' components are compiled.
    pub compiler: Compiler,
    /// What is logged of the words with which customers' policies refuse a batch.
    pub guest_words: GuestWords,
}

/// What of a customer's policy's own words (`guest-error.message`) goes to the log. They may be made of the documents that it
/// judges, with all that another policy would have taken out of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuestWords {
    /// How many bytes they have, and nothing of them: wherever documents of customers are judged.
    Hidden,
    /// The first 200 characters, with `…` in the place of whatever stands so in the judged documents: for a policy's author.
    Masked,
}

impl SandboxConfig {
    /// Returns a configuration that keeps nothing, compiles in this process and logs what policies say: for tests, and for
    /// authors who look at policies of their own.
    #[must_use]
    pub fn offline(limits: Limits, policy_limits: Limits) -> Self {
        Self {
            cache_dir: None,
            // Nothing is kept that it would authenticate.
            cache_key: [0; 32],
            limits,
            policy_limits,
            compiler: Compiler::ThisProcess,
            guest_words: GuestWords::Masked,
        }
    }
}

impl fmt::Debug for SandboxConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SandboxConfig")
            .field("cache_dir", &self.cache_dir)
            .field("limits", &self.limits)
            .field("policy_limits", &self.policy_limits)
            .field("compiler", &self.compiler)
            .field("guest_words", &self.guest_words)
            .finish_non_exhaustive()
    }
}

/// What a guest may use and answer. A limit that is hit names itself in the reason, by its field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Linear memory of one instance, summed over all its memories. Interpreters of Python and
    /// JavaScript start with 10 to 30 MiB; four workers of this size still fit into 1 GiB.
    pub memory_bytes_max: usize,
    /// Linear memories of one instance; JavaScript guests have three.
    pub memories_max: usize,
    /// Tables of one instance.
    pub tables_max: usize,
    /// Elements of all tables of one instance; the largest guests have some 10,000.
    pub table_elements_max: usize,
    /// Core instances of which one component instance may be made; Python guests have some 40.
    pub instances_max: usize,
    /// Native stack of a guest's calls. The threads that call have 2 MiB by default.
    pub wasm_stack_bytes_max: usize,
    /// Size of a customer's component; Python ones have 18 MiB.
    pub component_bytes_max: usize,
    /// Functions of a customer's component. Compile time grows with them.
    pub functions_max: u32,
    /// Locals and parameters of one function: real ones stay below 500, and with 40,000 the compiler
    /// is busy for minutes.
    pub locals_max: u32,
    /// Size of one function's body; real ones stay below 512 KiB.
    pub body_bytes_max: usize,
    /// Bytes that a policy or filter may return in one call.
    pub hostcall_fuel: usize,
    /// Bytes that the layout renderer may return in one call.
    pub output_bytes_max: usize,
    /// WebAssembly instructions (about) that a customer's guest may take for one instantiation and
    /// one batch: about a second. Counted, so the verdict is the same on every machine.
    pub fuel_max: u64,
    /// Wall-clock time of one instantiation and one batch. A customer's guest is interrupted then: it is about ten times what
    /// `fuel_max` takes, so that only a machine in trouble hits it first. One of ours is not interrupted but told of
    /// ([`Sandbox::overdue`](crate::Sandbox::overdue)).
    pub deadline_ms: u64,
    /// Items of one batch. More share the cost of one instance; the bytes below bound what a failing batch makes to do again.
    pub batch_documents_max: usize,
    /// Bytes of text in one batch. A larger item is a batch by itself.
    pub batch_bytes_max: usize,
    /// Findings of a policy in one document.
    pub findings_max: usize,
    /// Bytes of leaves that the host searches for the literals of one document's findings: each
    /// literal costs its leaf's length, and that time is not the guest's.
    pub literal_search_bytes_max: usize,
    /// Items of which a customer's guest fails one after the other, each at a cost (a limit that it goes over, or more than
    /// a sixteenth of `fuel_max`), before it is asked no more in that call. What was not asked is withheld like what failed.
    pub failures_in_row_max: u32,
    /// Elements of one list (files, entries, references, claims …) that the layout renderer
    /// returns for one object.
    pub list_items_max: usize,
}

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

impl Limits {
    /// The limits of the built-in guests, of which an instance costs more than the documents of a small batch do.
    #[must_use]
    pub fn builtin() -> Self {
        Self {
            batch_documents_max: 4096,
            ..Self::default()
        }
    }
}

/// Those of customers' guests.
impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes_max: 256 * MIB,
            memories_max: 4,
            tables_max: 8,
            table_elements_max: 100_000,
            instances_max: 128,
            wasm_stack_bytes_max: 512 * KIB,
            component_bytes_max: 32 * MIB,
            functions_max: 50_000,
            locals_max: 4_096,
            body_bytes_max: MIB,
            hostcall_fuel: 4 * MIB,
            output_bytes_max: 64 * MIB,
            fuel_max: 2_000_000_000,
            deadline_ms: 10_000,
            batch_documents_max: 256,
            batch_bytes_max: MIB,
            findings_max: 10_000,
            literal_search_bytes_max: 256 * MIB,
            failures_in_row_max: 8,
            list_items_max: 10_000,
        }
    }
}
