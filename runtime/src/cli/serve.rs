//! `serve`: the runtime, until it is told to stop.

use super::Serve;
use crate::{
    app::Failure,
    config::{Config, QueueConfig},
    control::{Control, socket::Socket},
    database::DatabaseError,
    http::Listener,
    queue::{jetstream::intake, retention::keep},
    runner::Runner,
    system::{StartError, System},
};
use mirror_git::StoreError;
use std::{
    io::{self, ErrorKind},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What only a new process mends is looked for so often, and seen this many times in a row before the process ends:
/// until then `/livez` lets a supervisor decide.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(5);
const LOOKS: u32 = 12;
/// For blocking work that the grace period has not ended.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Runs the mirrors of a configuration file until SIGTERM or Ctrl-C.
///
/// # Errors
/// A configuration that cannot be used, or a start that fails.
pub fn run(serve: &Serve) -> Result<(), Failure> {
    let config = Config::read(&serve.config).map_err(|error| Failure::usage(crate::app::chain(&error)))?;
    run_to_end(runtime()?, async {
        let asked = stop_asked();
        let hung_up = signal(SignalKind::hangup());
        let system = Arc::new(
            System::open(config)
                .await
                .map_err(|error| start_failure(&error))?,
        );
        let stop = CancellationToken::new();
        let runner = Runner::new(Arc::clone(&system));
        listen_to_commands(&system, &runner, &stop);
        let listener = listen(&system, &stop).await?;
        let courier = system.courier().map_err(|error| start_failure(&error))?;
        let courier = tokio::spawn(courier.run(stop.clone()));
        let keeper = tokio::spawn(keep(Arc::clone(&system), stop.clone()));
        let intake = take_in(&system, &stop);
        runner.start().await.map_err(|error| start_failure(&error))?;
        look_at_credentials_when_asked(hung_up, &runner, &stop);
        tracing::info!(mirrors = system.config.mirrors.len(), "started");
        let outcome = tokio::select! {
            () = asked => Ok(()),
            failure = beyond_repair(&system) => Err(failure),
        };
        tracing::info!("stopping: running attempts may finish");
        stop.cancel();
        // The listener counts its own grace period, beside that of the attempts.
        runner.shut_down().await;
        if let Some(listener) = listener {
            drop(listener.await);
        }
        drop(keeper.await);
        if let Some(intake) = intake {
            drop(intake.await);
        }
        drop(courier.await);
        outcome
    })
}

/// Runs a command on an executor; what is still working then, and was to be cut short, is not waited for.
pub(super) fn run_to_end<T>(runtime: tokio::runtime::Runtime, command: impl Future<Output = T>) -> T {
    let outcome = runtime.block_on(command);
    runtime.shutdown_timeout(LAST_WAIT);
    outcome
}

/// Starts the socket that commands ask through. Without it they cannot, and everything else goes on.
fn listen_to_commands(system: &Arc<System>, runner: &Arc<Runner>, stop: &CancellationToken) {
    let control = Control {
        config: system.config.clone(),
        log: Arc::clone(&system.log),
        pauses: system.pauses.clone(),
        runner: Some(Arc::clone(runner)),
        now: system.now,
    };
    match Socket::bind(&system.config.data_dir) {
        Ok(socket) => drop(tokio::spawn(socket.serve(Arc::new(control), stop.clone()))),
        Err(error) => {
            tracing::warn!(%error, "there is no socket for commands in the data directory; give it a shorter path");
        }
    }
}

/// Starts the HTTP listener, if one is configured.
async fn listen(
    system: &Arc<System>,
    stop: &CancellationToken,
) -> Result<Option<tokio::task::JoinHandle<()>>, Failure> {
    let Some(address) = system.config.http.listen else {
        return Ok(None);
    };
    let (log, metrics, status) = (
        Arc::clone(&system.log),
        Arc::clone(&system.metrics),
        Arc::clone(&system.status),
    );
    let listener = Listener::bind(address, &system.config, log, metrics, status, system.now).await;
    let listener = listener.map_err(|error| Failure::usage(crate::app::chain(&error)))?;
    if let Ok(address) = listener.address() {
        tracing::info!(%address, "listening");
    }
    let grace = Duration::from_millis(system.config.grace_ms);
    Ok(Some(tokio::spawn(listener.serve(stop.clone(), grace))))
}

/// Has credentials looked at with each SIGHUP, as operators are used to; without it they are looked at anyway.
fn look_at_credentials_when_asked(
    hung_up: io::Result<tokio::signal::unix::Signal>,
    runner: &Arc<Runner>,
    stop: &CancellationToken,
) {
    let (runner, stop) = (Arc::clone(runner), stop.clone());
    match hung_up {
        Ok(mut hung_up) => drop(tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    heard = hung_up.recv() => match heard {
                        Some(()) => runner.look_at_credentials(),
                        None => return,
                    }
                }
            }
        })),
        Err(error) => tracing::warn!(%error, "SIGHUP cannot be listened for"),
    }
}

