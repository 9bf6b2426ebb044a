//! Asking an installation: its running process, or else its log and state.

use super::serve::{run_to_end, runtime, start_failure};
use crate::{
    app::Failure,
    config::Config,
    control::{Control, Request, socket},
    database::{DATABASE_FILE, Database, DatabaseError, DatabaseOptions},
    output::errln,
    runner::{Runner, lanes},
    system::{GUESTS, StartError, System},
};
use serde_json::Value;
use std::{io::ErrorKind, path::Path, sync::Arc};

/// What of an installation a request needs where no process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    Log,
    /// The branches of one mirror, ready to be worked on.
    Branches,
}

/// Member of an answer that no running process gave.
pub(super) const WITHOUT_PROCESS: &str = "withoutProcess";

/// Asks, and returns the answer.
///
/// # Errors
/// A configuration that cannot be used, a mirror that is not there, or whatever the answer says.
pub(super) fn ask(path: &Path, request: Request, needs: Needs) -> Result<Value, Failure> {
    let mut config = Config::read(path).map_err(|error| Failure::usage(crate::app::chain(&error)))?;
    if let Some(mirror) = mirror_of(&request) {
        config
            .mirror(mirror)
            .map_err(|error| Failure::usage(error.to_string()))?;
    }
    match socket::ask(&config.data_dir, &request) {
        Ok(Some(answer)) => return answer.map_err(Failure::message),
        Ok(None) => {}
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            return Err(Failure::usage(format!(
                "the data directory `{}` may not be used by this user, so it cannot be asked whether a process runs: {error}; run the command as the user that the process runs as",
                config.data_dir.display()
            )));
        }
        Err(error) => {
            return Err(Failure::message(format!(
                "the running process does not answer: {error}; look into its log"
            )));
        }
    }
    let scratch = scratch_for(&mut config, &request)?;
    let answer = run_to_end(runtime()?, async {
        let control = match needs {
            Needs::Log => open_log(config).await?,
            Needs::Branches => open_branches(config, &request).await?,
        };
        let mut answer = control
            .answer(request)
            .await
            .map_err(|error| Failure::failed(&error))?;
        answer[WITHOUT_PROCESS] = true.into();
        Ok(answer)
    });
    drop(scratch);
    answer
}

/// Who only asks makes no data directory: where there is no database yet, one is used that goes with the command.
fn scratch_for(config: &mut Config, request: &Request) -> Result<Option<tempfile::TempDir>, Failure> {
    let file = config.data_dir.join(DATABASE_FILE);
    if !request.only_asks() || !matches!(file.try_exists(), Ok(false)) {
        return Ok(None);
    }
    errln!(
        "there is no `{}`: nothing ran here yet, or the data directory was deleted or moved; this is what is known without it",
        file.display()
    );
    let scratch = tempfile::Builder::new().prefix("kbc-mirror-").tempdir();
    let scratch = scratch.map_err(|error| Failure::failed(&error))?;
    let guests = config.data_dir.join(GUESTS);
    if guests.is_dir() {
        // What is compiled there need not be compiled again.
        let linked = std::os::unix::fs::symlink(&guests, scratch.path().join(GUESTS));
        linked.map_err(|error| Failure::failed(&error))?;
    }
    config.data_dir = scratch.path().to_owned();
    Ok(Some(scratch))
}

fn mirror_of(request: &Request) -> Option<&str> {
    match request {
        Request::Events { mirror, .. }
        | Request::Publish { mirror, .. }
        | Request::Pause { mirror, .. }
        | Request::Resync { mirror }
        | Request::Status { mirror }
        | Request::Verify { mirror } => Some(mirror),
        Request::Mirrors => None,
        Request::DeadLetters { mirror, .. }
        | Request::Replay { mirror, .. }
        | Request::Acknowledge { mirror, .. } => mirror.as_deref(),
    }
}

async fn open_log(config: Config) -> Result<Control, Failure> {
    let database = Database::open(&config.data_dir, DatabaseOptions::default());
    let database = database.map_err(|error| in_use(&error).unwrap_or_else(|| Failure::failed(&error)))?;
    let opened = crate::system::open_log(&config.queue, database).await;
    let (log, pauses) = opened.map_err(|error| start_failure(&error))?;
    Ok(Control {
        config,
        log,
        pauses,
        runner: None,
        now: crate::system::wall_clock,
    })
}

/// Says what to do where another process has the data directory, and did not answer a moment ago.
fn in_use(error: &DatabaseError) -> Option<Failure> {
    let DatabaseError::InUse { directory } = error else {
        return None;
    };
    Some(Failure::message(format!(
        "the data directory `{}` is used by another process, which does not answer commands: one that starts does so within some seconds, another command ends soon; try again then",
        directory.display()
    )))
}

async fn open_branches(config: Config, request: &Request) -> Result<Control, Failure> {
    let failed = |error: StartError| {
        let known = match &error {
            StartError::Database(source) => in_use(source),
            _ => None,
        };
        known.unwrap_or_else(|| start_failure(&error))
    };
    let system = Arc::new(System::open(config.clone()).await.map_err(failed)?);
    let runner = Runner::new(Arc::clone(&system));
    if let Some(spec) = mirror_of(request).and_then(|id| config.mirror(id).ok()) {
        let mirror = system.mirror(spec).await.map_err(failed)?;
        system.verify(&mirror).await.map_err(failed)?;
        runner.adopt(lanes(&system, &mirror).await.map_err(failed)?).await;
    }
    Ok(Control {
        config,
        log: Arc::clone(&system.log),
        pauses: system.pauses.clone(),
        runner: Some(runner),
        now: system.now,
    })
}
