//! From a request to an answer: token, limits, faults, path.

use crate::{
    answers::{self, Part},
    change::ConfigAt,
    connection::CutSwitch,
    fault::FaultKind,
    query::Query,
    server::Shared,
};
use axum::{
    body::Body,
    extract::{ConnectInfo, Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use std::sync::{Arc, atomic::Ordering};

/// An answer that is an error, in Keboola's form.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) code: String,
    pub(crate) message: String,
}

pub(crate) fn missing(code: &str, what: &str, id: &str) -> Refusal {
    Refusal {
        status: StatusCode::NOT_FOUND,
        code: code.into(),
        message: format!("{what} {id} not found"),
    }
}

fn refusal(status: StatusCode, code: &str, message: &str) -> Refusal {
    Refusal {
        status,
        code: code.into(),
        message: message.into(),
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self {
            status,
            code,
            message,
        } = self;
        // The Queue API's codes are numbers.
        let code = code.parse::<u64>().map_or(Value::from(&*code), Value::from);
        let body =
            json!({"error": message, "code": code, "exceptionId": "exception-fake-1", "status": "error"});
        answer(status, "application/json", body.to_string())
    }
}

fn answer(status: StatusCode, content_type: &str, body: impl Into<Body>) -> Response {
    let mut response = (status, body.into()).into_response();
    if let Ok(content_type) = HeaderValue::from_str(content_type) {
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    }
    response
}

fn with_retry_after(mut response: Response, value: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(header::RETRY_AFTER, value);
    }
    response
}

/// Counts a request as long as it lives.
struct InFlight<'s>(&'s Shared, usize);

