//! What one instance may hold, and what its failures mean.

use crate::config::Limits;
use mirror_core::finding::WithholdReason;
use wasmtime::{ResourceLimiter, Trap};

/// Why a guest gave no usable answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The wall clock ran out, which says nothing about the items.
    Deadline,
    /// The guest said so of one item, or its answer on one item is wrong.
    Item { index: usize, reason: WithholdReason },
    /// Some item is at fault, or all are.
    Batch(WithholdReason),
}

/// What one instance took, from its making to the end of its call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// About the WebAssembly instructions; 0 for a built-in guest, of which they are not counted.
    pub fuel: u64,
    /// Linear memory, summed over its memories.
    pub memory_bytes: usize,
}

/// Counts what an instance allocates, over all its memories and tables: wasmtime's own limits are
/// for each memory alone.
#[derive(Debug)]
pub(crate) struct Meter {
    memory_bytes: usize,
    table_elements: usize,
    limits: Limits,
    answer: AnswerLimit,
    /// The limit that refused the guest something. It may live with that, or trap.
    refused: Option<&'static str>,
}

/// Which limit holds for what a call returns.
#[derive(Debug, Clone, Copy)]
pub(crate) enum AnswerLimit {
    /// [`Limits::hostcall_fuel`], for findings and choices.
    HostcallFuel,
    /// [`Limits::output_bytes_max`], for files.
    Output,
}

impl AnswerLimit {
    pub(crate) fn bytes(self, limits: &Limits) -> usize {
        match self {
            Self::HostcallFuel => limits.hostcall_fuel,
            Self::Output => limits.output_bytes_max,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::HostcallFuel => "hostcall_fuel",
            Self::Output => "output_bytes_max",
        }
    }
}

impl Meter {
    pub(crate) fn new(limits: &Limits, answer: AnswerLimit) -> Self {
        Self {
            memory_bytes: 0,
            table_elements: 0,
            limits: limits.clone(),
            answer,
            refused: None,
        }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// Says what an error of wasmtime means for what was judged. `guest` is the guest's name.
    pub(crate) fn failure(&self, guest: &str, error: &wasmtime::Error) -> Failure {
        let guest = guest.to_owned();
        let over = |limit: &str| {
            Failure::Batch(WithholdReason::OverLimit {
                guest: guest.clone(),
                limit: limit.to_owned(),
            })
        };
        let trap = error.downcast_ref::<Trap>();
        match trap {
            Some(Trap::Interrupt) => return Failure::Deadline,
            Some(Trap::OutOfFuel) => return over("fuel_max"),
            Some(Trap::StackOverflow) => return over("wasm_stack_bytes_max"),
            _ => {}
        }
        if let Some(limit) = self.refused {
            return over(limit);
        }
        // The texts below are wasmtime's: they hold numbers of the guest's answer, never its texts.
        let detail = crate::text::printable(&error.root_cause().to_string());
        match trap {
            Some(trap) if !is_of_the_answer(*trap) => {
                let detail = trap.to_string().trim_start_matches("wasm trap: ").to_owned();
                Failure::Batch(WithholdReason::Trapped { guest, detail })
            }
            _ if detail.contains(HOSTCALL_FUEL_SPENT) => over(self.answer.name()),
            _ if detail.contains("memory count too high") => over("memories_max"),
            _ if detail.contains("table count too high") => over("tables_max"),
            _ if detail.contains("instance count too high") => over("instances_max"),
            _ => Failure::Batch(WithholdReason::Malformed { guest, detail }),
        }
    }

    fn allow(&mut self, fits: bool, limit: &'static str) -> bool {
        if !fits {
            self.refused = Some(limit);
        }
        fits
    }
}

/// This error and those of counts have no types to ask for; tests hold the texts.
const HOSTCALL_FUEL_SPENT: &str = "fuel allocated for hostcalls has been exhausted";

/// Traps that wasmtime raises while it reads an answer, rather than while the guest runs.
fn is_of_the_answer(trap: Trap) -> bool {
    matches!(
        trap,
        Trap::InvalidChar
            | Trap::StringOutOfBounds
            | Trap::ListOutOfBounds
            | Trap::InvalidDiscriminant
            | Trap::UnalignedPointer
    )
}

impl ResourceLimiter for Meter {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.memory_bytes.saturating_add(desired.saturating_sub(current));
        let fits = self.allow(total <= self.limits.memory_bytes_max, "memory_bytes_max");
        if fits {
            self.memory_bytes = total;
        }
        Ok(fits)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let total = self
            .table_elements
            .saturating_add(desired.saturating_sub(current));
        let fits = self.allow(total <= self.limits.table_elements_max, "table_elements_max");
        if fits {
            self.table_elements = total;
        }
        Ok(fits)
    }

    fn instances(&self) -> usize {
        self.limits.instances_max
    }

    fn tables(&self) -> usize {
        self.limits.tables_max
    }

    fn memories(&self) -> usize {
        self.limits.memories_max
    }
}
