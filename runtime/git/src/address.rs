//! Which addresses may be connected to: customers name repositories, but not the operator's own network.
//!
//! A name is resolved once per connection and the answer is both checked and used, so that a name that answers
//! differently a second time (DNS rebinding) gains nothing.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};
use thiserror::Error;

/// The schemes and addresses that may be used. By default `https` and `ssh` to public addresses.
#[derive(Debug, Clone, Default)]
pub struct AddressPolicy {
    networks: Vec<Network>,
    plain_http: bool,
    git_protocol: bool,
}

impl AddressPolicy {
    /// Allows a network that is otherwise refused, such as `10.0.0.0/8`.
    #[must_use]
    pub fn allow_network(mut self, network: Network) -> Self {
        self.networks.push(network);
        self
    }

    /// Allows `http:`, which shows credentials and content to everybody on the way.
    #[must_use]
    pub fn allow_plain_http(mut self) -> Self {
        self.plain_http = true;
        self
    }

    /// Allows `git:`, which knows no credentials and proves nothing about the other side.
    #[must_use]
    pub fn allow_git_protocol(mut self) -> Self {
        self.git_protocol = true;
        self
    }

    /// Returns whether a URL of this scheme may be used.
    #[must_use]
    pub fn permits_scheme(&self, scheme: &str) -> bool {
        match scheme {
            "https" | "ssh" => true,
            "http" => self.plain_http,
            "git" => self.git_protocol,
            _ => false,
        }
    }

    /// Checks an address that is about to be connected to.
    ///
    /// # Errors
    /// It is not an ordinary one of the internet, and not in a network that the operator allows.
    pub fn check(&self, address: IpAddr) -> Result<(), AddressRefused> {
        // `::ffff:10.0.0.1` is `10.0.0.1`.
        let address = address.to_canonical();
        if self.networks.iter().any(|network| network.contains(address)) {
            return Ok(());
        }
        match special(address) {
            None => Ok(()),
            Some(kind) => Err(AddressRefused { address, kind }),
        }
    }

    /// Keeps the addresses that may be connected to.
    ///
    /// # Errors
    /// None of them may.
    pub fn filter<T>(
        &self,
        found: impl IntoIterator<Item = T>,
        address: impl Fn(&T) -> IpAddr,
    ) -> Result<Vec<T>, AddressRefused> {
        let mut refused = None;
        let mut permitted = Vec::new();
        for found in found {
            match self.check(address(&found)) {
                Ok(()) => permitted.push(found),
                Err(error) => refused = Some(error),
            }
        }
        match refused {
            Some(error) if permitted.is_empty() => Err(error),
            _ => Ok(permitted),
        }
    }
}

/// An address that may not be connected to.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{address} is {kind}, which the operator does not allow")]
pub struct AddressRefused {
    pub address: IpAddr,
    pub kind: &'static str,
}

/// Says what keeps an address from being an ordinary one of the internet.
fn special(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => special_v4(address),
        IpAddr::V6(address) => special_v6(address),
    }
}

/// The ranges of IANA's registry of special-purpose addresses, with the clouds' metadata services.
fn special_v4(address: Ipv4Addr) -> Option<&'static str> {
    let [a, b, c, _] = address.octets();
    match (a, b, c) {
        (169, 254, _) => Some("a link-local address, where clouds keep their metadata services"),
        _ if address.is_loopback() => Some("a loopback address"),
        _ if address.is_private() => Some("a private address"),
        (0, ..) => Some("an address of this network"),
        (100, 64..=127, _) => Some("an address shared behind a carrier's translation"),
        (192, 0, 0 | 2) | (198, 18 | 19, _) | (198, 51, 100) | (203, 0, 113) | (192, 88, 99) => {
            Some("an address for protocols, tests or documentation")
        }
        (168, 63, 129) => Some("an address of a cloud's own services"),
        (224..=255, ..) => Some("a multicast or reserved address"),
        _ => None,
    }
}

fn special_v6(address: Ipv6Addr) -> Option<&'static str> {
    let segments = address.segments();
    let embedded = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        special_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        _ if address.is_loopback() => Some("a loopback address"),
        _ if address.is_unspecified() => Some("an address of this network"),
        // What is translated to, or tunnelled through, an IPv4 address is judged by that one.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => embedded(high, low),
        [0x64, 0xff9b, 1, ..] => Some("an address of a local translation"),
        [0x2001, 0, ..] => Some("an address of a tunnel"),
        [0, 0, 0, 0, 0, 0, high, low] => embedded(high, low).or(Some("a deprecated address")),
        [first, ..] if first & 0xfe00 == 0xfc00 => Some("a private address"),
        [first, ..] if first & 0xffc0 == 0xfe80 => {
            Some("a link-local address, where clouds keep their metadata services")
        }
        [first, ..] if first & 0xffc0 == 0xfec0 => Some("a private address"),
        [first, ..] if first & 0xff00 == 0xff00 => Some("a multicast or reserved address"),
        [0x2001, 0x0db8, ..] | [0x0100, 0, 0, 0, ..] => {
            Some("an address for protocols, tests or documentation")
        }
        // Only 2000::/3 is given out.
        [first, ..] if first & 0xe000 != 0x2000 => Some("a reserved address"),
        _ => None,
    }
}

