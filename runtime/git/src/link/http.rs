//! The smart HTTP protocol: one request for the advertisement, then one for each request.
//!
//! Every request stands for itself, so that a conversation needs no connection of its own, and the credentials
//! never leave the origin that the operator named.

mod answer;
mod page;
mod redirect;
pub(crate) mod resolver;
mod stream;

use super::{Conversation, Link, Piece, SendError, Service, Timeouts, body};
use crate::{
    AGENT,
    address::AddressPolicy,
    credential::{Credential, Hiding},
    remote::Visibility,
    repository_url::{RepositoryUrl, Scheme},
    smart::WORDS_BYTES_MAX,
    transport_error::{TransportError, clean},
};
use answer::{Answer, Phase};
use reqwest::{
    Certificate, Client, Method, Proxy, Request, Url,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue},
};
use resolver::PolicyResolver;
use secrecy::{ExposeSecret, SecretString};
use std::{
    fmt,
    future::Future,
    io::{self, Read},
    net::IpAddr,
    sync::{Arc, LazyLock, Mutex, PoisonError, mpsc},
    time::Duration,
};
use tokio::runtime::{Builder, Runtime};

/// A proxy between here and the remote. What it may connect to is then its own decision: names are resolved there.
#[derive(Debug, Clone)]
pub struct ProxySettings {
    /// Such as `http://proxy.example.com:3128`, without credentials.
    pub url: String,
    pub user: Option<(String, SecretString)>,
}

/// What an HTTP remote needs.
#[derive(Debug, Clone)]
pub(crate) struct HttpSettings {
    pub(crate) credential: Option<Credential>,
    pub(crate) addresses: AddressPolicy,
    pub(crate) proxy: Option<ProxySettings>,
    pub(crate) certificates_pem: Vec<u8>,
    pub(crate) timeouts: Timeouts,
    pub(crate) answer_bytes_max: u64,
}

/// A repository behind a web server.
pub(crate) struct HttpLink {
    name: String,
    /// Where the repository is; a redirect within the origin is remembered.
    base: Mutex<Url>,
    client: Client,
    /// What the next conversation is had with.
    proof: Mutex<Arc<Proof>>,
    /// What the proxy is shown, which it may send back as well.
    proxy: Option<Credential>,
    timeouts: Timeouts,
    answer_bytes_max: u64,
}

/// What shows a server who we are.
struct Proof {
    authorization: Option<HeaderValue>,
    /// The newest first, then what it was before: a conversation that is under way may still have one of these.
    credentials: Vec<Credential>,
}

impl Proof {
    fn of(name: &str, credential: Option<Credential>) -> Result<Self, TransportError> {
        let refuse = |problem: &str| TransportError::Settings {
            remote: name.to_owned(),
            problem: problem.to_owned(),
        };
        let text = match &credential {
            None => None,
            Some(Credential::SshKey { .. }) => {
                return Err(refuse(
                    "an SSH key does not open an https: URL; give a token, or an ssh: URL",
                ));
            }
            Some(Credential::Bearer(token)) => Some(format!("Bearer {}", token.expose_secret())),
            Some(Credential::Basic { user, password }) => {
                if user.contains(':') {
                    return Err(refuse("the user name of the credential has a colon"));
                }
                let pair = format!("{user}:{}", password.expose_secret());
                Some(format!("Basic {}", data_encoding::BASE64.encode(pair.as_bytes())))
            }
        };
        let authorization = text.map(|text| {
            let mut value = HeaderValue::from_str(&text)
                .map_err(|_| refuse("the token has characters that a header cannot have"))?;
            value.set_sensitive(true);
            Ok::<_, TransportError>(value)
        });
        Ok(Self {
            authorization: authorization.transpose()?,
            credentials: credential.into_iter().collect(),
        })
    }
}

impl fmt::Debug for HttpLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpLink")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Requests run here, so that whoever calls need not know whether a runtime is running already.
static RUNTIME: LazyLock<io::Result<Runtime>> = LazyLock::new(|| {
    Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("git-http")
        .enable_all()
        .build()
});

