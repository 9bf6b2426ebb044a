//! One HTTP request and its answer, with every wait bounded and every failure told apart.

use super::{
    super::{SendError, Timeouts},
    page,
    stream::{self, Stream},
};
use crate::{
    address::AddressRefused,
    refusal::{self, NoAccess, OwnNames},
    remote::Visibility,
    transport_error::{TransportError, clean},
};
use reqwest::{
    Client, Request, Response, StatusCode,
    header::{CONTENT_ENCODING, CONTENT_TYPE, DATE, HeaderMap, LOCATION, RETRY_AFTER},
};
use std::{
    error::Error,
    io::{self, Read},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// What a request is for; errors mean something else in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Advertisement,
    Request,
}

/// When a byte went out or came in last.
#[derive(Debug, Clone)]
pub(super) struct Progress(Arc<Mutex<Instant>>);

impl Progress {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    pub(super) fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends when nothing has happened for so long.
    async fn idle_for(&self, span: Duration) {
        loop {
            let until = self.last() + span;
            if until <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(until.into()).await;
        }
    }
}

/// The answer to a request, as far as it came.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    status: StatusCode,
    content_type: String,
    /// How the body is compressed, which nobody asked for; empty if it is not.
    encoding: String,
    retry_after: Option<Duration>,
    /// It was asked too often, or wants not to be for a while.
    asks_to_wait: bool,
    pub(super) redirect: Option<String>,
    /// What the body of a failure says to people; as it came, with whatever it holds.
    pub(super) said: String,
    body: Body,
    /// How much of it is read.
    bytes_max: u64,
}

#[derive(Debug)]
enum Body {
    /// It is here, and why there is no more of it; none if it is whole.
    Read(io::Cursor<Vec<u8>>, Option<End>),
    /// It is still coming.
    Coming(Stream),
}

impl Default for Body {
    fn default() -> Self {
        Self::Read(io::Cursor::default(), None)
    }
}

/// Why an answer ends early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Cut,
    Idle,
    Total,
    TooLarge,
}

/// Error pages are read up to here.
const SAID_BYTES_MAX: u64 = 64 << 10;

impl Read for Answer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match &mut self.body {
            Body::Read(body, _) => body.read(buffer)?,
            Body::Coming(stream) => stream.read(buffer),
        };
        if read == 0 && !buffer.is_empty() && self.body.end().is_some() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(read)
    }
}

impl Body {
    /// Says why there is no more of it; none if it is whole, or there is more.
    fn end(&self) -> Option<End> {
        match self {
            Self::Read(_, end) => *end,
            Self::Coming(stream) => stream.end(),
        }
    }
}

impl Answer {
    /// Says what is behind an error that reading gave.
    pub(super) fn explain(&self, remote: &str, timeouts: &Timeouts, error: io::Error) -> TransportError {
        let remote = remote.to_owned();
        let timed_out = |remote, what, after| TransportError::TimedOut { remote, what, after };
        match self.body.end() {
            Some(End::Idle) => timed_out(remote, "the next byte", timeouts.idle),
            Some(End::Total) => timed_out(remote, "the whole answer", timeouts.total),
            Some(End::TooLarge) => TransportError::AnswerTooLarge {
                remote,
                what: "data",
                bytes_max: self.bytes_max,
            },
            Some(End::Cut) | None => TransportError::Unreachable {
                remote,
                problem: "the answer was cut off".to_owned(),
                source: Arc::new(error),
            },
        }
    }

    /// Refuses an answer that is not of the type that the protocol demands.
    pub(super) fn expect_type(&self, remote: &str, expected: &str) -> Result<(), TransportError> {
        if !self.encoding.is_empty() {
            let encoding = clean(&self.encoding);
            return Err(TransportError::Protocol {
                remote: remote.to_owned(),
                problem: format!("its answer is compressed ({encoding}), which was not asked for"),
            });
        }
        if self.content_type == expected {
            return Ok(());
        }
        let problem = match self.content_type.as_str() {
            "" => "its answer has no content type".to_owned(),
            found => format!("its answer is of type {}", clean(found)),
        };
        // A sign-in page with a good status.
        if self.status == StatusCode::NON_AUTHORITATIVE_INFORMATION {
            return Err(TransportError::Credentials {
                remote: remote.to_owned(),
                said: problem,
            });
        }
        Err(TransportError::Protocol {
            remote: remote.to_owned(),
            problem,
        })
    }

