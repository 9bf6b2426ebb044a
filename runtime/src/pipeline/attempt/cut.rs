//! Which events an attempt stands for.

use super::{
    super::{error::AttemptError, recover::Start},
    Due, Lane,
};
use crate::queue::{
    NewEvent,
    reader::{Read, Reader},
};
use mirror_core::{
    cut::{
        Cut, Logged, Position, Stream, WantedRun,
        groups::{COMMITS_MAX, EVENTS_MAX, Extent},
    },
    event::{Body, Envelope, RenderChanged},
    ids::Oid,
};
use std::collections::BTreeMap;

impl Lane {
    /// Returns the stored cut, or makes and stores one of all that waits. Of an outage it has no more windows than
    /// `at_once`.
    pub(super) async fn cut(&self, start: &Start, due: Due, at_once: usize) -> Result<Cut, AttemptError> {
        let first = start.is_first();
        if let Some(mirrored) = &start.mirrored
            && *mirrored != self.render
            && !first
        {
            let reason = "renderer, policies, options or the repository's visibility changed";
            self.append_render_changed(start.tip.map(|tip| tip.id), reason)
                .await?;
        }
        let stored = &start.stored_cut;
        if let Some(cut) = stored
            && cut.log == start.cursor.log
            && (cut.change_after, cut.jobs_after) == (start.cursor.change, start.cursor.jobs)
            && cut.windows.len() < at_once
            && !self.is_refused()
        {
            return Ok(cut.clone());
        }
        // What the remote does not take may be mended by what was told since.
        let due = match stored {
            Some(_) if self.is_refused() => Due {
                change: true,
                jobs: true,
            },
            _ => due,
        };
        if first {
            return self.cut_of_all(start).await;
        }
        let mut cut = Cut::of(&self.id.mirror, &start.cursor, &[], (self.now)());
        let mut leaves_some = false;
        if due.change {
            leaves_some = self.cover_changes(&mut cut, start.memory_holds, at_once).await?;
        }
        // Runs belong to the last of the commits, which is for the next push then.
        if due.jobs && !leaves_some {
            let mut pages = self.pages(Stream::Jobs, start.cursor.jobs, Position::END);
            let runs = pages.next().await?;
            for logged in runs.iter().flatten() {
                cut.cover(&self.id.mirror, logged);
            }
            if let Some(passed) = pages.passed.iter().max() {
                cut.jobs_through = cut.jobs_through.max(*passed);
                compare_instead(&mut cut);
            }
        }
        if cut.is_empty() && start.memory_holds {
            return Ok(cut);
        }
        if !start.memory_holds {
            cut.render
                .get_or_insert_with(|| "the repository was compared with the source".into());
            self.pass_pruned(&mut cut).await?;
        }
        if let Some(stored) = stored
            && self.is_refused()
            && is_same_span(stored, &cut)
        {
            return Ok(stored.clone());
        }
        self.try_again(&cut).await?;
        let seen = stored.as_ref().map(Cut::id);
        self.log.put_cut(&self.id, seen.as_ref(), &cut).await?;
        Ok(cut)
    }

    /// Takes into a cut what one push covers of the changes that wait; returns whether it leaves some. How far that is, and
    /// into which commits it falls, shows a first look at them.
    async fn cover_changes(
        &self,
        cut: &mut Cut,
        may_split: bool,
        at_once: usize,
    ) -> Result<bool, AttemptError> {
        let mut pages = self.pages(Stream::Change, cut.change_after, Position::END);
        let Some(first) = pages.next().await? else {
            if let Some(passed) = pages.passed.iter().max() {
                cut.change_through = cut.change_through.max(*passed);
                compare_instead(cut);
            }
            return Ok(false);
        };
        let mut passed = Vec::new();
        let mut through = Position::END;
        let mut leaves_some = false;
        if may_split {
            let mut extent = Extent::new(self.window);
            if at_once < COMMITS_MAX {
                extent = extent.in_steps(at_once);
            }
            let mut goes_on = extent.take(&first);
            while goes_on && let Some(page) = pages.next().await? {
                goes_on = extent.take(&page);
            }
            cut.windows = extent.windows();
            (through, leaves_some) = (extent.through(), extent.leaves_some());
            // Only what is after the first page is read once more, and mostly nothing is.
            let seen = first.last().map_or(cut.change_after, |last| last.position);
            passed = pages.passed;
            pages = self.pages(Stream::Change, seen, through);
        }
        let covered = first.iter().filter(|logged| logged.position <= through);
        covered.for_each(|logged| cut.cover(&self.id.mirror, logged));
        while let Some(page) = pages.next().await? {
            page.iter().for_each(|logged| cut.cover(&self.id.mirror, logged));
        }
        passed.append(&mut pages.passed);
        let passed = passed.into_iter();
        if let Some(passed) = passed.filter(|passed| !leaves_some || *passed <= through).max() {
            cut.change_through = cut.change_through.max(passed);
            compare_instead(cut);
        }
        Ok(leaves_some)
    }

