//! Catching up with true history: what waited through an outage becomes a commit for each window in which it happened.
//!
//! Only versions of configurations have a past that the source still shows. All else (tables, metadata, runs, the branch
//! itself) is known as it is now, and so belongs to the last commit. How commits are made is not known here.

use super::{ConfigKey, Cut, LaneCursor, Logged, windows_of};
use crate::{event::Body, ids::MirrorId, window::later};
use jiff::Timestamp;
use std::{collections::BTreeSet, time::Duration};

/// Changes that arrived within so many windows' time are one commit, whenever they were made: their window was only held up a
/// little, or somebody told of all of them at once.
const WINDOWS_HELD_UP: u32 = 3;
/// So many commits go in one push; what is after them waits for the next.
pub const COMMITS_MAX: usize = 200;
/// So many events of a stream are read at a time, and so stand for one push at most.
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

/// Returns whether a cut may be of several windows. Cheap, and wrong only where it says yes.
#[must_use]
pub fn may_be_several(cut: &Cut, span: Duration) -> bool {
    if cut.snapshot || cut.render.is_some() || cut.events.count < 2 {
        return false;
    }
    let times = cut.configs.values().map(|wanted| wanted.occurred_at);
    let last = times.chain([cut.appended_at]).max();
    cut.change_published_at
        .zip(last)
        .is_some_and(|(first, last)| last > later(first, span * WINDOWS_HELD_UP))
}

/// Returns whether changes came in over a longer time than a window stays open.
fn waited(versions: &[Logged], span: Duration) -> bool {
    let times = || versions.iter().map(|logged| logged.envelope.published_at);
    let (first, last) = (times().min(), times().max());
    first
        .zip(last)
        .is_some_and(|(first, last)| last > later(first, span * WINDOWS_HELD_UP))
}

/// Splits what a lane of `mirror` covers after `cursor` into the windows that it happened in, oldest first: each event is in exactly one
/// group, and the last one ends where a single cut would. `events` are those of the cut.
#[must_use]
pub fn groups(
    mirror: &MirrorId,
    cursor: &LaneCursor,
    events: &[Logged],
    span: Duration,
    now: Timestamp,
) -> Vec<Group> {
    let is_render = |logged: &Logged| matches!(logged.envelope.body, Body::RenderChanged(_));
    let mut ordered = events.to_vec();
    ordered.sort_by_key(|logged| logged.position);
    let (versions, mut rest): (Vec<Logged>, Vec<Logged>) = ordered.into_iter().partition(is_version);
    let windows = windows_of(&versions, span);
    if windows.len() < 2 || !waited(&versions, span) || rest.iter().any(is_render) {
        return vec![Group::alone(Cut::of(mirror, cursor, events, now))];
    }
    let mut cursor = cursor.clone();
    let mut groups: Vec<Group> = Vec::with_capacity(windows.len());
    for (number, window) in windows.iter().enumerate() {
        let mut of_group = versions[window.clone()].to_vec();
        if number + 1 == windows.len() {
            of_group.append(&mut rest);
        }
        let cut = Cut::of(mirror, &cursor, &of_group, now);
        cursor = cut.cursor(cursor.tip);
        groups.push(Group::alone(cut));
    }
    let mut later = BTreeSet::new();
    for group in groups.iter_mut().rev() {
        group.later = later.clone();
        later.extend(group.cut.configs.keys().cloned());
    }
    groups
}

/// Leaves of what waits no more than one push takes up: whole windows, and of everything else what stands before their end.
/// `changes` are the first [`EVENTS_MAX`] of the stream of changes, in order; returns whether some were left out. A window
/// that has more events than are read at a time is the only one that is taken in parts.
#[must_use]
pub fn limited(changes: Vec<Logged>, span: Duration) -> (Vec<Logged>, bool) {
    let versions: Vec<Logged> = changes
        .iter()
        .filter(|logged| is_version(logged))
        .cloned()
        .collect();
    let windows = windows_of(&versions, span);
    // The last one may go on in what was not read.
    let open = usize::from(changes.len() >= EVENTS_MAX && windows.len() > 1);
    let whole = (windows.len() - open).min(COMMITS_MAX);
    let Some(end) = windows.get(whole).map(|next| versions[next.start].position) else {
        return (changes, false);
    };
    let taken = changes.into_iter().filter(|logged| logged.position < end);
    (taken.collect(), true)
}

fn is_version(logged: &Logged) -> bool {
    matches!(
        logged.envelope.body,
        Body::ConfigChanged(_) | Body::ConfigDeleted(_)
    )
}
