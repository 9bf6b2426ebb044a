//! A mail server that keeps what it took (Python's `aiosmtpd`, which `cargo xtask setup` installs).

use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError, mpsc},
};

/// A running mail server. It ends when it is dropped, or with the test's process.
#[derive(Debug)]
pub(crate) struct MailServer {
    child: Child,
    port: u64,
    taken: Arc<Mutex<Vec<Value>>>,
}

impl MailServer {
    /// Starts a server; for the settings see `mail_server.py`.
    ///
    /// # Panics
    /// If Python or its package is missing.
    pub(crate) fn start(settings: &Value) -> Self {
        let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("test-tools");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/mail_server.py");
        let mut child = Command::new("python3")
            .arg(script)
            .arg(settings.to_string())
            .env("PYTHONPATH", tools.join("python"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("`python3` can be run");
        let lines = BufReader::new(child.stdout.take().expect("standard output is piped")).lines();
        let (first, port) = mpsc::channel();
        let taken = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&taken);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let line: Value = serde_json::from_str(&line).expect("the server writes JSON");
                match line["port"].as_u64() {
                    Some(port) => first.send(port).expect("the test waits for it"),
                    None => kept.lock().unwrap_or_else(PoisonError::into_inner).push(line),
                }
            }
        });
        let port = port
            .recv()
            .expect("the mail server starts; `cargo xtask setup` installs what it needs");
        Self { child, port, taken }
    }

    /// One that takes everything, unencrypted.
    pub(crate) fn open() -> Self {
        Self::start(&json!({}))
    }

    /// Returns the table `notify.smtp` for it, with further lines.
    pub(crate) fn table(&self, more: &str) -> String {
        format!(
            "[notify.smtp]\nhost = \"localhost\"\nport = {}\nfrom = \"mirror@example.com\"\n{more}\n",
            self.port
        )
    }

    /// Returns what it took so far.
    pub(crate) fn taken(&self) -> Vec<Value> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
