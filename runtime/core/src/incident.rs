//! What the admins of a mirror are told, and that they are told it once.
//!
//! The branches of a mirror report what happens to them; the [`Ledger`] of the mirror decides what becomes a notice.
//! It is stored together with the notices that it makes, so whoever reports the same again after a crash is not heard twice.
//! How a notice is worded and how it travels is not known here.

use crate::{
    cause::Cause,
    ids::{BranchId, ObjectKey},
    redaction::Place,
    retry::{self, Failure, Outage},
    window::later,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// What a notice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "cause")]
pub enum NoticeKind {
    /// It has failed for three hours.
    Failing(Cause),
    /// It fails, and somebody has to do something.
    NeedsCustomer(Cause),
    /// What was told before is over.
    Recovered,
    /// Samples are wanted, but the repository is not known to be private.
    SamplesOff,
    /// Encrypted values are wanted, but the repository is not known to be private.
    SecretsMasked,
    /// Values under `#` keys that Keboola should have encrypted.
    PlaintextSecrets,
    /// Objects whose newest form is kept out of the repository.
    Withheld,
    /// Types of objects of which nothing is left, though there were several.
    Vanished,
    /// Git branches of months of runs that take no pushes; everything else is mirrored.
    MonthsRefused,
    /// Somebody wants to see whether notices arrive.
    Test,
}

impl NoticeKind {
    /// Returns the word for labels and payloads.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Failing(_) => "outage",
            Self::NeedsCustomer(cause) => cause.code(),
            Self::Recovered => "recovered",
            Self::SamplesOff => "samples_off",
            Self::SecretsMasked => "secrets_masked",
            Self::PlaintextSecrets => "plaintext_secrets",
            Self::Withheld => "withheld",
            Self::Vanished => "vanished",
            Self::MonthsRefused => "months_refused",
            Self::Test => "test",
        }
    }
}

/// Something that the admins of a mirror are told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    #[serde(flatten)]
    pub kind: NoticeKind,
    /// Keboola branches that it is about; none: all of the mirror.
    pub branches: BTreeSet<BranchId>,
    pub since: Timestamp,
    pub at: Timestamp,
    /// In the host's words; never content or credentials.
    pub why: String,
    /// Objects or places, at most [`ITEMS_MAX`].
    pub items: Vec<String>,
    /// So many more.
    pub items_more: usize,
}

/// So many objects or places are listed in one notice.
pub const ITEMS_MAX: usize = 20;
/// Findings that follow a notice of their kind within this time wait for the next one.
pub const GATHER: Duration = Duration::from_secs(3600);
/// Of findings that wait so many are kept by name; the rest is counted.
const WAITING_MAX: usize = 1_000;

/// Who reports: a branch, or none for the mirror itself, whose branches cannot be opened.
pub type Reporter = Option<BranchId>;

/// Something that happened to a mirror.
#[derive(Debug, Clone)]
pub enum Report {
    /// An outage has come to something that is to be told.
    Outage {
        from: Reporter,
        notice: retry::Notice,
        outage: Outage,
    },
    /// The branches of the mirror cannot be opened, or looked after.
    Unopened { failure: Failure },
    /// They can.
    Opened,
    /// The branch was deleted in Keboola; nothing of it is reported any more.
    Ended { branch: BranchId },
    /// What may be exported to the repository as it is now.
    Exports {
        samples_blocked: bool,
        encrypted_blocked: bool,
        /// What the repository's server said.
        why: String,
    },
    /// Objects of a branch that were rendered, each with the secrets in it that stood there in plain text.
    Rendered {
        branch: BranchId,
        plaintext: BTreeMap<ObjectKey, Vec<Place>>,
        /// Those in which there were none.
        clean: Clean,
    },
    /// All that a branch withholds now, and why.
    Withheld {
        branch: BranchId,
        /// By what they are called where others may read it ([`crate::finding::WithholdReason::name_of`]).
        objects: BTreeMap<String, String>,
    },
    /// Types of objects of which a commit leaves nothing, though there were several.
    Vanished {
        branch: BranchId,
        /// The end of what the commit covers, so that another commit is told of anew.
        through: String,
        /// Each type with how many there were; never content.
        types: Vec<String>,
    },
    /// All Git branches of a branch's months of runs that take no pushes now, and why.
    Months {
        branch: BranchId,
        refused: BTreeMap<String, String>,
    },
    /// Nothing but time.
    Tick,
}

