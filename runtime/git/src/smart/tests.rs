//! Remotes behind real servers.

mod contract;
mod differential;
mod faults;
mod forms;
mod histories;
mod memory;
mod probes;
mod proxies;
mod refusals;
mod restarts;
mod several;
mod tls;
mod transports;

use super::*;
use crate::{LocalBare, Network, testing::make};
use git_servers::{
    Access, Authority, GitDaemon, HttpOptions, HttpServer, NginxServer, Repositories, SshServer, git,
};
use secrecy::{ExposeSecret, SecretString};
use std::{path::PathBuf, sync::Arc, time::Duration};

/// Everything on this machine, and every scheme.
pub(super) fn loopback() -> AddressPolicy {
    let [v4, v6] = Network::loopback();
    AddressPolicy::default()
        .allow_network(v4)
        .allow_network(v6)
        .allow_plain_http()
        .allow_git_protocol()
}

pub(super) fn settings() -> RemoteSettings {
    RemoteSettings {
        addresses: loopback(),
        ..RemoteSettings::default()
    }
}

pub(super) fn open(url: &str, settings: RemoteSettings) -> SmartRemote {
    SmartRemote::new(&url.parse().unwrap(), settings).unwrap()
}

pub(super) fn branch(short: &str) -> RefName {
    RefName::branch(short).unwrap()
}

pub(super) fn password(text: &str) -> SecretString {
    SecretString::from(text.to_owned())
}

/// Short waits, for servers that never answer; long enough for a slow machine to ask one that does.
pub(super) fn impatient() -> Timeouts {
    Timeouts {
        idle: Duration::from_secs(8),
        ..Timeouts::default()
    }
}

/// The ways to one and the same kind of repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Local,
    Http,
    /// A server that knows only the old protocol.
    HttpV0,
    Https,
    Ssh,
    Git,
    /// A server as Git sets it up: no filters, nothing by id that is not a branch.
    PlainHttpV0,
    /// `nginx` with TLS and a password: takes longer, and must be installed.
    Nginx,
}

/// `cargo xtask git-servers` sets it: servers beyond those that every test run needs.
const MORE_SERVERS: &str = "KBC_MIRROR_TEST_MORE_SERVERS";

pub(super) fn ways() -> Vec<Way> {
    let mut ways = vec![
        Way::Local,
        Way::Http,
        Way::HttpV0,
        Way::Https,
        Way::Ssh,
        Way::Git,
        Way::PlainHttpV0,
    ];
    if std::env::var_os(MORE_SERVERS).is_some() {
        ways.push(Way::Nginx);
    }
    ways
}

/// What must live as long as the remote.
#[expect(dead_code, reason = "held until the test ends")]
enum Server {
    None,
    Http(HttpServer),
    Nginx(NginxServer),
    Ssh(SshServer),
    Git(GitDaemon),
}

/// A repository, a way to it, and a store on this side.
pub(super) struct Setup {
    pub(super) repositories: Repositories,
    pub(super) path: PathBuf,
    pub(super) remote: Box<dyn Remote>,
    pub(super) store: Store,
    /// Another way to the same repository, for somebody else.
    pub(super) local: LocalBare,
    pub(super) main: RefName,
    /// How the remote is reached; none without a server.
    access: Option<(String, RemoteSettings)>,
    _server: Server,
    cache: tempfile::TempDir,
}

pub(super) const TOKEN: &str = "s3cret-token-0123456789";

fn connect(path: &std::path::Path, access: Option<&(String, RemoteSettings)>) -> Box<dyn Remote> {
    match access {
        Some((url, settings)) => Box::new(open(url, settings.clone())),
        None => Box::new(LocalBare::open(path).unwrap()),
    }
}

