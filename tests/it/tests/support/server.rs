//! The process under test: started, asked, stopped and killed.

use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

/// One request may take so long; far more than any does.
const REQUEST_WITHIN: Duration = Duration::from_secs(30);
/// So much of the log is shown when a test fails.
const SHOWN_LINES: usize = 60;

/// Path of the product's binary with crash points switched on.
pub(crate) fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_kbc-mirror-under-test"))
}

/// A command of the product's binary, in an environment without proxies and crash points.
pub(crate) fn command() -> Command {
    let mut command = Command::new(binary());
    for name in [
        mirror_runtime::crash::VARIABLE,
        "http_proxy",
        "HTTP_PROXY",
        "all_proxy",
        "ALL_PROXY",
    ] {
        command.env_remove(name);
    }
    command
}

/// How a command that was run to its end ended.
#[derive(Debug)]
pub(crate) struct Output {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// Returns the standard output of a command that must have ended well.
    ///
    /// # Panics
    /// If it did not.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert!(
            self.status.success(),
            "{}\n{}\n{}",
            self.status,
            self.stdout,
            self.stderr
        );
        self.stdout
    }
}

/// Runs a command to its end, however it ends. The fake Keboola that it may call runs in the test's
/// own runtime, which therefore must be a multi-threaded one.
pub(crate) fn run(command: &mut Command) -> Output {
    let output = tokio::task::block_in_place(|| command.output());
    let output = output.expect("the program can be started");
    Output {
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// An answer of the HTTP listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub status: u16,
    pub body: String,
}

impl Answer {
    /// Returns the body as JSON; null if it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }
}

/// A running `serve`. It is killed when it is dropped; if the test is failing then, its log is shown.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    name: String,
    log: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
    http: reqwest::Client,
    token: String,
    /// None until the process has said where it listens.
    address: Option<String>,
}

impl Server {
    /// Starts a process that logs JSON lines to standard error. Use `Installation::start` instead,
    /// which also waits until it listens.
    pub(crate) fn spawn(command: &mut Command, name: String, token: String) -> Self {
        let spawned = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = spawned.expect("the program can be started");
        let stderr = child.stderr.take().expect("standard error is piped");
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = Arc::clone(&log);
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(REQUEST_WITHIN)
            .build()
            .expect("the client's settings are fine");
        Self {
            child,
            name,
            log,
            reader: Some(reader),
            http,
            token,
            address: None,
        }
    }

    /// Waits until the process listens; false if it ended before it did.
    pub(crate) async fn listening(&mut self) -> bool {
        let found = super::until("the process listens", async || {
            let address = self
                .logged("listening")
                .first()
                .and_then(|line| line["address"].as_str().map(str::to_owned));
            match address {
                Some(address) => Some(Some(address)),
                None => self.is_over().then_some(None),
            }
        });
        self.address = found.await;
        self.address.is_some()
    }

    /// Returns the lines of the log so far, as they were written.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the log's lines with this message.
    pub(crate) fn logged(&self, message: &str) -> Vec<Value> {
        let lines = self.log();
        let parsed = lines
            .iter()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        parsed.filter(|line| line["message"] == message).collect()
    }

    /// Returns the address that the process listens on, such as `127.0.0.1:40123`.
    ///
    /// # Panics
    /// Before it was seen to listen.
    pub(crate) fn address(&self) -> &str {
        self.address.as_deref().expect("the process listens")
    }

    /// Returns the process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Posts events (one JSON object, or an array of them) with the ingest token.
    ///
    /// # Errors
    /// A connection that cannot be made or breaks: the process may be gone.
    pub(crate) async fn post(&self, body: &str) -> reqwest::Result<Answer> {
        let url = format!("http://{}/v1/events", self.address());
        let sent = self.http.post(url).bearer_auth(&self.token).body(body.to_owned());
        answer(sent.send().await?).await
    }

