//! One request with its retries, limits and deadline.

use crate::{
    ClientConfig, KeboolaError,
    answer::{Refusal, classify},
    backoff::{Backoff, chance},
    config::{is_loopback, parse_origin},
    json::Problem,
    stream::ItemStream,
    text::{NOT_TEXT, Received, Text},
};
use reqwest::{
    Client, Response, Url,
    header::{ACCEPT, CONTENT_TYPE, DATE, HeaderMap, HeaderValue, RETRY_AFTER},
    redirect::Policy,
};
use secrecy::{ExposeSecret, SecretString};
use std::{
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{sleep, timeout},
};
use tracing::debug;

/// Error bodies are short; more of one is not read.
const ERROR_BODY_BYTES_MAX: usize = 64 << 10;

/// The header that a token is sent in.
const TOKEN: &str = "x-storageapi-token";

/// What to ask for, and its name for people.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) what: String,
    pub(crate) url: Url,
}

#[derive(Debug)]
pub(crate) struct Http {
    client: Client,
    /// What every request is made with; marked as not to be shown.
    token: RwLock<HeaderValue>,
    permits: Semaphore,
    backoff: Backoff,
    total: Duration,
    pub(crate) response_bytes_max: usize,
    jitter_seed: u64,
    steps: AtomicU64,
}

impl Http {
    pub(crate) fn new(config: &ClientConfig) -> Result<(Self, Url), KeboolaError> {
        let ClientConfig {
            base_url,
            token,
            connect_timeout_ms,
            read_timeout_ms,
            total_timeout_ms,
            response_bytes_max,
            retries_max,
            backoff_ms_min,
            backoff_ms_max,
            retry_after_ms_max,
            parallel_max,
            user_agent,
            jitter_seed,
        } = config;
        let base = parse_origin("base_url", base_url)?;
        let refuse = |field, problem| KeboolaError::Settings { field, problem };
        let token = header_of(token)?;
        if *parallel_max == 0 || *parallel_max > Semaphore::MAX_PERMITS {
            return Err(refuse("parallel_max", "not a positive number"));
        }
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/csv"));
        let mut builder = Client::builder()
            .default_headers(headers)
            .user_agent(user_agent)
            .connect_timeout(Duration::from_millis(*connect_timeout_ms))
            .read_timeout(Duration::from_millis(*read_timeout_ms))
            // Followed to another host, a redirect would hand over the token.
            .redirect(Policy::none())
            .https_only(base.scheme() == "https");
        if is_loopback(&base) {
            builder = builder.no_proxy();
        }
        let client = builder
            .build()
            .map_err(|_| refuse("user_agent", "not acceptable as a header, or TLS cannot start"))?;
        let http = Self {
            client,
            token: RwLock::new(token),
            permits: Semaphore::new(*parallel_max),
            backoff: Backoff {
                retries_max: *retries_max,
                min: Duration::from_millis(*backoff_ms_min),
                max: Duration::from_millis(*backoff_ms_max),
                retry_after_max: Duration::from_millis(*retry_after_ms_max),
            },
            total: Duration::from_millis(*total_timeout_ms),
            response_bytes_max: *response_bytes_max,
            jitter_seed: *jitter_seed,
            steps: AtomicU64::new(0),
        };
        Ok((http, base))
    }

    /// Sends another token from the next request on.
    pub(crate) fn renew_token(&self, token: &SecretString) -> Result<(), KeboolaError> {
        let token = header_of(token)?;
        *self.token.write().unwrap_or_else(PoisonError::into_inner) = token;
        Ok(())
    }

    /// Returns the whole body of an answer, all of which has to be text.
    pub(crate) async fn text(&self, request: &Request) -> Result<String, KeboolaError> {
        let not_text = || KeboolaError::Malformed {
            what: request.what.clone(),
            detail: NOT_TEXT.into(),
        };
        self.received(request).await?.into_text().ok_or_else(not_text)
    }

    /// Returns the whole body of an answer.
    pub(crate) async fn received(&self, request: &Request) -> Result<Received, KeboolaError> {
        let _permit = self.permit().await;
        self.in_time(&request.what, async {
            let mut tried = 0;
            loop {
                tried += 1;
                let answer = match self.send(request).await {
                    Ok(response) => self.body(request, response).await,
                    Err(error) => Err(error),
                };
                match answer {
                    Ok(text) => return Ok(text),
                    Err(error) => self.pause(tried, error).await?,
                }
            }
        })
        .await
    }