/// What was told about one mirror; see the module.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Ledger {
    open: BTreeMap<String, Incident>,
    /// Since when, and why, the branches of the mirror cannot be opened.
    unopened: Option<Outage>,
    samples_off: bool,
    secrets_masked: bool,
    plaintext: Findings,
    withheld: Findings,
    vanished: Findings,
    months: BTreeMap<BranchId, Refused>,
}

/// Months of a branch's runs whose Git branches take no pushes, as they were told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Refused {
    since: Timestamp,
    /// By Git branch: why.
    why: BTreeMap<String, String>,
}

/// Something that was told, and is not over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Incident {
    since: Timestamp,
    why: String,
    /// Whom it is not over for, and all whom it concerned.
    now: BTreeSet<Reporter>,
    ever: BTreeSet<Reporter>,
}

/// What was found in objects, by branch and object, whether told or about to be.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Findings {
    known: BTreeMap<BranchId, BTreeMap<String, BTreeSet<String>>>,
    told_at: Option<Timestamp>,
    waiting: Vec<(BranchId, String)>,
    waiting_more: usize,
    waiting_since: Option<Timestamp>,
}

impl Ledger {
    /// Takes in what happened and returns what is to be told. Store the ledger and the notices together.
    pub fn take_in(&mut self, report: Report, now: Timestamp) -> Vec<Notice> {
        let mut notices = Vec::new();
        match report {
            Report::Outage { from, notice, outage } => notices.extend(self.outage(from, notice, outage, now)),
            Report::Unopened { failure } => match &mut self.unopened {
                Some(outage) => outage.failed(failure),
                None => self.unopened = Some(Outage::begin(failure, now)),
            },
            Report::Opened => {
                self.unopened = None;
                notices.extend(self.over(&None, None, now));
            }
            Report::Ended { branch } => {
                self.plaintext.known.remove(&branch);
                self.withheld.known.remove(&branch);
                self.vanished.known.remove(&branch);
                self.months.remove(&branch);
                let why = "the branch was deleted in Keboola, so its mirror has ended";
                notices.extend(self.over(&Some(branch), Some(why), now));
            }
            Report::Exports {
                samples_blocked,
                encrypted_blocked,
                why,
            } => {
                let off = [
                    (&mut self.samples_off, samples_blocked, NoticeKind::SamplesOff),
                    (
                        &mut self.secrets_masked,
                        encrypted_blocked,
                        NoticeKind::SecretsMasked,
                    ),
                ];
                for (was, is, kind) in off {
                    if is && !*was {
                        notices.push(Notice {
                            kind,
                            branches: BTreeSet::new(),
                            since: now,
                            at: now,
                            why: why.clone(),
                            items: Vec::new(),
                            items_more: 0,
                        });
                    }
                    *was = is;
                }
            }
            Report::Rendered {
                branch,
                plaintext,
                clean,
            } => self.rendered(&branch, plaintext, clean, now),
            Report::Withheld { branch, objects } => self.withheld(&branch, objects, now),
            Report::Vanished {
                branch,
                through,
                types,
            } => self.vanished(&branch, &through, types, now),
            Report::Months { branch, refused } => notices.extend(self.months(branch, refused, now)),
            Report::Tick => {}
        }
        if let Some(outage) = &mut self.unopened {
            let told = outage.take_notices(now);
            let outage = outage.clone();
            for notice in told {
                notices.extend(self.outage(None, notice, outage.clone(), now));
            }
        }
        notices.extend(self.plaintext.tell(NoticeKind::PlaintextSecrets, now));
        notices.extend(self.withheld.tell(NoticeKind::Withheld, now));
        notices.extend(self.vanished.tell(NoticeKind::Vanished, now));
        notices
    }

