//! Real Git servers on loopback, for tests: `git http-backend` behind a web server that can fail in every way,
//! `sshd`, `git daemon`, and proxies in between. `nginx` with `fcgiwrap` is for
//! `cargo xtask git-servers`.
//!
//! Every server binds 127.0.0.1 on a free port and stops when it is dropped. The repositories are ordinary bare ones
//! in a temporary directory; hooks make them as strict as a forge.

mod certificate;
mod fault;
mod forward;
mod http;
mod inetd;
mod nginx;
mod proxy;
mod repositories;
mod sshd;

pub use certificate::Authority;
pub use fault::{Fault, On};
pub use forward::{ForwardProxy, Forwarded};
pub use http::{Access, HttpOptions, HttpServer, Seen};
pub use inetd::GitDaemon;
pub use nginx::NginxServer;
pub use proxy::CuttingProxy;
pub use repositories::{Repositories, git};
pub use sshd::SshServer;