/// Starts to take in what publishers send over NATS.
fn take_in(system: &Arc<System>, stop: &CancellationToken) -> Option<tokio::task::JoinHandle<()>> {
    let QueueConfig::JetStream(config) = &system.config.queue else {
        return None;
    };
    let (log, stack) = (system.jetstream.clone()?, config.events_stack.clone()?);
    let metrics = Arc::clone(&system.metrics);
    Some(tokio::spawn(intake::run(
        log,
        stack,
        metrics,
        system.now,
        stop.clone(),
    )))
}

/// Makes the executor.
///
/// # Errors
/// A machine that gives no threads.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(&error))
}

/// Sorts a failed start: what the operator has to mend is a matter of configuration.
pub(super) fn start_failure(error: &StartError) -> Failure {
    match error {
        StartError::Keboola { .. } | StartError::Stage(_) | StartError::Log(_) | StartError::State(_) => {
            Failure::failed(error)
        }
        StartError::Nats(source) if !source.is_setting() => Failure::failed(error),
        // Nothing that is written anywhere is wrong.
        StartError::Database(DatabaseError::NoSpace | DatabaseError::Stopped)
        | StartError::Store {
            source: StoreError::NoSpace { .. },
            ..
        } => Failure::failed(error),
        StartError::DataDir { source, .. } if is_full(source) => Failure::failed(error),
        StartError::DataDir { .. }
        | StartError::Nats(_)
        | StartError::Database(_)
        | StartError::Sandbox(_)
        | StartError::TagRoot(_)
        | StartError::TagRootWeak
        | StartError::TagRootChanged
        | StartError::Token { .. }
        | StartError::Credential { .. }
        | StartError::Certificates { .. }
        | StartError::ProxyCredential(_)
        | StartError::SigningKeyUnread { .. }
        | StartError::SigningKey { .. }
        | StartError::Client { .. }
        | StartError::Repository { .. }
        | StartError::Visibility { .. }
        | StartError::Policy { .. }
        | StartError::Compiler(_)
        | StartError::Store { .. }
        | StartError::Ref { .. }
        | StartError::Notify(_)
        | StartError::WrongProject { .. }
        | StartError::NoDefaultBranch { .. } => Failure::usage(crate::app::chain(error)),
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

/// Listens for SIGTERM and Ctrl-C from now on; done when one has come.
pub(super) fn stop_asked() -> impl Future<Output = ()> {
    let signals = [SignalKind::terminate(), SignalKind::interrupt()].map(signal);
    async move {
        let heard = signals.into_iter().map(|signal| async {
            match signal {
                Ok(mut signal) => drop(signal.recv().await),
                Err(_) => std::future::pending().await,
            }
        });
        let mut heard: Vec<_> = heard.map(Box::pin).collect();
        std::future::poll_fn(|context| {
            let any = heard
                .iter_mut()
                .any(|heard| heard.as_mut().poll(context).is_ready());
            if any {
                std::task::Poll::Ready(())
            } else {
                std::task::Poll::Pending
            }
        })
        .await;
    }
}

/// Done when there has been something for a minute that only a new process mends: a log that stopped or is another one, a database
/// that is no longer at its place, or one of our own guests that does not end. Over whose object that was is found by the processes that come after it, as for one that died.
async fn beyond_repair(system: &System) -> Failure {
    let mut looks = 0;
    loop {
        tokio::time::sleep(LOOKED_AT_EVERY).await;
        let told = match (system.database_over(), system.overdue(Instant::now())) {
            (Some(over), _) => Some(crate::app::chain(&over)),
            (None, overdue) => overdue.map(|overdue| crate::app::chain(&overdue)),
        };
        if let Some(told) = told
            .as_ref()
            .filter(|told| system.status.over().as_ref() != Some(*told))
        {
            tracing::error!("{told}");
        }
        system.status.set_over(told.clone());
        let failure = match system.log.over() {
            Some(over) => Some(Failure::failed(&over)),
            None => told.map(Failure::message),
        };
        looks = if failure.is_some() { looks + 1 } else { 0 };
        if let Some(failure) = failure.filter(|_| looks >= LOOKS) {
            return failure;
        }
    }
}