impl Setup {
    pub(super) fn new(way: Way) -> Self {
        let repositories = Repositories::new();
        let path = match way {
            Way::PlainHttpV0 => repositories.init_plain("r.git", &[]),
            _ => repositories.init("r.git"),
        };
        let root = repositories.root();
        let (server, access) = match way {
            Way::Local => (Server::None, None),
            Way::Http | Way::HttpV0 | Way::PlainHttpV0 => {
                let options = HttpOptions {
                    protocol_version_2: way == Way::Http,
                    ..HttpOptions::default()
                };
                let server = HttpServer::start(root, options);
                let url = server.url("r.git");
                (Server::Http(server), Some((url, settings())))
            }
            Way::Https => {
                let authority = Arc::new(Authority::new());
                let options = HttpOptions {
                    authority: Some(Arc::clone(&authority)),
                    anonymous: Access::Nothing,
                    ..HttpOptions::default()
                };
                let server = HttpServer::start(root, options.account("x-access-token", TOKEN, Access::Write));
                let settings = RemoteSettings {
                    credential: Some(Credential::token(password(TOKEN))),
                    certificates_pem: authority.pem().into(),
                    ..settings()
                };
                let url = server.url("r.git");
                (Server::Http(server), Some((url, settings)))
            }
            Way::Nginx => {
                let authority = Authority::new();
                let server = NginxServer::start(root, &authority, "x-access-token", TOKEN);
                let settings = RemoteSettings {
                    credential: Some(Credential::token(password(TOKEN))),
                    certificates_pem: authority.pem().into(),
                    ..settings()
                };
                let url = server.url("r.git");
                (Server::Nginx(server), Some((url, settings)))
            }
            Way::Ssh => {
                let server = SshServer::start(root);
                let settings = RemoteSettings {
                    credential: Some(Credential::SshKey {
                        private_key: password(&server.client_key()),
                        known_hosts: server.known_hosts(),
                    }),
                    ..settings()
                };
                let url = server.url("r.git");
                (Server::Ssh(server), Some((url, settings)))
            }
            Way::Git => {
                let server = GitDaemon::start(root);
                let url = server.url("r.git");
                (Server::Git(server), Some((url, settings())))
            }
        };
        let cache = tempfile::tempdir().unwrap();
        Self {
            store: Store::open_or_create(&cache.path().join("store")).unwrap(),
            local: LocalBare::open(&path).unwrap(),
            main: branch("main"),
            remote: connect(&path, access.as_ref()),
            path,
            repositories,
            access,
            _server: server,
            cache,
        }
    }

    /// Opens the same remote once more: it has been told nothing yet.
    pub(super) fn reopen(&self) -> Box<dyn Remote> {
        connect(&self.path, self.access.as_ref())
    }

    /// Returns the URL, and the configuration with which the `git` program goes the same way.
    pub(super) fn for_git(&self) -> (String, Vec<String>) {
        let Some((url, settings)) = &self.access else {
            return (self.path.to_string_lossy().into_owned(), Vec::new());
        };
        let mut options = Vec::new();
        let write = |name: &str, content: &str| {
            let path = self.cache.path().join(name);
            std::fs::write(&path, content).unwrap();
            let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            std::fs::set_permissions(&path, private).unwrap();
            path.display().to_string()
        };
        if !settings.certificates_pem.is_empty() {
            let pem = String::from_utf8(settings.certificates_pem.clone()).unwrap();
            options.push(format!("http.sslCAInfo={}", write("authority.pem", &pem)));
        }
        match &settings.credential {
            Some(Credential::SshKey {
                private_key,
                known_hosts,
            }) => {
                let key = write("key", private_key.expose_secret());
                let known = write("known_hosts", known_hosts);
                options.push(format!(
                    "core.sshCommand=ssh -F none -i {key} -o IdentitiesOnly=yes -o UserKnownHostsFile={known}"
                ));
            }
            Some(_) => {
                let pair = data_encoding::BASE64.encode(format!("x-access-token:{TOKEN}").as_bytes());
                options.push(format!("http.extraHeader=Authorization: Basic {pair}"));
            }
            None => {}
        }
        (url.clone(), options)
    }

    /// An empty store, as another machine has it.
    pub(super) fn other_store(&self) -> Store {
        Store::open_or_create(&self.cache.path().join(crate::disk::unique_name("other"))).unwrap()
    }

    pub(super) fn git(&self, args: &[&str]) -> String {
        git(&self.path, args)
    }

    pub(super) fn make(&self, parent: Option<Oid>, message: &str, files: &[(&str, &str)]) -> PendingPush {
        make(&self.store, &self.main, parent, message, files)
    }

    /// Makes a commit on top of where the branch is, and pushes it.
    #[track_caller]
    pub(super) fn push(&self, message: &str, files: &[(&str, &str)]) -> Oid {
        self.deliver(self.make(self.remote.tip(&self.main).unwrap(), message, files))
    }

    #[track_caller]
    pub(super) fn deliver(&self, push: PendingPush) -> Oid {
        let new = push.new_tip();
        self.store.save(&push).unwrap();
        self.remote.push(&push).unwrap();
        self.store.confirm(push).unwrap();
        new
    }

    #[track_caller]
    pub(super) fn is_sound(&self) {
        assert_eq!(self.git(&["fsck", "--full", "--strict", "--no-dangling"]), "");
    }
}
