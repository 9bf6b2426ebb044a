//! From draft to message: verdicts are applied, the guard has the last word.

use super::{
    CommitDraft, GuardedMessage, Maker, Signature,
    identity::{Authors, Identity},
    wording::{self, Detail},
};
use crate::{
    finding::{Finding, Verdict},
    guard::Guard,
    redaction::{Redaction, redact_text},
};
use jiff::Timestamp;
use std::{collections::BTreeSet, fmt::Write as _};

/// Stands where a text was withheld whole.
pub(super) const WITHHELD: &str = "[withheld]";

impl CommitDraft {
    /// Applies one policy's verdicts, one for each of [`CommitDraft::documents`], so that the next
    /// policy judges what is left. A text without a verdict is withheld.
    #[must_use]
    pub fn redact(self, verdicts: Vec<Verdict>, redaction: &Redaction) -> Self {
        self.judged(verdicts, &|text, findings| redact_text(text, findings, redaction))
    }

    /// Withholds the texts in which the guard would find something if they were redacted by these verdicts alone: what further
    /// policies take out of such a text may be all that it is known by.
    #[must_use]
    pub fn guard_first(mut self, verdicts: &[Verdict], redaction: &Redaction, guard: &Guard) -> Self {
        for (text, verdict) in self.texts.iter_mut().zip(verdicts) {
            let Verdict::Findings(findings) = verdict else {
                continue;
            };
            if !text.withheld
                && guard
                    .check_text(&redact_text(&text.value, findings, redaction))
                    .is_some()
            {
                text.withheld = true;
                WITHHELD.clone_into(&mut text.value);
            }
        }
        self
    }

    /// Applies the last policy's verdicts, and the guard. A text without a verdict, or in which the
    /// guard finds something, is replaced by `[withheld]`.
    #[must_use]
    pub fn seal(self, verdicts: Vec<Verdict>, redaction: &Redaction, guard: &Guard) -> GuardedMessage {
        self.redact(verdicts, redaction)
            .guarded(&|text| guard.check_text(text).is_some())
    }

    /// As [`CommitDraft::redact`], with any way to redact.
    pub(super) fn judged(
        mut self,
        verdicts: Vec<Verdict>,
        redact: &dyn Fn(&str, &[Finding]) -> String,
    ) -> Self {
        let mut verdicts = verdicts.into_iter();
        for text in &mut self.texts {
            match verdicts.next() {
                Some(Verdict::Findings(findings)) if findings.iter().all(|finding| finding.leaf == 0) => {
                    // Also without findings: the secrets mode may want a cipher gone.
                    if !text.withheld {
                        text.value = redact(&text.value, &findings);
                    }
                }
                Some(Verdict::Findings(_) | Verdict::Withhold(_)) | None => {
                    text.withheld = true;
                    WITHHELD.clone_into(&mut text.value);
                }
            }
        }
        self
    }

    /// Composes the message; `secret` is the guard. Where it still finds something, the texts it
    /// finds it in go; where it finds it in what remains, all texts go, and at last every name.
    pub(super) fn guarded(mut self, secret: &dyn Fn(&str) -> bool) -> GuardedMessage {
        for text in &mut self.texts {
            if !text.withheld && secret(&text.value) {
                text.withheld = true;
                WITHHELD.clone_into(&mut text.value);
            }
        }
        self.overwrites.deleted.retain(|path| !secret(path));
        let mut message = self.composed(Detail::Full, secret);
        if secret(&message) {
            for text in &mut self.texts {
                text.withheld = true;
                WITHHELD.clone_into(&mut text.value);
            }
            message = self.composed(Detail::Full, secret);
        }
        if secret(&message) {
            if !self.covered.is_empty() {
                self.trailers = self.trailers.clone().with_changes(self.covered.clone(), false);
            }
            message = self.composed(Detail::Counts, secret);
        }
        GuardedMessage {
            author: self.signature(secret),
            committer: Signature::of(self.mirror.identity(), self.committed_at),
            message,
            withheld: self.texts.iter().filter(|text| text.withheld).count(),
        }
    }

    fn composed(&self, detail: Detail, secret: &dyn Fn(&str) -> bool) -> String {
        let mut message = wording::subject(self, detail);
        message.push_str("\n\n");
        let body = wording::body(self, detail);
        if !body.is_empty() {
            message.push_str(&body);
            message.push('\n');
        }
        message.push_str(&self.trailers.write());
        let author = self.author(secret);
        // Where the mirror is the author, who would be it is named beside the others, and also that nobody is known.
        let instead = Some(&self.author).filter(|_| self.mirror.authors() == Authors::Mirror);
        let others: BTreeSet<Identity> = self
            .co_authors
            .iter()
            .chain(instead)
            .map(|other| self.identity(other, secret))
            .collect();
        for Identity { name, email } in others.iter().filter(|other| **other != author) {
            // Writing to a string cannot fail.
            let _ = writeln!(message, "Co-authored-by: {name} <{email}>");
        }
        message
    }

    fn signature(&self, secret: &dyn Fn(&str) -> bool) -> Signature {
        let made_at: Option<Timestamp> = match &self.author {
            Maker::Mirror => None,
            Maker::Unknown { at } | Maker::Person { at, .. } => *at,
        };
        Signature::of(self.author(secret), made_at.unwrap_or(self.committed_at))
    }

    fn author(&self, secret: &dyn Fn(&str) -> bool) -> Identity {
        match self.mirror.authors() {
            Authors::People => self.identity(&self.author, secret),
            Authors::Mirror => self.mirror.identity(),
        }
    }

    fn identity(&self, maker: &Maker, secret: &dyn Fn(&str) -> bool) -> Identity {
        let identity = match maker {
            Maker::Mirror => return self.mirror.identity(),
            Maker::Unknown { .. } => return Identity::unknown(&self.project),
            Maker::Person { text, token, .. } => {
                let text = &self.texts[*text];
                let said = if text.withheld { "" } else { text.value.as_str() };
                Identity::of(token.as_deref(), said, &self.project)
            }
        };
        if secret(&identity.name) || secret(&identity.email) {
            return Identity::unknown(&self.project);
        }
        identity
    }
}
