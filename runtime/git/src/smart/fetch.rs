//! Asking for refs and objects, in version 2 of the protocol and in the older one, and reading the answers.

use super::{
    advertisement::Advertisement,
    pktline::{self, Packet, PacketError, PacketReader},
    sideband::{self, Sideband},
};
use crate::AGENT;
use bytes::Bytes;
use mirror_core::ids::Oid;
use std::{collections::HashSet, fmt::Write as _};

/// Which objects of a commit to leave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filter {
    /// Commits only.
    NoTrees,
    /// Commits and trees.
    NoBlobs,
}

/// What to ask for. All objects are asked for in one go: with nothing to negotiate there is one request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    pub(crate) ids: Vec<Oid>,
    /// A commit whose trees are here. Of its ancestors nothing is promised, so it is declared shallow.
    pub(crate) have: Option<Oid>,
    /// So many commits along every way.
    pub(crate) depth: Option<usize>,
    pub(crate) filter: Option<Filter>,
}

/// What a server says before the pack: the commits whose parents are left out.
#[derive(Debug, Default)]
pub(crate) struct Announced {
    pub(crate) shallow: HashSet<Oid>,
}

/// An answer that cannot be used.
#[derive(Debug)]
pub(crate) enum AnswerError {
    Packet(PacketError),
    /// The server says why not.
    Said(String),
    Malformed(&'static str),
}

impl From<PacketError> for AnswerError {
    fn from(error: PacketError) -> Self {
        Self::Packet(error)
    }
}

fn append(out: &mut Vec<u8>, lines: &[String]) {
    for line in lines {
        pktline::push(out, &format!("{line}\n"));
    }
}

fn filter_line(filter: Filter) -> &'static str {
    match filter {
        Filter::NoTrees => "filter tree:0",
        Filter::NoBlobs => "filter blob:none",
    }
}

/// Writes a request for the refs that begin with one of `prefixes`.
pub(crate) fn list_refs_request(server: &Advertisement, prefixes: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    append(
        &mut out,
        &["command=ls-refs".to_owned(), format!("agent={AGENT}")],
    );
    if server.has("object-format") {
        append(&mut out, &["object-format=sha1".to_owned()]);
    }
    out.extend_from_slice(pktline::DELIMITER);
    append(&mut out, &["symrefs".to_owned()]);
    for prefix in prefixes {
        append(&mut out, &[format!("ref-prefix {prefix}")]);
    }
    out.extend_from_slice(pktline::FLUSH);
    out
}

/// A ref, and whether it only points to another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListedRef {
    pub(crate) name: String,
    pub(crate) id: Oid,
    pub(crate) symbolic: bool,
}

pub(crate) fn read_refs(packets: &mut PacketReader<'_>) -> Result<Vec<ListedRef>, AnswerError> {
    let mut refs = Vec::new();
    loop {
        let packet = packets.require()?;
        let Some(line) = packet.line() else {
            return Ok(refs);
        };
        refuse_error(line)?;
        let malformed = AnswerError::Malformed("a line is no ref");
        let Some((id, rest)) = pktline::words(line) else {
            return Err(malformed);
        };
        // A branch without a commit, which only an empty repository's `HEAD` is.
        if id == "unborn" {
            continue;
        }
        let id = Oid::parse(id).map_err(|_| malformed)?;
        // Names may be of any bytes; ours are not.
        let Ok(rest) = std::str::from_utf8(rest) else {
            continue;
        };
        let mut words = rest.split(' ');
        let name = words.next().unwrap_or_default();
        refs.push(ListedRef {
            name: name.to_owned(),
            id,
            symbolic: words.any(|word| word.starts_with("symref-target:")),
        });
    }
}

/// Writes a request in version 2.
pub(crate) fn request_v2(server: &Advertisement, wanted: &Wanted) -> Vec<u8> {
    let mut out = Vec::new();
    append(&mut out, &["command=fetch".to_owned(), format!("agent={AGENT}")]);
    if server.has("object-format") {
        append(&mut out, &["object-format=sha1".to_owned()]);
    }
    out.extend_from_slice(pktline::DELIMITER);
    append(&mut out, &["ofs-delta".to_owned(), "no-progress".to_owned()]);
    for id in &wanted.ids {
        append(&mut out, &[format!("want {id}")]);
    }
    append_conditions(&mut out, wanted);
    if let Some(have) = wanted.have {
        append(&mut out, &[format!("have {have}")]);
    }
    append(&mut out, &["done".to_owned()]);
    out.extend_from_slice(pktline::FLUSH);
    out
}

fn append_conditions(out: &mut Vec<u8>, wanted: &Wanted) {
    if let Some(have) = wanted.have {
        append(out, &[format!("shallow {have}")]);
    }
    if let Some(depth) = wanted.depth {
        append(out, &[format!("deepen {depth}")]);
    }
    if let Some(filter) = wanted.filter {
        append(out, &[filter_line(filter).to_owned()]);
    }
}