    /// Says what the answer to an advertisement tells a stranger. Private is only what says so in as many words; nobody
    /// may take trouble, too many questions or a page to log in on for an answer.
    pub(super) fn visibility(self, remote: &str) -> Result<Visibility, TransportError> {
        match self.status.as_u16() {
            401 | 404 => return Ok(Visibility::Private),
            // Hosts also say 403 to who asks too often.
            403 if !self.is_limited(remote) => return Ok(Visibility::Private),
            _ => {}
        }
        let answer = self
            .accept(remote, Phase::Request)
            .map_err(|failure| failure.error)?;
        let unclear = |problem: &str| TransportError::Protocol {
            remote: remote.to_owned(),
            problem: problem.to_owned(),
        };
        answer.expect_type(remote, "application/x-git-upload-pack-advertisement")?;
        match (answer.status, answer.begins_as_packets()) {
            (StatusCode::OK, true) => Ok(Visibility::Public),
            (StatusCode::OK, false) => Err(unclear("its advertisement does not begin as one")),
            _ => Err(unclear("it answers a stranger with a success that is none")),
        }
    }

    fn is_limited(&self, remote: &str) -> bool {
        self.asks_to_wait || self.no_access(remote) == Some(NoAccess::RateLimited)
    }

    fn no_access(&self, remote: &str) -> Option<NoAccess> {
        refusal::no_access(&self.said, &OwnNames::of(remote, None))
    }

    fn begins_as_packets(&self) -> bool {
        let line =
            |rest: &[u8]| rest.starts_with(b"# service=git-upload-pack") || rest.starts_with(b"version 2");
        let Body::Read(body, _) = &self.body else {
            return false;
        };
        let head = body.get_ref().split_at_checked(4);
        head.is_some_and(|(length, rest)| length.iter().all(u8::is_ascii_hexdigit) && line(rest))
    }

    /// Turns a status that is no success into what it means.
    pub(super) fn accept(self, remote: &str, phase: Phase) -> Result<Self, SendError> {
        let remote = remote.to_owned();
        let (status, said, retry_after) = (self.status, self.said.clone(), self.retry_after);
        if status.is_success() || (self.redirect.is_some() && phase == Phase::Advertisement) {
            return Ok(self);
        }
        let read_only = self.no_access(&remote) == Some(NoAccess::ReadOnly);
        let limited = self.is_limited(&remote);
        // What the server itself refuses it has not done. Behind a proxy in trouble it may have.
        let may_have_worked = status.is_server_error();
        let error = match status.as_u16() {
            401 => TransportError::Credentials { remote, said },
            407 => TransportError::ProxyCredentials { remote },
            403 if read_only => TransportError::ReadOnly { remote, said },
            403 if limited => TransportError::RateLimited {
                remote,
                retry_after,
                said,
            },
            402 | 403 => TransportError::Forbidden { remote, said },
            404 | 410 => TransportError::NotFound { remote, said },
            413 => TransportError::RequestTooLarge { remote, said },
            429 => TransportError::RateLimited {
                remote,
                retry_after,
                said,
            },
            300..=399 => TransportError::Moved {
                remote,
                to: "another place, which it says only when asked to take a change".to_owned(),
            },
            408 | 425 | 500..=599 => {
                let said = if said.is_empty() {
                    String::new()
                } else {
                    format!(", {said}")
                };
                let said = format!("HTTP status {}{said}", status.as_u16());
                TransportError::Unavailable {
                    remote,
                    retry_after,
                    said,
                }
            }
            _ => TransportError::Protocol {
                remote,
                problem: format!("HTTP status {}", status.as_u16()),
            },
        };
        Err(SendError {
            error,
            may_have_worked,
        })
    }
}

