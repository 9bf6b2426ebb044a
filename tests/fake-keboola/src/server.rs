//! Starting, stopping and watching a fake.

use crate::{
    FakeError,
    change::OutboxEvent,
    connection::{CutSwitch, CuttableListener},
    fault::{Fault, Faults},
    journal::Journal,
    op::Op,
    routes,
    state::State,
};
use axum::Router;
use sample_project::Project;
use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{
    runtime::Handle,
    sync::{oneshot, watch},
};

/// How a fake behaves.
#[derive(Debug, Clone)]
pub struct FakeConfig {
    /// Port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// The token that requests need; none makes one up from the project's number.
    pub token: Option<String>,
    /// Where to keep the journal; none forgets all changes with the process.
    pub journal: Option<PathBuf>,
    /// Requests at once before 429.
    pub parallel_max: usize,
    /// Columns of a data preview before it is refused.
    pub preview_columns_max: usize,
    /// Chooses the identifiers that changes get.
    pub seed: u64,
}

impl Default for FakeConfig {
    fn default() -> Self {
        Self {
            port: 0,
            token: None,
            journal: None,
            parallel_max: 10,
            preview_columns_max: 30,
            seed: 1,
        }
    }
}

/// A running fake; it stops when it is dropped.
#[derive(Debug)]
pub struct Fake {
    pub(crate) shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) url: String,
    pub(crate) token: String,
    pub(crate) parallel_max: usize,
    pub(crate) preview_columns_max: usize,
    pub(crate) in_flight: AtomicUsize,
    pub(crate) in_flight_max: AtomicUsize,
    core: Mutex<Core>,
    control: Mutex<Control>,
    outbox_end: watch::Sender<u64>,
}

/// The project and its journal, which must not part.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) state: State,
    journal: Option<Journal>,
}

/// What tests set and read beside the project.
#[derive(Debug, Default)]
pub(crate) struct Control {
    pub(crate) faults: Faults,
    /// Reads by path.
    pub(crate) requests: BTreeMap<String, u64>,
    pub(crate) writes: u64,
    /// The only token that is accepted now, where it was renewed.
    pub(crate) renewed: Option<String>,
    /// A token of another project, and that project.
    pub(crate) stranger: Option<(String, u64)>,
}

impl Shared {
    pub(crate) fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies a change, on disk first, if `decide` finds one to make.
    pub(crate) fn change<T>(
        &self,
        decide: impl FnOnce(&State) -> Result<Option<Op>, FakeError>,
        done: impl FnOnce(&State, Option<crate::Committed>) -> T,
    ) -> Result<T, FakeError> {
        let mut core = self.core();
        let Core { state, journal } = &mut *core;
        journal.as_ref().map_or(Ok(()), Journal::check)?;
        let committed = match decide(state)? {
            None => None,
            Some(op) => {
                let logged = journal.is_some().then(|| op.clone());
                let committed = state.apply(op)?;
                // A refused change is not in the journal; an applied one is before anybody sees it.
                if let (Some(journal), Some(op)) = (journal, logged) {
                    journal.append(&op)?;
                }
                committed
            }
        };
        let end = state.outbox.len() as u64;
        let result = done(state, committed);
        drop(core);
        self.outbox_end
            .send_if_modified(|known| std::mem::replace(known, end.max(*known)) < end);
        Ok(result)
    }
}

