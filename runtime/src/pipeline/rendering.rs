//! What this process has rendered lanes under, and whether somebody renders them differently.
//!
//! Workers that differ in what goes into a commit each render everything anew when they take a lane over, which nobody would
//! know why. What a process knows of it outlives its hold on a lane: it is when that comes back that it shows.

use jiff::Timestamp;
use mirror_core::{digest::RenderDigest, ids::LaneId};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What is said, and what is to be done about it, where somebody renders a lane differently.
pub(super) const OTHER_SETTINGS: &str = "another worker with other settings writes this branch too, so that each renders everything anew when it \
     takes over; give all workers the same configuration and release, and stop old ones";

/// The renderings of all lanes that this process has had.
#[derive(Debug, Default)]
pub struct Renderings(Mutex<BTreeMap<LaneId, Arc<Rendering>>>);

impl Renderings {
    /// Returns what is known of a lane; the same for all who ask.
    #[must_use]
    pub fn of(&self, lane: &LaneId) -> Arc<Rendering> {
        let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(lanes.entry(lane.clone()).or_default())
    }
}

/// What this process has rendered one lane under, and what others have.
#[derive(Debug, Default)]
pub struct Rendering(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Of the last commit of this process.
    own: Option<RenderDigest>,
    /// What the tip was found under instead, and when it was last.
    other: Option<(RenderDigest, Timestamp)>,
}

impl Rendering {
    /// Notes what a commit of this process was rendered under.
    pub fn committed(&self, render: &RenderDigest) {
        let mut known = self.known();
        if known.own.as_ref() != Some(render) {
            *known = Known {
                own: Some(render.clone()),
                other: None,
            };
        }
    }

    /// Notes what the tip was found under by who renders under `own`. Returns whether it is news that this is another's:
    /// this process has committed under `own` before, so it was not its own settings that changed.
    pub fn found(&self, own: &RenderDigest, tip: &RenderDigest, now: Timestamp) -> bool {
        let mut known = self.known();
        if tip == own || known.own.as_ref() != Some(own) {
            return false;
        }
        let before = known.other.replace((tip.clone(), now));
        before.is_none_or(|(before, _)| before != *tip)
    }

    /// Returns what to say where somebody renders the lane differently, until this process renders it differently itself.
    #[must_use]
    pub fn conflict(&self) -> Option<String> {
        let known = self.known();
        let (own, (other, at)) = known.own.as_ref().zip(known.other.as_ref())?;
        Some(format!(
            "{OTHER_SETTINGS}: at {at} what it had committed was rendered under {other}, and this worker renders under {own}"
        ))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(digit: char) -> RenderDigest {
        RenderDigest::parse(&digit.to_string().repeat(32)).expect("it is a digest")
    }

    /// Plays `c1` (a commit under 1) and `12` (who renders under 1 finds 2), and says after which there were news.
    #[track_caller]
    fn check(script: &str, news: &str, conflict: bool) {
        let rendering = Rendering::default();
        let step = |step: &str| {
            let (own, tip) = step.split_at(1);
            let tip = digest(tip.chars().next().expect("two each"));
            if own == "c" {
                rendering.committed(&tip);
                return false;
            }
            let own = digest(own.chars().next().expect("two each"));
            rendering.found(&own, &tip, Timestamp::UNIX_EPOCH)
        };
        let told: Vec<&str> = script.split(' ').filter(|one| step(one)).collect();
        assert_eq!(told.join(" "), news, "{script}");
        assert_eq!(rendering.conflict().is_some(), conflict, "{script}");
    }

    #[test]
    fn whoever_finds_others_where_it_has_committed_is_told_once_for_each() {
        // After an upgrade, or at a first hand-over, it is no news.
        check("12", "", false);
        check("c1 11", "", false);
        // Its own settings have changed.
        check("c1 21 c2 22", "", false);
        check("c1 12", "12", true);
        check("c1 12 12 c1 11 12", "12", true);
        check("c1 12 c1 13 13", "12 13", true);
        // It has other settings itself since.
        check("c1 12 c3 33", "12", false);
    }

    #[test]
    fn a_lane_that_comes_back_is_known() {
        let renderings = Renderings::default();
        let lane = LaneId {
            mirror: "m".parse().expect("an id"),
            branch: "5".parse().expect("an id"),
        };
        renderings.of(&lane).committed(&digest('1'));
        assert!(
            renderings
                .of(&lane)
                .found(&digest('1'), &digest('2'), Timestamp::UNIX_EPOCH)
        );
        let said = renderings.of(&lane).conflict().expect("there is one");
        assert!(
            said.contains(&"1".repeat(32)) && said.contains(&"2".repeat(32)),
            "{said}"
        );
    }
}