    /// Opens a list to be read as it comes. Only opening it is retried.
    pub(crate) async fn open<T>(
        &self,
        request: Request,
        parse: fn(Text<'_>) -> Result<T, Problem>,
    ) -> Result<ItemStream<T>, KeboolaError> {
        let _permit = self.permit().await;
        let opening = async {
            let mut tried = 0;
            loop {
                tried += 1;
                match self.send(&request).await {
                    Ok(response) => return Ok(response),
                    Err(error) => self.pause(tried, error).await?,
                }
            }
        };
        let response = self.in_time(&request.what, opening).await?;
        Ok(ItemStream::new(
            request.what,
            response,
            self.response_bytes_max,
            self.total,
            parse,
        ))
    }

    /// Reads a long list to its end, again from the start if it breaks. Only one item's text is
    /// held at a time.
    pub(crate) async fn list<T>(
        &self,
        request: &Request,
        parse: fn(Text<'_>) -> Result<T, Problem>,
    ) -> Result<Vec<T>, KeboolaError> {
        let _permit = self.permit().await;
        self.in_time(&request.what, async {
            let mut tried = 0;
            loop {
                tried += 1;
                let answer = match self.send(request).await {
                    Ok(response) => {
                        let what = request.what.clone();
                        ItemStream::new(what, response, self.response_bytes_max, self.total, parse)
                            .collect()
                            .await
                    }
                    Err(error) => Err(error),
                };
                match answer {
                    Ok(items) => return Ok(items),
                    Err(error) => self.pause(tried, error).await?,
                }
            }
        })
        .await
    }

    /// Held by a call through all its tries, so that trouble makes the client slower, not busier.
    async fn permit(&self) -> SemaphorePermit<'_> {
        self.permits
            .acquire()
            .await
            .expect("the semaphore is never closed")
    }

    async fn in_time<T>(
        &self,
        what: &str,
        call: impl Future<Output = Result<T, KeboolaError>>,
    ) -> Result<T, KeboolaError> {
        let late = |_| KeboolaError::Timeout {
            what: what.to_owned(),
            after: self.total,
        };
        timeout(self.total, call).await.map_err(late)?
    }

    /// Waits before the next try, or gives the error back if there must be none.
    async fn pause(&self, tried: u32, error: KeboolaError) -> Result<(), KeboolaError> {
        let chance = chance(self.jitter_seed, self.steps.fetch_add(1, Ordering::Relaxed));
        match self.backoff.next_wait(tried, &error, chance) {
            None => Err(error),
            Some(wait) => {
                debug!(tried, ?wait, %error, "repeating a call");
                sleep(wait).await;
                Ok(())
            }
        }
    }

    /// Sends the request once and returns an answer of status 200.
    async fn send(&self, request: &Request) -> Result<Response, KeboolaError> {
        let token = self.token.read().unwrap_or_else(PoisonError::into_inner).clone();
        let sent = self.client.get(request.url.clone()).header(TOKEN, token);
        let response = sent.send().await;
        let response = response.map_err(|source| broken(&request.what, source))?;
        let status = response.status().as_u16();
        if status != 200 {
            return Err(self.refusal(request, response).await);
        }
        let is_page = response
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
        if is_page {
            return Err(KeboolaError::Foreign {
                what: request.what.clone(),
                status,
            });
        }
        Ok(response)
    }

    async fn refusal(&self, request: &Request, mut response: Response) -> KeboolaError {
        let status = response.status().as_u16();
        let mut body = Vec::new();
        // The status says enough if the body breaks.
        while let Ok(Some(chunk)) = response.chunk().await {
            body.extend_from_slice(&chunk);
            if body.len() > ERROR_BODY_BYTES_MAX {
                body.truncate(ERROR_BODY_BYTES_MAX);
                break;
            }
        }
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let body = String::from_utf8_lossy(&body);
        let refusal = Refusal {
            status,
            retry_after: header(RETRY_AFTER),
            date: header(DATE),
            body: &body,
        };
        classify(request.what.clone(), &refusal)
    }

    async fn body(&self, request: &Request, mut response: Response) -> Result<Received, KeboolaError> {
        let limit = self.response_bytes_max;
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|source| broken(&request.what, source))?
        {
            if body.len() + chunk.len() > limit {
                return Err(KeboolaError::TooLarge {
                    what: request.what.clone(),
                    limit,
                });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Received::new(body))
    }
}

/// Makes the header of a token.
fn header_of(token: &SecretString) -> Result<HeaderValue, KeboolaError> {
    let refuse = |problem| KeboolaError::Settings {
        field: "token",
        problem,
    };
    if token.expose_secret().contains('\n') {
        return Err(refuse(
            "more than one line; its file may have one line break, at the end",
        ));
    }
    let mut header = HeaderValue::from_str(token.expose_secret()).map_err(|_| refuse("not printable"))?;
    if header.is_empty() {
        return Err(refuse("empty"));
    }
    header.set_sensitive(true);
    Ok(header)
}

/// Names a failure of the connection; the address is left out of it.
pub(crate) fn broken(what: &str, source: reqwest::Error) -> KeboolaError {
    KeboolaError::Unreachable {
        what: what.to_owned(),
        source: source.without_url(),
    }
}
