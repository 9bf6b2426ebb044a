//! What a server says first: what it can do, and (before version 2) where its refs are.

use super::pktline::{self, Packet, PacketError, PacketReader};
use mirror_core::ids::Oid;

/// The first answer of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Advertisement {
    /// Whether it speaks version 2, which lists refs on request only.
    pub(crate) version_2: bool,
    pub(crate) refs: Vec<(String, Oid)>,
    capabilities: Vec<String>,
}

/// An answer that cannot be used.
#[derive(Debug)]
pub(crate) enum AdvertisementError {
    Packet(PacketError),
    /// The server says why not.
    Said(String),
    Malformed(&'static str),
    /// Its object ids are not SHA-1.
    ObjectFormat(String),
}

impl From<PacketError> for AdvertisementError {
    fn from(error: PacketError) -> Self {
        Self::Packet(error)
    }
}

const SHA1_HEX: usize = 40;

impl Advertisement {
    /// Reads up to the packet that ends the advertisement.
    pub(crate) fn read(packets: &mut PacketReader<'_>) -> Result<Self, AdvertisementError> {
        let mut found = Self::default();
        let mut first = true;
        loop {
            let packet = packets.require()?;
            let Some(line) = packet.line() else {
                match packet {
                    // Over HTTP the name of the service comes first, and is a message of its own.
                    Packet::Flush if first => continue,
                    Packet::Flush => break,
                    _ => return Err(AdvertisementError::Malformed("a section where refs should be")),
                }
            };
            if let Some(said) = line.strip_prefix(b"ERR ") {
                return Err(AdvertisementError::Said(
                    String::from_utf8_lossy(said).into_owned(),
                ));
            }
            if first && line.starts_with(b"# service=") {
                continue;
            }
            match line {
                b"version 2" if first => found.version_2 = true,
                b"version 1" if first => {
                    continue;
                }
                line if found.version_2 => {
                    found
                        .capabilities
                        .push(String::from_utf8_lossy(line).into_owned());
                }
                line => found.take_ref(line, first)?,
            }
            first = false;
        }
        let format = found.value("object-format").unwrap_or("sha1");
        if format != "sha1" {
            return Err(AdvertisementError::ObjectFormat(format.to_owned()));
        }
        Ok(found)
    }

    fn take_ref(&mut self, line: &[u8], first: bool) -> Result<(), AdvertisementError> {
        let line = match line.iter().position(|byte| *byte == 0).filter(|_| first) {
            Some(end) => {
                let capabilities = String::from_utf8_lossy(&line[end + 1..]);
                self.capabilities = capabilities.split_whitespace().map(str::to_owned).collect();
                &line[..end]
            }
            None => line,
        };
        let (id, name) = pktline::words(line).ok_or(AdvertisementError::Malformed("a line is no ref"))?;
        if id == "shallow" {
            return Ok(());
        }
        if id.len() > SHA1_HEX && id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(AdvertisementError::ObjectFormat("sha256".to_owned()));
        }
        let id = Oid::parse(id).map_err(|_| AdvertisementError::Malformed("a line is no ref"))?;
        // Names may be of any bytes; ours are not.
        let Ok(name) = std::str::from_utf8(name) else {
            return Ok(());
        };
        // An empty repository has only this line, for the sake of its capabilities.
        if name != "capabilities^{}" && !name.ends_with("^{}") {
            self.refs.push((name.to_owned(), id));
        }
        Ok(())
    }

    /// Returns what the server can do, without where its refs are.
    pub(crate) fn without_refs(&self) -> Self {
        Self {
            refs: Vec::new(),
            version_2: self.version_2,
            capabilities: self.capabilities.clone(),
        }
    }