/// Idle connections are kept for so long: enough from an advertisement to its push, and less than servers wait.
const KEPT_IDLE: Duration = Duration::from_secs(4);
const REDIRECTS_MAX: usize = 5;
/// So many credentials are looked for in what a server says; no conversation outlives more of them.
const CREDENTIALS_KEPT: usize = 16;
/// A stranger reads no more than this of an advertisement: its beginning tells what it is.
const STRANGERS_BYTES_MAX: u64 = 1 << 20;

impl HttpLink {
    pub(crate) fn new(url: &RepositoryUrl, settings: HttpSettings) -> Result<Self, TransportError> {
        let HttpSettings {
            credential,
            addresses,
            proxy,
            certificates_pem,
            timeouts,
            answer_bytes_max,
        } = settings;
        let name = url.to_string();
        let refuse = |problem: &str| TransportError::Settings {
            remote: name.clone(),
            problem: problem.to_owned(),
        };
        let base = Url::parse(&name).map_err(|_| refuse("the URL cannot be parsed"))?;
        let proof = Proof::of(&name, credential)?;
        let host = url.bare_host();
        if proxy.is_none() || host.parse::<IpAddr>().is_ok() {
            check_literal(&name, host, &addresses)?;
        }
        let client = client(&name, addresses, proxy.as_ref(), &certificates_pem, &timeouts)?;
        let proxy = proxy.and_then(|proxy| proxy.user);
        let proxy = proxy.map(|(user, password)| Credential::Basic { user, password });
        debug_assert!(matches!(url.scheme, Scheme::Https | Scheme::Http));
        Ok(Self {
            name,
            base: Mutex::new(base),
            client,
            proof: Mutex::new(Arc::new(proof)),
            proxy,
            timeouts,
            answer_bytes_max,
        })
    }

    /// Shows another credential from the next conversation on.
    pub(crate) fn renew(&self, credential: Credential) -> Result<(), TransportError> {
        let mut proof = Proof::of(&self.name, Some(credential))?;
        let mut current = self.proof.lock().unwrap_or_else(PoisonError::into_inner);
        proof.credentials.extend(current.credentials.iter().cloned());
        proof.credentials.truncate(CREDENTIALS_KEPT);
        *current = Arc::new(proof);
        Ok(())
    }

