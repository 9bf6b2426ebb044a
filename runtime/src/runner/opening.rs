//! Opening a mirror, again and again until it is open: trouble of one mirror's own repository, local store or
//! credentials is no trouble of the others.

use super::{Followed, Runner, jitter, start_disposition};
use crate::{
    config::MirrorSpec,
    notify::MirrorNotices,
    poll::Poller,
    system::{Mirror, StartError},
};
use mirror_core::{
    ids::MirrorId,
    incident::Report,
    retry::{Failure, Jitter, RETRY_EVERY},
};
use std::{sync::Arc, time::Duration};

/// What opening needs is on this machine mostly, so a look costs little: the first ones come soon.
const AGAIN_FIRST: Duration = Duration::from_secs(2);

impl Runner {
    /// Opens a mirror as soon as that can be done, and starts its tasks.
    pub(super) async fn open(self: Arc<Self>, spec: Arc<MirrorSpec>, followed: Followed) {
        // Held, so that the opened mirror has the same.
        let notices = self.system.notices.of(&spec);
        let mut failures = 0;
        let mirror = loop {
            let opened = tokio::select! {
                () = followed.stop.cancelled() => return,
                opened = self.system.mirror(&spec) => opened,
            };
            let error = match opened {
                Ok(mirror) => break Arc::new(mirror),
                Err(error) => error,
            };
            failures += 1;
            self.unopened(&notices, &spec.id, &error, failures).await;
            let wait = match error {
                // To compile one takes the processor from others.
                StartError::Policy { .. } => RETRY_EVERY,
                _ => again(failures, jitter()),
            };
            tokio::select! {
                () = followed.stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
        };
        if failures > 0 {
            tracing::info!(mirror = %spec.id, retry_count = failures, "the mirror is opened after all");
        }
        self.work_for(mirror, &followed);
    }

    fn work_for(self: &Arc<Self>, mirror: Arc<Mirror>, followed: &Followed) {
        let (runner, watched, stop) = (Arc::clone(self), Arc::clone(&mirror), followed.stop.clone());
        self.spawn(followed, async move {
            runner.watch_visibility(&watched, stop).await;
        });
        let (rotation, asked) = (Arc::clone(&mirror.rotation), self.credentials.subscribe());
        let (status, stop) = (Arc::clone(&self.system), followed.stop.clone());
        let id = mirror.spec.id.clone();
        self.spawn(followed, async move {
            rotation.watch(asked, stop).await;
            status.status.forget_credentials(&id);
        });
        if mirror.spec.poll.is_some() {
            let poller = Poller::new(Arc::clone(&self.system), Arc::clone(self), Arc::clone(&mirror));
            self.spawn(followed, poller.run(followed.stop.clone()));
        }
        let (runner, compared, stop) = (Arc::clone(self), mirror.spec.id.clone(), followed.stop.clone());
        self.spawn(followed, async move {
            runner.compare_on_schedule(&compared, stop).await;
        });
        let follow = Arc::clone(self).follow(mirror, followed.clone());
        self.spawn(followed, follow);
    }

    /// Tells that a mirror, or its branches, cannot be opened, for the `count`th time in a row.
    pub(super) async fn unopened(
        &self,
        notices: &MirrorNotices,
        mirror: &MirrorId,
        error: &StartError,
        count: u32,
    ) {
        let problem = crate::app::chain(error);
        // Who reads of it finds it in the status.
        self.system.status.set_problem(mirror, Some(problem.clone()));
        tracing::error!(%mirror, error = problem, retry_count = count, "the mirror's branches cannot be opened");
        // Of a paused mirror nobody is told; after that it is told by the next failure.
        if self.paused.borrow().contains(mirror) {
            return;
        }
        let failure = Failure {
            disposition: start_disposition(error),
            cause: error.cause(),
            reason: problem,
        };
        self.report(notices, mirror, vec![Report::Unopened { failure }])
            .await;
    }
}

/// Returns how long to wait after so many failures: twice as long each time, up to what all retries wait.
fn again(failures: u32, Jitter(random): Jitter) -> Duration {
    let doubled = AGAIN_FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16));
    let wait = doubled.min(RETRY_EVERY);
    wait * 9 / 10 + wait / 5 * u32::from(random) / (u32::from(u16::MAX) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_five_minutes() {
        let seconds: Vec<u64> = (1..=9)
            .map(|failures| again(failures, Jitter::NONE).as_secs())
            .collect();
        assert_eq!(seconds, [2, 4, 8, 16, 32, 64, 128, 256, 300]);
        assert_eq!(again(u32::MAX, Jitter::NONE), RETRY_EVERY);
    }
}
