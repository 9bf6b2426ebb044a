//! Comparing what the repository has with what a full render of the source makes; nothing is changed.

use super::{
    super::{build::Again, error::AttemptError, fetch::Scope, memory::WithheldNow, recover::Start},
    Lane,
    foreign::Others,
    make::{Made, ToMake},
    owing::Owing,
};
use crate::queue::NewEvent;
use mirror_core::{
    cut::{Cut, groups::Group},
    event::{Body, Envelope, RenderChanged},
    ids::Oid,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// So many files are named.
pub(super) const NAMED_MAX: usize = 1_000;
/// Each round sets something more aside; a project that needs more of them is in trouble.
const ROUNDS_MAX: u32 = 100;

/// How a branch of the repository compares with its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// None: it is not mirrored yet.
    pub tip: Option<Oid>,
    /// Events that are not mirrored yet, so that there may be differences.
    pub waiting: u64,
    /// Files by path; at most [`NAMED_MAX`].
    pub differences: BTreeMap<String, Difference>,
    /// How many there are in all.
    pub count: usize,
    /// Files that others put there and that only case tells from a path of the mirror's, or from a directory above one; at most
    /// [`NAMED_MAX`]. Those below the mirror's own directories are extra as well; the others count as no difference.
    pub colliding: BTreeSet<String>,
    /// What the repository does not have in its newest form, because it is withheld; it counts as no difference.
    pub withheld: WithheldNow,
}

/// What is different about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difference {
    /// The repository does not have it.
    Missing,
    /// Only the repository has it.
    Extra,
    Content,
}

impl Verified {
    /// Returns the answer for people and programs.
    #[must_use]
    pub fn as_json(&self, lane: &Lane) -> Value {
        let word = |difference: &Difference| match difference {
            Difference::Missing => "missing",
            Difference::Extra => "extra",
            Difference::Content => "different",
        };
        let named = self.differences.iter();
        let named = named.map(|(path, difference)| json!({ "path": path, "is": word(difference) }));
        let mut shown = json!({
            "branchId": lane.id.branch.as_str(),
            "ref": lane.refname.to_string(),
            "tip": self.tip.map(|tip| tip.to_string()),
            "waiting": self.waiting,
            "equal": self.tip.is_some() && self.count == 0,
            "differences": named.collect::<Vec<_>>(),
            "differencesInAll": self.count,
            "colliding": self.colliding,
        });
        self.withheld.put_into(&mut shown);
        shown
    }
}

impl Lane {
    /// Renders everything from the source and compares it with the tip. It takes as long as a first sync.
    ///
    /// # Errors
    /// As an attempt that has everything rendered anew.
    pub async fn verify(&self) -> Result<Verified, AttemptError> {
        let _turn = self.turns.rebuild(self.project()).await?;
        let mut again = Again::default();
        for _ in 0..ROUNDS_MAX {
            if let Some(verified) = self.compared(&mut again).await? {
                return Ok(verified);
            }
        }
        Err(AttemptError::Unsettled)
    }

    /// Goes the line once; none where it has to be gone again.
    async fn compared(&self, again: &mut Again) -> Result<Option<Verified>, AttemptError> {
        let Start {
            tip,
            base,
            cursor,
            memory,
            mirrored,
            former,
            ..
        } = self.recover(None).await?;
        let backlog = self.log.backlog(&[(self.id.clone(), self.topic.clone())]).await?;
        let mut verified = Verified {
            tip: None,
            waiting: backlog.depth,
            differences: BTreeMap::new(),
            count: 0,
            colliding: BTreeSet::new(),
            withheld: self.withheld_now(&memory).await,
        };
        let Some(tip) = tip.filter(|tip| tip.own && mirrored.is_some()) else {
            return Ok(Some(verified));
        };
        verified.tip = Some(tip.id);
        let now = (self.now)();
        let cut = Cut {
            render: Some("compared only".into()),
            ..Cut::of(&self.id.mirror, &cursor, &[], now)
        };
        let scope = Scope {
            storage: true,
            samples: self.exports.samples.then_some(self.spec.sample_limits),
            jobs: self.spec.jobs.is_some(),
            now,
        };
        let surveyed = self.survey_all(&cut, &memory, scope).await?;
        let unusable = self.unusable_of(&surveyed.0.unread_runs).await;
        let part = self.part(Group::alone(cut), surveyed, &memory, again).await?;
        let to_make = ToMake {
            quarantine: self.state.quarantine(&self.id).await?,
            others: Others::Nothing,
            owing: Owing::default(),
            memory,
            part,
            further: Vec::new(),
            scope,
            same_render: mirrored.as_ref() == Some(&self.render),
            tip: Some(tip),
            base,
            former,
        };
        let finished = match self.make(to_make, again).await? {
            Made::Finished(finished) => *finished,
            Made::Again(more) => {
                again.extend(more);
                return Ok(None);
            }
        };
        // What this render withheld: the memory that it began with may be of other policies, or of none.
        verified.withheld = self.withheld_now(&finished.memory).await;
        verified.withheld.runs.extend(unusable);
        let Some((push, made)) = finished
            .push
            .zip(finished.commits.last().map(|made| made.outcome.tree))
        else {
            let colliding = self.blocking(move |lane| lane.colliding(tip.tree, tip.tree));
            verified.colliding = colliding.await?.into_iter().take(NAMED_MAX).collect();
            return Ok(Some(verified));
        };
        let found = self.blocking(move |lane| {
            // The store has it as long as the push lives.
            lane.git.save(&push)?;
            let found = lane.differing(tip.tree, made)?;
            let colliding = lane.colliding(tip.tree, made)?;
            drop(push);
            Ok((found, colliding))
        });
        let (found, colliding) = found.await?;
        verified.colliding = colliding.into_iter().take(NAMED_MAX).collect();
        verified.count = found.len();
        verified.differences = found.into_iter().take(NAMED_MAX).collect();
        Ok(Some(verified))
    }

    fn differing(&self, tip: Oid, made: Oid) -> Result<BTreeMap<String, Difference>, AttemptError> {
        let shown = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
        let mut found = BTreeMap::new();
        for file in self.git.differences(Some(tip), made, None)? {
            let file = file?;
            let difference = match (file.before, file.after) {
                (None, _) => Difference::Missing,
                (Some(_), None) => Difference::Extra,
                (Some(_), Some(_)) => Difference::Content,
            };
            found.insert(shown(&file.path), difference);
        }
        Ok(found)
    }

    /// Asks for everything to be compared with the source and rendered anew, however often that was asked for before.
    ///
    /// # Errors
    /// A log that fails.
    pub async fn resync(&self) -> Result<(), AttemptError> {
        self.try_all_again().await?;
        let now = (self.now)();
        let body = Body::RenderChanged(RenderChanged {
            mirror: Some(self.id.mirror.clone()),
            reason: "an operator asked for it".into(),
            digest: format!("asked at {now}"),
        });
        let envelope = Envelope::internal(self.topic.clone(), body, now);
        self.log.append(vec![NewEvent { envelope, at: now }]).await?;
        Ok(())
    }
}
