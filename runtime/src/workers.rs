//! Workers: several processes over one log share the mirrors among them.
//!
//! Each worker keeps one record alive by writing it again before its time to live is over; who stops
//! doing so is dead to the others. A shard belongs to the worker that its record names, as long as that one
//! lives. Which worker a shard should belong to, everybody computes alike ([`Shard::owner`]): its holder
//! gives it up when it should be another's, and that one takes it. Records are replaced by
//! compare-and-swap, so a shard never has two holders in the bucket.
//!
//! A process can still be wrong about itself, as when it was suspended: leases only save work. What keeps a
//! history right are the compare-and-swap of the ref, the stored cut, and commits that are the same wherever
//! they are made.

use crate::{
    config::JetStreamConfig,
    metrics::Metrics,
    nats::{
        Nats, NatsError,
        kv::{Bucket, Record, Written},
        settings::{Kind, Wanted},
    },
    queue::jetstream::names::Names,
};
use async_trait::async_trait;
use futures_util::{FutureExt, StreamExt};
use mirror_core::shard::Shard;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;

#[cfg(test)]
mod tests;

/// Between two looks, in parts of the lease.
const LOOKS: u32 = 5;
/// After somebody else's change, so that several make one look.
const SOON: Duration = Duration::from_millis(20);

/// Whether this process may still act for the shards it holds.
///
/// Good for two thirds of a lease after the last renewal was begun, by a clock that never jumps.
#[derive(Debug, Clone, Default)]
pub struct Lease(Arc<Mutex<Held>>);

#[derive(Debug, Clone, Copy, Default)]
enum Held {
    /// There is nobody else.
    #[default]
    Forever,
    Until(Instant),
    Not,
}

impl Lease {
    /// Returns whether it holds at this moment.
    #[must_use]
    pub fn holds(&self) -> bool {
        match *self.held() {
            Held::Forever => true,
            Held::Until(end) => Instant::now() < end,
            Held::Not => false,
        }
    }

    fn set(&self, held: Held) {
        *self.held() = held;
    }

    /// When it ends, or ended; none where it does not by itself.
    fn end(&self) -> Option<Instant> {
        match *self.held() {
            Held::Until(end) => Some(end),
            Held::Forever | Held::Not => None,
        }
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is done for the shards that this worker holds.
#[async_trait]
pub trait Crew: Send + Sync + 'static {
    /// Begins to work for a shard.
    async fn take(&self, shard: Shard);

    /// Ends the work for a shard; returns when nothing is done for it any more.
    async fn give_up(&self, shard: Shard);
}

/// This process among the workers.
pub struct Worker {
    bucket: Bucket,
    /// The stream below the bucket.
    wanted: Wanted,
    nats: Nats,
    /// Configured or random; with the incarnation it is the worker's id.
    name: String,
    time: Duration,
    lease: Lease,
    /// Those with mirrors; nobody cares for the others.
    shards: BTreeSet<Shard>,
    metrics: Arc<Metrics>,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What a look into the bucket shows.
#[derive(Debug, Default)]
struct Seen {
    /// Ids of living workers.
    workers: BTreeSet<String>,
    /// Holders of shards, living or not, and the records' revisions.
    holders: BTreeMap<Shard, (Option<String>, u64)>,
}

/// What is to be done about a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Nothing,
    /// It is to be ours and nobody living has it.
    Take,
    /// It is ours, but nothing is done for it: no answer came when it was taken, or one that came too late.
    Begin,
    /// It is ours and is to be another's.
    GiveUp,
    /// The same, and nothing is done for it.
    LetGo,
}

/// Decides about a shard: `holder` is who has it by its record; `is_worked_for` is whether something is done for it here,
/// if only to end it.
fn step(
    shard: Shard,
    own: &str,
    holder: Option<&str>,
    workers: &BTreeSet<String>,
    is_worked_for: bool,
) -> Step {
    let owner = shard.owner(workers.iter().map(String::as_str).chain([own]));
    let is_meant_for_us = owner == Some(own);
    match holder {
        Some(holder) if holder == own => match (is_meant_for_us, is_worked_for) {
            (true, true) => Step::Nothing,
            (true, false) => Step::Begin,
            (false, true) => Step::GiveUp,
            (false, false) => Step::LetGo,
        },
        // It gives it up by itself, or dies.
        Some(holder) if workers.contains(holder) => Step::Nothing,
        Some(_) | None if is_meant_for_us => Step::Take,
        Some(_) | None => Step::Nothing,
    }
}

fn shard_key(shard: Shard) -> String {
    format!("shard.{shard}")
}

fn worker_key(id: &str) -> String {
    format!("worker.{id}")
}

/// A membership: a life of this worker, from joining to leaving or being taken for dead.
struct Membership {
    id: String,
    revision: u64,
    held: BTreeSet<Shard>,
    /// Shards being given up.
    ending: Ending,
}

/// Shards for which the work is being ended.
#[derive(Default)]
struct Ending {
    shards: BTreeSet<Shard>,
    /// Each ends with its shard.
    tasks: JoinSet<Shard>,
}

impl Ending {
    fn add(&mut self, crew: &Arc<dyn Crew>, shard: Shard) {
        let crew = Arc::clone(crew);
        self.shards.insert(shard);
        self.tasks.spawn(async move {
            crew.give_up(shard).await;
            shard
        });
    }

