//! `git http-backend` behind a small web server.

use crate::{
    certificate::Authority,
    fault::{Fault, On},
    repositories::plain_git,
};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, combinators::BoxBody};
use hyper::{
    Request, Response,
    body::{Frame, Incoming},
    header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use std::{
    collections::{HashMap, VecDeque},
    convert::Infallible,
    io::{self, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    pin::Pin,
    process::{Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    task::spawn_blocking,
};

/// What somebody with these credentials may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Nothing,
    Read,
    Write,
}

/// How a server is set up.
#[derive(Debug)]
pub struct HttpOptions {
    /// With TLS, if there is an authority to sign the certificate.
    pub authority: Option<Arc<Authority>>,
    /// The names in the certificate.
    pub names: Vec<String>,
    /// What those may do who prove nothing.
    pub anonymous: Access,
    /// By the value of the `Authorization` header.
    pub accounts: HashMap<String, Access>,
    /// Bodies over this are refused, as web servers do; none takes any.
    pub body_bytes_max: Option<usize>,
    /// Whether requests without a length are refused, as some proxies do.
    pub refuse_chunked: bool,
    /// Whether version 2 of the protocol is understood.
    pub protocol_version_2: bool,
    /// What the server says it can do when it is pushed to, beside what Git says.
    pub offers: Vec<&'static str>,
    /// What it does not say although Git does.
    pub conceals: Vec<&'static str>,
    /// The same when it is read from, in either version of the protocol.
    pub conceals_reading: Vec<&'static str>,
    /// Whether answers are compressed although nobody asked for that.
    pub compresses: bool,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            authority: None,
            names: vec!["localhost".to_owned(), "127.0.0.1".to_owned()],
            anonymous: Access::Write,
            accounts: HashMap::new(),
            body_bytes_max: None,
            refuse_chunked: true,
            protocol_version_2: true,
            offers: Vec::new(),
            conceals: Vec::new(),
            conceals_reading: Vec::new(),
            compresses: false,
        }
    }
}

impl HttpOptions {
    /// Adds somebody with a user name and a password.
    #[must_use]
    pub fn account(mut self, user: &str, password: &str, access: Access) -> Self {
        let pair = data_encoding::BASE64.encode(format!("{user}:{password}").as_bytes());
        self.accounts.insert(format!("Basic {pair}"), access);
        self
    }
}

/// A request that came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub method: String,
    /// With the query.
    pub path: String,
    pub authorization: Option<String>,
    pub protocol: Option<String>,
    pub body: Bytes,
}

/// A running server.
#[derive(Debug)]
pub struct HttpServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    scheme: &'static str,
    /// Dropped in the background: whoever drops the server may be in a runtime of its own.
    runtime: Option<Runtime>,
}

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    options: HttpOptions,
    /// As the options have them, until they are changed.
    accounts: Mutex<HashMap<String, Access>>,
    faults: Mutex<VecDeque<(On, Fault)>>,
    seen: Mutex<Vec<Seen>>,
}

type Body = BoxBody<Bytes, io::Error>;