/// Writes a request as it was before version 2; the answer then begins with [`read_v0`].
pub(crate) fn request_v0(server: &Advertisement, wanted: &Wanted) -> Vec<u8> {
    let mut capabilities = String::new();
    for capability in ["side-band-64k", "ofs-delta", "no-progress", "shallow", "filter"] {
        if server.has(capability) && (capability != "filter" || wanted.filter.is_some()) {
            let _ = write!(capabilities, " {capability}");
        }
    }
    let _ = write!(capabilities, " agent={AGENT}");
    let mut out = Vec::new();
    for (number, id) in wanted.ids.iter().enumerate() {
        let capabilities = if number == 0 { capabilities.as_str() } else { "" };
        append(&mut out, &[format!("want {id}{capabilities}")]);
    }
    append_conditions(&mut out, wanted);
    out.extend_from_slice(pktline::FLUSH);
    if let Some(have) = wanted.have {
        append(&mut out, &[format!("have {have}")]);
    }
    append(&mut out, &["done".to_owned()]);
    out
}

/// Reads an answer in version 2 up to its pack ([`PackParts`]).
pub(crate) fn read_v2(packets: &mut PacketReader<'_>) -> Result<Announced, AnswerError> {
    let mut announced = Announced::default();
    loop {
        let packet = packets.require()?;
        let Some(line) = packet.line() else {
            match packet {
                Packet::Delimiter => continue,
                _ => return Err(AnswerError::Malformed("the answer has no pack")),
            }
        };
        refuse_error(line)?;
        match line {
            b"packfile" => return Ok(announced),
            line => announced.take_shallow(line),
        }
    }
}

/// Reads an answer as it was before version 2, up to its pack.
pub(crate) fn read_v0(packets: &mut PacketReader<'_>, wanted: &Wanted) -> Result<Announced, AnswerError> {
    let mut announced = Announced::default();
    if wanted.depth.is_some() {
        loop {
            let packet = packets.require()?;
            let Some(line) = packet.line() else { break };
            refuse_error(line)?;
            announced.take_shallow(line);
        }
    }
    loop {
        let packet = packets.require()?;
        let line = packet
            .line()
            .ok_or(AnswerError::Malformed("the answer has no pack"))?;
        refuse_error(line)?;
        // One answer to all that we have; a server that tells more of it says so at its end.
        if line == b"NAK"
            || line.starts_with(b"ACK ") && !line.ends_with(b" common") && !line.ends_with(b" ready")
        {
            return Ok(announced);
        }
    }
}

impl Announced {
    fn take_shallow(&mut self, line: &[u8]) {
        let id = line
            .strip_prefix(b"shallow ")
            .and_then(|id| std::str::from_utf8(id).ok());
        self.shallow.extend(id.and_then(|id| Oid::parse(id).ok()));
    }
}

/// The pack of an answer, part by part.
pub(crate) struct PackParts<'p, 'r> {
    packets: &'p mut PacketReader<'r>,
    /// Why there are no more; none if that was all.
    failed: Option<AnswerError>,
}

impl<'p, 'r> PackParts<'p, 'r> {
    pub(crate) fn new(packets: &'p mut PacketReader<'r>) -> Self {
        Self {
            packets,
            failed: None,
        }
    }

    /// Returns the next part; none after the last one, or where something fails ([`PackParts::failed`]).
    pub(crate) fn next(&mut self) -> Option<Bytes> {
        if self.failed.is_some() {
            return None;
        }
        self.read().unwrap_or_else(|error| {
            self.failed = Some(error);
            None
        })
    }

    /// Says what the parts ended with, if it is not their end.
    pub(crate) fn failed(self) -> Option<AnswerError> {
        self.failed
    }

    fn read(&mut self) -> Result<Option<Bytes>, AnswerError> {
        while let Some(Packet::Data(packet)) = self.packets.next()? {
            match sideband::split(&packet).ok_or(AnswerError::Malformed("a packet of no known band"))? {
                Sideband::Data(data) => {
                    let band = packet.len() - data.len();
                    return Ok(Some(Bytes::from(packet).slice(band..)));
                }
                Sideband::Progress(_) => {}
                Sideband::Error(said) => {
                    return Err(AnswerError::Said(String::from_utf8_lossy(said).into_owned()));
                }
            }
        }
        Ok(None)
    }
}

fn refuse_error(line: &[u8]) -> Result<(), AnswerError> {
    match line.strip_prefix(b"ERR ") {
        Some(said) => Err(AnswerError::Said(String::from_utf8_lossy(said).into_owned())),
        None => Ok(()),
    }
}

/// Finds the object that a server says it does not have, or does not hand out by id.
pub(crate) fn not_ours(said: &str) -> Option<Option<Oid>> {
    let rest = said.split_once("not our ref").map(|(_, rest)| rest);
    let rest = rest.or_else(|| said.contains("unadvertised object").then_some(said))?;
    let id = rest
        .split_whitespace()
        .find_map(|word| Oid::parse(word.trim_matches(['\'', '"'])).ok());
    Some(id)
}
