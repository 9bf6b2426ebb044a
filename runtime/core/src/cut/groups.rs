//! Catching up with true history: what waited through an outage becomes a commit for each window in which it happened.
//!
//! Only versions of configurations have a past that the source still shows. All else (tables, metadata, runs, the branch
//! itself) is known as it is now, and so belongs to the last commit. How commits are made is not known here.

use super::{ConfigKey, Cut, LaneCursor, Logged, Position};
use crate::{
    event::{Body, Envelope},
    ids::MirrorId,
    window::later,
};
use jiff::Timestamp;
use std::{collections::BTreeSet, time::Duration};

/// Changes that arrived within so many windows' time are one commit, whenever they were made: their window was only held up a
/// little, or somebody told of all of them at once.
const WINDOWS_HELD_UP: u32 = 3;
/// So many commits go in one push; what is after them waits for the next.
pub const COMMITS_MAX: usize = 200;
/// So many events of a stream are read at a time. Runs beyond that are for the next commit; so are changes, where a window ends
/// among them.
pub const EVENTS_MAX: usize = 10_000;

/// A part of a cut that becomes a commit of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub cut: Cut,
    /// Configurations that a later group tells of, so that what has become of them since is that one's affair.
    pub later: BTreeSet<ConfigKey>,
}

impl Group {
    /// A cut that is not split.
    #[must_use]
    pub fn alone(cut: Cut) -> Self {
        Self {
            cut,
            later: BTreeSet::new(),
        }
    }
}

/// How far one push goes, and where its commits begin: found by a look at the changes that wait, page by page, of which
/// nothing is kept but that.
///
/// A window that had closed, had nothing been in the way, is one commit, however many events it has: they are read to its end.
/// Of everything else that waits, a push takes no more than it may hold.
#[derive(Debug)]
pub struct Extent {
    span: Duration,
    commits_max: usize,
    /// Windows stay apart, however quickly one after the other was told.
    apart: bool,
    events: usize,
    /// When the first change of the last window was made.
    opened_at: Option<Timestamp>,
    /// Where windows begin: the first of them, and the last one.
    starts: Vec<Position>,
    last_start: Position,
    /// The last event that was looked at.
    seen: Position,
    /// When the first and the last change were published.
    published: Option<(Timestamp, Timestamp)>,
    render: Option<Position>,
    end: Option<Position>,
}

impl Extent {
    /// Begins to look at a lane whose windows stay open for `span`.
    #[must_use]
    pub fn new(span: Duration) -> Self {
        Self {
            span,
            commits_max: COMMITS_MAX,
            apart: false,
            events: 0,
            opened_at: None,
            starts: Vec::new(),
            last_start: Position::START,
            seen: Position::START,
            published: None,
            render: None,
            end: None,
        }
    }

    /// Has it take at most so many windows, at least one: more in one push were refused for what is in them.
    #[must_use]
    pub fn in_steps(mut self, commits_max: usize) -> Self {
        self.commits_max = commits_max.clamp(1, COMMITS_MAX);
        self.apart = true;
        self
    }

    /// Takes in the next changes, in the log's order; returns whether what is after them matters.
    pub fn take(&mut self, page: &[Logged]) -> bool {
        for logged in page {
            if matches!(logged.envelope.body, Body::RenderChanged(_)) {
                self.render.get_or_insert(logged.position);
            }
            if is_version(logged) {
                self.version(logged);
            }
        }
        self.events += page.len();
        self.seen = page.last().map_or(self.seen, |last| last.position);
        if self.waited() {
            self.end = match self.starts.get(self.commits_max) {
                Some(next) => Some(*next),
                // The last one may go on in what was not read.
                None if self.events >= EVENTS_MAX && self.starts.len() > 1 => Some(self.last_start),
                None => None,
            };
        }
        self.end.is_none()
    }

    fn version(&mut self, logged: &Logged) {
        let Envelope {
            occurred_at,
            published_at,
            ..
        } = logged.envelope;
        let (first, last) = self.published.unwrap_or((published_at, published_at));
        self.published = Some((first.min(published_at), last.max(published_at)));
        // What arrives late joins the open window: they follow the log.
        if self
            .opened_at
            .is_none_or(|opened_at| occurred_at > later(opened_at, self.span))
        {
            self.opened_at = Some(occurred_at);
            self.last_start = logged.position;
            if self.starts.len() <= COMMITS_MAX {
                self.starts.push(logged.position);
            }
        }
    }

    /// Returns whether windows are commits of their own: changes came in over a longer time than one stays open.
    fn waited(&self) -> bool {
        self.apart
            || self
                .published
                .is_some_and(|(first, last)| last > later(first, self.span * WINDOWS_HELD_UP))
    }

    /// Returns the position up to which the push covers what was looked at.
    #[must_use]
    pub fn through(&self) -> Position {
        // What is right before a change may be of any stream and topic.
        self.end
            .map_or(self.seen, |end| Position(end.0.saturating_sub(1)))
    }

    /// Returns whether something is left for the next push.
    #[must_use]
    pub fn leaves_some(&self) -> bool {
        self.end.is_some()
    }

    /// Returns where the second and further commits begin; none where it is one: [`Cut::windows`].
    #[must_use]
    pub fn windows(&self) -> Vec<Position> {
        if !self.waited() || self.render.is_some_and(|position| position <= self.through()) {
            return Vec::new();
        }
        let further = self.starts.iter().skip(1).copied();
        further.filter(|start| *start <= self.through()).collect()
    }
}

/// Sorts the events of a cut into the windows that they happened in: each is in exactly one group, and the last one ends
/// where the cut does.
#[derive(Debug)]
pub struct Split {
    windows: Vec<Position>,
    cuts: Vec<Cut>,
}

impl Split {
    /// Begins to split a cut of `mirror`.
    #[must_use]
    pub fn of(mirror: &MirrorId, cut: &Cut) -> Self {
        let cursor = LaneCursor {
            log: cut.log.clone(),
            change: cut.change_after,
            jobs: cut.jobs_after,
            tip: None,
        };
        let empty = Cut::of(mirror, &cursor, &[], cut.appended_at);
        Self {
            windows: cut.windows.clone(),
            cuts: vec![empty; cut.windows.len() + 1],
        }
    }

    /// Takes in the next event of the cut, in the order of [`Cut::cover`].
    pub fn take(&mut self, mirror: &MirrorId, logged: &Logged) {
        let group = match is_version(logged) {
            true => self.windows.partition_point(|start| *start <= logged.position),
            false => self.windows.len(),
        };
        self.cuts[group].cover(mirror, logged);
    }

    /// Returns the groups, oldest first.
    #[must_use]
    pub fn groups(self) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::with_capacity(self.cuts.len());
        for mut cut in self.cuts {
            if let Some(before) = groups.last() {
                cut.change_after = before.cut.change_through;
                cut.change_through = cut.change_through.max(cut.change_after);
            }
            groups.push(Group::alone(cut));
        }
        let mut later = BTreeSet::new();
        for group in groups.iter_mut().rev() {
            group.later = later.clone();
            later.extend(group.cut.configs.keys().cloned());
        }
        groups
    }
}

fn is_version(logged: &Logged) -> bool {
    matches!(
        logged.envelope.body,
        Body::ConfigChanged(_) | Body::ConfigDeleted(_)
    )
}
