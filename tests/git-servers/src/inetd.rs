//! Servers that speak on their standard input and output: one process for each connection that comes in here, so that
//! no port is raced for, and nothing is left running.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::OwnedFd,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

/// A listener that starts a process for each connection.
#[derive(Debug)]
pub(crate) struct Inetd {
    address: SocketAddr,
    stopping: Arc<AtomicBool>,
    children: Arc<Mutex<Vec<Child>>>,
    accepting: Option<JoinHandle<()>>,
}

impl Inetd {
    pub(crate) fn start(command: impl Fn() -> Command + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let stopping = Arc::new(AtomicBool::new(false));
        let children = Arc::new(Mutex::new(Vec::new()));
        let (stop, started) = (Arc::clone(&stopping), Arc::clone(&children));
        let accepting = thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let child = spawn(command(), &stream);
                let mut started = started.lock().unwrap_or_else(PoisonError::into_inner);
                started.retain_mut(|child: &mut Child| matches!(child.try_wait(), Ok(None)));
                started.push(child);
            }
        });
        Self {
            address,
            stopping,
            children,
            accepting: Some(accepting),
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }
}

fn spawn(mut command: Command, stream: &TcpStream) -> Child {
    let end = || Stdio::from(OwnedFd::from(stream.try_clone().expect("a socket can be shared")));
    let child = command.stdin(end()).stdout(end()).stderr(Stdio::null()).spawn();
    child.expect("the server's program is installed; run `cargo xtask setup`")
}

impl Drop for Inetd {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        // Wakes the listener up.
        drop(TcpStream::connect(self.address));
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
        for child in self
            .children
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter_mut()
        {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// `git daemon`, which anybody may push to.
#[derive(Debug)]
pub struct GitDaemon(Inetd);

impl GitDaemon {
    /// Starts to serve all repositories below a directory.
    #[must_use]
    pub fn start(root: &Path) -> Self {
        let root = root.to_owned();
        Self(Inetd::start(move || {
            let mut command = crate::repositories::plain_git();
            command.args([
                "daemon",
                "--inetd",
                "--export-all",
                "--enable=receive-pack",
                "--informative-errors",
            ]);
            command.arg(format!("--base-path={}", root.display())).arg(&root);
            command
        }))
    }

    /// Returns the URL of a repository.
    #[must_use]
    pub fn url(&self, repository: &str) -> String {
        format!("git://127.0.0.1:{}/{repository}", self.0.port())
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.port()
    }
}
