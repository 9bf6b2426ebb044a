//! Parses events from outside (SPEC §2).
//!
//! An error names the field and what was expected there, never what was there instead.

use super::{Body, ConfigChanged, Envelope, JobFinished, RunStatus, TableUse};
use crate::{
    guard::{Guard, KnownSecrets},
    ids::{BranchId, ComponentId, ConfigId, InvalidId, ProjectId, RunId, Stack, TableId, Topic},
};
use jiff::Timestamp;
use serde_json::{Map, Value};
use thiserror::Error;

/// Largest event, in bytes: the default payload limit of NATS, so that whatever could be published
/// there can be read here. A run that touches many wide tables comes near it.
pub const EVENT_BYTES_MAX: usize = 1 << 20;

const TEXT_BYTES_MAX: usize = 4096;
const LIST_MAX: usize = 10_000;

/// An event that cannot be accepted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidEvent {
    #[error("the event has {bytes} bytes; at most {max} are allowed")]
    TooLarge { bytes: usize, max: usize },
    #[error("the event is not a JSON object (column {column} of line {line})")]
    NotJson { line: usize, column: usize },
    #[error("field `{field}` must be {expected}")]
    Field { field: String, expected: &'static str },
}

/// Parses an event from outside.
///
/// `subject` is that of the message, `kbc.events.<projectId>.<branchId>.<type>`, where there was
/// one: it gives the type if the event does not, and must not contradict it. `header_time` is the
/// publishing time of the message's headers; it and the event's own times count as `appended_at`
/// where they lie after that.
///
/// # Errors
/// See [`InvalidEvent`]; unknown fields are no error.
pub fn parse_external(
    json: &[u8],
    subject: Option<&str>,
    stack: &Stack,
    header_time: Option<Timestamp>,
    traceparent: Option<&str>,
    appended_at: Timestamp,
) -> Result<Envelope, InvalidEvent> {
    if json.len() > EVENT_BYTES_MAX {
        return Err(InvalidEvent::TooLarge {
            bytes: json.len(),
            max: EVENT_BYTES_MAX,
        });
    }
    let members: Map<String, Value> =
        serde_json::from_slice(json).map_err(|error| InvalidEvent::NotJson {
            line: error.line(),
            column: error.column(),
        })?;
    let fields = Fields {
        members: &members,
        prefix: String::new(),
    };
    let subject = subject.map(Subject::of);
    let topic = Topic {
        stack: stack.clone(),
        project: fields.id("projectId", ProjectId::parse)?,
        branch: fields.id("branchId", BranchId::parse)?,
    };
    if let Some(Subject {
        scope: Some((project, branch)),
        ..
    }) = subject
    {
        // Who may publish is decided by subject, so the content must not say something else.
        if project != topic.project.as_str() {
            return Err(fields.wrong("projectId", "that of the subject"));
        }
        if branch != topic.branch.as_str() {
            return Err(fields.wrong("branchId", "that of the subject"));
        }
    }
    let (body, occurred_at) = match external_kind(&fields, subject.and_then(|subject| subject.kind))? {
        ExternalKind::ConfigChanged => config_changed(&fields)?,
        ExternalKind::JobFinished => job_finished(&fields)?,
    };
    let published_at = header_time.unwrap_or(appended_at).min(appended_at);
    let occurred_at = occurred_at.unwrap_or(published_at).min(appended_at);
    let traceparent = traceparent.filter(|text| is_traceparent(text)).map(str::to_owned);
    Ok(Envelope::new(topic, body, occurred_at, published_at, traceparent))
}

#[derive(Debug, Clone, Copy)]
enum ExternalKind {
    ConfigChanged,
    JobFinished,
}

