//! `serve`: the runtime, until it is told to stop.

use super::Serve;
use crate::{
    app::Failure,
    config::Config,
    http::Listener,
    queue::retention::keep,
    runner::Runner,
    system::{StartError, System},
};
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// For blocking work that the grace period has not ended.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Runs the mirrors of a configuration file until SIGTERM or Ctrl-C.
///
/// # Errors
/// A configuration that cannot be used, or a start that fails.
pub fn run(serve: &Serve) -> Result<(), Failure> {
    let config = Config::read(&serve.config).map_err(|error| Failure::usage(crate::app::chain(&error)))?;
    run_to_end(runtime()?, async {
        let system = Arc::new(
            System::open(config)
                .await
                .map_err(|error| start_failure(&error))?,
        );
        let stop = CancellationToken::new();
        let listener = listen(&system, &stop).await?;
        let keeper = tokio::spawn(keep(Arc::clone(&system), stop.clone()));
        let runner = Runner::new(Arc::clone(&system));
        runner.start().await.map_err(|error| start_failure(&error))?;
        tracing::info!(mirrors = system.config.mirrors.len(), "started");
        stop_asked().await;
        tracing::info!("stopping: running attempts may finish");
        stop.cancel();
        // The listener counts its own grace period, beside that of the attempts.
        runner.shut_down().await;
        if let Some(listener) = listener {
            drop(listener.await);
        }
        drop(keeper.await);
        Ok(())
    })
}

/// Runs a command on an executor; what is still working then, and was to be cut short, is not waited for.
pub(super) fn run_to_end<T>(runtime: tokio::runtime::Runtime, command: impl Future<Output = T>) -> T {
    let outcome = runtime.block_on(command);
    runtime.shutdown_timeout(LAST_WAIT);
    outcome
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
        StartError::DataDir { .. }
        | StartError::Database(_)
        | StartError::Sandbox(_)
        | StartError::TagRoot(_)
        | StartError::TagRootWeak
        | StartError::TagRootChanged
        | StartError::Token { .. }
        | StartError::Client { .. }
        | StartError::Repository { .. }
        | StartError::Store { .. }
        | StartError::Ref { .. }
        | StartError::WrongProject { .. }
        | StartError::NoDefaultBranch { .. } => Failure::usage(crate::app::chain(error)),
    }
}

/// Waits for SIGTERM or Ctrl-C.
pub(super) async fn stop_asked() {
    let terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
    let terminated = async {
        match terminate {
            Ok(mut terminate) => drop(terminate.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}
