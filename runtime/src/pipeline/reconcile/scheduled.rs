//! The comparison that is made on a schedule, beside a lane's attempts: what nobody told becomes events, and is counted.
//!
//! Attempts and publishers go on meanwhile. So a configuration is missing only if the listing differs from what the
//! remote had before it and from what it had after it; a run only if no event after the last comparison told of it, and a
//! table with a load only if none did. A structure that differs is told of again even so, since what was told may have been
//! another change; that is not counted. And anything is told only after a time of grace ([`mirror_core::reconcile::Suspects`]).

use super::{
    super::{
        attempt::Lane,
        error::AttemptError,
        fetch::Covered,
        memory::Memory,
        observed::{Differing, Observed, bucket_name, differing, is_among, lies_in, table_name},
        unusable::Extent,
    },
    COMPARED, Definitions, finished, known_runs, mirrored, missing, of_source,
};
use crate::{
    crash_point,
    queue::reader::{Read, Reader},
};
use jiff::{SignedDuration, Timestamp};
use mirror_core::{
    cut::{ConfigKey, LogId, Logged, Position, Stream},
    event::{Body, EventKind, StorageCause, StorageChanged},
    ids::{BucketId, ObjectKey, RunId, TableId},
    reconcile::{Compared, Suspects},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Events that are read at a time.
const PAGE: usize = 5_000;
/// Clocks differ: the look at runs begins so long before the last comparison.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_mins(5);

/// One comparison of a lane; it takes a second look where something is missing that may be on its way.
#[derive(Debug)]
pub struct Comparison {
    last: Compared,
    began: Timestamp,
    through: (LogId, Position),
    /// As it was at the first look: what happens later is for the next comparison.
    observed: Observed,
    suspects: Suspects,
    /// Names of what it has told.
    told: BTreeSet<String>,
    is_first_look: bool,
}

/// What came of a look.
#[derive(Debug, Default)]
pub struct Looked {
    /// Events that were appended, by kind. Nobody had told of these in time.
    pub repaired: BTreeMap<EventKind, u64>,
    /// What is to be remembered, if that was all.
    pub compared: Option<Compared>,
    /// Else: when to look again.
    pub again_at: Option<Timestamp>,
}

/// Something that the source has and the remote has not, or the other way round.
struct Missing {
    name: String,
    happened: Option<Timestamp>,
    /// An event told of the object since the last comparison; of storage, be it of this or of another change.
    is_told: bool,
    what: What,
}

enum What {
    Event(Body),
    Table(TableId),
    Bucket(BucketId),
}

/// What the remote has.
struct Mirrored {
    covered: BTreeMap<ConfigKey, Covered>,
    tables: BTreeSet<TableId>,
    buckets: BTreeSet<BucketId>,
    runs: BTreeSet<String>,
    /// Known not to be as the source has it, and on record.
    withheld: BTreeSet<ObjectKey>,
}

impl Mirrored {
    fn of(memory: &Memory) -> Self {
        let (tables, buckets) = mirrored(memory);
        Self {
            covered: memory.covered(),
            tables,
            buckets,
            runs: known_runs(memory).0,
            withheld: memory.withheld().map(|(key, _)| key.clone()).collect(),
        }
    }
}

/// What events told since the last comparison.
#[derive(Default)]
struct Told {
    tables: BTreeSet<TableId>,
    buckets: BTreeSet<BucketId>,
    runs: BTreeSet<RunId>,
    /// Names of what was told of configurations.
    configurations: BTreeSet<String>,
    /// Some of the events are not in the log any more, or cannot be read.
    is_in_part: bool,
}

impl Lane {
    /// Returns what is remembered of the last comparison, which is noted as of now where there was none of this log.
    ///
    /// # Errors
    /// A store or log that fails.
    pub async fn last_compared(&self) -> Result<Compared, AttemptError> {
        let stored = self.state.compared(&self.id).await?;
        if let Some(compared) = stored.filter(|compared| compared.through.0 == *self.log.log_id()) {
            return Ok(compared);
        }
        let compared = Compared::never((self.now)(), self.log_end().await?);
        self.state.put_compared(&self.id, &compared).await?;
        Ok(compared)
    }

    /// Returns what is to be remembered of a comparison that begins now, once it has ended.
    ///
    /// # Errors
    /// A log that fails.
    pub async fn begin_comparison(&self, last: &Compared) -> Result<Compared, AttemptError> {
        Ok(Compared {
            at: (self.now)(),
            rendered_at: last.rendered_at,
            through: self.log_end().await?,
        })
    }

    /// Remembers a comparison that has ended.
    ///
    /// # Errors
    /// A store that fails.
    pub async fn end_comparison(&self, compared: &Compared) -> Result<(), AttemptError> {
        Ok(self.state.put_compared(&self.id, compared).await?)
    }

    async fn log_end(&self) -> Result<(LogId, Position), AttemptError> {
        let mut end = Position::START;
        for stream in Stream::ALL {
            end = end.max(self.log.newest(&self.topic, stream).await?);
        }
        Ok((self.log.log_id().clone(), end))
    }

    /// Begins a comparison.
    ///
    /// # Errors
    /// A source or log that fails.
    pub async fn compare(&self, last: Compared) -> Result<Comparison, AttemptError> {
        let (began, through) = ((self.now)(), self.log_end().await?);
        Ok(Comparison {
            last,
            began,
            through,
            observed: self.observe(Definitions::Asked).await?,
            suspects: Suspects::default(),
            told: BTreeSet::new(),
            is_first_look: true,
        })
    }

    /// Looks what is missing, and appends that of it which nobody told within `grace`. None where it is not known what
    /// the remote has: then the next attempt reads everything anyway.
    ///
    /// # Errors
    /// A source, log or store that fails.
    pub async fn look(
        &self,
        comparison: &mut Comparison,
        grace: Duration,
    ) -> Result<Option<Looked>, AttemptError> {
        let Some(before) = self.mirrored().await? else {
            return Ok(None);
        };
        let listed = self.source.client().list_configurations(&self.branch.id).await;
        let listed = listed.map_err(of_source)?;
        let now_observed = match comparison.is_first_look {
            true => comparison.observed.clone(),
            // What typed tables are made of is asked for once: what is missing is missing until it is told.
            false => self
                .observe(Definitions::LeftOut)
                .await?
                .with_definitions_of(&comparison.observed),
        };
        let Some(after) = self.mirrored().await? else {
            return Ok(None);
        };
        if comparison.is_first_look && self.spec.jobs.is_some() {
            self.replay_runs(&after.runs, &after.withheld).await?;
        }
        let told = self.told(comparison.last.through.1).await?;
        let mut all: Vec<Missing> = Vec::new();
        let still: BTreeSet<String> = missing(&listed, &before.covered)
            .into_iter()
            .map(|(body, _)| self.name_of(&body))
            .collect();
        for (body, happened) in missing(&listed, &after.covered) {
            let name = self.name_of(&body);
            let is_withheld = is_about(&body).is_some_and(|key| after.withheld.contains(&key));
            if still.contains(&name) && !is_withheld {
                all.push(Missing {
                    is_told: told.configurations.contains(&name),
                    name,
                    happened,
                    what: What::Event(body),
                });
            }
        }
        all.extend(self.missing_storage(&now_observed, &after, &told).await?);
        if self.spec.jobs.is_some() {
            all.extend(self.missing_runs(comparison, &after, &told).await?);
        }
        let began = comparison.began;
        all.retain(|missing| missing.happened.is_none_or(|happened| happened <= began));
        if !comparison.is_first_look {
            all.retain(|missing| comparison.suspects.has(&missing.name));
        }
        all.retain(|missing| !comparison.told.contains(&missing.name));
        comparison.is_first_look = false;
        let named = all
            .iter()
            .map(|missing| (missing.name.as_str(), missing.happened));
        let late: BTreeSet<String> = comparison
            .suspects
            .judge(named, (self.now)(), grace)
            .into_iter()
            .map(str::to_owned)
            .collect();
        all.retain(|missing| late.contains(&missing.name));
        let storage = all
            .iter()
            .filter(|missing| !matches!(missing.what, What::Event(_)));
        comparison
            .told
            .extend(storage.map(|missing| missing.name.clone()));
        let mut looked = Looked {
            repaired: self.tell_missing(all, &now_observed, told.is_in_part).await?,
            again_at: comparison.suspects.next_due(grace),
            compared: None,
        };
        crash_point!("after-compared");
        if looked.again_at.is_none() {
            let compared = Compared {
                at: began,
                rendered_at: comparison.last.rendered_at,
                through: comparison.through.clone(),
            };
            // Killed between the two, the next comparison finds the tables as they were seen, and nothing to tell.
            self.state.put_seen(&self.id, comparison.observed.names()).await?;
            self.state.put_compared(&self.id, &compared).await?;
            looked.compared = Some(compared);
        }
        Ok(Some(looked))
    }

    /// Renders everything and compares it with what the remote has; asks for it to be rendered anew where it differs.
    /// Returns whether it did, and what is to be remembered; none where that cannot be said, since something came meanwhile.
    ///
    /// # Errors
    /// As [`Lane::verify`].
    pub async fn compare_rendered(&self, last: &Compared) -> Result<Option<(bool, Compared)>, AttemptError> {
        let began = (self.now)();
        let verified = self.verify().await?;
        let cursor = self.log.cursor(&self.id).await?;
        let is_quiet = verified.waiting == 0 && cursor.and_then(|cursor| cursor.tip) == verified.tip;
        let Some(tip) = verified.tip.filter(|_| is_quiet) else {
            return Ok(None);
        };
        let differs = verified.count > 0;
        if differs {
            let paths: Vec<&str> = verified.differences.keys().take(10).map(String::as_str).collect();
            tracing::warn!(lane = %self.id, files = verified.count, ?paths, "the repository differs from its source; everything is rendered anew");
            self.ask_for_render(format!("compared on {tip}")).await?;
        }
        let compared = Compared {
            rendered_at: began,
            ..last.clone()
        };
        self.state.put_compared(&self.id, &compared).await?;
        Ok(Some((differs, compared)))
    }

    fn name_of(&self, body: &Body) -> String {
        body.key(&self.topic).as_str().to_owned()
    }

    async fn mirrored(&self) -> Result<Option<Mirrored>, AttemptError> {
        let stored = self.state.load(&self.id).await?;
        let derived = stored.and_then(|stored| stored.derived);
        if derived.is_none_or(|derived| derived.render != self.render) {
            return Ok(None);
        }
        if self.is_backfilling().await? {
            return Ok(None);
        }
        // Read in parts while attempts go on, it may be of two commits, each object being as one of them has it.
        Ok(self.restored().await?.ok().map(|memory| Mirrored::of(&memory)))
    }

    /// Reads what was told after a position.
    async fn told(&self, after: Position) -> Result<Told, AttemptError> {
        let mut told = Told::default();
        for stream in Stream::ALL {
            told.is_in_part |= after < self.log.pruned(&self.topic, stream).await?;
        }
        let span = (after, Position::END);
        let mut reader = Reader::new(&*self.log, &self.topic, None, span, PAGE);
        while let Some(read) = reader.next().await? {
            let page = match read {
                Read::Events(page) => page,
                // The attempt that comes to it puts it aside.
                Read::Unreadable { .. } => {
                    told.is_in_part = true;
                    continue;
                }
            };
            for Logged { envelope, .. } in page {
                match envelope.body {
                    Body::ConfigChanged(_) | Body::ConfigDeleted(_) => {
                        told.configurations.insert(envelope.key.as_str().to_owned());
                    }
                    // What an earlier comparison told is what it has seen, too.
                    Body::StorageChanged(StorageChanged {
                        cause: StorageCause::Seen(digest),
                        ..
                    }) if digest.starts_with(COMPARED) => {}
                    Body::StorageChanged(StorageChanged { tables, buckets, .. }) => {
                        told.tables.extend(tables);
                        told.buckets.extend(buckets);
                    }
                    Body::JobFinished(job) => drop(told.runs.insert(job.run)),
                    _ => {}
                }
            }
        }
        Ok(told)
    }

    async fn missing_storage(
        &self,
        observed: &Observed,
        mirrored: &Mirrored,
        told: &Told,
    ) -> Result<Vec<Missing>, AttemptError> {
        let mut seen = self.state.seen(&self.id).await?;
        if seen.is_empty() {
            // Nobody looked before: what is mirrored counts as seen.
            let names = observed.names().into_iter();
            let is_mirrored = |name: &String| is_among(name, &mirrored.tables, &mirrored.buckets);
            seen = names.filter(|(name, _)| is_mirrored(name)).collect();
        }
        let (tables, buckets) = (&mirrored.tables, &mirrored.buckets);
        let differing = differing(&seen, observed, tables.iter().cloned(), buckets.iter().cloned());
        let is_withheld = |key: ObjectKey| mirrored.withheld.contains(&key);
        let tables = differing.tables.into_iter().filter_map(|table| {
            let is_told = told.tables.contains(&table);
            let is_loaded_only = is_told && !observed.is_restructured(&table, &seen);
            if is_loaded_only || is_withheld(ObjectKey::Table(table.clone())) {
                return None;
            }
            Some((table_name(&table), is_told, What::Table(table)))
        });
        let buckets = differing.buckets.into_iter().filter_map(|bucket| {
            // A bucket is looked at with its tables.
            let is_told =
                told.buckets.contains(&bucket) || told.tables.iter().any(|table| lies_in(table, &bucket));
            let is_withheld = is_withheld(ObjectKey::Bucket(bucket.clone()));
            (!is_withheld).then(|| (bucket_name(&bucket), is_told, What::Bucket(bucket)))
        });
        let missing = tables.chain(buckets).map(|(name, is_told, what)| Missing {
            name,
            happened: None,
            is_told,
            what,
        });
        Ok(missing.collect())
    }

    async fn missing_runs(
        &self,
        comparison: &Comparison,
        mirrored: &Mirrored,
        told: &Told,
    ) -> Result<Vec<Missing>, AttemptError> {
        let ended_from = comparison.last.at.checked_sub(CLOCKS_DIFFER).ok();
        let mut found = Vec::new();
        let mut pages = self.runs_since(ended_from);
        while let Some(jobs) = pages.next().await.map_err(of_source)? {
            let unknown = jobs.iter().filter(|job| {
                !mirrored.runs.contains(job.run_id.as_str()) && !told.runs.contains(&job.run_id)
            });
            found.extend(unknown.filter_map(|job| {
                let body = finished(job)?;
                Some(Missing {
                    name: self.name_of(&body),
                    happened: job.ended,
                    is_told: false,
                    what: What::Event(body),
                })
            }));
        }
        self.tell_unusable(pages.unread(), Extent::Since).await;
        Ok(found)
    }

    /// Appends events of what is missing; returns how many nobody had told, by kind.
    async fn tell_missing(
        &self,
        late: Vec<Missing>,
        observed: &Observed,
        is_told_in_part: bool,
    ) -> Result<BTreeMap<EventKind, u64>, AttemptError> {
        let mut repaired: BTreeMap<EventKind, u64> = BTreeMap::new();
        let (mut bodies, mut told, mut untold) = (Vec::new(), Differing::default(), Differing::default());
        let mut put_aside = Vec::new();
        for Missing { what, is_told, .. } in late {
            let storage = if is_told { &mut told } else { &mut untold };
            match what {
                // What was told of it came to nothing.
                What::Event(body) if is_told => put_aside.push(body),
                What::Event(body) => bodies.push(body),
                What::Table(table) => drop(storage.tables.insert(table)),
                What::Bucket(bucket) => drop(storage.buckets.insert(bucket)),
            }
        }
        self.tell_missing_again(put_aside).await?;
        let (new, _) = self.tell_missing_again(bodies).await?;
        for kind in new {
            *repaired.entry(kind).or_default() += 1;
        }
        if !told.is_empty() {
            self.tell_storage(&told, observed).await?;
        }
        if !untold.is_empty() {
            let count = self.tell_storage(&untold, observed).await?;
            // Where events are gone from the log, they may have told it.
            if !is_told_in_part {
                repaired.insert(EventKind::StorageChanged, count as u64);
            }
        }
        if is_told_in_part {
            repaired.remove(&EventKind::JobFinished);
        }
        Ok(repaired)
    }
}

/// Returns the configuration that an event is about.
fn is_about(body: &Body) -> Option<ObjectKey> {
    let (component, config) = match body {
        Body::ConfigChanged(changed) => (&changed.component, &changed.config),
        Body::ConfigDeleted(deleted) => (&deleted.component, &deleted.config),
        _ => return None,
    };
    Some(ObjectKey::Config {
        component: component.clone(),
        config: config.clone(),
    })
}