impl HttpServer {
    /// Starts to serve all repositories below a directory.
    ///
    /// # Panics
    /// If there is no port or no thread for it.
    #[must_use]
    pub fn start(root: &Path, options: HttpOptions) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime can be made");
        let acceptor = options
            .authority
            .as_ref()
            .map(|authority| authority.acceptor(&options.names));
        let scheme = if acceptor.is_some() { "https" } else { "http" };
        let shared = Arc::new(Shared {
            root: root.to_owned(),
            accounts: Mutex::new(options.accounts.clone()),
            options,
            faults: Mutex::default(),
            seen: Mutex::default(),
        });
        let listener = runtime
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .expect("a port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let serving = Arc::clone(&shared);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (shared, acceptor) = (Arc::clone(&serving), acceptor.clone());
                tokio::spawn(async move {
                    let service = service_fn(move |request| answer(Arc::clone(&shared), request));
                    // That a connection fails is what the tests are about.
                    match acceptor {
                        None => drop(
                            http1::Builder::new()
                                .serve_connection(TokioIo::new(stream), service)
                                .await,
                        ),
                        Some(acceptor) => {
                            let Ok(stream) = acceptor.accept(stream).await else {
                                return;
                            };
                            drop(
                                http1::Builder::new()
                                    .serve_connection(TokioIo::new(stream), service)
                                    .await,
                            );
                        }
                    }
                });
            }
        });
        Self {
            address,
            shared,
            scheme,
            runtime: Some(runtime),
        }
    }

    /// Returns the URL of a repository.
    #[must_use]
    pub fn url(&self, repository: &str) -> String {
        let host = if self.scheme == "https" {
            "localhost"
        } else {
            "127.0.0.1"
        };
        format!("{}://{host}:{}/{repository}", self.scheme, self.address.port())
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Lets the next such request fail; several faults meet one request each, in their order.
    pub fn fail_next(&self, on: On, fault: Fault) {
        self.lock(&self.shared.faults).push_back((on, fault));
    }

    /// Returns whether every fault has met its request.
    #[must_use]
    pub fn faults_are_used(&self) -> bool {
        self.lock(&self.shared.faults).is_empty()
    }

    /// Forgets the faults that have not met a request.
    pub fn forget_faults(&self) {
        self.lock(&self.shared.faults).clear();
    }

    /// Lets somebody with a user name and a password push from now on, and nobody else.
    pub fn let_in_only(&self, user: &str, password: &str) {
        let accounts = HttpOptions::default()
            .account(user, password, Access::Write)
            .accounts;
        *self.lock(&self.shared.accounts) = accounts;
    }

    /// Returns the requests so far, and forgets them.
    #[must_use]
    pub fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.lock(&self.shared.seen))
    }

    fn lock<'m, T>(&self, mutex: &'m Mutex<T>) -> std::sync::MutexGuard<'m, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn kind_of(method: &str, path: &str) -> On {
    match (method, path) {
        ("GET", path) if path.ends_with("service=git-upload-pack") => On::AdvertiseRead,
        ("GET", path) if path.ends_with("service=git-receive-pack") => On::AdvertiseWrite,
        ("POST", path) if path.ends_with("/git-upload-pack") => On::Read,
        ("POST", path) if path.ends_with("/git-receive-pack") => On::Write,
        _ => On::Any,
    }
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Body>, io::Error> {
    let header = |name: &str| {
        let value = request.headers().get(name)?;
        Some(value.to_str().unwrap_or_default().to_owned())
    };
    let path = request
        .uri()
        .path_and_query()
        .map(ToString::to_string)
        .unwrap_or_default();
    let method = request.method().to_string();
    let kind = kind_of(&method, &path);
    let mut seen = Seen {
        method: method.clone(),
        path: path.clone(),
        authorization: header(AUTHORIZATION.as_str()),
        protocol: header("git-protocol"),
        body: Bytes::new(),
    };
    let fault = {
        let mut faults = shared.faults.lock().unwrap_or_else(PoisonError::into_inner);
        let meets = |(on, _): &(On, Fault)| *on == kind || *on == On::Any;
        let found = faults.iter().position(meets);
        found
            .and_then(|found| faults.remove(found))
            .map(|(_, fault)| fault)
    };
    let note = |seen: Seen| {
        shared
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(seen);
    };
    let cut = || io::Error::from(io::ErrorKind::ConnectionReset);
    let (parts, mut incoming) = request.into_parts();
    let length: Option<usize> = parts
        .headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok());
    let body_max = match fault {
        Some(Fault::CutBeforeBody) => {
            note(seen);
            return Err(cut());
        }
        Some(Fault::CutInBody(bytes)) => Some(bytes),
        _ => None,
    };
    if let Some(limit) = shared.options.body_bytes_max
        && length.is_some_and(|length| length > limit)
    {
        note(seen);
        return Ok(plain(
            413,
            "text/html",
            "<html><h1>413 Request Entity Too Large</h1></html>",
        ));
    }
    let mut body = BytesMut::new();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|_| cut())?;
        if let Ok(data) = frame.into_data() {
            body.extend_from_slice(&data);
        }
        if body_max.is_some_and(|most| body.len() >= most) {
            break;
        }
    }
    let body = body.freeze();
    seen.body = body.clone();
    note(seen.clone());
    match &fault {
        Some(Fault::CutInBody(_) | Fault::CutAfterBody) => return Err(cut()),
        Some(Fault::Hang) => std::future::pending::<()>().await,
        Some(Fault::Answer {
            status,
            headers,
            body,
        }) => {
            let mut response = Response::builder().status(*status);
            for (name, value) in headers {
                response = response.header(*name, value);
            }
            return Ok(response
                .body(full(body.clone().into()))
                .expect("a fault's answer is valid"));
        }
        _ => {}
    }
    if shared.options.refuse_chunked && parts.headers.contains_key(TRANSFER_ENCODING) {
        return Ok(plain(411, "text/plain", "a length is required"));
    }
    let access = match &seen.authorization {
        None => shared.options.anonymous,
        Some(value) => {
            let accounts = shared.accounts.lock().unwrap_or_else(PoisonError::into_inner);
            accounts.get(value).copied().unwrap_or(Access::Nothing)
        }
    };
    let is_write = matches!(kind, On::Write | On::AdvertiseWrite);
    match access {
        Access::Write => {}
        Access::Read if !is_write => {}
        Access::Read if seen.authorization.is_some() => {
            return Ok(plain(
                403,
                "text/plain",
                "You are not allowed to push to this repository.",
            ));
        }
        Access::Nothing | Access::Read => {
            let mut response = plain(401, "text/plain", "Authentication required");
            let challenge = "Basic realm=\"git\"".parse().expect("a fixed header is valid");
            response.headers_mut().insert("www-authenticate", challenge);
            return Ok(response);
        }
    }
    let content_type = parts
        .headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let encoding = parts
        .headers
        .get(CONTENT_ENCODING)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let call = Call {
        root: shared.root.clone(),
        method,
        path,
        content_type: content_type.to_owned(),
        encoding: encoding.to_owned(),
        length,
        protocol: seen.protocol.filter(|_| shared.options.protocol_version_2),
        body,
    };
    let output = spawn_blocking(move || call.run())
        .await
        .map_err(io::Error::other)??;
    let (status, mut headers, mut content) = parse_cgi(&output)?;
    if status == 200 {
        let options = &shared.options;
        content = match kind {
            On::AdvertiseWrite => advertise(&content, &options.offers, &options.conceals),
            On::AdvertiseRead => advertise(&content, &[], &options.conceals_reading),
            On::Read | On::Write | On::Any => content,
        };
    }
    if shared.options.compresses {
        content = gzip(&content)?;
        headers.push((CONTENT_ENCODING.to_string(), "gzip".to_owned()));
    }
    match fault {
        Some(Fault::CutBeforeAnswer) => return Err(cut()),
        Some(Fault::HangAfterwards) => std::future::pending::<()>().await,
        Some(Fault::AnswerAfterwards { status }) => {
            return Ok(plain(status, "text/html", "<html><h1>Bad Gateway</h1></html>"));
        }
        _ => {}
    }
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    let body = match fault {
        Some(Fault::CutInAnswer(bytes)) => broken(content.slice(..bytes.min(content.len())), After::Cut),
        Some(Fault::HangInAnswer(bytes)) => broken(content.slice(..bytes.min(content.len())), After::Hang),
        _ => full(content),
    };
    response.body(body).map_err(io::Error::other)
}

