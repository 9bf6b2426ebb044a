//! The courier: takes messages from the outbox to where they are to arrive, and does not give up for days.
//!
//! A message may arrive more than once, as when the process dies between sending it and noting that; always under the
//! same id.

use super::{
    MirrorNotices, Notices,
    channel::{ChannelError, Channels, channel_of},
};
use crate::{
    config::{Config, MirrorSpec, NotifyConfig},
    crash_point,
    metrics::{Delivered, Metrics},
    state::{
        StateError,
        notices::{Delivery, Sent},
    },
    status::{NoticesStatus, Status},
};
use futures_util::StreamExt;
use jiff::{SignedDuration, Timestamp};
use mirror_core::{incident::Report, retry::Jitter, window::later};
use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// So many messages are under way at a time: one slow server holds up no others.
const UNDER_WAY: usize = 8;
const AT_ONCE: usize = 64;
/// The first wait after a failure; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(2);
const WAIT_MAX: Duration = Duration::from_secs(3600);
/// The outbox is looked at at least so often.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// A store in trouble is asked again after this.
const STORE_AGAIN: Duration = Duration::from_secs(10);

/// Delivers messages; see the module.
pub struct Courier {
    notices: Notices,
    channels: Channels,
    mirrors: BTreeMap<String, Arc<MirrorSpec>>,
    config: NotifyConfig,
    metrics: Arc<Metrics>,
    status: Arc<Status>,
    now: fn() -> Timestamp,
}

impl fmt::Debug for Courier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Courier").finish_non_exhaustive()
    }
}

impl Courier {
    /// Prepares the channels of a configuration.
    ///
    /// # Errors
    /// Settings that cannot be used.
    pub fn new(
        config: &Config,
        notices: Notices,
        metrics: Arc<Metrics>,
        status: Arc<Status>,
        now: fn() -> Timestamp,
    ) -> Result<Self, ChannelError> {
        let mirrors = config.mirrors.iter();
        let mirrors = mirrors.map(|spec| (spec.id.to_string(), Arc::new(spec.clone())));
        Ok(Self {
            notices,
            channels: Channels::open(config)?,
            mirrors: mirrors.collect(),
            config: config.notify.clone(),
            metrics,
            status,
            now,
        })
    }

