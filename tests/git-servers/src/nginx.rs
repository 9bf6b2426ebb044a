//! `nginx` with TLS and passwords before `git http-backend`, as many a company runs its own Git.

use crate::certificate::Authority;
use std::{
    fs,
    net::{TcpListener, TcpStream},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// A running `nginx` and the `fcgiwrap` behind it.
#[derive(Debug)]
pub struct NginxServer {
    port: u16,
    nginx: Child,
    fcgiwrap: Child,
    directory: tempfile::TempDir,
}

const START_WAIT: Duration = Duration::from_secs(30);
/// Somebody else may take the port between our choice and the server's start.
const STARTS: usize = 5;

impl NginxServer {
    /// Starts to serve the repositories below a directory, to one user only.
    ///
    /// # Panics
    /// If `nginx`, `fcgiwrap` or `openssl` is missing (`cargo xtask git-servers` installs them), or does not start.
    #[must_use]
    pub fn start(root: &Path, authority: &Authority, user: &str, password: &str) -> Self {
        let mut errors = String::new();
        for _ in 0..STARTS {
            let mut server = Self::spawn(root, authority, user, password);
            if server.is_up() {
                return server;
            }
            errors = server.errors();
        }
        panic!("nginx does not start: {errors}");
    }

    fn spawn(root: &Path, authority: &Authority, user: &str, password: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let path = |name: &str| directory.path().join(name);
        let write =
            |name: &str, content: &str| fs::write(path(name), content).expect("a file can be written");
        let (certificate, key) = authority.server_pem(&["localhost".to_owned()]);
        write("certificate.pem", &certificate);
        write("key.pem", &key);
        write("users", &format!("{user}:{}\n", hashed(password)));
        write("gitconfig", "[safe]\n\tdirectory = *\n");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener
            .local_addr()
            .expect("a bound socket has an address")
            .port();
        drop(listener);
        write("nginx.conf", &configuration(directory.path(), root, port));
        let started = |program: &str, args: &[String]| {
            let mut command = Command::new(system_program(program));
            let quiet = command
                .args(args)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            // A group of its own, which ends together.
            let child = quiet.process_group(0).spawn();
            child.unwrap_or_else(|error| panic!("{program}: {error}; run `cargo xtask git-servers`"))
        };
        let shown = |name: &str| path(name).to_string_lossy().into_owned();
        let socket = format!("unix:{}", shown("fcgi.sock"));
        let fcgiwrap = started("fcgiwrap", &["-c", "2", "-s", &socket].map(str::to_owned));
        let (configuration, errors) = (shown("nginx.conf"), shown("error.log"));
        let nginx = ["-c", &configuration, "-e", &errors].map(str::to_owned);
        Self {
            port,
            nginx: started("nginx", &nginx),
            fcgiwrap,
            directory,
        }
    }

    fn is_up(&mut self) -> bool {
        let socket = self.directory.path().join("fcgi.sock");
        let until = Instant::now() + START_WAIT;
        while Instant::now() < until && matches!(self.nginx.try_wait(), Ok(None)) {
            if socket.exists() && TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return true;
            }
            thread::sleep(Duration::from_millis(10));
        }
        false
    }

    /// Returns the URL of a repository.
    #[must_use]
    pub fn url(&self, repository: &str) -> String {
        format!("https://localhost:{}/{repository}", self.port)
    }

    /// Returns what the server noted about its errors.
    #[must_use]
    pub fn errors(&self) -> String {
        fs::read_to_string(self.directory.path().join("error.log")).unwrap_or_default()
    }
}

impl Drop for NginxServer {
    fn drop(&mut self) {
        for child in [&mut self.nginx, &mut self.fcgiwrap] {
            // With all their workers.
            let group = format!("-{}", child.id());
            let asked = Command::new("kill").args(["-TERM", "--", &group]).status();
            if !asked.is_ok_and(|status| status.success()) {
                let _ = child.kill();
            }
            let _ = child.wait();
        }
    }
}

/// Debian has servers where only root looks for programs.
fn system_program(name: &str) -> PathBuf {
    let system = Path::new("/usr/sbin").join(name);
    if system.exists() { system } else { name.into() }
}

/// Runs a small program and returns what it prints.
fn output(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}; run `cargo xtask git-servers`"));
    assert!(output.status.success(), "{program} {args:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn hashed(password: &str) -> String {
    output("openssl", &["passwd", "-apr1", password])
}

fn configuration(own: &Path, root: &Path, port: u16) -> String {
    let backend = Path::new(&crate::git(root, &["--exec-path"])).join("git-http-backend");
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {}/{kind};\n", own.display()))
        .concat();
    format!(
        "user {user} {group};
daemon off;
worker_processes 1;
pid {own}/nginx.pid;
events {{ worker_connections 64; }}
http {{
    access_log off;
    {temporary}
    server {{
        listen 127.0.0.1:{port} ssl;
        server_name localhost;
        ssl_certificate {own}/certificate.pem;
        ssl_certificate_key {own}/key.pem;
        client_max_body_size 0;
        auth_basic git;
        auth_basic_user_file {own}/users;
        location / {{
            fastcgi_pass unix:{own}/fcgi.sock;
            fastcgi_param SCRIPT_FILENAME {backend};
            fastcgi_param GIT_PROJECT_ROOT {root};
            fastcgi_param GIT_HTTP_EXPORT_ALL 1;
            fastcgi_param GIT_CONFIG_GLOBAL {own}/gitconfig;
            fastcgi_param GIT_CONFIG_NOSYSTEM 1;
            fastcgi_param GIT_PROTOCOL $http_git_protocol;
            fastcgi_param HTTP_CONTENT_ENCODING $http_content_encoding;
            fastcgi_param PATH_INFO $uri;
            fastcgi_param QUERY_STRING $query_string;
            fastcgi_param REQUEST_METHOD $request_method;
            fastcgi_param CONTENT_TYPE $content_type;
            fastcgi_param CONTENT_LENGTH $content_length;
            fastcgi_param REMOTE_USER $remote_user;
            fastcgi_param REMOTE_ADDR $remote_addr;
        }}
    }}
}}
",
        // Repositories of tests belong to whoever runs them, which may be root.
        user = output("id", &["-un"]),
        group = output("id", &["-gn"]),
        own = own.display(),
        root = root.display(),
        backend = backend.display(),
    )
}
