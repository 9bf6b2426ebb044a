//! Moving branches: sent once with the expected old id, and whatever the answer, told where the branch is.

use super::{
    SmartRemote,
    advertisement::Advertisement,
    pktline::PacketReader,
    send_pack::{self, NoReport, Report, ReportError},
};
use crate::{
    error::{PushError, RemoteError},
    link::{Conversation, Piece, SendError, Service},
    outgoing::PendingPush,
    pack::{self, Form},
    ref_update::{Outcomes, PushMode, PushReport, RefUpdate, RefUpdates},
    refname::RefName,
    refusal::{Meaning, OwnNames, Refusal, classify},
    transport_error::TransportError,
};
use mirror_core::ids::Oid;

/// A connection that broke before the branches moved is tried once more at once: often it was only an idle one.
const ATTEMPTS: usize = 2;

/// How sending ended.
enum Sent {
    /// The server says what it did.
    Reported(Report),
    /// It does not, or nobody heard it. It may have done everything, or nothing.
    Unknown { error: TransportError, messages: String },
}

impl Sent {
    /// Returns what the server says of a ref; none if that is not known.
    fn of(&self, refname: &RefName) -> Option<&Result<(), String>> {
        match self {
            Self::Reported(report) => report.of(refname),
            Self::Unknown { .. } => None,
        }
    }
}

/// Returns which deltas a server takes. Git itself takes all.
fn form(server: &Advertisement) -> Form {
    Form {
        thin: !server.has("no-thin"),
        by_offset: server.has("ofs-delta"),
    }
}

/// What became of one ref after all.
enum Outcome {
    Settled(Result<(), PushError>),
    /// It is where it was, and that broken connection may be the whole reason.
    Again(TransportError),
}

impl SmartRemote {
    pub(super) fn push_updates(
        &self,
        updates: &RefUpdates,
        objects: Option<&PendingPush>,
        mode: &PushMode,
    ) -> Result<PushReport, PushError> {
        let mut outcomes = Outcomes::new(updates);
        let mut options_sent = false;
        let mut attempts_left = ATTEMPTS;
        loop {
            attempts_left -= 1;
            let tried = self.attempt(&mut outcomes, objects, mode, attempts_left == 0);
            match tried {
                Ok(took_options) => options_sent |= took_options,
                Err(error) if outcomes.nothing_is_known() => return Err(error),
                Err(error) => outcomes.settle_rest(|_| error.clone()),
            }
            if mode.atomic && outcomes.has_failure() {
                outcomes.settle_rest(|update| self.held_back(update));
            }
            if outcomes.open().is_empty() {
                return Ok(outcomes.report(options_sent));
            }
        }
    }

    /// Sends what is open, and settles what can be told of it. What is open then is worth another attempt. Returns whether
    /// push options were sent.
    fn attempt(
        &self,
        outcomes: &mut Outcomes<'_>,
        objects: Option<&PendingPush>,
        mode: &PushMode,
        is_last: bool,
    ) -> Result<bool, PushError> {
        // Git deletes a branch from wherever it is if it does not know the expected id, as after a rewritten history. So
        // where it is now is always looked at first.
        let deletes = outcomes.open().iter().any(|(_, update)| update.new.is_none());
        let talk = match deletes {
            true => self
                .talk_anew(Service::ReceivePack)
                .map(|(conversation, server)| (conversation, server, true)),
            false => self.talk(Service::ReceivePack),
        };
        let (mut conversation, server, is_new) = talk.map_err(|error| self.push_error(error))?;
        if is_new {
            self.judge_before(outcomes, &server);
        }
        let open = outcomes.open();
        if open.is_empty() || (mode.atomic && outcomes.has_failure()) {
            return Ok(false);
        }
        let updates: Vec<&RefUpdate> = open.iter().map(|(_, update)| *update).collect();
        let head = send_pack::request(&server, &updates, mode).map_err(|what| PushError::NotOffered {
            remote: self.name.clone(),
            what,
        })?;
        let mut pieces = vec![Piece::from(head)];
        // Deletions alone come without a pack.
        if updates.iter().any(|update| update.new.is_some()) {
            pieces.push(match objects {
                Some(push) => push.in_form(form(&server))?.data.clone(),
                None => pack::empty(),
            });
        }
        let sent = self.send(conversation.as_mut(), &server, pieces)?;
        drop(conversation);
        self.judge(outcomes, mode, &sent, is_last);
        Ok(send_pack::takes_options(&server, mode))
    }

