//! Moving branches: sent once with the expected old id, and whatever the answer, told where the branch is.

use super::{
    SmartRemote,
    advertisement::Advertisement,
    pktline::PacketReader,
    send_pack::{self, Command, Lacking, NoReport, Report, ReportError, SendOptions},
};
use crate::{
    error::{PushError, RemoteError},
    link::{Piece, SendError, Service},
    outgoing::{Outgoing, PendingPush},
    refname::RefName,
    refusal::{Meaning, Refusal, classify},
    remote::Remote as _,
    transport_error::TransportError,
};
use mirror_core::ids::Oid;
use std::sync::Arc;

/// A connection that broke before the branch moved is tried once more at once: often it was only an idle one.
const ATTEMPTS: usize = 2;

/// How sending ended.
pub(super) enum Sent {
    /// The server says what it did.
    Reported(Report),
    /// It does not, or nobody heard it. It may have done everything, or nothing.
    Unknown { error: TransportError, messages: String },
}

/// The pack of a push as a piece of a request, without copying it.
struct PackBytes(Arc<Outgoing>);

impl AsRef<[u8]> for PackBytes {
    fn as_ref(&self) -> &[u8] {
        &self.0.sent.bytes
    }
}

/// What became of one ref after all.
enum Outcome {
    Done,
    /// It is where it was, and that broken connection may be the whole reason.
    Again(TransportError),
    Failed(PushError),
}

impl SmartRemote {
    pub(super) fn push_one(&self, push: &PendingPush) -> Result<(), PushError> {
        let command = Command {
            refname: push.refname().clone(),
            old: push.expected_old(),
            new: Some(push.new_tip()),
        };
        let pack = Piece::from_owner(PackBytes(Arc::clone(&push.outgoing)));
        self.move_one(&command, Some(&pack))
    }

    pub(super) fn delete_one(&self, refname: &RefName, expected: Oid) -> Result<(), PushError> {
        let command = Command {
            refname: refname.clone(),
            old: Some(expected),
            new: None,
        };
        self.move_one(&command, None)
    }

    fn move_one(&self, command: &Command, pack: Option<&Piece>) -> Result<(), PushError> {
        let mut attempts_left = ATTEMPTS;
        loop {
            attempts_left -= 1;
            let commands = std::slice::from_ref(command);
            let sent = match self.send(commands, pack, &SendOptions::default())? {
                Ok(sent) => sent,
                // It is there already, or not where it has to be: nothing was sent.
                Err(refs) => return self.judge_before(command, &refs),
            };
            match self.judge(command, sent) {
                Outcome::Done => return Ok(()),
                Outcome::Again(error) if attempts_left == 0 => return Err(error.into()),
                Outcome::Again(error) => {
                    tracing::debug!(remote = self.name, %error, "the connection broke; sending once more");
                }
                Outcome::Failed(error) => return Err(error),
            }
        }
    }