/// Sends a request and waits for its answer: for the whole of an advertisement and of a failure, or up to where it broke; of
/// what a request asked for only until it begins.
pub(super) async fn exchange(
    remote: String,
    client: Client,
    request: Request,
    phase: Phase,
    progress: Progress,
    timeouts: Timeouts,
    bytes_max: u64,
) -> Result<Answer, SendError> {
    let mut deadline = Box::pin(tokio::time::sleep(timeouts.total));
    let sent = tokio::select! {
        sent = client.execute(request) => sent.map_err(|error| send_error(&remote, error, &timeouts, phase)),
        () = progress.idle_for(timeouts.connect.max(timeouts.idle)) => Err(late(&remote, "the next byte", timeouts.idle)),
        () = &mut deadline => Err(late(&remote, "the request", timeouts.total)),
    };
    let mut response = sent?;
    progress.note();
    let mut answer = head(&response);
    let is_failure = !response.status().is_success();
    answer.bytes_max = if is_failure { SAID_BYTES_MAX } else { bytes_max };
    if phase == Phase::Request && !is_failure {
        let (stream, incoming) = stream::stream();
        answer.body = Body::Coming(stream);
        let bytes_max = answer.bytes_max;
        tokio::spawn(async move {
            let end = tokio::select! {
                end = incoming.fill(&mut response, bytes_max, &progress) => end,
                () = progress.idle_for(timeouts.idle) => Some(End::Idle),
                () = &mut deadline => Some(End::Total),
            };
            incoming.finish(end);
        });
        return Ok(answer);
    }
    let mut body = Vec::new();
    let end = tokio::select! {
        end = read(&mut response, &mut body, answer.bytes_max, &progress) => end,
        () = progress.idle_for(timeouts.idle) => Some(End::Idle),
        () = &mut deadline => Some(End::Total),
    };
    if is_failure {
        answer.said = page::words(&answer.content_type, &body);
    }
    answer.body = Body::Read(io::Cursor::new(body), end);
    Ok(answer)
}

async fn read(
    response: &mut Response,
    body: &mut Vec<u8>,
    bytes_max: u64,
    progress: &Progress,
) -> Option<End> {
    loop {
        match response.chunk().await {
            Ok(None) => return None,
            Ok(Some(chunk)) => {
                progress.note();
                if (body.len() + chunk.len()) as u64 > bytes_max {
                    return Some(End::TooLarge);
                }
                body.extend_from_slice(&chunk);
            }
            Err(_) => return Some(End::Cut),
        }
    }
}

fn head(response: &Response) -> Answer {
    let headers = response.headers();
    let text = |name| text(headers, name);
    let content_type = text(CONTENT_TYPE.as_str()).unwrap_or_default();
    let none_left = text("x-ratelimit-remaining").is_some_and(|left| left.trim() == "0");
    let is_redirect = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    Answer {
        status: response.status(),
        content_type: content_type
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase(),
        encoding: text(CONTENT_ENCODING.as_str())
            .filter(|encoding| !encoding.eq_ignore_ascii_case("identity"))
            .unwrap_or_default(),
        retry_after: text(RETRY_AFTER.as_str())
            .and_then(|after| retry_after(&after, text(DATE.as_str()).as_deref()))
            .or_else(|| {
                let reset = text("x-ratelimit-reset").filter(|_| none_left)?;
                until_reset(&reset, text(DATE.as_str()).as_deref())
            }),
        asks_to_wait: headers.contains_key(RETRY_AFTER) || none_left,
        redirect: text(LOCATION.as_str()).filter(|_| is_redirect),
        ..Answer::default()
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// No remote may put us off for longer than this.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 3600);

/// Reads `Retry-After`: seconds, or a date, which is compared with the clock of who sent it. Who does not say what time
/// it is there has only the wish to wait understood, not for how long.
fn retry_after(text: &str, date: Option<&str>) -> Option<Duration> {
    match text.trim().parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX)),
        Err(_) => span_to(second(text)?, date),
    }
}

