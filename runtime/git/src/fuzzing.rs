//! What must hold of the parsers of a stranger's bytes, for the fuzzer in `tests/fuzz`.
//!
//! Each function takes any bytes, reads them as one kind of answer or file, and panics where the parser does not do
//! what it must. There is no other reason to call them.

use crate::{
    credential::{Credential, Hiding},
    data::Place,
    delta, idx,
    pack::{self, TRAILER_BYTES},
    packfile::PackFile,
    refname::RefName,
    refusal::{self, OwnNames},
    run::Run,
    smart::{
        advertisement::Advertisement,
        fetch::{self, PackParts, Wanted},
        pktline::PacketReader,
        send_pack,
        unpack::{self, Blobs, Unpacked},
    },
};
use mirror_core::ids::Oid;
use secrecy::SecretString;
use std::path::Path;

/// Bytes that one answer may have, and what is unpacked of it.
const BYTES_MAX: u64 = 1 << 20;

fn read_advertisement(bytes: &mut &[u8]) -> Option<Advertisement> {
    Advertisement::read(&mut PacketReader::new(bytes, BYTES_MAX)).ok()
}

/// A server's first answer: every ref that is listed is found, and the words of its capabilities too.
///
/// # Panics
/// See the module.
pub fn advertisement(mut bytes: &[u8]) {
    let Some(found) = read_advertisement(&mut bytes) else {
        return;
    };
    for (name, _) in &found.refs {
        assert!(found.find(name).is_some());
    }
    for symbolic in found.symbolic() {
        assert!(!symbolic.contains(':'));
    }
    let _ = (found.has("report-status"), found.has_feature("fetch", "filter"));
}

/// What a server says of a push: an advertisement, and behind it the report. Its messages stay within their bound.
///
/// # Panics
/// See the module.
pub fn report(mut bytes: &[u8]) {
    let own = own();
    let server = read_advertisement(&mut bytes).unwrap_or_default();
    let read = send_pack::read_report(&server, &mut PacketReader::new(&mut bytes, BYTES_MAX));
    let messages = match read {
        Ok(report) => {
            for (_, outcome) in &report.refs {
                let reason = outcome.as_ref().err();
                let meaning = reason.map(|reason| {
                    refusal::classify(reason, report.unpack.as_deref(), &report.messages, &own)
                });
                let _ = format!("{meaning:?}");
            }
            report.messages
        }
        Err(none) => none.messages,
    };
    // Half a character becomes one of three bytes.
    assert!(messages.len() <= 3 * (64 << 10));
}

/// What a server answers to a fetch, in either version of the protocol, and its list of refs.
///
/// # Panics
/// See the module.
pub fn fetched(bytes: &[u8]) {
    let read = |read: &dyn Fn(&mut PacketReader<'_>) -> Option<fetch::Announced>| {
        let mut input = bytes;
        let mut packets = PacketReader::new(&mut input, BYTES_MAX);
        if read(&mut packets).is_some() {
            let mut parts = PackParts::new(&mut packets);
            let _ = unpack::unpack(&mut || parts.next(), Blobs::Skip, BYTES_MAX, &Place::default());
            let _ = parts.failed();
        }
    };
    let deepened = Wanted {
        depth: Some(1),
        ..Wanted::default()
    };
    read(&|packets| fetch::read_v2(packets).ok());
    read(&|packets| fetch::read_v0(packets, &Wanted::default()).ok());
    read(&|packets| fetch::read_v0(packets, &deepened).ok());
    let mut input = bytes;
    if let Ok(refs) = fetch::read_refs(&mut PacketReader::new(&mut input, BYTES_MAX)) {
        assert!(refs.iter().all(|one| !one.name.contains(' ')));
    }
}

