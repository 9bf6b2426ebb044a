//! Servers in front of an installation's repository.

use git_servers::{Access, Authority, HttpOptions, HttpServer, SshServer};
use std::{path::Path, sync::Arc};

/// A server that the product reaches a repository over.
#[derive(Debug)]
pub(crate) enum Served {
    Https {
        server: HttpServer,
        authority: Arc<Authority>,
    },
    Ssh(SshServer),
}

pub(crate) const GIT_TOKEN: &str = "git-token-of-the-whole-system-tests";

impl Served {
    /// A web server with a certificate of its own authority. Who proves nothing may nothing.
    pub(crate) fn https(root: &Path, options: HttpOptions) -> Self {
        let authority = Arc::new(Authority::new());
        let options = HttpOptions {
            authority: Some(Arc::clone(&authority)),
            anonymous: Access::Nothing,
            ..options
        };
        let options = options.account("x-access-token", GIT_TOKEN, Access::Write);
        // It has a runtime of its own, which no thread of the test's may wait for.
        let start = || HttpServer::start(root, options);
        let server = std::thread::scope(|scope| scope.spawn(start).join());
        let server = server.expect("the server starts");
        Self::Https { server, authority }
    }

    pub(crate) fn ssh(root: &Path) -> Self {
        Self::Ssh(SshServer::start(root))
    }

    /// The web server.
    ///
    /// # Panics
    /// If it is another one.
    pub(crate) fn http(&self) -> &HttpServer {
        match self {
            Self::Https { server, .. } => server,
            Self::Ssh(_) => panic!("it is no web server"),
        }
    }

    /// The SSH server.
    ///
    /// # Panics
    /// If it is another one.
    pub(crate) fn ssh_server(&self) -> &SshServer {
        match self {
            Self::Ssh(server) => server,
            Self::Https { .. } => panic!("it is no SSH server"),
        }
    }

    /// Returns what the configuration refers to.
    pub(super) fn files(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Https { authority, .. } => vec![
                ("git-token", GIT_TOKEN.to_owned()),
                ("ca.pem", authority.pem().to_owned()),
            ],
            Self::Ssh(server) => vec![
                ("git-key", server.client_key()),
                ("known-hosts", server.known_hosts()),
            ],
        }
    }

    /// Returns the table `git` of the configuration.
    pub(super) fn git_table(&self) -> String {
        let certificates = match self {
            Self::Https { .. } => "certificates = \"ca.pem\"\n",
            Self::Ssh(_) => "",
        };
        format!("[git]\nallow_networks = [\"127.0.0.0/8\", \"::1/128\"]\n{certificates}")
    }

    /// Returns the lines of the mirror's table that name the repository.
    pub(super) fn repository_lines(&self, name: &str) -> String {
        match self {
            Self::Https { server, .. } => format!(
                "repository = \"{}\"\ncredential = {{ token = \"file:git-token\" }}",
                server.url(name)
            ),
            Self::Ssh(server) => format!(
                "repository = \"{}\"\ncredential = {{ private_key = \"file:git-key\", known_hosts = \"file:known-hosts\" }}",
                server.url(name)
            ),
        }
    }
}