impl Fake {
    /// Starts a fake in the current tokio runtime.
    ///
    /// # Errors
    /// A port that is taken; a journal that cannot be used.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(project: Project, config: FakeConfig) -> Result<Self, FakeError> {
        Self::start_on(&Handle::current(), project, config)
    }

    /// Starts a fake in a given tokio runtime.
    ///
    /// # Errors
    /// As `start`.
    pub fn start_on(runtime: &Handle, project: Project, config: FakeConfig) -> Result<Self, FakeError> {
        let FakeConfig {
            port,
            token,
            journal,
            parallel_max,
            preview_columns_max,
            seed,
        } = config;
        let token = token.unwrap_or_else(|| format!("{}-1-{}", project.project_id, "fakeStorageToken"));
        let mut state = State::new(project, seed);
        let journal = match journal {
            None => None,
            Some(directory) => {
                let (journal, ops) = Journal::open(&directory, state.digest())?;
                for op in ops {
                    state.apply(op)?;
                }
                Some(journal)
            }
        };
        let failed = |source| FakeError::Listen { port, source };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let url = format!("http://{}", listener.local_addr().map_err(failed)?);
        let listener = {
            let _entered = runtime.enter();
            CuttableListener(tokio::net::TcpListener::from_std(listener).map_err(failed)?)
        };
        let (outbox_end, _) = watch::channel(state.outbox.len() as u64);
        let shared = Arc::new(Shared {
            url,
            token,
            parallel_max,
            preview_columns_max,
            in_flight: AtomicUsize::new(0),
            in_flight_max: AtomicUsize::new(0),
            core: Mutex::new(Core { state, journal }),
            control: Mutex::default(),
            outbox_end,
        });
        let routes = Router::new()
            .fallback(routes::handle)
            .with_state(Arc::clone(&shared));
        let service = routes.into_make_service_with_connect_info::<CutSwitch>();
        let (stop, stopped) = oneshot::channel::<()>();
        runtime.spawn(async move {
            let stopped = async { drop(stopped.await) };
            // It ends only when stopped; a failure would show as refused connections.
            drop(
                axum::serve(listener, service)
                    .with_graceful_shutdown(stopped)
                    .await,
            );
        });
        Ok(Self {
            shared,
            stop: Some(stop),
        })
    }

    /// Returns the address to use as the stack's, such as `http://127.0.0.1:40123`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.shared.url
    }

    /// Returns the token that requests need until it is renewed.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.shared.token
    }

    /// Accepts this token from now on, and no other one.
    pub fn renew_token(&self, token: &str) {
        self.shared.control().renewed = Some(token.to_owned());
    }

    /// Says of this token that it is of another project; it opens nothing of this one.
    pub fn know_stranger(&self, token: &str, project: u64) {
        self.shared.control().stranger = Some((token.to_owned(), project));
    }

    /// Returns the project as it stands. Deleted configurations are not in it.
    #[must_use]
    pub fn project(&self) -> Project {
        self.shared.core().state.project()
    }

    /// Returns the events for a mirror with a number above `after`, in order.
    #[must_use]
    pub fn outbox(&self, after: u64) -> Vec<OutboxEvent> {
        let core = self.shared.core();
        // They are numbered without gaps.
        let after = usize::try_from(after).unwrap_or(usize::MAX);
        core.state.outbox.get(after..).unwrap_or_default().to_vec()
    }

    /// Returns a receiver of the number of the outbox's last event.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.shared.outbox_end.subscribe()
    }

    /// Waits until the outbox has events above `after`, and returns them.
    pub async fn outbox_after(&self, after: u64) -> Vec<OutboxEvent> {
        let mut end = self.subscribe();
        // The sender lives as long as the fake does.
        drop(end.wait_for(|end| *end > after).await);
        self.outbox(after)
    }

    /// Orders trouble.
    pub fn fail(&self, fault: Fault) {
        self.shared.control().faults.push(fault);
    }

    /// Cancels all trouble that was ordered and is not used up, and shows late versions.
    pub fn heal(&self) {
        self.shared.control().faults.clear();
        let mut core = self.shared.core();
        core.state.late_reads = 0;
        core.state.late.clear();
    }

    /// Makes each version that is made from now on invisible to the next `reads` requests that
    /// would show it. The outbox tells it at once.
    pub fn hide_new_versions(&self, reads: u32) {
        self.shared.core().state.late_reads = reads;
    }

    /// Returns how often paths that begin so were read, refused reads included.
    #[must_use]
    pub fn requests(&self, path: &str) -> u64 {
        let control = self.shared.control();
        control
            .requests
            .iter()
            .filter(|(found, _)| found.starts_with(path))
            .map(|(_, count)| count)
            .sum()
    }

    /// Returns how often each path was read.
    #[must_use]
    pub fn requests_by_path(&self) -> BTreeMap<String, u64> {
        self.shared.control().requests.clone()
    }

    /// Starts counting anew.
    pub fn forget_requests(&self) {
        self.shared.control().requests.clear();
        self.shared.in_flight_max.store(0, Ordering::SeqCst);
    }

    /// Returns how often somebody tried to write. The mirror never should.
    #[must_use]
    pub fn write_attempts(&self) -> u64 {
        self.shared.control().writes
    }

    /// Returns the largest number of requests that were under way at once.
    #[must_use]
    pub fn parallel_seen(&self) -> usize {
        self.shared.in_flight_max.load(Ordering::SeqCst)
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // Nobody listens if the runtime is gone already.
            let _ = stop.send(());
        }
        // Connections may hold the state for a while; the journal must be free for the next fake.
        self.shared.core().journal = None;
    }
}