    /// Delivers what is stored, and what comes, until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            let wait = match self.round().await {
                Ok(wait) => wait,
                Err(error) => {
                    tracing::error!(
                        error = crate::app::chain(&error),
                        "the outbox of notices cannot be used; it is tried again"
                    );
                    STORE_AGAIN
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.notices.woken() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Delivers what is due and returns how long nothing will be.
    ///
    /// # Errors
    /// A store that cannot be used. What is not delivered stays in the outbox.
    pub async fn round(&self) -> Result<Duration, StateError> {
        let store = &self.notices.store;
        for mirror in store.due_ledgers((self.now)()).await? {
            if let Some(spec) = self.mirrors.get(&mirror) {
                let mirror: Arc<MirrorNotices> = self.notices.of(spec);
                mirror.report(vec![Report::Tick], (self.now)()).await?;
            }
        }
        loop {
            let due = store.due((self.now)(), AT_ONCE).await?;
            if due.is_empty() {
                break;
            }
            let deliveries = futures_util::stream::iter(due).map(|delivery| self.deliver(delivery));
            let outcomes: Vec<Result<(), StateError>> =
                deliveries.buffer_unordered(UNDER_WAY).collect().await;
            outcomes.into_iter().collect::<Result<(), _>>()?;
        }
        let now = (self.now)();
        store.prune(earlier(now, self.config.keep)).await?;
        let standing = store.standing().await?;
        self.status.set_notices(
            standing
                .into_iter()
                .map(|(mirror, standing)| (mirror, NoticesStatus::of(standing)))
                .collect(),
        );
        let next = store.next_due().await?;
        let wait = next.map(|next| Duration::try_from(next.duration_since(now)).unwrap_or_default());
        Ok(wait.unwrap_or(LOOK_EVERY).min(LOOK_EVERY))
    }

    async fn deliver(&self, delivery: Delivery) -> Result<(), StateError> {
        let message = &delivery.message;
        let spec = self.mirrors.get(message.context.mirror.as_str());
        let target = spec.and_then(|spec| spec.notify.iter().find(|target| target.key() == delivery.target));
        crash_point!("notice-before-send");
        let sent = match target {
            Some(target) => self.channels.send(target, message).await,
            None => {
                let problem = "the address is no longer in the configuration".to_owned();
                return self.settle(&delivery, Sent::GivenUp { problem }).await;
            }
        };
        crash_point!("notice-sent");
        let sent = match sent {
            Ok(()) => Sent::Delivered,
            Err(error) => self.failed(&delivery, &error),
        };
        self.settle(&delivery, sent).await
    }

    fn failed(&self, delivery: &Delivery, error: &ChannelError) -> Sent {
        let now = (self.now)();
        let problem = crate::app::chain(error);
        if now >= later(delivery.message.notice.at, self.config.give_up_after) {
            return Sent::GivenUp { problem };
        }
        let due = later(
            now,
            wait(delivery.attempts, error.retry_after(), crate::runner::jitter()),
        );
        Sent::Later { due, problem }
    }

    async fn settle(&self, delivery: &Delivery, sent: Sent) -> Result<(), StateError> {
        let channel = channel_of(&delivery.target);
        let (mirror, notice) = (&delivery.message.context.mirror, &delivery.message.id);
        let outcome = match &sent {
            Sent::Delivered => {
                tracing::info!(%mirror, notice_id = notice, channel, attempts = delivery.attempts + 1, "notice delivered");
                "delivered"
            }
            Sent::Later { due, problem } => {
                tracing::warn!(%mirror, notice_id = notice, channel, retry_count = delivery.attempts + 1, next = %due, problem,
                    "notice not delivered; it is tried again");
                "failed"
            }
            Sent::GivenUp { problem } => {
                tracing::error!(%mirror, notice_id = notice, channel, attempts = delivery.attempts + 1, problem, "notice given up");
                "given_up"
            }
        };
        self.metrics
            .notifications
            .get_or_create(&Delivered { channel, outcome })
            .inc();
        self.notices.store.settle(delivery, sent, (self.now)()).await
    }
}

/// Returns how long to wait after a failure that `attempts` others went before: ever longer, up to an hour, spread by
/// a tenth, and never less than the other side asks for.
fn wait(attempts: u32, asked: Option<Duration>, Jitter(random): Jitter) -> Duration {
    let doubled = FIRST_WAIT.saturating_mul(1_u32.checked_shl(attempts).unwrap_or(u32::MAX));
    let wait = doubled.min(WAIT_MAX).max(asked.unwrap_or_default());
    wait + wait / 10 * u32::from(random) / u32::from(u16::MAX)
}

fn earlier(now: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    now.checked_sub(by).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::notices::DELIVERY_WAIT_MAX;

    #[test]
    fn waits_double_up_to_an_hour_and_are_never_shorter_than_asked() {
        let seconds = |attempts, asked: Option<u64>, random| {
            wait(attempts, asked.map(Duration::from_secs), Jitter(random)).as_secs()
        };
        let plain: Vec<u64> = [0, 1, 2, 8, 9, 31, 32, u32::MAX]
            .into_iter()
            .map(|attempts| seconds(attempts, None, 0))
            .collect();
        assert_eq!(plain, [2, 4, 8, 512, 1_024, 3_600, 3_600, 3_600]);
        assert_eq!(seconds(12, None, u16::MAX), 3_960);
        let asked = crate::notify::web::RETRY_AFTER_MAX;
        assert!(wait(12, Some(asked), Jitter(u16::MAX)) <= DELIVERY_WAIT_MAX);
        assert_eq!(seconds(0, Some(7_200), 0), 7_200);
        assert_eq!(seconds(3, Some(1), 0), 16);
    }
}