/// Changes what an advertisement says that the server can do: what stands behind the first ref, or since version 2 what
/// `fetch` can do.
fn advertise(content: &[u8], offers: &[&str], conceals: &[&str]) -> Bytes {
    if offers.is_empty() && conceals.is_empty() {
        return Bytes::copy_from_slice(content);
    }
    let changed = |words: &[u8]| {
        let words = String::from_utf8_lossy(words).into_owned();
        let kept = words.split_whitespace().filter(|word| !conceals.contains(word));
        kept.chain(offers.iter().copied()).collect::<Vec<_>>().join(" ")
    };
    let mut out = Vec::with_capacity(content.len());
    let mut rest = content;
    while let Some((length, behind)) = rest.split_at_checked(4) {
        let digits = std::str::from_utf8(length).expect("a packet has a length");
        let length_of_line = usize::from_str_radix(digits, 16).expect("a packet has a length");
        let (line, behind) = behind.split_at(length_of_line.saturating_sub(4));
        rest = behind;
        let (head, words) = match line.iter().position(|byte| *byte == 0) {
            Some(zero) => line.split_at(zero + 1),
            None if line.starts_with(b"fetch=") => line.split_at(b"fetch=".len()),
            None => {
                out.extend_from_slice(length);
                out.extend_from_slice(line);
                continue;
            }
        };
        let line = [head, changed(words).as_bytes(), b"\n"].concat();
        out.extend_from_slice(format!("{:04x}", line.len() + 4).as_bytes());
        out.extend_from_slice(&line);
    }
    out.into()
}

