//! What a worker does: looks whether it holds the lane, and works for it with the product's own lane.

use super::{Attempt, Commit, LEASE, LOOK_EVERY, Push, Without, Worker, World, at, log_id, mirror};
use jiff::Timestamp;
use mirror_core::{
    cause::Cause,
    cut::{Cut, LaneCursor, Logged, Stream},
    ids::Oid,
    incident::Report,
    lane::{Action, AttemptEnd, Lane, LaneStart, Wake},
    retry::{Disposition, Failure, Jitter},
    window::WindowMode,
};
use sha2::{Digest, Sha256};
use std::time::Duration;

impl World {
    pub(super) fn is_at_work(&self, worker: usize) -> bool {
        let worker = &self.workers[worker];
        worker.away_until <= self.now && worker.suspended_until <= self.now
    }

    pub(super) fn clock(&self, worker: usize) -> Timestamp {
        at(self.now + self.workers[worker].clock)
    }

    pub(super) fn kill(&mut self, worker: usize) {
        let away = 1 + self.random.below(300);
        let dead = &mut self.workers[worker];
        *dead = Worker {
            life: dead.life + 1,
            away_until: self.now + away,
            looks_at: self.now + away,
            clock: dead.clock,
            // It is on the disk.
            own_ledger: std::mem::take(&mut dead.own_ledger),
            ..Worker::default()
        };
        // What it had sent may not have left.
        let life = dead.life;
        let lost = self.random.one_in(2);
        self.pushes
            .retain(|push| push.worker != worker || push.life >= life || !lost);
    }

    /// Renews its lease, takes the lane if nobody living has it, or finds that it has lost it.
    pub(super) fn look(&mut self, worker: usize) {
        self.workers[worker].looks_at = self.now + LOOK_EVERY;
        let life = self.workers[worker].life;
        match self.lease {
            Some((holder, held_life, until)) if until > self.now => {
                if (holder, held_life) == (worker, life) {
                    self.lease = Some((worker, life, self.now + LEASE));
                    self.workers[worker].lease_until = self.now + LEASE * 2 / 3;
                    if self.workers[worker].lane.is_none() {
                        self.begin(worker);
                    }
                } else {
                    // What it has under way goes on.
                    (self.workers[worker].lane, self.workers[worker].due) = (None, None);
                }
            }
            _ => {
                self.seen.takeovers += 1;
                self.lease = Some((worker, life, self.now + LEASE));
                self.workers[worker].lease_until = self.now + LEASE * 2 / 3;
                self.begin(worker);
            }
        }
        // Whatever hint was missed.
        let waiting = Stream::ALL.map(|stream| (stream, self.newest(stream)));
        for (stream, position) in waiting {
            let published_at = self.clock(worker);
            self.step(
                worker,
                Wake::Arrived {
                    stream,
                    position,
                    published_at,
                    urgent: false,
                },
            );
        }
        self.step(worker, Wake::Tick);
    }

    /// Begins to work for the lane with what is stored.
    fn begin(&mut self, worker: usize) {
        let cursor = self.cursor.clone().unwrap_or_else(|| LaneCursor::start(log_id()));
        let waiting = |stream| {
            let mut after = self
                .log
                .iter()
                .filter(|logged| logged.envelope.stream() == stream && logged.position > cursor.of(stream));
            let first = after.next()?;
            let last = after.next_back().unwrap_or(first);
            Some((last.position, first.envelope.published_at))
        };
        let start = LaneStart {
            change_waiting: waiting(Stream::Change),
            jobs_waiting: waiting(Stream::Jobs),
            cursor: cursor.clone(),
            change_mode: WindowMode::EARLY,
            jobs_mode: WindowMode::JOBS,
            is_new: true,
            outage: self.outage.clone(),
            paused: false,
        };
        let now = self.clock(worker);
        self.workers[worker].lane = Some(Lane::new(start, now));
        self.note_due(worker);
    }

    /// Notes when the lane wants to be woken, which may lie between two seconds.
    fn note_due(&mut self, worker: usize) {
        let due = self.workers[worker].lane.as_ref().and_then(Lane::next_due);
        self.workers[worker].due = due.map(|due| due.as_second() + i64::from(due.subsec_nanosecond() > 0));
    }

    pub(super) fn step(&mut self, worker: usize, wake: Wake) {
        let now = self.clock(worker);
        let jitter = Jitter(u16::try_from(self.random.below(65_536)).expect("16 bits"));
        let Some(lane) = &mut self.workers[worker].lane else {
            return;
        };
        let actions = lane.step(wake, now, jitter);
        self.note_due(worker);
        for action in actions {
            if !self.calm && self.random.one_in(400) {
                return self.kill(worker);
            }
            match action {
                Action::Start { streams } => self.start(worker, &streams),
                Action::Notify { notice, outage } => {
                    let report = Report::Outage {
                        from: Some("1".parse().expect("it is one")),
                        notice,
                        outage,
                    };
                    let ledger = match self.without {
                        Without::SharedLedger => &mut self.workers[worker].own_ledger,
                        _ => &mut self.ledger,
                    };
                    for notice in ledger.take_in(report, now) {
                        self.seen.notices += 1;
                        self.told.push((self.now, notice.kind.code()));
                    }
                }
                Action::Remember(outage) => self.outage = outage,
            }
        }
    }