/// A range of addresses, written `10.0.0.0/8`; without a length it is a single address.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    length: u32,
}

/// A text that is no range of addresses.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is no network; write an address and the length of its prefix, such as 10.0.0.0/8")]
pub struct InvalidNetwork {
    pub text: String,
}

impl Network {
    /// The addresses of this machine, IPv4 and IPv6.
    #[must_use]
    pub fn loopback() -> [Self; 2] {
        [
            Self {
                address: Ipv4Addr::new(127, 0, 0, 0).into(),
                length: 8,
            },
            Self {
                address: Ipv6Addr::LOCALHOST.into(),
                length: 128,
            },
        ]
    }

    fn contains(self, address: IpAddr) -> bool {
        let shifted = |bits: u128, width: u32| bits.checked_shr(width - self.length).unwrap_or_default();
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                shifted(own.to_bits().into(), 32) == shifted(other.to_bits().into(), 32)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                shifted(own.to_bits(), 128) == shifted(other.to_bits(), 128)
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidNetwork {
            text: text.chars().take(60).filter(|c| !c.is_control()).collect(),
        };
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            Some(length) => length.parse().ok().filter(|length| *length <= width),
            None => Some(width),
        };
        Ok(Self {
            address,
            length: length.ok_or_else(invalid)?,
        })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Network({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(policy: &AddressPolicy, permitted: &str, refused: &str) {
        for address in permitted.split_whitespace() {
            assert_eq!(policy.check(address.parse().unwrap()), Ok(()), "{address}");
        }
        for address in refused.split_whitespace() {
            assert!(policy.check(address.parse().unwrap()).is_err(), "{address}");
        }
    }

    #[test]
    fn only_addresses_of_the_internet_are_permitted() {
        check(
            &AddressPolicy::default(),
            "140.82.121.4 8.8.8.8 172.15.0.1 172.32.0.1 100.63.0.1 192.0.1.1 223.255.255.1 2606:50c0:8000::153 64:ff9b::808:808 2002:808:808::1",
            "127.0.0.1 127.9.9.9 10.1.2.3 172.16.0.1 172.31.255.255 192.168.0.1 169.254.169.254 100.64.0.1 100.100.100.200 0.0.0.0 \
             192.0.0.192 198.18.0.1 224.0.0.1 255.255.255.255 168.63.129.16 ::1 :: ::ffff:10.0.0.1 ::ffff:127.0.0.1 ::7f00:1 fe80::1 fd00:ec2::254 \
             fc00::1 fec0::1 ff02::1 64:ff9b::a00:1 64:ff9b:1::1 2002:a00:1::1 2002:7f00:1::1 2001::1 2001:db8::1 4000::1 100::1",
        );
    }

    #[test]
    fn a_network_that_the_operator_allows_is_permitted_and_no_more() {
        let network = |text: &str| text.parse::<Network>().unwrap();
        let policy = AddressPolicy::default()
            .allow_network(network("10.1.0.0/16"))
            .allow_network(network("fd00::/8"))
            .allow_network(network("192.168.7.7"));
        check(
            &policy,
            "10.1.255.255 fd12::1 192.168.7.7 ::ffff:10.1.0.1",
            "10.2.0.0 192.168.7.8 fc00::1 127.0.0.1",
        );
        let all = AddressPolicy::default().allow_network(network("0.0.0.0/0"));
        check(&all, "127.0.0.1 10.0.0.1", "::1");
        let [v4, v6] = Network::loopback();
        let loopback = AddressPolicy::default().allow_network(v4).allow_network(v6);
        check(&loopback, "127.0.0.1 127.1.2.3 ::1", "::2 10.0.0.1");
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "::/129", "10.0.0.0/-1", "host"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }

    #[test]
    fn of_several_addresses_the_permitted_ones_are_used() {
        let policy = AddressPolicy::default();
        let found = |list: &str| -> Vec<IpAddr> { list.split(' ').map(|one| one.parse().unwrap()).collect() };
        let used = policy.filter(found("10.0.0.1 8.8.8.8"), |address| *address);
        assert_eq!(used.unwrap(), found("8.8.8.8"));
        let error = policy
            .filter(found("10.0.0.1 ::1"), |address| *address)
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "::1 is a loopback address, which the operator does not allow"
        );
        assert_eq!(
            policy.filter(Vec::<IpAddr>::new(), |address| *address).unwrap(),
            Vec::<IpAddr>::new()
        );
    }

    #[test]
    fn schemes_that_protect_nothing_need_the_operator() {
        let policy = AddressPolicy::default();
        let permitted = |policy: &AddressPolicy| {
            let all = ["https", "ssh", "http", "git", "file", "ext", "ftp"];
            all.into_iter()
                .filter(|scheme| policy.permits_scheme(scheme))
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(permitted(&policy), "https ssh");
        assert_eq!(
            permitted(&policy.allow_plain_http().allow_git_protocol()),
            "https ssh http git"
        );
    }
}
