//! Who a commit says made a change.
//!
//! Keboola names the maker of a version by the text of an access token: a person's e-mail address,
//! or whatever a token was called. That text is judged like any other before it leaves.

use super::inert::inert;
use crate::ids::ProjectId;
use jiff::Timestamp;
use thiserror::Error;

/// A name, an e-mail address and a time, safe to stand in a Git object.
///
/// Neither name nor address is empty or holds `<`, `>`, a control character or a line break.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    pub(super) name: String,
    pub(super) email: String,
    pub(super) time: Timestamp,
}

impl Signature {
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    #[must_use]
    pub fn email(&self) -> &str {
        &self.email
    }

    /// Whole seconds, not before 1970; shown in UTC.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        self.time
    }

    pub(super) fn of(identity: Identity, time: Timestamp) -> Self {
        let Identity { name, email } = identity;
        Self {
            name,
            email,
            time: Timestamp::from_second(time.as_second().max(0)).unwrap_or(Timestamp::UNIX_EPOCH),
        }
    }
}

/// The mirror's own identity: the committer of every commit, and the author of those that no person made.
pub const MIRROR_NAME: &str = "Keboola Mirror";
pub const MIRROR_EMAIL: &str = "mirror@keboola-mirror.invalid";
/// As whom the mirror commits. It is none of what content is rendered with: another one is for commits to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorIdentity {
    name: String,
    email: String,
    authors: Authors,
}

/// Whom a commit names as its author.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authors {
    /// Who made the newest of its changes.
    People,
    /// The mirror, for hosts that accept only certain addresses as authors; all people are `Co-authored-by` then.
    Mirror,
}

/// A name or an address that no commit of the mirror can have.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{problem}")]
pub struct InvalidIdentity {
    /// Whether it is the address, and not the name.
    pub is_email: bool,
    problem: &'static str,
}

impl Default for MirrorIdentity {
    fn default() -> Self {
        Self {
            name: MIRROR_NAME.to_owned(),
            email: MIRROR_EMAIL.to_owned(),
            authors: Authors::People,
        }
    }
}

impl MirrorIdentity {
    /// Checks a name and an e-mail address.
    ///
    /// # Errors
    /// What Git would not write as it is, or on which a Git host would act.
    pub fn new(name: &str, email: &str, authors: Authors) -> Result<Self, InvalidIdentity> {
        let refused = |is_email, problem| Err(InvalidIdentity { is_email, problem });
        if name.is_empty() || inert(&printable_name(name)) != name {
            return refused(
                false,
                "must be 1 to 100 characters without `<`, `>`, `@`, `#`, brackets, and without punctuation at its ends",
            );
        }
        if !looks_like_email(email) {
            return refused(true, "must be an e-mail address such as `mirror@example.com`");
        }
        Ok(Self {
            name: name.to_owned(),
            email: email.to_owned(),
            authors,
        })
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    #[must_use]
    pub fn email(&self) -> &str {
        &self.email
    }

    #[must_use]
    pub fn authors(&self) -> Authors {
        self.authors
    }

    pub(super) fn identity(&self) -> Identity {
        Identity {
            name: self.name.clone(),
            email: self.email.clone(),
        }
    }
}

/// Stands for a maker that could not be determined.
pub const UNKNOWN_NAME: &str = "Unknown author";

/// Who made a version, as the source tells (`creatorToken`), or as an event does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Author {
    /// Id of the access token; none where only an event tells.
    pub token: Option<String>,
    /// The token's description: an e-mail address for people's own tokens.
    pub text: String,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Identity {
    pub(super) name: String,
    pub(super) email: String,
}

impl Identity {
    pub(super) fn unknown(project: &ProjectId) -> Self {
        Self {
            name: UNKNOWN_NAME.to_owned(),
            email: token_email(None, project),
        }
    }