impl ExternalKind {
    fn parse(raw: &str) -> Option<Self> {
        match raw {
            "config_changed" => Some(Self::ConfigChanged),
            "job_finished" => Some(Self::JobFinished),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Subject<'s> {
    scope: Option<(&'s str, &'s str)>,
    kind: Option<ExternalKind>,
}

impl<'s> Subject<'s> {
    /// Subjects of another form say nothing: a broker may rewrite them on import.
    fn of(raw: &'s str) -> Self {
        let tokens: Vec<&str> = raw.split('.').collect();
        match tokens[..] {
            ["kbc", "events", project, branch, kind] => Self {
                scope: Some((project, branch)),
                kind: ExternalKind::parse(kind),
            },
            _ => Self {
                scope: None,
                kind: None,
            },
        }
    }
}

fn external_kind(
    fields: &Fields<'_>,
    of_subject: Option<ExternalKind>,
) -> Result<ExternalKind, InvalidEvent> {
    const EXPECTED: &str = "`config_changed` or `job_finished`";
    if let Some(raw) = fields.text("type")? {
        return ExternalKind::parse(&raw).ok_or_else(|| fields.wrong("type", EXPECTED));
    }
    if let Some(kind) = of_subject {
        return Ok(kind);
    }
    if fields.present("runId").is_some() {
        return Ok(ExternalKind::JobFinished);
    }
    if fields.present("newVersion").is_some() {
        return Ok(ExternalKind::ConfigChanged);
    }
    Err(fields.wrong("type", EXPECTED))
}

fn config_changed(fields: &Fields<'_>) -> Result<(Body, Option<Timestamp>), InvalidEvent> {
    const VERSION: &str = "a whole number from 1";
    let body = ConfigChanged {
        component: fields.id("componentId", ComponentId::parse)?,
        config: fields.id("configId", ConfigId::parse)?,
        version: fields
            .version("newVersion", VERSION)?
            .ok_or_else(|| fields.wrong("newVersion", VERSION))?,
        identifier: fields.token("versionIdentifier")?,
        author: fields.text("author")?.filter(|author| is_clean(author)),
    };
    Ok((Body::ConfigChanged(body), fields.time("committedAt")?))
}

fn job_finished(fields: &Fields<'_>) -> Result<(Body, Option<Timestamp>), InvalidEvent> {
    const STATUS: &str = "`SUCCESS`, `FAILED` or `CANCELLED`";
    let status = match fields.text("status")?.as_deref() {
        Some("SUCCESS") => RunStatus::Success,
        Some("FAILED") => RunStatus::Failed,
        Some("CANCELLED") => RunStatus::Cancelled,
        Some(_) | None => return Err(fields.wrong("status", STATUS)),
    };
    let finished_at = fields.time("finishedAt")?;
    let body = JobFinished {
        run: fields.id("runId", RunId::parse)?,
        component: fields.id("componentId", ComponentId::parse)?,
        config: fields.optional_id("configId", ConfigId::parse)?,
        config_version: fields.version("configVersion", "a whole number from 1, or absent")?,
        status,
        started_at: fields.time("startedAt")?,
        finished_at,
        inputs: fields.tables("inputs")?,
        outputs: fields.tables("outputs")?,
        state_digest: fields.text("stateDigest")?,
        artifact_links: fields
            .texts("artifactLinks")?
            .iter()
            .filter_map(|link| reference(link))
            .collect(),
    };
    Ok((Body::JobFinished(Box::new(body)), finished_at))
}

/// Whether a free text of an event may be stored. The log is not judged by policies, so what only looks
/// like a secret is left out; the source tells authors anyway.
fn is_clean(text: &str) -> bool {
    Guard::new(&KnownSecrets::new()).check_text(text).is_none()
}

/// Keeps of a link what names the artifact. User information and signatures in the query would let
/// whoever reads it fetch the artifact.
fn reference(link: &str) -> Option<String> {
    let end = link.find(['?', '#']).unwrap_or(link.len());
    let link = &link[..end];
    let kept = match link.split_once("://") {
        Some((scheme, rest)) => {
            let authority = rest.find('/').unwrap_or(rest.len());
            let host = rest[..authority].rfind('@').map_or(0, |at| at + 1);
            format!("{scheme}://{}", &rest[host..])
        }
        None => link.to_owned(),
    };
    (!kept.is_empty() && is_clean(&kept)).then_some(kept)
}

/// Members of one JSON object, read by name.
struct Fields<'v> {
    members: &'v Map<String, Value>,
    /// Where the object is, such as `outputs[2].`.
    prefix: String,
}

const ID: &str = "a text of 1 to 512 printable bytes, or a whole number";

impl<'v> Fields<'v> {
    fn wrong(&self, name: &str, expected: &'static str) -> InvalidEvent {
        InvalidEvent::Field {
            field: format!("{}{name}", self.prefix),
            expected,
        }
    }

    /// `null` counts as absent.
    fn present(&self, name: &str) -> Option<&'v Value> {
        self.members.get(name).filter(|value| !value.is_null())
    }

    fn id<I>(&self, name: &str, parse: fn(&str) -> Result<I, InvalidId>) -> Result<I, InvalidEvent> {
        self.optional_id(name, parse)?.ok_or_else(|| self.wrong(name, ID))
    }