    /// Recovers, cuts and builds.
    fn start(&mut self, worker: usize, streams: &[Stream]) {
        if self.workers[worker].attempt.is_some() {
            // One that it had begun before it lost the lane and got it back.
            self.workers[worker].attempt = None;
        }
        let stored = self.cursor.clone();
        let cursor = stored.clone().unwrap_or_else(|| LaneCursor::start(log_id()));
        let known = self.cut.clone();
        let cut = match known {
            Some(cut) if (cut.change_after, cut.jobs_after) == (cursor.change, cursor.jobs) => cut,
            _ => {
                let events: Vec<Logged> = self
                    .log
                    .iter()
                    .filter(|logged| {
                        let stream = logged.envelope.stream();
                        streams.contains(&stream) && logged.position > cursor.of(stream)
                    })
                    .cloned()
                    .collect();
                let cut = Cut::of(&mirror(), &cursor, &events, self.clock(worker));
                if !cut.is_empty() {
                    self.cut = Some(cut.clone());
                }
                cut
            }
        };
        let (configs, runs) = self.state_at(self.tip);
        let wanted = cut
            .configs
            .iter()
            .filter(|(key, wanted)| configs.get(*key).is_none_or(|had| *had < wanted.version));
        let commit = Commit {
            parent: self.tip,
            configs: wanted
                .map(|(key, wanted)| (key.clone(), wanted.version))
                .collect(),
            runs: cut
                .runs
                .keys()
                .filter(|run| !runs.contains(*run))
                .cloned()
                .collect(),
        };
        let made = (!commit.configs.is_empty() || !commit.runs.is_empty()).then(|| {
            let mut digest = Sha256::new_with_prefix(cut.id().as_str());
            digest.update(format!("{:?}", commit.parent));
            let bytes: [u8; 20] = digest.finalize()[..20].try_into().expect("20 of 32");
            (Oid::from_bytes(bytes), commit)
        });
        let builds = 1 + self.random.below(20);
        if self.without == Without::CursorAfterPush {
            self.cursor = Some(cut.cursor(made.as_ref().map(|(id, _)| *id).or(self.tip)));
            self.cut = None;
        }
        self.workers[worker].attempt = Some(Attempt {
            sends: self.now + builds,
            gives_up: self.now + builds + 300,
            sent: false,
            tip: self.tip,
            stored,
            cut,
            made,
            answer: None,
        });
    }

    /// Sends what was built, or takes in what came of it.
    pub(super) fn go_on(&mut self, worker: usize) {
        let (now, is_up, life) = (self.now, self.is_up(), self.workers[worker].life);
        let holds = self.workers[worker].lease_until > now;
        let Some(attempt) = &mut self.workers[worker].attempt else {
            return;
        };
        let failed = |disposition| {
            Err(AttemptEnd::Failed(Failure {
                disposition,
                cause: Cause::Remote,
                reason: "no answer".to_owned(),
            }))
        };
        let end = if let Some(answer) = attempt.answer.take() {
            answer.map(Some).or_else(failed)
        } else if attempt.sent && attempt.gives_up <= now {
            failed(Disposition::Temporary { after: None })
        } else if attempt.sent || attempt.sends > now {
            return;
        } else if !is_up {
            failed(Disposition::Temporary { after: None })
        } else if !holds {
            failed(Disposition::Temporary {
                after: Some(Duration::from_secs(1)),
            })
        } else if let Some((id, commit)) = attempt.made.clone() {
            attempt.sent = true;
            let expected = attempt.tip;
            let slow = self.random.one_in(15);
            let takes = 1 + self.random.below(if slow { 280 } else { 4 });
            self.pushes.push(Push {
                lands: now + takes,
                worker,
                life,
                expected,
                id,
                commit,
            });
            // Suspended after it has asked whether it may.
            if !self.calm && self.random.one_in(12) {
                self.workers[worker].suspended_until = now + self.random.below(900);
            }
            return;
        } else {
            Ok(attempt.tip)
        };
        let Some(attempt) = self.workers[worker].attempt.take() else {
            return;
        };
        let end = match end {
            Err(end) => end,
            Ok(tip) => self.adopt(&attempt, tip),
        };
        self.step(worker, Wake::AttemptDone(end));
    }

    /// Moves the cursor, where nobody else has.
    fn adopt(&mut self, attempt: &Attempt, tip: Option<Oid>) -> AttemptEnd {
        let next = attempt.cut.cursor(tip);
        if self.without == Without::CursorAfterPush {
            return AttemptEnd::Mirrored {
                cursor: next,
                took: None,
            };
        }
        if self.cursor != attempt.stored {
            return AttemptEnd::Failed(Failure {
                disposition: Disposition::RefMoved,
                cause: Cause::Remote,
                reason: "moved by somebody else".to_owned(),
            });
        }
        self.cursor = Some(next.clone());
        self.cut = None;
        AttemptEnd::Mirrored {
            cursor: next,
            took: Some(Duration::from_secs(2)),
        }
    }
}