    /// `text` is the author's, as it may leave.
    pub(super) fn of(token: Option<&str>, text: &str, project: &ProjectId) -> Self {
        // `Co-authored-by` stands in the message, on which Git hosts act.
        let name = inert(&printable_name(text));
        if name.is_empty() {
            return Self {
                email: token_email(token, project),
                ..Self::unknown(project)
            };
        }
        if looks_like_email(&name) {
            return Self {
                email: name.clone(),
                name,
            };
        }
        Self {
            email: token_email(token, project),
            name,
        }
    }
}

fn token_email(token: Option<&str>, project: &ProjectId) -> String {
    let word = |text: &str| -> String {
        text.chars()
            .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
            .take(40)
            .collect()
    };
    let token = token
        .map(word)
        .filter(|token| !token.is_empty())
        .unwrap_or_else(|| "unknown".to_owned());
    format!(
        "{token}@tokens.{}.invalid",
        word(project.as_str()).to_ascii_lowercase()
    )
}

const NAME_CHARS_MAX: usize = 100;

/// Takes out what a Git identity cannot hold, and what Git would strip from its ends.
fn printable_name(text: &str) -> String {
    let kept: String = super::visible(text)
        .chars()
        .filter(|c| !matches!(c, '<' | '>'))
        .collect();
    let words: Vec<&str> = kept.split_whitespace().collect();
    let crud = |c: char| c.is_whitespace() || matches!(c, '.' | ',' | ':' | ';' | '"' | '\\' | '\'');
    let joined = words.join(" ");
    let short: String = joined.trim_matches(crud).chars().take(NAME_CHARS_MAX).collect();
    short.trim_end_matches(crud).to_owned()
}

fn looks_like_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else {
        return false;
    };
    let local_fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&byte);
    let label_fits = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    (1..=64).contains(&local.len())
        && local.bytes().all(local_fits)
        && domain.contains('.')
        && domain.split('.').all(label_fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(token: Option<&str>, text: &str, expected: &str) {
        let project = ProjectId::parse("4021").unwrap();
        let Identity { name, email } = Identity::of(token, text, &project);
        assert_eq!(format!("{name} <{email}>"), expected);
    }

    #[test]
    fn a_person_is_their_address_and_a_token_its_description() {
        check(Some("67"), "dev@keboola.com", "dev@keboola.com <dev@keboola.com>");
        check(Some("68"), "ci-bot", "ci-bot <68@tokens.4021.invalid>");
        check(None, "ci-bot", "ci-bot <unknown@tokens.4021.invalid>");
        check(
            Some("7"),
            "@octocat [skip ci]",
            "@ octocat (skip ci) <7@tokens.4021.invalid>",
        );
        check(
            Some("7"),
            "a#1@example.com",
            "a# 1@example.com <7@tokens.4021.invalid>",
        );
        check(
            Some("69"),
            "Žluťoučký kůň",
            "Žluťoučký kůň <69@tokens.4021.invalid>",
        );
        check(Some("6 9>\n"), "x", "x <69@tokens.4021.invalid>");
    }

    #[test]
    fn no_text_can_break_an_identity_or_pass_for_an_address() {
        check(
            Some("1"),
            "Eve <root@example.com>\nauthor x",
            "Eve root@example.com author x <1@tokens.4021.invalid>",
        );
        check(
            Some("1"),
            " \u{0}\r\n<> ",
            "Unknown author <1@tokens.4021.invalid>",
        );
        check(Some("1"), "", "Unknown author <1@tokens.4021.invalid>");
        check(Some("1"), "..,;'\"", "Unknown author <1@tokens.4021.invalid>");
        check(Some("1"), "a@b", "a@b <1@tokens.4021.invalid>");
        check(Some("1"), "a@b@c.d", "a@b@c.d <1@tokens.4021.invalid>");
        check(Some("1"), "a@-b.c", "a@-b.c <1@tokens.4021.invalid>");
        check(Some("1"), "a\u{202e}b", "ab <1@tokens.4021.invalid>");
        check(
            Some("1"),
            &"n".repeat(300),
            &format!("{} <1@tokens.4021.invalid>", "n".repeat(100)),
        );
    }

    #[test]
    fn the_mirrors_identity_is_one_that_git_writes_as_it_is() {
        let new = |name: &str, email: &str| MirrorIdentity::new(name, email, Authors::Mirror);
        let good = new("Mirror of ACME", "mirror@acme.example").unwrap();
        assert_eq!(
            (good.name(), good.email()),
            ("Mirror of ACME", "mirror@acme.example")
        );
        for name in [
            "",
            " x",
            "x.",
            "a\nb",
            "a <b>",
            "a\u{202e}b",
            "@octocat",
            &"n".repeat(101),
        ] {
            assert!(
                !new(name, "mirror@acme.example").unwrap_err().is_email,
                "{name:?}"
            );
        }
        for email in [
            "",
            "mirror",
            "mirror@acme",
            "a b@acme.example",
            "<m@acme.example>",
            "m@acme.example\n",
        ] {
            assert!(new("Mirror", email).unwrap_err().is_email, "{email:?}");
        }
    }

    #[test]
    fn times_are_whole_seconds_that_git_can_hold() {
        let mirror = MirrorIdentity::default();
        let time = |text: &str| {
            let made = Signature::of(mirror.identity(), text.parse().unwrap());
            made.time().to_string()
        };
        assert_eq!(time("2026-11-22T10:00:00.999Z"), "2026-11-22T10:00:00Z");
        assert_eq!(time("1901-01-01T00:00:00Z"), "1970-01-01T00:00:00Z");
    }
}