    /// Returns when findings that wait are to be told: a [`Report::Tick`] then.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        let due = [&self.plaintext, &self.withheld, &self.vanished].map(Findings::due);
        let outage = self.unopened.as_ref().and_then(Outage::next_due);
        due.into_iter().flatten().chain(outage).min()
    }

    fn outage(
        &mut self,
        from: Reporter,
        notice: retry::Notice,
        outage: Outage,
        now: Timestamp,
    ) -> Option<Notice> {
        let (cause, kind) = match notice {
            // For the log only.
            retry::Notice::Warning => return None,
            retry::Notice::Recovered => return self.over(&from, None, now),
            retry::Notice::Failing => (outage.cause, NoticeKind::Failing(outage.cause)),
            retry::Notice::NeedsCustomer => (outage.cause, NoticeKind::NeedsCustomer(outage.cause)),
        };
        let key = match (&kind, cause.is_of_branch()) {
            (NoticeKind::Failing(_), false) => "outage".to_owned(),
            (NoticeKind::Failing(_), true) => format!("outage {cause} {}", name(&from)),
            (_, false) => cause.code().to_owned(),
            (_, true) => format!("{cause} {}", name(&from)),
        };
        if let Some(open) = self.open.get_mut(&key) {
            // One server that is down is one incident, however many branches go there.
            open.now.insert(from.clone());
            open.ever.insert(from);
            return None;
        }
        let incident = Incident {
            since: outage.since,
            why: outage.reason.clone(),
            now: BTreeSet::from([from.clone()]),
            ever: BTreeSet::from([from.clone()]),
        };
        self.open.insert(key, incident);
        Some(Notice {
            kind,
            branches: from.into_iter().collect(),
            since: outage.since,
            at: now,
            why: outage.reason,
            items: Vec::new(),
            items_more: 0,
        })
    }

    /// Takes a branch out of all that it was in, and tells of what is over thereby.
    fn over(&mut self, from: &Reporter, because: Option<&str>, now: Timestamp) -> Option<Notice> {
        let mut over: Vec<Incident> = Vec::new();
        self.open.retain(|_, incident| {
            let was_in = incident.now.remove(from);
            let is_over = was_in && incident.now.is_empty();
            if is_over {
                over.push(incident.clone());
            }
            !is_over
        });
        let first = over.iter().min_by_key(|incident| incident.since)?;
        let because = because.map(str::to_owned);
        Some(Notice {
            kind: NoticeKind::Recovered,
            branches: over
                .iter()
                .flat_map(|one| one.ever.iter().flatten().cloned())
                .collect(),
            since: first.since,
            at: now,
            why: because.unwrap_or_else(|| format!("it was: {}", first.why)),
            items: Vec::new(),
            items_more: 0,
        })
    }

    fn rendered(
        &mut self,
        branch: &BranchId,
        plaintext: BTreeMap<ObjectKey, Vec<Place>>,
        clean: Clean,
        now: Timestamp,
    ) {
        let mut known = self.plaintext.known.remove(branch).unwrap_or_default();
        match clean {
            Clean::These(objects) => {
                for object in objects {
                    known.remove(&object.to_string());
                }
            }
            Clean::AllBut(objects) => {
                let found = plaintext.keys().chain(&objects);
                let stays: BTreeSet<String> = found.map(ObjectKey::to_string).collect();
                known.retain(|object, _| stays.contains(object));
            }
        }
        let found = plaintext.into_iter().map(|(object, places)| {
            let places = places.into_iter();
            let places = places.map(|Place { path, pointer, .. }| format!("{path} at {pointer}"));
            (object.to_string(), places.collect())
        });
        for (object, places) in found {
            let before = known.insert(object, BTreeSet::clone(&places)).unwrap_or_default();
            self.plaintext
                .wait(branch, places.difference(&before).cloned(), now);
        }
        self.plaintext.keep(branch, known);
    }

    fn withheld(&mut self, branch: &BranchId, objects: BTreeMap<String, String>, now: Timestamp) {
        let before = self.withheld.known.remove(branch).unwrap_or_default();
        let mut known = BTreeMap::new();
        for (object, why) in objects {
            if !before.contains_key(&object) {
                self.withheld
                    .wait(branch, [format!("{object}: {why}")].into_iter(), now);
            }
            known.insert(object, BTreeSet::new());
        }
        self.withheld.keep(branch, known);
    }

    /// Takes in what one commit leaves nothing of. The same commit may be tried again and again.
    fn vanished(&mut self, branch: &BranchId, through: &str, types: Vec<String>, now: Timestamp) {
        let before = self.vanished.known.remove(branch).unwrap_or_default();
        let mut known = BTreeMap::new();
        for lost in types {
            let key = format!("{through} {lost}");
            if !before.contains_key(&key) {
                self.vanished.wait(branch, [lost].into_iter(), now);
            }
            known.insert(key, BTreeSet::new());
        }
        self.vanished.keep(branch, known);
    }

    /// Tells of each month once, and of the end when all of them take pushes again.
    fn months(
        &mut self,
        branch: BranchId,
        refused: BTreeMap<String, String>,
        now: Timestamp,
    ) -> Option<Notice> {
        let before = self.months.remove(&branch);
        let notice = |kind, since, why, items| Notice {
            kind,
            branches: BTreeSet::from([branch.clone()]),
            since,
            at: now,
            why,
            items,
            items_more: 0,
        };
        if refused.is_empty() {
            let Refused { since, why } = before?;
            let why = why.iter().map(|(name, why)| format!("{name}: {why}"));
            let why = format!("it was: {}", why.collect::<Vec<_>>().join("; "));
            return Some(notice(NoticeKind::Recovered, since, why, Vec::new()));
        }
        let is_told = |name: &String| {
            before
                .as_ref()
                .is_some_and(|before| before.why.contains_key(name))
        };
        let new: Vec<String> = refused
            .iter()
            .filter(|(name, _)| !is_told(name))
            .map(|(name, why)| format!("{name}: {why}"))
            .collect();
        let since = before.map_or(now, |before| before.since);
        let mut told = notice(NoticeKind::MonthsRefused, now, String::new(), new);
        told.items_more = told.items.len().saturating_sub(ITEMS_MAX);
        told.items.truncate(ITEMS_MAX);
        self.months.insert(branch, Refused { since, why: refused });
        (!told.items.is_empty()).then_some(told)
    }
}