    /// An empty text counts as absent.
    fn optional_id<I>(
        &self,
        name: &str,
        parse: fn(&str) -> Result<I, InvalidId>,
    ) -> Result<Option<I>, InvalidEvent> {
        let number;
        let raw = match self.present(name) {
            None => return Ok(None),
            Some(Value::String(text)) if text.is_empty() => return Ok(None),
            Some(Value::String(text)) => text.as_str(),
            Some(Value::Number(whole)) if whole.is_u64() => {
                number = whole.to_string();
                number.as_str()
            }
            Some(_) => return Err(self.wrong(name, ID)),
        };
        parse(raw).map(Some).map_err(|_| self.wrong(name, ID))
    }

    fn version(&self, name: &str, expected: &'static str) -> Result<Option<u64>, InvalidEvent> {
        let version = match self.present(name) {
            None => return Ok(None),
            Some(Value::Number(number)) => number.as_u64(),
            Some(Value::String(text)) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
            Some(_) => None,
        };
        // SQLite and JSON readers hold whole numbers up to i64.
        let fits = |version: &u64| (1..=i64::MAX as u64).contains(version);
        version
            .filter(fits)
            .map(Some)
            .ok_or_else(|| self.wrong(name, expected))
    }

    fn text(&self, name: &str) -> Result<Option<String>, InvalidEvent> {
        const EXPECTED: &str = "a text of at most 4,096 bytes";
        match self.present(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) if text.len() <= TEXT_BYTES_MAX => Ok(Some(text.clone())),
            Some(_) => Err(self.wrong(name, EXPECTED)),
        }
    }

    /// A text that can stand in one word.
    fn token(&self, name: &str) -> Result<Option<String>, InvalidEvent> {
        let fits = |text: &String| text.len() <= 128 && text.bytes().all(|byte| byte.is_ascii_graphic());
        match self.text(name)? {
            Some(text) if !fits(&text) => Err(self.wrong(name, "a word of at most 128 ASCII characters")),
            text => Ok(text),
        }
    }

    fn time(&self, name: &str) -> Result<Option<Timestamp>, InvalidEvent> {
        let Some(raw) = self.text(name)? else {
            return Ok(None);
        };
        let time = raw
            .parse()
            .map_err(|_| self.wrong(name, "an ISO 8601 time with an offset"))?;
        Ok(Some(time))
    }

    fn list(&self, name: &str, expected: &'static str) -> Result<&'v [Value], InvalidEvent> {
        match self.present(name) {
            None => Ok(&[]),
            Some(Value::Array(items)) if items.len() <= LIST_MAX => Ok(items),
            Some(_) => Err(self.wrong(name, expected)),
        }
    }

    fn texts(&self, name: &str) -> Result<Vec<String>, InvalidEvent> {
        const EXPECTED: &str = "a list of at most 10,000 texts of at most 4,096 bytes";
        let text = |item: &Value| {
            item.as_str()
                .filter(|text| text.len() <= TEXT_BYTES_MAX)
                .map(str::to_owned)
        };
        self.list(name, EXPECTED)?
            .iter()
            .map(|item| text(item).ok_or_else(|| self.wrong(name, EXPECTED)))
            .collect()
    }

    fn tables(&self, name: &str) -> Result<Vec<TableUse>, InvalidEvent> {
        const EXPECTED: &str = "a list of at most 10,000 objects with `table`";
        let table = |(index, item): (usize, &Value)| {
            let members = item.as_object().ok_or_else(|| self.wrong(name, EXPECTED))?;
            let fields = Fields {
                members,
                prefix: format!("{}{name}[{index}].", self.prefix),
            };
            Ok(TableUse {
                table: fields.id("table", TableId::parse)?,
                columns: fields.texts("columns")?,
            })
        };
        self.list(name, EXPECTED)?.iter().enumerate().map(table).collect()
    }
}

/// W3C: `version-traceid-parentid-flags`. A malformed one only loses the link, so it is no error.
fn is_traceparent(text: &str) -> bool {
    let hex = |part: &str, digits: usize| {
        part.len() == digits && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let parts: Vec<&str> = text.split('-').collect();
    match parts[..] {
        [version, trace, parent, flags] => {
            hex(version, 2) && hex(trace, 32) && hex(parent, 16) && hex(flags, 2) && version != "ff"
        }
        _ => false,
    }
}
