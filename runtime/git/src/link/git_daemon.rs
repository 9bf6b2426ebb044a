//! `git:`: a plain connection without credentials, for networks that the operator trusts.

use super::{
    Conversation, Link, Service, Timeouts,
    duplex::{Duplex, Ending},
};
use crate::{address::AddressPolicy, repository_url::RepositoryUrl, transport_error::TransportError};
use std::{
    io::Write,
    net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs},
    sync::Arc,
};

/// A repository behind `git daemon`.
#[derive(Debug)]
pub(crate) struct GitLink {
    pub(crate) url: RepositoryUrl,
    pub(crate) addresses: AddressPolicy,
    pub(crate) timeouts: Timeouts,
    pub(crate) answer_bytes_max: u64,
}

/// Resolves a host once, to addresses that may be connected to.
pub(crate) fn resolve(
    url: &RepositoryUrl,
    addresses: &AddressPolicy,
) -> Result<Vec<SocketAddr>, TransportError> {
    let remote = || url.to_string();
    let found = (url.bare_host(), url.port_or_default())
        .to_socket_addrs()
        .map_err(|source| TransportError::Unreachable {
            remote: remote(),
            problem: "its name cannot be resolved".to_owned(),
            source: Arc::new(source),
        })?;
    addresses
        .filter(found, SocketAddr::ip)
        .map_err(|source| TransportError::AddressRefused {
            remote: remote(),
            source,
        })
}

impl GitLink {
    fn connect(&self) -> Result<TcpStream, TransportError> {
        let mut last = None;
        for address in resolve(&self.url, &self.addresses)? {
            match TcpStream::connect_timeout(&address, self.timeouts.connect) {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Some(error),
            }
        }
        Err(TransportError::Unreachable {
            remote: self.url.to_string(),
            problem: "no connection".to_owned(),
            source: Arc::new(last.unwrap_or_else(|| std::io::ErrorKind::HostUnreachable.into())),
        })
    }
}

struct Socket(TcpStream);

impl Ending for Socket {
    fn cut(&mut self) {
        // It may be closed already.
        let _ = self.0.shutdown(Shutdown::Both);
    }

    fn reason(&mut self) -> Option<TransportError> {
        None
    }
}

impl Link for GitLink {
    fn open(&self, service: Service, version_2: bool) -> Result<Box<dyn Conversation + '_>, TransportError> {
        let remote = self.url.to_string();
        let broken = |source| TransportError::Unreachable {
            remote: remote.clone(),
            problem: "the connection broke".to_owned(),
            source: Arc::new(source),
        };
        let mut stream = self.connect()?;
        let port = self.url.port.map(|port| format!(":{port}")).unwrap_or_default();
        let version = if version_2 { "\0version=2\0" } else { "" };
        let mut request = Vec::new();
        let line = format!(
            "{} {}\0host={}{port}\0{version}",
            service.name(),
            self.url.path,
            self.url.host
        );
        crate::smart::pktline::push(&mut request, &line);
        stream.write_all(&request).map_err(broken)?;
        let reader = stream.try_clone().map_err(broken)?;
        let ending = stream.try_clone().map_err(broken)?;
        Ok(Box::new(Duplex::new(
            &remote,
            reader,
            stream,
            Box::new(Socket(ending)),
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