/// Objects in which no secret stood in plain text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clean {
    These(Vec<ObjectKey>),
    /// Every object of the branch but these, of which it is not known, and those that are reported.
    AllBut(BTreeSet<ObjectKey>),
}

impl Default for Clean {
    fn default() -> Self {
        Self::These(Vec::new())
    }
}

impl Clean {
    /// Adds what was found out later.
    pub fn add(&mut self, later: Self) {
        match (self, later) {
            (Self::These(objects), Self::These(later)) => objects.extend(later),
            (Self::AllBut(objects), Self::These(later)) => objects.retain(|object| !later.contains(object)),
            (all, later) => *all = later,
        }
    }
}

impl Findings {
    fn keep(&mut self, branch: &BranchId, known: BTreeMap<String, BTreeSet<String>>) {
        if !known.is_empty() {
            self.known.insert(branch.clone(), known);
        }
    }

    fn wait(&mut self, branch: &BranchId, items: impl Iterator<Item = String>, now: Timestamp) {
        for item in items {
            self.waiting_since.get_or_insert(now);
            if self.waiting.len() < WAITING_MAX {
                self.waiting.push((branch.clone(), item));
            } else {
                self.waiting_more += 1;
            }
        }
    }

    fn due(&self) -> Option<Timestamp> {
        let since = self.waiting_since?;
        Some(self.told_at.map_or(since, |told_at| later(told_at, GATHER)))
    }

    fn tell(&mut self, kind: NoticeKind, now: Timestamp) -> Option<Notice> {
        // A clock that was put back must not hold it up.
        self.told_at = self.told_at.map(|told_at| told_at.min(now));
        let since = self
            .waiting_since
            .filter(|_| self.due().is_some_and(|due| due <= now))?;
        self.told_at = Some(now);
        self.waiting_since = None;
        let waiting = std::mem::take(&mut self.waiting);
        let more = std::mem::take(&mut self.waiting_more);
        let count = waiting.len() + more;
        let branches = waiting.iter().map(|(branch, _)| branch.clone()).collect();
        let items = waiting.into_iter().map(|(_, item)| item);
        Some(Notice {
            kind,
            branches,
            since: since.min(now),
            at: now,
            why: String::new(),
            items: items.take(ITEMS_MAX).collect(),
            items_more: count.saturating_sub(ITEMS_MAX),
        })
    }
}

fn name(from: &Reporter) -> &str {
    from.as_ref().map_or("", BranchId::as_str)
}

#[cfg(test)]
mod tests;