    /// Returns whether the server has a capability, whatever its value.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// Returns whether one of the words of a capability's value is this one, as in `fetch=shallow filter`.
    pub(crate) fn has_feature(&self, name: &str, feature: &str) -> bool {
        self.value(name)
            .is_some_and(|value| value.split(' ').any(|word| word == feature))
    }

    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.capabilities.iter().find_map(|capability| {
            let rest = capability.strip_prefix(name)?;
            rest.strip_prefix('=').or_else(|| rest.is_empty().then_some(""))
        })
    }

    pub(crate) fn find(&self, name: &str) -> Option<Oid> {
        self.refs
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, id)| *id)
    }

    /// Returns the refs that only point to others, as far as the server says.
    pub(crate) fn symbolic(&self) -> impl Iterator<Item = &str> {
        let symrefs = self
            .capabilities
            .iter()
            .filter_map(|one| one.strip_prefix("symref="));
        symrefs.filter_map(|one| one.split_once(':').map(|(name, _)| name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(lines: &[&str]) -> Result<Advertisement, AdvertisementError> {
        let mut raw = Vec::new();
        for line in lines {
            match *line {
                "0000" => raw.extend_from_slice(pktline::FLUSH),
                line => pktline::push(&mut raw, line),
            }
        }
        let mut raw = raw.as_slice();
        Advertisement::read(&mut PacketReader::new(&mut raw, 10_000))
    }

    const ID: &str = "1111111111111111111111111111111111111111";

    #[test]
    fn a_ref_of_any_bytes_is_passed_over_and_stops_nothing() {
        let mut raw = Vec::new();
        for name in [&b"refs/heads/caf\xe9"[..], b"refs/heads/main"] {
            let line = [ID.as_bytes(), b" ", name, b"\n"].concat();
            raw.extend(format!("{:04x}", line.len() + 4).bytes());
            raw.extend(line);
        }
        raw.extend_from_slice(pktline::FLUSH);
        let mut advertised = raw.as_slice();
        let found = Advertisement::read(&mut PacketReader::new(&mut advertised, 10_000)).unwrap();
        assert_eq!(found.refs.len(), 1);
        assert!(found.find("refs/heads/main").is_some());
        let mut listed = raw.as_slice();
        let found = super::super::fetch::read_refs(&mut PacketReader::new(&mut listed, 10_000));
        let found: Vec<String> = found.ok().unwrap().into_iter().map(|one| one.name).collect();
        assert_eq!(found, ["refs/heads/main"]);
    }

    #[test]
    fn refs_and_capabilities_of_every_version_are_read() {
        let head = format!(
            "{ID} HEAD\0report-status atomic symref=HEAD:refs/heads/main object-format=sha1 agent=git/2\n"
        );
        let main = format!("{ID} refs/heads/main\n");
        let lines = [
            "# service=git-receive-pack\n",
            "0000",
            &head,
            &main,
            &format!("{ID} refs/tags/v1^{{}}\n"),
            "0000",
        ];
        let found = parse(&lines).unwrap();
        let names: Vec<&str> = found.refs.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["HEAD", "refs/heads/main"]);
        assert!(found.has("atomic") && !found.has("atom") && !found.has("push-options"));
        assert_eq!(
            (found.value("agent"), found.find("refs/heads/main").is_some()),
            (Some("git/2"), true)
        );
        assert_eq!(found.symbolic().collect::<Vec<_>>(), ["HEAD"]);
        let older = parse(&["version 1\n", &head, "0000"]).unwrap();
        assert_eq!(older.refs.len(), 1);

        let empty = format!("{} capabilities^{{}}\0report-status\n", "0".repeat(40));
        let found = parse(&[&empty, "0000"]).unwrap();
        assert!(found.refs.is_empty() && found.has("report-status"));

        let two = parse(&[
            "version 2\n",
            "ls-refs=unborn\n",
            "fetch=shallow wait-for-done filter\n",
            "0000",
        ])
        .unwrap();
        assert!(
            two.version_2 && two.has_feature("fetch", "filter") && !two.has_feature("fetch", "ref-in-want")
        );
    }

    #[test]
    fn what_is_no_advertisement_is_told_apart() {
        let sha256 = format!("{} refs/heads/main\0report-status\n", "1".repeat(64));
        assert!(matches!(
            parse(&[&sha256, "0000"]),
            Err(AdvertisementError::ObjectFormat(_))
        ));
        assert!(matches!(
            parse(&["version 2\n", "object-format=sha256\n", "0000"]),
            Err(AdvertisementError::ObjectFormat(_))
        ));
        assert!(
            matches!(parse(&["ERR access denied\n"]), Err(AdvertisementError::Said(said)) if said == "access denied")
        );
        for lines in [&["hello\n", "0000"][..], &["x y\n", "0000"]] {
            assert!(
                matches!(parse(lines), Err(AdvertisementError::Malformed(_))),
                "{lines:?}"
            );
        }
        assert!(matches!(
            parse(&["version 2\n"]),
            Err(AdvertisementError::Packet(PacketError::Io(_)))
        ));
    }
}
