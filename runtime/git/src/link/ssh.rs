//! SSH through the `ssh` program, with a key and host keys of our own and nothing else: no agent, no configuration of
//! the user or the machine, no forwarding, no question at a terminal.

mod key_file;
mod words;

use super::{
    Conversation, Link, Service, Timeouts,
    duplex::{Duplex, Ending},
    git_daemon::resolve,
};
use crate::{
    address::AddressPolicy,
    credential::Credential,
    repository_url::RepositoryUrl,
    transport_error::{SAID_CHARS_MAX, TransportError, clean},
};
use key_file::KeyFiles;
use secrecy::{ExposeSecret, SecretString};
use std::{
    fmt,
    io::{self, Read},
    net::{IpAddr, SocketAddr, TcpStream},
    process::{Child, ChildStderr, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

/// A repository behind an SSH server.
pub(crate) struct SshLink {
    url: RepositoryUrl,
    user: String,
    /// What the next connection is made with.
    keys: Mutex<Arc<Keys>>,
    addresses: AddressPolicy,
    timeouts: Timeouts,
    answer_bytes_max: u64,
}

impl fmt::Debug for SshLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SshLink")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// A key, and those of the servers that it is shown to.
struct Keys {
    private_key: SecretString,
    known_hosts: String,
}

/// The name that forges expect.
const DEFAULT_USER: &str = "git";

impl Keys {
    fn of(remote: &str, credential: Option<Credential>) -> Result<Self, TransportError> {
        let refuse = |problem: &str| TransportError::Settings {
            remote: remote.to_owned(),
            problem: problem.to_owned(),
        };
        let Some(Credential::SshKey {
            private_key,
            known_hosts,
        }) = credential
        else {
            return Err(refuse("an ssh: URL needs a private key and `known_hosts`"));
        };
        let key = private_key.expose_secret();
        // Both ends: a key that is being written has no second one yet.
        let ends = key
            .lines()
            .any(|line| line.starts_with("-----END ") && line.contains("PRIVATE KEY-----"));
        if !key.contains("-----BEGIN ") || !key.contains("PRIVATE KEY-----") || !ends {
            return Err(refuse("the private key is not in the format of ssh-keygen"));
        }
        let is_entry = |line: &str| {
            let line = line.trim();
            !line.is_empty() && !line.starts_with('#')
        };
        if !known_hosts.lines().any(is_entry) {
            return Err(refuse(
                "`known_hosts` is empty; put the server's key there, as `ssh-keyscan` prints it once you have checked it",
            ));
        }
        Ok(Self {
            private_key,
            known_hosts,
        })
    }
}

impl SshLink {
    pub(crate) fn new(
        url: RepositoryUrl,
        credential: Option<Credential>,
        addresses: AddressPolicy,
        timeouts: Timeouts,
        answer_bytes_max: u64,
    ) -> Result<Self, TransportError> {
        let keys = Keys::of(&url.to_string(), credential)?;
        let user = url.user.clone().unwrap_or_else(|| DEFAULT_USER.to_owned());
        Ok(Self {
            user,
            keys: Mutex::new(Arc::new(keys)),
            addresses,
            timeouts,
            answer_bytes_max,
            url,
        })
    }

    /// Connects with another key from now on. Connections that there are go on.
    pub(crate) fn renew(&self, credential: Credential) -> Result<(), TransportError> {
        let keys = Keys::of(&self.url.to_string(), Some(credential))?;
        *self.keys.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        Ok(())
    }

    /// The name under which the server's key is looked up, as `known_hosts` has it.
    fn host_key_alias(&self) -> String {
        match self.url.port {
            Some(port) => format!("[{}]:{port}", self.url.bare_host()),
            None => self.url.bare_host().to_owned(),
        }
    }

    fn command(&self, service: Service, address: IpAddr, files: &KeyFiles, version_2: bool) -> Command {
        let mut command = Command::new("ssh");
        // The environment may name an agent, a wrapper or a display.
        command.env_clear();
        for name in ["PATH", "HOME", "TMPDIR"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.env("LC_ALL", "C");
        // No file of the user or the machine is read.
        command.arg("-F").arg("/dev/null");
        command.args(["-T", "-a", "-x"]);
        let seconds = self.timeouts.connect.as_secs().max(1);
        let options = [
            "BatchMode=yes".to_owned(),
            "StrictHostKeyChecking=yes".to_owned(),
            "GlobalKnownHostsFile=/dev/null".to_owned(),
            "UpdateHostKeys=no".to_owned(),
            "VerifyHostKeyDNS=no".to_owned(),
            "CheckHostIP=no".to_owned(),
            "NoHostAuthenticationForLocalhost=no".to_owned(),
            "IdentitiesOnly=yes".to_owned(),
            "IdentityAgent=none".to_owned(),
            "AddKeysToAgent=no".to_owned(),
            "PreferredAuthentications=publickey".to_owned(),
            "PasswordAuthentication=no".to_owned(),
            "KbdInteractiveAuthentication=no".to_owned(),
            "ForwardAgent=no".to_owned(),
            "ClearAllForwardings=yes".to_owned(),
            "PermitLocalCommand=no".to_owned(),
            "ProxyCommand=none".to_owned(),
            "ControlMaster=no".to_owned(),
            "ControlPath=none".to_owned(),
            "Tunnel=no".to_owned(),
            "LogLevel=ERROR".to_owned(),
            "ServerAliveInterval=15".to_owned(),
            "ServerAliveCountMax=4".to_owned(),
            "ConnectionAttempts=1".to_owned(),
            format!("ConnectTimeout={seconds}"),
            // The address that was checked is the one that is connected to, whatever its name says next.
            format!("HostName={address}"),
            format!("HostKeyAlias={}", self.host_key_alias()),
            format!("UserKnownHostsFile={}", files.known_hosts().display()),
        ];
        for option in options {
            command.arg("-o").arg(option);
        }
        if version_2 {
            command.env("GIT_PROTOCOL", "version=2");
            command.args(["-o", "SendEnv=GIT_PROTOCOL"]);
        }
        command.arg("-i").arg(files.private_key());
        command.arg("-p").arg(self.url.port_or_default().to_string());
        command.arg("-l").arg(&self.user);
        command.arg("--").arg(self.url.bare_host());
        // `/~user/repository` is what `~user/repository` is for the shell at the other end.
        let path = self
            .url
            .path
            .strip_prefix("/~")
            .map_or_else(|| self.url.path.clone(), |rest| format!("~{rest}"));
        command.arg(format!("{} {}", service.name(), quoted(&path)));
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}

/// Returns the first address that answers. `ssh` is given one, so of several it is asked beforehand; if none answers it
/// is for `ssh` to say why.
fn reachable(addresses: &[SocketAddr], patience: Duration) -> Option<SocketAddr> {
    let (first, others) = addresses.split_first()?;
    if others.is_empty() {
        return Some(*first);
    }
    let answers = |address: &&SocketAddr| TcpStream::connect_timeout(address, patience).is_ok();
    Some(*addresses.iter().find(answers).unwrap_or(first))
}

/// Quotes a word for the shell at the other end.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''").replace('!', r"'\!'"))
}

impl Link for SshLink {
    fn open(&self, service: Service, version_2: bool) -> Result<Box<dyn Conversation + '_>, TransportError> {
        let remote = self.url.to_string();
        let unusable = |problem: &str| TransportError::Settings {
            remote: remote.clone(),
            problem: problem.to_owned(),
        };
        let addresses = resolve(&self.url, &self.addresses)?;
        let address = reachable(&addresses, self.timeouts.connect);
        let address = address.ok_or_else(|| TransportError::Unreachable {
            remote: remote.clone(),
            problem: "its name has no address".to_owned(),
            source: Arc::new(io::ErrorKind::HostUnreachable.into()),
        })?;
        let keys = Arc::clone(&self.keys.lock().unwrap_or_else(PoisonError::into_inner));
        let files = KeyFiles::create(keys.private_key.expose_secret(), &keys.known_hosts)
            .map_err(|error| unusable(&format!("the key cannot be given to `ssh`: {error}")))?;
        let child = self.command(service, address.ip(), &files, version_2).spawn();
        let mut child = child.map_err(|source| TransportError::Program {
            remote: remote.clone(),
            program: "ssh",
            source: Arc::new(source),
        })?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = (stdin, stdout, stderr) else {
            unreachable!("all three were asked for");
        };
        let ending = SshChild {
            remote: remote.clone(),
            child,
            stderr: collect(stderr),
            _files: files,
        };
        Ok(Box::new(Duplex::new(
            &remote,
            stdout,
            stdin,
            Box::new(ending),
            self.timeouts,
            self.answer_bytes_max,
        )))
    }

    fn resume(&self, _: Service, _: bool) -> Option<Box<dyn Conversation + '_>> {
        None
    }

    fn without_secrets(&self, text: &str) -> String {
        text.to_owned()
    }
}

/// Reads what `ssh` and the server say beside the protocol, to its end but not without bound.
fn collect(mut stderr: ChildStderr) -> Receiver<String> {
    let (sender, receiver) = sync_channel(1);
    thread::spawn(move || {
        let mut said = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = stderr.read(&mut buffer) {
            let room = (4 * SAID_CHARS_MAX).saturating_sub(said.len());
            said.extend_from_slice(&buffer[..read.min(room)]);
        }
        // Nobody may care.
        let _ = sender.send(String::from_utf8_lossy(&said).into_owned());
    });
    receiver
}

struct SshChild {
    remote: String,
    child: Child,
    stderr: Receiver<String>,
    /// Removed when the connection ends.
    _files: KeyFiles,
}

/// After its output has ended, the program ends soon.
const END_WAIT: Duration = Duration::from_secs(2);

impl Ending for SshChild {
    fn cut(&mut self) {
        // It may have ended by itself; what counts is that it is gone and waited for.
        let deadline = Instant::now() + Duration::from_millis(200);
        while Instant::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn reason(&mut self) -> Option<TransportError> {
        let said = self.stderr.recv_timeout(END_WAIT).ok()?;
        words::classify(&self.remote, &clean(&said))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn of_several_addresses_one_that_answers_is_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let open = listener.local_addr().unwrap();
        // All of 127.0.0.0/8 is this machine, and nobody listens there.
        let closed = |last| SocketAddr::from(([127, 0, 0, last], open.port()));
        let second = Duration::from_secs(1);
        assert_eq!(reachable(&[closed(2), open, closed(3)], second), Some(open));
        assert_eq!(reachable(&[closed(2), closed(3)], second), Some(closed(2)));
        assert_eq!(reachable(&[closed(2)], second), Some(closed(2)));
        assert_eq!(reachable(&[], second), None);
    }
}