/// Reads when there are requests left again, as GitHub says it: a Unix time in seconds. What is past is meant otherwise.
fn until_reset(text: &str, date: Option<&str>) -> Option<Duration> {
    span_to(text.trim().parse().ok()?, date).filter(|span| !span.is_zero())
}

fn span_to(second_then: i64, date: Option<&str>) -> Option<Duration> {
    let span = second_then.saturating_sub(second(date?)?);
    let span = Duration::from_secs(u64::try_from(span).unwrap_or_default());
    Some(span.min(RETRY_AFTER_MAX))
}

fn second(date: &str) -> Option<i64> {
    Some(jiff::fmt::rfc2822::parse(date).ok()?.timestamp().as_second())
}

fn late(remote: &str, what: &'static str, after: Duration) -> SendError {
    SendError {
        error: TransportError::TimedOut {
            remote: remote.to_owned(),
            what,
            after,
        },
        may_have_worked: true,
    }
}

/// Walks an error and what is behind it.
fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}

/// Tells what went wrong before there was an answer.
fn send_error(remote: &str, error: reqwest::Error, timeouts: &Timeouts, phase: Phase) -> SendError {
    // Its URL holds nothing secret, but the message is not the place for it.
    let error = error.without_url();
    let (is_connect, is_timeout) = (error.is_connect(), error.is_timeout());
    let chain = || causes(&error);
    let refused = chain()
        .find_map(|error| error.downcast_ref::<AddressRefused>())
        .cloned();
    let deepest = chain().last().map(ToString::to_string).unwrap_or_default();
    let kind = chain()
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .map(io::Error::kind)
        .last();
    let is_certificate = chain().any(|error| error.to_string().contains("invalid peer certificate"));
    let remote = remote.to_owned();
    let error = if let Some(source) = refused {
        TransportError::AddressRefused { remote, source }
    } else if is_certificate {
        let problem = deepest
            .rsplit("invalid peer certificate: ")
            .next()
            .unwrap_or_default();
        TransportError::Certificate {
            remote,
            problem: clean(problem),
        }
    } else if is_connect && chain().any(|error| error.to_string().ends_with("proxy authorization required")) {
        TransportError::ProxyCredentials { remote }
    } else if is_timeout && is_connect {
        TransportError::TimedOut {
            remote,
            what: "connecting",
            after: timeouts.connect,
        }
    } else {
        TransportError::Unreachable {
            remote,
            problem: clean(&deepest),
            source: Arc::new(io::Error::new(
                kind.unwrap_or(io::ErrorKind::ConnectionAborted),
                error,
            )),
        }
    };
    SendError {
        error,
        may_have_worked: !is_connect && phase == Phase::Request,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_to_wait_is_understood_and_bounded() {
        let date = Some("Wed, 21 Oct 2015 07:28:00 GMT");
        for (text, seconds) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("99999999", Some(24 * 3600)),
            ("Wed, 21 Oct 2015 07:29:30 GMT", Some(90)),
            ("Wed, 21 Oct 2015 07:00:00 GMT", Some(0)),
            ("soon", None),
            ("-5", None),
        ] {
            assert_eq!(
                retry_after(text, date).map(|span| span.as_secs()),
                seconds,
                "{text}"
            );
        }
        assert_eq!(retry_after("Wed, 21 Oct 2015 07:29:30 GMT", None), None);
        let reset = |text| until_reset(text, date).map(|span| span.as_secs());
        assert_eq!(
            (
                reset("1445412540"),
                reset("1445412000"),
                reset("9445412540"),
                reset("soon")
            ),
            (Some(60), None, Some(24 * 3600), None)
        );
        assert_eq!(until_reset("1445412540", None), None);
    }
}