    /// Waits for the next that has ended; none where there are no more.
    async fn next(&mut self) -> Option<Shard> {
        // One whose task panicked counts as being ended: nobody knows what is still done for it.
        loop {
            if let Ok(shard) = self.tasks.join_next().await? {
                self.shards.remove(&shard);
                return Some(shard);
            }
        }
    }
}

impl Worker {
    /// Makes or checks the bucket of leases.
    ///
    /// # Errors
    /// NATS that fails, or a bucket that cannot be used.
    pub async fn open(
        nats: Nats,
        config: &JetStreamConfig,
        lease: Lease,
        shards: BTreeSet<Shard>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, NatsError> {
        let bucket = Bucket::new(nats.clone(), Names::new(&config.prefix).lease_bucket());
        let wanted = Wanted {
            name: bucket.stream(),
            subject: bucket.subject(">"),
            replicas: config.replicas,
            kind: Kind::Leases,
        };
        wanted.ensure(&nats).await?;
        lease.set(Held::Not);
        let random = || uuid::Uuid::new_v4().simple().to_string()[..12].to_owned();
        Ok(Self {
            bucket,
            wanted,
            nats,
            name: config.worker.clone().unwrap_or_else(random),
            time: config.lease,
            lease,
            shards,
            metrics,
        })
    }

    /// Takes part until it is stopped, and then leaves: what it holds is given up, and the others are told at
    /// once.
    pub async fn run(self, crew: Arc<dyn Crew>, stop: CancellationToken) {
        while !stop.is_cancelled() {
            if let Err(error) = self.live(&crew, &stop).await {
                tracing::warn!(
                    worker = self.name,
                    error = crate::app::chain(&error),
                    "the leases of this worker are lost; it joins again"
                );
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(self.time / LOOKS) => {}
            }
        }
    }

    /// One life, to its end.
    async fn live(&self, crew: &Arc<dyn Crew>, stop: &CancellationToken) -> Result<(), NatsError> {
        let mut life = self.join().await?;
        tracing::info!(worker = life.id, "joined the workers");
        let outcome = self.work(&mut life, crew, stop).await;
        if outcome.is_err() {
            self.lease.set(Held::Not);
        }
        // Whatever ended it: nothing is done for these shards any more.
        for shard in std::mem::take(&mut life.held) {
            life.ending.add(crew, shard);
        }
        // The others wait as long as it takes, while this worker is known to live.
        let mut renewal = tokio::time::interval(self.time / 3);
        loop {
            tokio::select! {
                ended = life.ending.next() => match ended {
                    // A life that was lost lets go of everything at once, below.
                    Some(shard) => if outcome.is_ok() { self.let_go(&life.id, shard).await; },
                    None => break,
                },
                _ = renewal.tick() => if outcome.is_ok() { let _ = self.renew(&mut life).await; },
            }
        }
        self.lease.set(Held::Not);
        self.metrics.shards_held.set(0);
        let left = self.bucket.delete(&worker_key(&life.id), life.revision).await;
        if let (Ok(()), Err(error)) = (&outcome, left) {
            tracing::warn!(
                worker = life.id,
                error = crate::app::chain(&error),
                "the others are not told that this worker left; they see it soon"
            );
        }
        outcome
    }

    /// Begins a life. The bucket may have been deleted in the last one.
    async fn join(&self) -> Result<Membership, NatsError> {
        self.wanted.ensure(&self.nats).await?;
        let incarnation = uuid::Uuid::new_v4().simple().to_string();
        let id = format!("{}-{}", self.name, &incarnation[..8]);
        let renewed = Instant::now();
        let key = worker_key(&id);
        let joined = self.bucket.put(&key, id.clone().into_bytes(), 0, Some(self.time));
        let Written::As(revision) = joined.await? else {
            return Err(NatsError::Answer {
                what: "join the workers",
            });
        };
        self.lease.set(Held::Until(renewed + self.time * 2 / 3));
        Ok(Membership {
            id,
            revision,
            held: BTreeSet::new(),
            ending: Ending::default(),
        })
    }

    async fn work(
        &self,
        life: &mut Membership,
        crew: &Arc<dyn Crew>,
        stop: &CancellationToken,
    ) -> Result<(), NatsError> {
        const WHAT: &str = "watch the leases";
        let changes = self.nats.client().subscribe(self.bucket.subject(">")).await;
        let mut changes = changes.map_err(|_| NatsError::Answer { what: WHAT })?;
        let mut renewal = tokio::time::interval_at(Instant::now() + self.time / 3, self.time / 3);
        let mut look = tokio::time::interval(self.time / LOOKS);
        // What takes long while NATS cannot be asked is not made up for afterwards.
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut may_change = true;
        loop {
            tokio::select! {
                // A renewal that is due waits for one look at most, or the lease may never be seen to be lost.
                biased;
                () = stop.cancelled() => return Ok(()),
                _ = renewal.tick() => self.renew(life).await?,
                Some(shard) = life.ending.next() => self.let_go(&life.id, shard).await,
                change = changes.next(), if may_change => {
                    may_change = change.is_some();
                    tokio::time::sleep(SOON).await;
                    while changes.next().now_or_never().flatten().is_some() {}
                    self.look(life, crew).await;
                }
                _ = look.tick() => self.look(life, crew).await,
            }
        }
    }

    /// Waits for an answer of NATS for as long as the others take this worker to be alive; none after that.
    async fn while_known<T>(&self, asked: impl Future<Output = T>) -> Option<T> {
        match self.lease.end() {
            // A lease ends before the record does, which lives for three thirds.
            Some(end) => tokio::time::timeout_at(end + self.time / 3, asked).await.ok(),
            None => Some(asked.await),
        }
    }

    /// Lives on. While NATS cannot be asked it is tried again, until others may take this worker for dead.
    async fn renew(&self, life: &mut Membership) -> Result<(), NatsError> {
        let begun = Instant::now();
        let key = worker_key(&life.id);
        let renewed = self
            .bucket
            .put(&key, life.id.clone().into_bytes(), life.revision, Some(self.time));
        match self.while_known(renewed).await.ok_or(NatsError::LeaseLost)? {
            Ok(Written::As(revision)) => {
                life.revision = revision;
                self.lease.set(Held::Until(begun + self.time * 2 / 3));
                Ok(())
            }
            // It may have been this very renewal, to which no answer came.
            Ok(Written::Conflict) => match self.bucket.get(&key).await? {
                Record {
                    value: Some(_),
                    revision,
                } => {
                    life.revision = revision;
                    Ok(())
                }
                Record { value: None, .. } => Err(NatsError::LeaseLost),
            },
            Err(error) if self.lease.holds() => {
                tracing::warn!(
                    worker = life.id,
                    error = crate::app::chain(&error),
                    "a lease is not renewed yet"
                );
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Takes and gives up what has to be, by what the bucket shows.
    async fn look(&self, life: &mut Membership, crew: &Arc<dyn Crew>) {
        let seen = match self.while_known(self.see()).await {
            Some(Ok(seen)) => seen,
            Some(Err(error)) => {
                tracing::debug!(error = crate::app::chain(&error), "the leases cannot be read");
                return;
            }
            None => return,
        };
        for shard in &self.shards {
            let (holder, revision) = seen.holders.get(shard).cloned().unwrap_or_default();
            let is_worked_for = life.held.contains(shard) || life.ending.shards.contains(shard);
            match step(*shard, &life.id, holder.as_deref(), &seen.workers, is_worked_for) {
                Step::Nothing => {}
                Step::GiveUp => {
                    if life.held.remove(shard) {
                        tracing::info!(worker = life.id, %shard, "a shard is handed over");
                        life.ending.add(crew, *shard);
                    }
                }
                Step::LetGo => self.let_go(&life.id, *shard).await,
                Step::Begin => self.begin(life, crew, *shard, None).await,
                Step::Take => {
                    let key = shard_key(*shard);
                    let taken = self
                        .bucket
                        .put(&key, life.id.clone().into_bytes(), revision, None);
                    // Where it is not known, the next look shows it.
                    match self.while_known(taken).await {
                        Some(Ok(Written::As(_))) => self.begin(life, crew, *shard, holder).await,
                        Some(Ok(Written::Conflict)) => {}
                        Some(Err(_)) | None => break,
                    }
                }
            }
        }
        let held = i64::try_from(life.held.len()).unwrap_or(i64::MAX);
        self.metrics.shards_held.set(held);
    }

    /// Begins to work for a shard that is ours by its record, as soon as the lease holds.
    async fn begin(&self, life: &mut Membership, crew: &Arc<dyn Crew>, shard: Shard, after: Option<String>) {
        if self.lease.holds() {
            tracing::info!(worker = life.id, %shard, after, "a shard is taken");
            life.held.insert(shard);
            crew.take(shard).await;
        }
    }

    /// Lets the others have a shard for which nothing is done any more.
    async fn let_go(&self, id: &str, shard: Shard) {
        let key = shard_key(shard);
        let released = async {
            let Record { value, revision } = self.bucket.get(&key).await?;
            if value.is_some_and(|holder| holder == id.as_bytes()) {
                self.bucket.delete(&key, revision).await?;
            }
            Ok::<_, NatsError>(())
        };
        // Whoever is taken for dead holds nothing any more.
        if let Some(Err(error)) = self.while_known(released).await {
            tracing::warn!(worker = id, %shard, error = crate::app::chain(&error), "a shard is not released; it is free when this worker is taken for dead");
        }
    }

    async fn see(&self) -> Result<Seen, NatsError> {
        let mut seen = Seen::default();
        for (key, Record { value, revision }) in self.bucket.all(">").await? {
            let holder = value.and_then(|value| String::from_utf8(value.to_vec()).ok());
            if let Some(id) = key.strip_prefix("worker.") {
                if holder.is_some() {
                    seen.workers.insert(id.to_owned());
                }
            } else if let Some(shard) = key.strip_prefix("shard.")
                && let Ok(number) = u8::from_str_radix(shard, 16)
            {
                seen.holders.insert(Shard(number), (holder, revision));
            }
        }
        Ok(seen)
    }
}