    fn proof(&self) -> Arc<Proof> {
        Arc::clone(&self.proof.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Asks, without credentials, who may read.
    pub(crate) fn visibility(&self) -> Result<Visibility, TransportError> {
        let mut base = self.base();
        for _ in 0..=REDIRECTS_MAX {
            let request = advertisement_request(&base, Service::UploadPack, true, None);
            let answer = self.exchange(request, None, Phase::Advertisement, STRANGERS_BYTES_MAX);
            let answer = answer.map_err(|failure| failure.error)?;
            let Some(location) = answer.redirect.as_deref() else {
                return answer
                    .visibility(&self.name)
                    .map_err(|error| self.fit_to_show(error));
            };
            base = self.follow(&base, location)?;
        }
        Err(self.circle())
    }

    /// Where a redirect leads is the server's word, as anything else.
    fn follow(&self, base: &Url, location: &str) -> Result<Url, TransportError> {
        redirect::follow(&self.name, base, location).map_err(|error| self.fit_to_show(error))
    }

    fn fit_to_show(&self, error: TransportError) -> TransportError {
        error.with_words(|text| self.without_secrets(text))
    }

    fn base(&self) -> Url {
        self.base.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn url(base: &Url, tail: &str) -> Url {
        let mut url = base.clone();
        let path = format!("{}/{tail}", base.path().trim_end_matches('/'));
        match path.split_once('?') {
            Some((path, query)) => {
                url.set_path(path);
                url.set_query(Some(query));
            }
            None => url.set_path(&path),
        }
        url
    }

    fn advertisement(
        &self,
        service: Service,
        version_2: bool,
        authorization: Option<&HeaderValue>,
    ) -> Result<Answer, TransportError> {
        let mut base = self.base();
        for _ in 0..=REDIRECTS_MAX {
            let request = advertisement_request(&base, service, version_2, authorization);
            let bytes_max = self.answer_bytes_max.min(WORDS_BYTES_MAX);
            let answer = self.run(request, None, Phase::Advertisement, bytes_max);
            let answer = answer.map_err(|failure| failure.error)?;
            let Some(location) = answer.redirect.as_deref() else {
                let expected = format!("application/x-{}-advertisement", service.name());
                let checked = answer.expect_type(&self.name, &expected);
                checked.map_err(|error| self.fit_to_show(error))?;
                *self.base.lock().unwrap_or_else(PoisonError::into_inner) = base;
                return Ok(answer);
            };
            base = self.follow(&base, location)?;
        }
        Err(self.circle())
    }

    fn circle(&self) -> TransportError {
        TransportError::Protocol {
            remote: self.name.clone(),
            problem: "it redirects in a circle".to_owned(),
        }
    }

    /// Sends a request from a thread of any kind, and waits for an answer, which must be a success.
    fn run(
        &self,
        request: Request,
        pieces: Option<Vec<Piece>>,
        phase: Phase,
        answer_bytes_max: u64,
    ) -> Result<Answer, SendError> {
        self.exchange(request, pieces, phase, answer_bytes_max)
            .and_then(|answer| answer.accept(&self.name, phase))
    }

    /// The same, whatever the answer says.
    fn exchange(
        &self,
        mut request: Request,
        pieces: Option<Vec<Piece>>,
        phase: Phase,
        answer_bytes_max: u64,
    ) -> Result<Answer, SendError> {
        let progress = answer::Progress::new();
        if let Some(pieces) = pieces {
            let progress = progress.clone();
            *request.body_mut() = Some(body(pieces, move || progress.note()));
        }
        let exchange = answer::exchange(
            self.name.clone(),
            self.client.clone(),
            request,
            phase,
            progress,
            self.timeouts,
            answer_bytes_max,
        );
        let outcome = wait_for(&self.name, exchange);
        let outcome = outcome.map_err(|error| SendError {
            error,
            may_have_worked: false,
        });
        outcome?.map(|mut answer| {
            answer.said = clean(&self.without_secrets(&answer.said));
            answer
        })
    }
}

fn advertisement_request(
    base: &Url,
    service: Service,
    version_2: bool,
    authorization: Option<&HeaderValue>,
) -> Request {
    let url = HttpLink::url(base, &format!("info/refs?service={}", service.name()));
    let mut request = Request::new(Method::GET, url);
    set_headers(&mut request, version_2, authorization);
    let headers = request.headers_mut();
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    request
}

fn set_headers(request: &mut Request, version_2: bool, authorization: Option<&HeaderValue>) {
    let headers: &mut HeaderMap = request.headers_mut();
    if version_2 {
        headers.insert("git-protocol", HeaderValue::from_static("version=2"));
    }
    if let Some(authorization) = authorization {
        headers.insert(AUTHORIZATION, authorization.clone());
    }
}

/// An address in place of a name is never resolved, so it is checked here.
fn check_literal(name: &str, host: &str, addresses: &AddressPolicy) -> Result<(), TransportError> {
    let Ok(address) = host.parse::<IpAddr>() else {
        return Ok(());
    };
    addresses
        .check(address)
        .map_err(|source| TransportError::AddressRefused {
            remote: name.to_owned(),
            source,
        })
}

fn client(
    name: &str,
    addresses: AddressPolicy,
    proxy: Option<&ProxySettings>,
    certificates_pem: &[u8],
    timeouts: &Timeouts,
) -> Result<Client, TransportError> {
    let refuse = |problem: &str| TransportError::Settings {
        remote: name.to_owned(),
        problem: problem.to_owned(),
    };
    // Some forges speak Git only to what calls itself git.
    let mut builder = Client::builder()
        .user_agent(format!("git/{AGENT}"))
        .connect_timeout(timeouts.connect)
        .pool_idle_timeout(KEPT_IDLE)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false);
    let mut proxy_host = None;
    builder = match proxy {
        None => builder.no_proxy(),
        Some(ProxySettings { url, user }) => {
            let parsed = Url::parse(url).map_err(|_| refuse("the proxy's URL cannot be parsed"))?;
            if parsed.password().is_some() || !parsed.username().is_empty() {
                return Err(refuse(
                    "the proxy's URL has credentials; put them into its own setting",
                ));
            }
            proxy_host = parsed.host_str().map(str::to_owned);
            let mut proxy = Proxy::all(parsed).map_err(|_| refuse("the proxy's URL cannot be used"))?;
            if let Some((user, password)) = user {
                proxy = proxy.basic_auth(user, password.expose_secret());
            }
            builder.proxy(proxy)
        }
    };
    if !certificates_pem.is_empty() {
        let certificates = Certificate::from_pem_bundle(certificates_pem)
            .ok()
            .filter(|certificates| !certificates.is_empty())
            .ok_or_else(|| refuse("the additional certificate authorities are no PEM certificates"))?;
        builder = builder.tls_certs_merge(certificates);
    }
    builder
        .dns_resolver(Arc::new(PolicyResolver::new(addresses, proxy_host)))
        .build()
        .map_err(|_| refuse("TLS cannot start, or a certificate cannot be used"))
}

/// Runs a future to its end from a thread of any kind.
fn wait_for<T: Send + 'static>(
    name: &str,
    future: impl Future<Output = T> + Send + 'static,
) -> Result<T, TransportError> {
    let gone = |source: io::Error| TransportError::Unreachable {
        remote: name.to_owned(),
        problem: "no thread for it".to_owned(),
        source: Arc::new(source),
    };
    let runtime = RUNTIME.as_ref().map_err(|error| gone(error.kind().into()))?;
    let (sender, receiver) = mpsc::sync_channel(1);
    runtime.spawn(async move {
        // Nobody is left to tell if the caller is gone.
        let _ = sender.send(future.await);
    });
    receiver
        .recv()
        .map_err(|_| gone(io::ErrorKind::Interrupted.into()))
}

impl Link for HttpLink {
    fn open(&self, service: Service, version_2: bool) -> Result<Box<dyn Conversation + '_>, TransportError> {
        let proof = self.proof();
        let answer = self.advertisement(service, version_2, proof.authorization.as_ref())?;
        Ok(Box::new(HttpConversation {
            link: self,
            proof,
            service,
            version_2,
            answer,
            answer_bytes_max: self.answer_bytes_max,
        }))
    }

