//! Resolving names to the addresses that may be connected to, and to no others.

use crate::address::AddressPolicy;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::SocketAddr;

/// Resolves names to addresses that a policy permits: what is resolved is what is connected to, once for each connection.
#[derive(Debug)]
pub struct PolicyResolver {
    addresses: AddressPolicy,
    /// The operator's own proxy may be anywhere.
    proxy_host: Option<String>,
}

impl PolicyResolver {
    /// Makes one that takes any address of `proxy_host`.
    #[must_use]
    pub fn new(addresses: AddressPolicy, proxy_host: Option<String>) -> Self {
        Self {
            addresses,
            proxy_host,
        }
    }
}

impl Resolve for PolicyResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let is_proxy = self.proxy_host.as_deref() == Some(name.as_str());
        let addresses = self.addresses.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let found = if is_proxy {
                found
            } else {
                addresses.filter(found, SocketAddr::ip)?
            };
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}
