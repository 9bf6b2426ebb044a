//! Turns: so many attempts go at a time, and those of one project do not hold up those of another.

use mirror_core::{
    fair::Fair,
    ids::{ProjectId, Stack},
};
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};
use thiserror::Error;
use tokio::sync::oneshot;

/// Whose turn it is.
type Project = (Stack, ProjectId);

/// The process stops, so nobody's turn comes any more.
#[derive(Debug, Error)]
#[error("the mirror stops; what was not begun waits in the log")]
pub struct Stopped;

/// Places for attempts: some for those that take up changes, few for those that read a whole project.
#[derive(Debug)]
pub struct Turns {
    changes: Line,
    rebuilds: Line,
    suspects: Arc<tokio::sync::Mutex<()>>,
}

impl Turns {
    /// Makes so many places of each kind, at least one.
    #[must_use]
    pub fn new(changes_max: usize, rebuilds_max: usize) -> Self {
        Self {
            changes: Line::new(changes_max),
            rebuilds: Line::new(rebuilds_max),
            suspects: Arc::default(),
        }
    }

    /// Waits until no other work is under way over which processes may have died.
    pub async fn suspect(&self) -> tokio::sync::OwnedMutexGuard<()> {
        Arc::clone(&self.suspects).lock_owned().await
    }

    /// Waits for a turn to take up changes of a project.
    ///
    /// # Errors
    /// The process stops.
    pub async fn change(&self, project: Project) -> Result<Turn, Stopped> {
        self.changes.enter(project).await
    }

    /// Waits for a turn to read a whole project.
    ///
    /// # Errors
    /// The process stops.
    pub async fn rebuild(&self, project: Project) -> Result<Turn, Stopped> {
        self.rebuilds.enter(project).await
    }

    /// Lets nobody go any more; who is at work goes on.
    pub fn close(&self) {
        self.changes.close();
        self.rebuilds.close();
    }
}

/// A place, until it is dropped.
pub struct Turn {
    line: Line,
    project: Project,
    since: Instant,
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Turn").field(&self.project).finish()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let cost = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut open = self.line.open();
        if let Some(open) = open.as_mut() {
            open.done(&self.project, cost);
        }
        drop(open);
        self.line.serve();
    }
}

type Waiting = Fair<Project, oneshot::Sender<Turn>>;

/// A queue in front of places; none once it is closed.
#[derive(Clone)]
struct Line(Arc<Mutex<Option<Waiting>>>);

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").finish_non_exhaustive()
    }
}

impl Line {
    fn new(places: usize) -> Self {
        Self(Arc::new(Mutex::new(Some(Fair::new(places)))))
    }

    fn open(&self) -> MutexGuard<'_, Option<Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn enter(&self, project: Project) -> Result<Turn, Stopped> {
        let (give, take) = oneshot::channel();
        self.open().as_mut().ok_or(Stopped)?.wait(project, give);
        self.serve();
        take.await.map_err(|_| Stopped)
    }

    /// Gives turns to those who may go. One who no longer waits gives it back by dropping it, here or on its way.
    fn serve(&self) {
        loop {
            let next = self.open().as_mut().and_then(Fair::admit);
            let Some((project, give)) = next else { return };
            let turn = Turn {
                line: self.clone(),
                project,
                since: Instant::now(),
            };
            drop(give.send(turn));
        }
    }

    fn close(&self) {
        // Their senders go, and with them the wait.
        drop(self.open().take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(id: &str) -> Project {
        (
            Stack::parse("connection.keboola.com").unwrap(),
            ProjectId::parse(id).unwrap(),
        )
    }

    #[tokio::test]
    async fn a_turn_comes_when_another_ends_even_if_somebody_gave_up_waiting() {
        let turns = Turns::new(1, 1);
        let first = turns.change(project("1")).await.expect("it is open");
        let mut gave_up = Box::pin(turns.change(project("1")));
        let mut second = Box::pin(turns.change(project("1")));
        tokio::select! {
            biased;
            _ = &mut gave_up => panic!("there is one place"),
            _ = &mut second => panic!("there is one place"),
            () = tokio::task::yield_now() => {}
        }
        drop(gave_up);
        let rebuild = turns.rebuild(project("1")).await;
        assert!(rebuild.is_ok(), "whole projects have places of their own");
        drop(first);
        assert!(second.await.is_ok());
    }

    #[tokio::test]
    async fn a_turn_that_was_given_and_not_taken_goes_to_the_next() {
        let turns = Turns::new(1, 1);
        let first = turns.change(project("1")).await.expect("it is open");
        let mut given = Box::pin(turns.change(project("1")));
        tokio::select! {
            biased;
            _ = &mut given => panic!("there is one place"),
            () = tokio::task::yield_now() => {}
        }
        drop(first);
        drop(given);
        assert!(turns.change(project("2")).await.is_ok());
    }

    #[tokio::test]
    async fn who_waits_is_told_when_it_closes() {
        let turns = Arc::new(Turns::new(1, 1));
        let first = turns.change(project("1")).await.expect("it is open");
        let waiting = tokio::spawn({
            let turns = Arc::clone(&turns);
            async move { turns.change(project("2")).await.map(drop) }
        });
        tokio::task::yield_now().await;
        turns.close();
        assert!(waiting.await.expect("it ends").is_err());
        assert!(turns.change(project("2")).await.is_err());
        drop(first);
    }
}