fn gzip(content: &[u8]) -> io::Result<Bytes> {
    let mut child = Command::new("gzip")
        .args(["-1", "-c"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().expect("its input was asked for");
    let content = content.to_vec();
    let feeding = std::thread::spawn(move || stdin.write_all(&content));
    let output = child.wait_with_output()?;
    feeding.join().expect("feeding does not panic")?;
    Ok(output.stdout.into())
}

fn plain(status: u16, content_type: &str, body: &str) -> Response<Body> {
    let response = Response::builder()
        .status(status)
        .header(CONTENT_TYPE, content_type);
    response
        .body(full(body.to_owned().into()))
        .expect("a plain answer is valid")
}

fn full(content: Bytes) -> Body {
    http_body_util::Full::new(content)
        .map_err(|never: Infallible| match never {})
        .boxed()
}

/// What follows the first part of an answer.
#[derive(Debug, Clone, Copy)]
enum After {
    Cut,
    Hang,
}

fn broken(first: Bytes, after: After) -> Body {
    Broken {
        first: Some(first),
        after,
    }
    .boxed()
}

struct Broken {
    first: Option<Bytes>,
    after: After,
}

impl hyper::body::Body for Broken {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match (self.first.take(), self.after) {
            (Some(first), _) => {
                context.waker().wake_by_ref();
                Poll::Ready(Some(Ok(Frame::data(first))))
            }
            (None, After::Cut) => Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into()))),
            (None, After::Hang) => Poll::Pending,
        }
    }
}

/// One call of `git http-backend`.
struct Call {
    root: PathBuf,
    method: String,
    path: String,
    content_type: String,
    encoding: String,
    length: Option<usize>,
    protocol: Option<String>,
    body: Bytes,
}

impl Call {
    fn run(self) -> io::Result<Vec<u8>> {
        let (path, query) = self.path.split_once('?').unwrap_or((&self.path, ""));
        let mut command = plain_git();
        command
            .arg("http-backend")
            .env("GIT_PROJECT_ROOT", &self.root)
            .env("GIT_HTTP_EXPORT_ALL", "1")
            .env("PATH_INFO", path)
            .env("QUERY_STRING", query)
            .env("REQUEST_METHOD", &self.method)
            .env("CONTENT_TYPE", &self.content_type)
            .env("REMOTE_USER", "somebody")
            .env("REMOTE_ADDR", "127.0.0.1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(length) = self.length {
            command.env("CONTENT_LENGTH", length.to_string());
        }
        if !self.encoding.is_empty() {
            command.env("HTTP_CONTENT_ENCODING", &self.encoding);
        }
        if let Some(protocol) = &self.protocol {
            command.env("GIT_PROTOCOL", protocol);
        }
        let mut child = command.spawn()?;
        let mut stdin = child.stdin.take().expect("its input was asked for");
        let body = self.body;
        let feeding = std::thread::spawn(move || {
            // A backend that fails early does not read it all.
            let _ = stdin.write_all(&body);
        });
        let output = child.wait_with_output()?;
        let _ = feeding.join();
        Ok(output.stdout)
    }
}

type Cgi = (u16, Vec<(String, String)>, Bytes);

fn parse_cgi(output: &[u8]) -> io::Result<Cgi> {
    let end = output.windows(4).position(|window| window == b"\r\n\r\n");
    let end = end.ok_or_else(|| io::Error::other("the backend gave no answer"))?;
    let head = String::from_utf8_lossy(&output[..end]);
    let mut status = 200;
    let mut headers = Vec::new();
    for line in head.split("\r\n") {
        let (name, value) = line.split_once(": ").unwrap_or((line, ""));
        if name.eq_ignore_ascii_case("status") {
            status = value
                .split(' ')
                .next()
                .and_then(|code| code.parse().ok())
                .unwrap_or(500);
        } else {
            headers.push((name.to_owned(), value.to_owned()));
        }
    }
    Ok((status, headers, Bytes::copy_from_slice(&output[end + 4..])))
}
