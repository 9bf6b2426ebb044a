//! Where an attempt's time goes, stage by stage. Off unless somebody measures: then it costs nothing.
//!
//! Time of a stage is that of the threads that work for it, less what stages within it took. What a stage means is
//! not known here.

use nix::time::{ClockId, clock_gettime};
use std::{
    cell::Cell,
    fmt,
    pin::pin,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// A part of an attempt, in the order in which they begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Reading the state of the lane and its cut of the log.
    Start,
    /// Asking the source, and reading what it answers.
    Fetch,
    /// Asking the layout where objects belong.
    Inspect,
    /// Judging names before they become paths.
    Names,
    /// What waits to be rendered: kept, sealed where it goes to disk, and read back.
    Spool,
    /// Giving each object its place.
    Place,
    /// Making files of objects.
    Render,
    /// Making shared files of their entries.
    Gather,
    /// Asking the redaction policies, and putting markers in place of what they find.
    Redact,
    /// Choosing samples.
    Filter,
    /// The last look for secrets.
    Guard,
    /// Hashing and compressing files, and making directories of them.
    Tree,
    /// Wording, judging and writing the commit.
    Commit,
    /// Making a pack of new objects, and storing it.
    Pack,
    /// Sending it, and moving the ref.
    Push,
    /// Making the lane's state durable, and moving its cursor.
    State,
    /// Keeping account of what is made of what.
    Account,
}

impl Stage {
    pub const ALL: [Self; 17] = [
        Self::Start,
        Self::Fetch,
        Self::Inspect,
        Self::Names,
        Self::Spool,
        Self::Place,
        Self::Render,
        Self::Gather,
        Self::Redact,
        Self::Filter,
        Self::Guard,
        Self::Tree,
        Self::Commit,
        Self::Pack,
        Self::Push,
        Self::State,
        Self::Account,
    ];

    /// Returns the stage's name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Fetch => "fetch",
            Self::Inspect => "inspect",
            Self::Names => "names",
            Self::Spool => "spool",
            Self::Place => "place",
            Self::Render => "render",
            Self::Gather => "gather",
            Self::Redact => "redact",
            Self::Filter => "filter",
            Self::Guard => "guard",
            Self::Tree => "tree",
            Self::Commit => "commit",
            Self::Pack => "pack",
            Self::Push => "push",
            Self::State => "state",
            Self::Account => "account",
        }
    }

    /// Returns whether the stage waits for others: the source, the repository, the disk.
    #[must_use]
    pub fn is_outside(self) -> bool {
        matches!(self, Self::Fetch | Self::Push)
    }
}

/// What a stage took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Taken {
    /// Of the processor, by all threads.
    pub cpu: Duration,
    /// The rest of the time between beginnings and ends: others had the processor, or there was nothing to do but wait.
    pub waited: Duration,
    /// What went through: objects, files, documents.
    pub items: u64,
}

/// Adds up what stages take.
#[derive(Default)]
pub struct Stages {
    is_on: bool,
    spent: [Spent; Stage::ALL.len()],
}

#[derive(Default)]
struct Spent {
    cpu_ns: AtomicU64,
    waited_ns: AtomicU64,
    items: AtomicU64,
}

impl fmt::Debug for Stages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(Stage::ALL.map(|stage| (stage, self.taken(stage))))
            .finish()
    }
}

impl Stages {
    /// Makes one that measures.
    #[must_use]
    pub fn measuring() -> Self {
        Self {
            is_on: true,
            ..Self::default()
        }
    }

    /// Returns what a stage has taken so far.
    #[must_use]
    pub fn taken(&self, stage: Stage) -> Taken {
        let Spent {
            cpu_ns,
            waited_ns,
            items,
        } = &self.spent[stage as usize];
        Taken {
            cpu: Duration::from_nanos(cpu_ns.load(Ordering::Relaxed)),
            waited: Duration::from_nanos(waited_ns.load(Ordering::Relaxed)),
            items: items.load(Ordering::Relaxed),
        }
    }

    /// Begins to count anew.
    pub fn reset(&self) {
        for Spent {
            cpu_ns,
            waited_ns,
            items,
        } in &self.spent
        {
            for count in [cpu_ns, waited_ns, items] {
                count.store(0, Ordering::Relaxed);
            }
        }
    }

    /// Does work on so many items as a part of a stage.
    pub(crate) fn time<T>(&self, stage: Stage, items: usize, work: impl FnOnce() -> T) -> T {
        if !self.is_on {
            return work();
        }
        let (done, own) = apart(work);
        self.add(stage, own.cpu, own.wall.saturating_sub(own.cpu), items);
        done
    }