/// A pack whose checksum is right: what is unpacked has the ids of its content and stays within its bound, and passing
/// blobs over changes nothing of the rest.
///
/// # Panics
/// See the module.
pub fn pack(content: &[u8]) {
    let sealed = sealed(content);
    let all = unpack::unpack_whole(&sealed, Blobs::Keep, BYTES_MAX);
    let trees = unpack::unpack_whole(&sealed, Blobs::Skip, BYTES_MAX);
    let content = |found: &Unpacked, id| {
        let found = found.find(id).expect("memory is always there");
        found.expect("it has what it lists")
    };
    let honest = |found: &Unpacked| {
        found.ids().all(|id| {
            let (kind, content) = content(found, id);
            pack::object_id(kind, &content) == Some(id)
        })
    };
    if let Ok(all) = &all {
        let bytes: usize = all.ids().map(|id| content(all, id).1.len()).sum();
        assert!(bytes as u64 <= BYTES_MAX && honest(all));
        let trees = trees.as_ref().expect("to leave something out is no harder");
        assert!(
            trees
                .ids()
                .all(|id| all.contains(id) && content(all, id) == content(trees, id))
        );
    }
    assert!(trees.as_ref().map_or(true, honest));
}

/// A pack and an index of it, whose checksums are right: its entries are read and copied, or refused.
///
/// # Panics
/// See the module.
pub fn pack_file(content: &[u8], index: &[u8]) {
    let bytes = sealed(content);
    let index = sealed(index);
    if let Some(rows) = idx::decode(&index)
        && rows.is_sorted_by(|a, b| a.id < b.id)
    {
        let name = Oid::from_bytes([7; TRAILER_BYTES]);
        assert_eq!(idx::decode(&idx::encode(&rows, name)), Some(rows));
    }
    let name = pack::checksum(content);
    let file = PackFile::new(Path::new("/nowhere"), name);
    let Ok(found) = file.content(bytes, &index) else {
        return;
    };
    let _ = found.is_complete();
    let mut run = Run::default();
    let (mut reader, mut heads) = (found.reader(), found.reader());
    for number in 0..found.len() {
        assert!(found.has(found.id(number)) || !index_is_sorted(&index));
        let Ok(entry) = reader.entry(number) else { break };
        assert_eq!(entry.kind().ok(), heads.kind(number).ok());
        let _ = entry.base().is_ok();
        let _ = entry.copy_to(&mut run);
    }
}

fn index_is_sorted(index: &[u8]) -> bool {
    idx::decode(index).is_some_and(|rows| rows.is_sorted_by(|a, b| a.id < b.id))
}

/// A delta of ours gives its target again; one of anybody's gives what it says, or is refused.
///
/// # Panics
/// See the module.
pub fn delta(base: &[u8], target: &[u8]) {
    let encoded = delta::encode(&mut delta::Index::default(), base, target, usize::MAX);
    let encoded = encoded.expect("short enough");
    let mut left = target.len() as u64;
    assert_eq!(unpack::apply(base, &encoded, &mut left).as_deref(), Ok(target));
    assert_eq!(left, 0);
    let mut left = BYTES_MAX;
    if let Ok(made) = unpack::apply(base, target, &mut left) {
        assert_eq!(made.len() as u64, BYTES_MAX - left);
    }
}

/// Words of a server: they are told apart, and what is said of them is bounded.
///
/// # Panics
/// See the module.
pub fn words(reason: &str, messages: &str) {
    let own = own();
    let _ = format!("{:?}", refusal::classify(reason, None, messages, &own));
    let _ = format!(
        "{:?}",
        refusal::classify("pre-receive hook declined", Some(reason), messages, &own)
    );
    let _ = (refusal::no_access(messages, &own), fetch::not_ours(messages));
    let secret = "0123456789abcdef";
    let credential = Credential::token(SecretString::from(secret.to_owned()));
    let shown = Hiding::of([&credential]).without(messages);
    assert!(!shown.to_ascii_lowercase().contains(secret) && shown.len() <= 3 * (16 << 10));
}

/// Names that words of a server may hold.
fn own() -> OwnNames {
    OwnNames::of(
        "https://example.com/team/archived.git",
        RefName::branch("a-b").ok().as_ref(),
    )
}

fn sealed(content: &[u8]) -> Vec<u8> {
    let mut sealed = content.to_vec();
    sealed.extend_from_slice(pack::checksum(content).as_bytes());
    sealed
}