    /// Sends commands and a pack. If the server has just said where the refs are, and not all commands can be carried
    /// out from there, nothing is sent and its advertisement is returned.
    pub(super) fn send(
        &self,
        commands: &[Command],
        pack: Option<&Piece>,
        options: &SendOptions,
    ) -> Result<Result<Sent, Arc<Advertisement>>, PushError> {
        let talk = self.talk(Service::ReceivePack);
        let (mut conversation, server, is_new) = talk.map_err(|error| self.push_error(error))?;
        if is_new
            && commands
                .iter()
                .any(|command| server.find(command.refname.as_str()) != command.old)
        {
            return Ok(Err(server));
        }
        let head = send_pack::request(&server, commands, options).map_err(|Lacking(capability)| {
            PushError::NotARepository {
                remote: self.name.clone(),
                problem: format!("its server cannot do `{capability}`"),
            }
        })?;
        let pieces = std::iter::once(Piece::from(head)).chain(pack.cloned()).collect();
        let broken = match conversation.send(pieces) {
            Err(SendError {
                error,
                may_have_worked: false,
            }) => {
                self.forget(Service::ReceivePack);
                return Err(self.push_error(error.into()));
            }
            Err(SendError { error, .. }) => (error, String::new()),
            Ok(()) => {
                let mut packets = PacketReader::new(conversation.reader(), self.limits.answer_bytes_max);
                match send_pack::read_report(&server, &mut packets) {
                    Ok(report) => return Ok(Ok(Sent::Reported(report))),
                    Err(NoReport { messages, error }) => {
                        let error = match error {
                            ReportError::Packet(error) => self.packet_error(conversation.as_mut(), error),
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
        let (error, messages) = broken;
        Ok(Ok(Sent::Unknown { error, messages }))
    }

    /// Judges a command that need not, or must not, be sent.
    fn judge_before(&self, command: &Command, server: &Advertisement) -> Result<(), PushError> {
        let actual = server.find(command.refname.as_str());
        if actual == command.new {
            return Ok(());
        }
        Err(self.moved(command, actual))
    }

    /// Finds out what became of a command, from the report and from the branch itself.
    fn judge(&self, command: &Command, sent: Sent) -> Outcome {
        let reported = match &sent {
            Sent::Reported(report) => report.of(&command.refname),
            Sent::Unknown { .. } => None,
        };
        if let Some(Ok(())) = reported {
            return Outcome::Done;
        }
        // Words differ from server to server, and may be lost. Where the branch is settles it.
        let actual = match self.tip(&command.refname) {
            Ok(actual) => actual,
            Err(error) => return Outcome::Failed(self.unread(command, sent, error)),
        };
        // A branch that shall stay where it is tells nothing by being there.
        if actual == command.new && command.new != command.old {
            return Outcome::Done;
        }
        if actual != command.old {
            return Outcome::Failed(self.moved(command, actual));
        }
        match sent {
            Sent::Reported(report) => Outcome::Failed(self.refused(command, &report)),
            Sent::Unknown { error, messages } => match self.refused_silently(command, &error, &messages) {
                Some(refused) => Outcome::Failed(refused),
                None if error.is_broken_connection() => Outcome::Again(error),
                None => Outcome::Failed(error.into()),
            },
        }
    }

    fn moved(&self, command: &Command, actual: Option<Oid>) -> PushError {
        PushError::RefMoved {
            remote: self.name.clone(),
            refname: command.refname.clone(),
            actual,
        }
    }

    /// The branch could not be read back.
    fn unread(&self, command: &Command, sent: Sent, error: RemoteError) -> PushError {
        match sent {
            // It was refused in so many words, whatever the branch says.
            Sent::Reported(report) if report.of(&command.refname).is_some() => self.refused(command, &report),
            Sent::Reported(_) => self.push_error(error),
            Sent::Unknown { error, .. } => PushError::OutcomeUnknown {
                remote: self.name.clone(),
                refname: command.refname.clone(),
                source: error,
            },
        }
    }

    fn refused(&self, command: &Command, report: &Report) -> PushError {
        let reason = match report.of(&command.refname) {
            Some(Err(reason)) => reason.as_str(),
            _ => "",
        };
        let messages = self.clean(&report.messages);
        let meaning = classify(reason, report.unpack.as_deref(), &messages);
        let unpack = report.unpack.clone().unwrap_or_default();
        let said = [reason, &unpack, &messages]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>();
        self.meant(command, meaning, self.clean(&said.join("\n")))
    }

    /// Some servers end the connection after they have said why.
    fn refused_silently(
        &self,
        command: &Command,
        error: &TransportError,
        messages: &str,
    ) -> Option<PushError> {
        let said = match error {
            TransportError::Unavailable { said, .. } => said.as_str(),
            _ => "",
        };
        let all = self.clean(&format!("{messages}\n{said}"));
        match classify("", None, &all) {
            Meaning::Refused(Refusal::Unknown) => None,
            meaning => Some(self.meant(command, meaning, all)),
        }
    }

    fn meant(&self, command: &Command, meaning: Meaning, said: String) -> PushError {
        let (remote, refname) = (self.name.clone(), command.refname.clone());
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