    /// The same for a future: its time of the processor is that of its polls.
    pub(crate) async fn watch<T>(&self, stage: Stage, work: impl Future<Output = T>) -> T {
        if !self.is_on {
            return work.await;
        }
        let mut work = pin!(work);
        let (began, mut cpu) = (Instant::now(), Duration::ZERO);
        let done = std::future::poll_fn(|context| {
            let (polled, own) = apart(|| work.as_mut().poll(context));
            cpu += own.cpu;
            polled
        })
        .await;
        self.add(stage, cpu, began.elapsed().saturating_sub(cpu), 0);
        done
    }

    /// Counts what other threads did for a stage while it was timed as waiting.
    pub(crate) fn helped(&self, stage: Stage, cpu: Duration) {
        if self.is_on {
            self.add(stage, cpu, Duration::ZERO, 0);
        }
    }

    /// Returns the clock that helping threads are measured with, where anything is.
    pub(crate) fn clock(&self) -> Option<fn() -> Duration> {
        self.is_on.then_some(thread_cpu as fn() -> Duration)
    }

    fn add(&self, stage: Stage, cpu: Duration, waited: Duration, items: usize) {
        let spent = &self.spent[stage as usize];
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        spent.cpu_ns.fetch_add(nanos(cpu), Ordering::Relaxed);
        spent.waited_ns.fetch_add(nanos(waited), Ordering::Relaxed);
        spent.items.fetch_add(items as u64, Ordering::Relaxed);
    }
}

/// Time of one thread.
#[derive(Debug, Clone, Copy, Default)]
struct Own {
    cpu: Duration,
    wall: Duration,
}

thread_local! {
    /// What stages within the one that is being timed have taken on this thread.
    static WITHIN: Cell<Own> = const { Cell::new(Own { cpu: Duration::ZERO, wall: Duration::ZERO }) };
}

/// Does work and says what it took, less what was timed by itself within it.
fn apart<T>(work: impl FnOnce() -> T) -> (T, Own) {
    let before = WITHIN.replace(Own::default());
    let (began, cpu) = (Instant::now(), thread_cpu());
    let done = work();
    let all = Own {
        cpu: thread_cpu().saturating_sub(cpu),
        wall: began.elapsed(),
    };
    let within = WITHIN.replace(Own {
        cpu: before.cpu + all.cpu,
        wall: before.wall + all.wall,
    });
    let own = Own {
        cpu: all.cpu.saturating_sub(within.cpu),
        wall: all.wall.saturating_sub(within.wall),
    };
    (done, own)
}

/// Returns the time of the processor that this thread has had; nothing where the system does not tell.
pub(crate) fn thread_cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy(time: Duration) {
        let began = thread_cpu();
        while thread_cpu() - began < time {
            std::hint::spin_loop();
        }
    }

    #[test]
    fn each_moment_belongs_to_the_innermost_stage() {
        let stages = Stages::measuring();
        let (outer, inner) = (Duration::from_millis(2), Duration::from_millis(20));
        let before = thread_cpu();
        stages.time(Stage::Account, 1, || {
            busy(outer);
            stages.time(Stage::Tree, 3, || busy(inner));
            stages.time(Stage::Tree, 4, || busy(inner));
        });
        let all = thread_cpu() - before;
        let (account, tree) = (stages.taken(Stage::Account), stages.taken(Stage::Tree));
        assert!(account.cpu >= outer && tree.cpu >= inner * 2);
        assert!(account.cpu + tree.cpu <= all, "nothing is counted twice");
        assert_eq!((account.items, tree.items), (1, 7));
        stages.reset();
        assert_eq!(stages.taken(Stage::Tree), Taken::default());
    }

    #[test]
    fn a_future_is_charged_for_its_polls_and_waits_for_the_rest() {
        let executor = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let stages = Stages::measuring();
        let work = Duration::from_millis(2);
        executor.block_on(stages.watch(Stage::Fetch, async {
            busy(work);
            for _ in 0..3 {
                tokio::task::yield_now().await;
                busy(work);
            }
        }));
        assert!(stages.taken(Stage::Fetch).cpu >= work * 4);
    }

    #[test]
    fn nothing_is_measured_unless_it_is_asked_for() {
        let stages = Stages::default();
        stages.time(Stage::Render, 5, || busy(Duration::from_millis(1)));
        stages.helped(Stage::Render, Duration::from_secs(1));
        assert_eq!(stages.taken(Stage::Render), Taken::default());
        assert!(stages.clock().is_none());
    }

    #[test]
    fn every_stage_has_a_place_and_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> = Stage::ALL.iter().map(|stage| stage.name()).collect();
        assert_eq!(names.len(), Stage::ALL.len());
        for (at, stage) in Stage::ALL.into_iter().enumerate() {
            assert_eq!(stage as usize, at);
        }
    }
}
