//! What an answer's status, headers and error body mean. Pure: the server's own clock is the only one.

use crate::{KeboolaError, json::Members};
use jiff::Timestamp;
use std::time::Duration;

/// The parts of a refused request that matter.
#[derive(Debug, Default)]
pub(crate) struct Refusal<'a> {
    pub(crate) status: u16,
    /// Header `Retry-After`.
    pub(crate) retry_after: Option<&'a str>,
    /// Header `Date`: the server's own idea of now.
    pub(crate) date: Option<&'a str>,
    pub(crate) body: &'a str,
}

/// Turns an answer other than 200 into the error it stands for.
pub(crate) fn classify(what: String, refusal: &Refusal<'_>) -> KeboolaError {
    let status = refusal.status;
    let after = || refusal.retry_after.and_then(|raw| retry_after(raw, refusal.date));
    let told = Members::parse(refusal.body).ok();
    let field = |name| told.as_ref().and_then(|told| told.text(name)).unwrap_or_default();
    let code = printable(&field("code"));
    let exception_id = match printable(&field("exceptionId")) {
        id if id.is_empty() => "no exception id".to_owned(),
        id => id,
    };
    let is_keboola = told
        .as_ref()
        .is_some_and(|told| told.has("error") || told.has("code") || told.has("status"));
    match status {
        429 => KeboolaError::RateLimited {
            what,
            retry_after: after(),
        },
        503 if field("status") == "maintenance" => KeboolaError::Maintenance {
            what,
            retry_after: after(),
        },
        408 | 409 | 423 | 502 | 503 | 504 => KeboolaError::Unavailable {
            what,
            status,
            retry_after: after(),
            exception_id,
        },
        401 => KeboolaError::Unauthorized {
            what,
            code,
            exception_id,
        },
        403 => KeboolaError::Forbidden {
            what,
            code,
            exception_id,
        },
        // A proxy's 404 must not read as "deleted".
        404 if is_keboola => KeboolaError::NotFound {
            what,
            code,
            exception_id,
        },
        500.. => KeboolaError::Server {
            what,
            status,
            exception_id,
        },
        400..500 if is_keboola => KeboolaError::Rejected {
            what,
            status,
            code,
            exception_id,
        },
        _ => KeboolaError::Foreign { what, status },
    }
}

/// Reads `Retry-After`: seconds, or an HTTP date relative to the server's `Date`, for its clock may
/// differ from ours. A date without that tells nothing.
fn retry_after(raw: &str, date: Option<&str>) -> Option<Duration> {
    if let Ok(seconds) = raw.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = http_date(raw)?;
    let from = date.and_then(http_date)?;
    Some(Duration::try_from(at.duration_since(from)).unwrap_or(Duration::ZERO))
}

fn http_date(raw: &str) -> Option<Timestamp> {
    let text = raw.trim().strip_suffix("GMT")?.trim_end();
    let time = jiff::civil::DateTime::strptime("%a, %d %b %Y %H:%M:%S", text).ok()?;
    time.to_zoned(jiff::tz::TimeZone::UTC)
        .ok()
        .map(|zoned| zoned.timestamp())
}

/// Keeps a short machine-made word; anything else is not ours to repeat.
fn printable(raw: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if raw.len() <= 128 && raw.chars().all(plain) {
        raw.to_owned()
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:30 GMT";

    #[track_caller]
    fn check(status: u16, retry_after: Option<&str>, body: &str, expected: &str) {
        let refusal = Refusal {
            status,
            retry_after,
            date: Some(DATE),
            body,
        };
        let found = classify("branches".into(), &refusal);
        assert_eq!(format!("{found} => {:?}", found.disposition()), expected);
    }

    const KEBOOLA: &str =
        r#"{"error":"text with content","code":"storage.x","exceptionId":"exception-1","status":"error"}"#;

    #[test]
    fn each_status_has_its_class() {
        check(
            401,
            None,
            KEBOOLA,
            "keboola does not accept the token for branches (code `storage.x`, exception-1); give the mirror a valid one => NeedsCustomer",
        );
        check(
            403,
            None,
            KEBOOLA,
            "the token has no permission for branches (code `storage.x`, exception-1); use a master token or widen it => NeedsCustomer",
        );
        check(
            404,
            None,
            KEBOOLA,
            "branches does not exist (code `storage.x`, exception-1) => Gone",
        );
        check(
            404,
            None,
            r#"{"error":"no","code":404}"#,
            "branches does not exist (code `404`, no exception id) => Gone",
        );
        check(
            404,
            None,
            "<html>not here</html>",
            "something other than keboola answered for branches (status 404); check the address and proxies => Retry { after: None }",
        );
        check(
            429,
            Some("7"),
            "",
            "keboola limits the rate of requests, asked for branches => Retry { after: Some(7s) }",
        );
        check(
            503,
            Some("60"),
            r#"{"status":"maintenance","reason":"x"}"#,
            "keboola is under maintenance, asked for branches => Retry { after: Some(60s) }",
        );
        check(
            503,
            None,
            "",
            "keboola is unavailable, asked for branches (status 503, no exception id) => Retry { after: None }",
        );
        check(
            423,
            Some("Sun, 06 Nov 1994 08:49:37 GMT"),
            KEBOOLA,
            "keboola is unavailable, asked for branches (status 423, exception-1) => Retry { after: Some(7s) }",
        );
        check(
            500,
            None,
            KEBOOLA,
            "keboola failed on branches (status 500, exception-1) => Retry { after: None }",
        );
        check(
            400,
            None,
            KEBOOLA,
            "keboola refused the request for branches (status 400, code `storage.x`, exception-1) => Permanent",
        );
        check(
            302,
            None,
            "",
            "something other than keboola answered for branches (status 302); check the address and proxies => Retry { after: None }",
        );
    }

    #[test]
    fn a_time_that_has_passed_means_now_and_a_strange_one_nothing() {
        let read = |raw: &str| retry_after(raw, Some(DATE));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:00 GMT"), Some(Duration::ZERO));
        assert_eq!(
            read("Mon, 07 Nov 1994 08:49:30 GMT"),
            Some(Duration::from_secs(86_400))
        );
        assert_eq!(read("soon"), None);
        assert_eq!(retry_after("Mon, 07 Nov 1994 08:49:30 GMT", None), None);
    }

    #[test]
    fn a_code_that_is_prose_is_not_repeated() {
        assert_eq!(
            printable("storage.configuration.notFound"),
            "storage.configuration.notFound"
        );
        assert_eq!(printable("token 12-3 is bad"), "");
    }
}