    /// Gets a page, with the ingest token.
    ///
    /// # Errors
    /// As `post`.
    pub(crate) async fn get(&self, path: &str) -> reqwest::Result<Answer> {
        let url = format!("http://{}{path}", self.address());
        answer(self.http.get(url).bearer_auth(&self.token).send().await?).await
    }

    /// Returns the page `/v1/status`; null if the process cannot be asked.
    pub(crate) async fn status(&self) -> Value {
        match self.get("/v1/status").await {
            Ok(answer) => answer.json(),
            Err(_) => Value::Null,
        }
    }

    /// Returns what `/v1/status` says of the lane of a Keboola branch; null if there is none.
    pub(crate) async fn lane(&self, branch: &str) -> Value {
        let status = self.status().await;
        let lanes = status["lanes"].as_array().cloned().unwrap_or_default();
        let of_branch = |lane: &Value| lane["branchId"] == branch;
        lanes.into_iter().find(of_branch).unwrap_or(Value::Null)
    }

    /// Returns the value of a metric with exactly these labels, such as
    /// `retry_success_within_3h` or `events_total{kind="x"}`; none if it is not there.
    pub(crate) async fn metric(&self, name: &str) -> Option<f64> {
        let page = self.get("/metrics").await.ok()?.body;
        let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
        page.lines().find_map(value)
    }

    /// Whether the process has ended.
    pub(crate) fn is_over(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Waits until the process has ended by itself.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let status = super::until("the process ends", async || {
            self.child.try_wait().expect("the child can be asked")
        });
        let status = status.await;
        self.read_to_end();
        status
    }

    /// Waits until the process has ended by itself, which must be by SIGKILL.
    pub(crate) async fn was_killed(&mut self) {
        let status = self.ended().await;
        assert_eq!(status.signal(), Some(9), "the process ended by itself: {status}");
    }

    /// Kills the process with SIGKILL and waits for its end.
    pub(crate) fn kill(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
        self.read_to_end();
    }

    /// Suspends the process, or lets it go on.
    pub(crate) fn suspend(&self, suspended: bool) {
        suspend(self.child.id(), suspended);
    }

    /// Stops the process as a service manager would, once it has started; it must end well.
    pub(crate) async fn stop(mut self) {
        super::until("the process has started", async || {
            (!self.logged("started").is_empty()).then_some(())
        })
        .await;
        let pid = self.child.id().to_string();
        run(Command::new("kill").args(["-TERM", &pid])).ok();
        let status = self.ended().await;
        assert!(status.success(), "stopping ended with {status}");
    }

    /// The reader ends with the pipe, which ends with the process.
    fn read_to_end(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the reader does not panic");
        }
    }
}

impl Drop for Server {
    #[expect(clippy::print_stderr, reason = "what a failing test shows")]
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let lines = self.log();
            let skipped = lines.len().saturating_sub(SHOWN_LINES);
            eprintln!("--- log of {} ({skipped} lines before) ---", self.name);
            for line in &lines[skipped..] {
                eprintln!("{line}");
            }
        }
    }
}

async fn answer(response: reqwest::Response) -> reqwest::Result<Answer> {
    Ok(Answer {
        status: response.status().as_u16(),
        body: response.text().await?,
    })
}

/// A path as text.
///
/// # Panics
/// If it is not UTF-8, which temporary directories are.
pub(crate) fn text(path: PathBuf) -> String {
    path.into_os_string().into_string().expect("the path is UTF-8")
}

/// Suspends a process that is a child of this one, as a laptop's lid or a virtual machine's host does, or lets it go on.
pub(crate) fn suspend(process: u32, suspended: bool) {
    let process = Pid::from_raw(i32::try_from(process).expect("process ids are small"));
    let signal = if suspended {
        Signal::SIGSTOP
    } else {
        Signal::SIGCONT
    };
    signal::kill(process, signal).expect("a child may be sent signals");
}