    fn send(
        &self,
        conversation: &mut dyn Conversation,
        server: &Advertisement,
        pieces: Vec<Piece>,
    ) -> Result<Sent, PushError> {
        let bytes_max = self.limits.words_bytes_max();
        conversation.bound(bytes_max);
        let (error, messages) = match conversation.send(pieces) {
            Err(SendError {
                error,
                may_have_worked: false,
            }) => {
                self.forget(Service::ReceivePack);
                return Err(self.push_error(error.into()));
            }
            Err(SendError { error, .. }) => (error, String::new()),
            Ok(()) => {
                let mut packets = PacketReader::new(conversation.reader(), bytes_max);
                match send_pack::read_report(server, &mut packets) {
                    Ok(report) => return Ok(Sent::Reported(report)),
                    Err(NoReport { messages, error }) => {
                        let error = match error {
                            ReportError::Packet(error) => self.packet_error(conversation, error),
                            ReportError::Said(said) => self.said(&said),
                            ReportError::Malformed(problem) => TransportError::Protocol {
                                remote: self.name.clone(),
                                problem: problem.to_owned(),
                            },
                        };
                        (error, messages)
                    }
                }
            }
        };
        self.forget(Service::ReceivePack);
        Ok(Sent::Unknown { error, messages })
    }

    /// Settles the updates that need not, or must not, be sent: the server has just said where the branches are.
    fn judge_before(&self, outcomes: &mut Outcomes<'_>, server: &Advertisement) {
        for (number, update) in outcomes.open() {
            let actual = server.find(update.refname.as_str());
            if actual == update.expected_old {
                continue;
            }
            let outcome = match actual == update.new {
                true => Ok(()),
                false => Err(self.moved(update, actual)),
            };
            outcomes.settle(number, outcome);
        }
    }

    /// Finds out what became of the updates that were sent, from the report and from the branches themselves.
    fn judge(&self, outcomes: &mut Outcomes<'_>, mode: &PushMode, sent: &Sent, is_last: bool) {
        let is_refused = |update: &RefUpdate| !matches!(sent.of(&update.refname), Some(Ok(())));
        let (open, done): (Vec<_>, Vec<_>) =
            (outcomes.open().into_iter()).partition(|(_, update)| is_refused(update));
        for (number, _) in done {
            outcomes.settle(number, Ok(()));
        }
        if open.is_empty() {
            return;
        }
        // Words differ from server to server, and may be lost. Where the branches are settles it.
        let refnames: Vec<&RefName> = open.iter().map(|(_, update)| &update.refname).collect();
        let tips = match self.tips(&refnames) {
            Ok(tips) => tips,
            Err(error) => {
                let error = self.push_error(error);
                return outcomes.settle_rest(|update| self.unread(update, sent, &error));
            }
        };
        let mut judged = Vec::with_capacity(open.len());
        for ((number, update), actual) in open.into_iter().zip(tips) {
            judged.push((number, update, self.judge_one(update, actual, sent)));
        }
        let is_consequence = |(_, update, outcome): &(usize, &RefUpdate, Outcome)| {
            mode.atomic
                && matches!(outcome, Outcome::Settled(Err(error)) if is_consequence(sent, update, error))
        };
        let has_cause = judged
            .iter()
            .any(|one| matches!(one, (_, _, Outcome::Settled(Err(_)))) && !is_consequence(one));
        // What was there already stopped the rest, and is left out now.
        let goes_on = !is_last
            && judged
                .iter()
                .any(|(_, _, outcome)| matches!(outcome, Outcome::Settled(Ok(()))));
        for one in judged {
            let is_consequence = is_consequence(&one);
            let (number, update, outcome) = one;
            match outcome {
                Outcome::Settled(Err(_)) if is_consequence && has_cause => {
                    outcomes.settle(number, Err(self.held_back(update)));
                }
                Outcome::Settled(Err(_)) if is_consequence && goes_on => {}
                Outcome::Settled(outcome) => outcomes.settle(number, outcome),
                Outcome::Again(error) if is_last => outcomes.settle(number, Err(error.into())),
                Outcome::Again(error) => {
                    tracing::debug!(remote = self.name, branch = update.refname.short(), %error, "the connection broke; sending once more");
                }
            }
        }
    }