impl<'s> InFlight<'s> {
    fn enter(shared: &'s Shared) -> Self {
        let now = shared.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        shared.in_flight_max.fetch_max(now, Ordering::SeqCst);
        Self(shared, now)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Answers one request.
pub(crate) async fn handle(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(switch): ConnectInfo<CutSwitch>,
    request: Request,
) -> Response {
    let in_flight = InFlight::enter(&shared);
    let path = request.uri().path().to_owned();
    let (is_read, fault, accepted, stranger) = {
        let mut control = shared.control();
        let is_read = request.method() == Method::GET;
        if is_read {
            *control.requests.entry(path.clone()).or_insert(0) += 1;
        } else {
            control.writes += 1;
        }
        let accepted = control.renewed.as_ref().unwrap_or(&shared.token).clone();
        let stranger = control.stranger.clone();
        (is_read, control.faults.take(&path), accepted, stranger)
    };
    let token = request
        .headers()
        .get("x-storageapi-token")
        .map(HeaderValue::as_bytes);
    if let Some((_, project)) = stranger.filter(|(stranger, _)| token == Some(stranger.as_bytes()))
        && path == "/v2/storage/tokens/verify"
    {
        let answer = json!({"id": "2", "description": "of others", "isMasterToken": true, "owner": {"id": project, "name": "Other"}});
        return self::answer(StatusCode::OK, "application/json", answer.to_string());
    }
    if token != Some(accepted.as_bytes()) {
        return refusal(
            StatusCode::UNAUTHORIZED,
            "storage.tokenInvalid",
            "Invalid access token",
        )
        .into_response();
    }
    if in_flight.1 > shared.parallel_max {
        let refused = refusal(
            StatusCode::TOO_MANY_REQUESTS,
            "rateLimit",
            "Too many requests at once",
        );
        return with_retry_after(refused.into_response(), "1");
    }
    if let Some(instead) = afflict(fault, &switch).await {
        return instead;
    }
    if !is_read {
        return refusal(
            StatusCode::METHOD_NOT_ALLOWED,
            "readOnly",
            "This Keboola is only read",
        )
        .into_response();
    }
    let query = match Query::parse(request.uri()) {
        Ok(query) => query,
        Err(refused) => return refused.into_response(),
    };
    match serve(&shared, &path, &query) {
        Ok(response) => response,
        Err(refused) => refused.into_response(),
    }
}

/// Does what a fault says; returns the answer if that is not the usual one.
async fn afflict(fault: Option<FaultKind>, switch: &CutSwitch) -> Option<Response> {
    let refused = |status, code, message| Some(refusal(status, code, message).into_response());
    match fault? {
        FaultKind::Unauthorized => refused(
            StatusCode::UNAUTHORIZED,
            "storage.tokenInvalid",
            "Invalid access token",
        ),
        FaultKind::Forbidden => refused(
            StatusCode::FORBIDDEN,
            "accessDenied",
            "You don't have access to the resource.",
        ),
        FaultKind::NotFound => refused(StatusCode::NOT_FOUND, "notFound", "Not found"),
        FaultKind::ServerError => refused(StatusCode::INTERNAL_SERVER_ERROR, "", "Application error"),
        FaultKind::RateLimited { retry_after } => {
            let limited =
                refusal(StatusCode::TOO_MANY_REQUESTS, "rateLimit", "Too many requests").into_response();
            Some(match retry_after {
                Some(value) => with_retry_after(limited, &value),
                None => limited,
            })
        }
        FaultKind::Maintenance { retry_after_seconds } => {
            let body =
                json!({"status": "maintenance", "estimatedEndTime": null, "reason": "Planned maintenance"});
            let closed = answer(
                StatusCode::SERVICE_UNAVAILABLE,
                "application/json",
                body.to_string(),
            );
            Some(with_retry_after(closed, &retry_after_seconds.to_string()))
        }
        FaultKind::Slow(delay) => {
            tokio::time::sleep(delay).await;
            None
        }
        FaultKind::Cut { after_bytes } => {
            switch.arm(after_bytes);
            None
        }
        FaultKind::Answer {
            status,
            content_type,
            body,
        } => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            Some(answer(status, &content_type, body))
        }
    }
}

fn serve(shared: &Shared, path: &str, query: &Query) -> Result<Response, Refusal> {
    let unknown = || missing("notFound", "Path", path);
    let segments = segments(path).ok_or_else(unknown)?;
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let mut core = shared.core();
    let state = &mut core.state;
    let at = |branch: &str, component: &str, config: &str| ConfigAt::new(branch, component, config);
    let value = match segments.as_slice() {
        ["v2", "storage"] => answers::index(state, query, &shared.url),
        ["v2", "storage", rest @ ..] => match rest {
            ["tokens", "verify"] => answers::verify(state, query, &shared.token),
            ["components", id] | ["branch", _, "components", id] => answers::component(state, query, id),
            ["dev-branches"] => answers::branches(state, query),
            ["dev-branches", id] => answers::branch_detail(state, query, id),
            ["branch", b, "components"] => answers::components(state, query, b),
            ["branch", b, "components", c, "configs"] => answers::configurations(state, query, b, c),
            ["branch", b, "components", c, "configs", id, rest @ ..] => {
                let part = match rest {
                    [] => Part::Detail,
                    ["rows"] => Part::Rows,
                    ["rows", row] => Part::Row(row),
                    ["versions"] => Part::Versions,
                    ["versions", number] => Part::Version(number),
                    ["metadata"] => Part::Metadata,
                    _ => return Err(unknown()),
                };
                answers::configuration(state, query, &at(b, c, id), part)
            }
            ["branch", b, "metadata"] => answers::branch_metadata(state, query, b),
            ["branch", b, "search", "component-configurations"] => answers::metadata_search(state, query, b),
            ["branch", b, "buckets"] => answers::buckets(state, query, b),
            ["branch", b, "tables"] => answers::tables(state, query, b),
            ["branch", b, "tables", id] => answers::table_detail(state, query, b, id),
            ["branch", b, "tables", id, "data-preview"] => {
                let csv = answers::preview(state, query, b, id, shared.preview_columns_max)?;
                return Ok(answer(StatusCode::OK, "text/csv; charset=utf-8", csv));
            }
            ["events"] => answers::events(state, query, "default"),
            ["branch", b, "events"] => answers::events(state, query, b),
            _ => return Err(unknown()),
        },
        ["queue", "search", "jobs"] => answers::search_jobs(state, query),
        ["queue", "jobs", id] => answers::job(state, query, id),
        _ => return Err(unknown()),
    }?;
    Ok(answer(StatusCode::OK, "application/json", value.to_string()))
}

/// Splits a path and decodes its segments; none if an encoding is wrong or a segment is empty.
fn segments(path: &str) -> Option<Vec<String>> {
    let trimmed = path.strip_prefix('/')?;
    let trimmed = trimmed.strip_suffix('/').unwrap_or(trimmed);
    trimmed
        .split('/')
        .map(|segment| decode(segment).filter(|text| !text.is_empty()))
        .collect()
}

fn decode(segment: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next()?, rest.next()?];
        bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: Option<&[&str]>) {
        let found = segments(path);
        let found: Option<Vec<&str>> = found
            .as_ref()
            .map(|found| found.iter().map(String::as_str).collect());
        assert_eq!(found.as_deref(), expected, "{path}");
    }

    #[test]
    fn a_path_is_decoded_segment_by_segment() {
        check("/v2/storage", Some(&["v2", "storage"]));
        check("/v2/storage/", Some(&["v2", "storage"]));
        check("/a%2Fb/c%20d", Some(&["a/b", "c d"]));
        check("/a//b", None);
        check("/%zz", None);
        check("/%C5", None);
    }
}