    fn resume(&self, service: Service, version_2: bool) -> Option<Box<dyn Conversation + '_>> {
        Some(Box::new(HttpConversation {
            link: self,
            proof: self.proof(),
            service,
            version_2,
            answer: Answer::default(),
            answer_bytes_max: self.answer_bytes_max,
        }))
    }

    fn without_secrets(&self, text: &str) -> String {
        let proof = self.proof();
        Hiding::of(proof.credentials.iter().chain(&self.proxy)).without(text)
    }
}

struct HttpConversation<'l> {
    link: &'l HttpLink,
    /// The same from its beginning to its end.
    proof: Arc<Proof>,
    service: Service,
    version_2: bool,
    answer: Answer,
    /// So much of the next answer is read.
    answer_bytes_max: u64,
}

impl Conversation for HttpConversation<'_> {
    fn reader(&mut self) -> &mut dyn Read {
        &mut self.answer
    }

    fn bound(&mut self, bytes_max: u64) {
        self.answer_bytes_max = bytes_max;
    }

    fn send(&mut self, pieces: Vec<Piece>) -> Result<(), SendError> {
        let (link, service) = (self.link, self.service.name());
        let mut request = Request::new(Method::POST, HttpLink::url(&link.base(), service));
        set_headers(&mut request, self.version_2, self.proof.authorization.as_ref());
        for (header, what) in [(CONTENT_TYPE, "request"), (ACCEPT, "result")] {
            let value = HeaderValue::from_str(&format!("application/x-{service}-{what}"));
            request
                .headers_mut()
                .insert(header, value.expect("the names of services are plain"));
        }
        let answer = link.run(request, Some(pieces), Phase::Request, self.answer_bytes_max)?;
        let expected = format!("application/x-{service}-result");
        answer
            .expect_type(&link.name, &expected)
            .map_err(|error| SendError {
                error: link.fit_to_show(error),
                may_have_worked: true,
            })?;
        self.answer = answer;
        Ok(())
    }

    fn explain(&mut self, error: io::Error) -> TransportError {
        self.answer.explain(&self.link.name, &self.link.timeouts, error)
    }
}
