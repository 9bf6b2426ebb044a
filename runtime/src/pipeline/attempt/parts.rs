//! The parts of an attempt that become commits: one, or after an outage one for each window.

use super::{
    super::{
        build::Again,
        error::AttemptError,
        fetch::{Covered, Fetched, Scope},
        memory::Memory,
        survey::Survey,
    },
    Lane,
    changes::{Changes, changes},
};
use mirror_core::cut::{
    ConfigKey, Cut, Stream,
    groups::{Group, Split},
};
use mirror_keboola::Revision;
use std::collections::BTreeMap;

/// What one commit is made of.
pub(super) struct Part {
    pub(super) cut: Cut,
    pub(super) fetched: Fetched,
    pub(super) survey: Survey,
    pub(super) newest: BTreeMap<ConfigKey, Covered>,
    pub(super) changes: Changes,
}

impl Lane {
    /// Splits a cut into the windows that its events happened in, if it has several. The same cut gives the same groups,
    /// since the log keeps what is after the cursor.
    pub(super) async fn groups(&self, cut: &Cut) -> Result<Vec<Group>, AttemptError> {
        if cut.windows.is_empty() {
            return Ok(vec![Group::alone(cut.clone())]);
        }
        let mut split = Split::of(&self.id.mirror, cut);
        for (stream, after) in [(Stream::Change, cut.change_after), (Stream::Jobs, cut.jobs_after)] {
            let mut pages = self.pages(stream, after, cut.through(stream));
            while let Some(page) = pages.next().await? {
                page.iter().for_each(|logged| split.take(&self.id.mirror, logged));
            }
        }
        let groups = split.groups();
        // What the log does not have any more cannot be told apart.
        let events: u64 = groups.iter().map(|group| group.cut.events.count).sum();
        if events != cut.events.count {
            return Ok(vec![Group::alone(cut.clone())]);
        }
        tracing::info!(lane = %self.id, commits = groups.len(), events, "what waited becomes a commit for each window in which it happened");
        Ok(groups)
    }

    /// Takes what was fetched for a group, with what earlier rounds have found out.
    pub(super) async fn part(
        &self,
        Group { cut, later }: Group,
        (mut fetched, mut survey): (Fetched, Survey),
        memory: &Memory,
        again: &Again,
    ) -> Result<Part, AttemptError> {
        // It has gone since; the group that tells of that comes, unless it is this one, and what comes is late.
        fetched
            .gone
            .retain(|key, trashed| !later.contains(key) || tells_of_deletion(&cut, key, trashed.as_ref()));
        let mut newest = BTreeMap::new();
        for key in again.earlier.keys() {
            if later.is_empty() || fetched.configs.contains_key(key) {
                (fetched, survey) = self.earlier(key, memory, fetched, survey, &mut newest).await?;
            }
        }
        let changes = changes(&cut, &fetched, memory);
        Ok(Part {
            cut,
            fetched,
            survey,
            newest,
            changes,
        })
    }

    /// Fetches what a further group wants, on top of what those before it have made.
    pub(super) async fn further_part(
        &self,
        group: Group,
        memory: &Memory,
        scope: Scope,
        again: &Again,
    ) -> Result<Part, AttemptError> {
        let surveyed = self.survey_cut(&group.cut, memory, scope).await?;
        self.part(group, surveyed, memory, again).await
    }
}

/// Whether a cut tells of a deletion, and of no earlier version than the trash has.
fn tells_of_deletion(cut: &Cut, key: &ConfigKey, trashed: Option<&(String, Revision)>) -> bool {
    cut.configs.get(key).is_some_and(|wanted| {
        wanted.deleted || trashed.is_some_and(|(_, revision)| revision.version <= wanted.version)
    })
}