    /// Judges an update that is not reported to be done, by where the branch is.
    fn judge_one(&self, update: &RefUpdate, actual: Option<Oid>, sent: &Sent) -> Outcome {
        let settled = if update.is_done_at(actual) {
            Ok(())
        } else if actual != update.expected_old {
            Err(self.moved(update, actual))
        } else {
            match sent {
                Sent::Reported(report) => Err(self.refused(update, report)),
                Sent::Unknown { error, messages } => match self.refused_silently(update, error, messages) {
                    Some(refused) => Err(refused),
                    None if error.is_broken_connection() => return Outcome::Again(error.clone()),
                    None => Err(error.clone().into()),
                },
            }
        };
        Outcome::Settled(settled)
    }

    fn held_back(&self, update: &RefUpdate) -> PushError {
        PushError::HeldBack {
            remote: self.name.clone(),
            refname: update.refname.clone(),
        }
    }

    fn moved(&self, update: &RefUpdate, actual: Option<Oid>) -> PushError {
        PushError::RefMoved {
            remote: self.name.clone(),
            refname: update.refname.clone(),
            actual,
        }
    }

    /// The branch could not be read back, because of `unreadable`.
    fn unread(&self, update: &RefUpdate, sent: &Sent, unreadable: &PushError) -> PushError {
        match sent {
            // It was refused in so many words, whatever the branch says.
            Sent::Reported(report) if report.of(&update.refname).is_some() => self.refused(update, report),
            Sent::Reported(_) => unreadable.clone(),
            Sent::Unknown { error, .. } => PushError::OutcomeUnknown {
                remote: self.name.clone(),
                refname: update.refname.clone(),
                source: error.clone(),
            },
        }
    }

    fn refused(&self, update: &RefUpdate, report: &Report) -> PushError {
        let reason = match report.of(&update.refname) {
            Some(Err(reason)) => reason.as_str(),
            _ => "",
        };
        let messages = self.clean(&report.messages);
        let own = OwnNames::of(&self.name, Some(&update.refname));
        let meaning = classify(reason, report.unpack.as_deref(), &messages, &own);
        let unpack = report.unpack.clone().unwrap_or_default();
        let said = [reason, &unpack, &messages]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>();
        self.meant(update, meaning, self.clean(&said.join("\n")))
    }

    /// Some servers end the connection after they have said why.
    fn refused_silently(
        &self,
        update: &RefUpdate,
        error: &TransportError,
        messages: &str,
    ) -> Option<PushError> {
        let said = match error {
            TransportError::Unavailable { said, .. } => said.as_str(),
            _ => "",
        };
        let all = self.clean(&format!("{messages}\n{said}"));
        let own = OwnNames::of(&self.name, Some(&update.refname));
        match classify("", None, &all, &own) {
            Meaning::Refused(Refusal::Unknown) => None,
            meaning => Some(self.meant(update, meaning, all)),
        }
    }

    fn meant(&self, update: &RefUpdate, meaning: Meaning, said: String) -> PushError {
        let (remote, refname) = (self.name.clone(), update.refname.clone());
        match meaning {
            Meaning::Refused(refusal) => PushError::Refused {
                remote,
                refname,
                refusal,
                said,
            },
            Meaning::Contended => PushError::Contended {
                remote,
                refname,
                said,
            },
            Meaning::RateLimited => TransportError::RateLimited {
                remote,
                retry_after: None,
                said,
            }
            .into(),
        }
    }

    fn push_error(&self, error: RemoteError) -> PushError {
        let remote = self.name.clone();
        match error {
            RemoteError::Transport(error) => PushError::Transport(error),
            RemoteError::NotARepository { remote, problem } => PushError::NotARepository { remote, problem },
            RemoteError::Unreachable { remote, source } => PushError::Unreachable { remote, source },
            RemoteError::Damaged { remote, problem } => PushError::Damaged { remote, problem },
            error @ (RemoteError::NotReadable { .. }
            | RemoteError::Missing { .. }
            | RemoteError::Store(_)) => PushError::Damaged {
                remote,
                problem: error.to_string(),
            },
        }
    }
}

/// Returns whether a branch of a push that is all or none was left where it is because of another one: servers say so in
/// words of their own, but all with the same one.
fn is_consequence(sent: &Sent, update: &RefUpdate, error: &PushError) -> bool {
    let says_so = |reason: &str| reason.to_lowercase().contains("atomic");
    let is_said = matches!(sent.of(&update.refname), Some(Err(reason)) if says_so(reason));
    is_said && !matches!(error, PushError::RefMoved { .. })
}