    /// Reads the lane's events of a stream after one position, up to another.
    pub(super) fn pages(&self, stream: Stream, after: Position, through: Position) -> Pages<'_> {
        let stream = Some(stream);
        Pages {
            lane: self,
            reader: Reader::new(&*self.log, &self.topic, stream, (after, through), EVENTS_MAX),
            passed: Vec::new(),
        }
    }

    /// Cuts for a first sync: the listing that follows shows all that was appended up to here, except
    /// what is so new that the source may not show it yet.
    async fn cut_of_all(&self, start: &Start) -> Result<Cut, AttemptError> {
        let now = (self.now)();
        let mut through = start.cursor.clone();
        let mut recent: Vec<Logged> = Vec::new();
        let mut told = BTreeMap::new();
        for stream in Stream::ALL {
            let newest = self.log.newest(&self.topic, stream).await?;
            // Of what came while history was brought in, that has passed by what it may not show yet.
            let mut after = match start.backfilled {
                true => self.log.pruned(&self.topic, stream).await?,
                false => start.cursor.of(stream),
            };
            let mut pages = self.pages(stream, after, newest);
            while let Some(page) = pages.next().await? {
                for event in page {
                    after = event.position;
                    if matches!(event.envelope.body, Body::ConfigHistory(_)) {
                        continue;
                    }
                    if self.source.may_be_unseen(event.appended_at, now) {
                        recent.push(event);
                    } else if let Body::JobFinished(job) = event.envelope.body {
                        // The source lists the run, but not what only its event told.
                        WantedRun::of(&job).put(job.run.clone(), &mut told);
                    }
                }
            }
            after = pages.passed.into_iter().fold(after, Position::max);
            match stream {
                Stream::Change => through.change = after,
                Stream::Jobs => through.jobs = after,
            }
        }
        let mut cut = Cut::of(&self.id.mirror, &start.cursor, &recent, now);
        cut.snapshot = true;
        cut.change_through = through.change;
        cut.jobs_through = through.jobs;
        cut.told = told;
        self.pass_pruned(&mut cut).await?;
        let seen = start.stored_cut.as_ref().map(Cut::id);
        self.log.put_cut(&self.id, seen.as_ref(), &cut).await?;
        Ok(cut)
    }

    /// Moves a cut, after which everything is listed, past what the log no longer has.
    async fn pass_pruned(&self, cut: &mut Cut) -> Result<(), AttemptError> {
        let pruned = self.log.pruned(&self.topic, Stream::Change).await?;
        cut.change_through = cut.change_through.max(pruned);
        let pruned = self.log.pruned(&self.topic, Stream::Jobs).await?;
        cut.jobs_through = cut.jobs_through.max(pruned);
        Ok(())
    }

    /// Asks for everything to be rendered anew on top of a tip; asked twice for the same, it is done once.
    pub(crate) async fn append_render_changed(
        &self,
        tip: Option<Oid>,
        reason: &str,
    ) -> Result<(), AttemptError> {
        let now = (self.now)();
        let on = tip.map(|tip| tip.to_string()).unwrap_or_default();
        let body = Body::RenderChanged(RenderChanged {
            mirror: Some(self.id.mirror.clone()),
            reason: reason.into(),
            digest: format!("{} on {on}", self.render),
        });
        let envelope = Envelope::internal(self.topic.clone(), body, now);
        self.log.append(vec![NewEvent { envelope, at: now }]).await?;
        Ok(())
    }
}

/// A part of a lane's log, read [`EVENTS_MAX`] events at a time.
pub(super) struct Pages<'l> {
    lane: &'l Lane,
    reader: Reader<'l>,
    /// Entries that cannot be read: they are put aside, and what they told is found by comparing with the source.
    passed: Vec<Position>,
}

impl Pages<'_> {
    /// Reads the next events; none where there are no more. Entries that cannot be read are put aside.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Logged>>, AttemptError> {
        while let Some(read) = self.reader.next().await? {
            match read {
                Read::Events(events) => return Ok(Some(events)),
                Read::Unreadable { position, error } => {
                    self.lane.file_unreadable(position, &error).await?;
                    self.passed.push(position);
                }
            }
        }
        Ok(None)
    }
}

/// Has everything compared with the source, since it is not known what the log told.
fn compare_instead(cut: &mut Cut) {
    cut.windows.clear();
    cut.render.get_or_insert_with(|| {
        "an entry of the log cannot be read; the branch was compared with the source".into()
    });
}

/// Whether two cuts cover the same part of the log.
fn is_same_span(one: &Cut, other: &Cut) -> bool {
    let span = |cut: &Cut| {
        (
            cut.change_after,
            cut.change_through,
            cut.jobs_after,
            cut.jobs_through,
        )
    };
    span(one) == span(other)
}
