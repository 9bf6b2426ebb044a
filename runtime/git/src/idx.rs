//! Pack indexes, version 2: where each object lies in its pack.

use crate::pack::{self, Row};
use mirror_core::ids::Oid;

const SIGNATURE: &[u8; 8] = b"\xfftOc\0\0\0\x02";
const FAN_BYTES: usize = 256 * 4;
/// Offsets from here on are kept in a second table, of eight bytes each.
const LARGE: u64 = 0x8000_0000;

/// Encodes the index of a pack; `rows` are sorted by id.
pub(crate) fn encode(rows: &[Row], pack: Oid) -> Vec<u8> {
    debug_assert!(
        rows.is_sorted_by(|a, b| a.id < b.id),
        "every object occurs once, in order"
    );
    let mut out = Vec::with_capacity(SIGNATURE.len() + FAN_BYTES + rows.len() * 28 + 40);
    out.extend_from_slice(SIGNATURE);
    let mut seen = 0_u32;
    let mut rest = rows.iter().peekable();
    for first_byte in 0..=255_u8 {
        while rest.next_if(|row| row.id.as_bytes()[0] <= first_byte).is_some() {
            seen += 1;
        }
        out.extend_from_slice(&seen.to_be_bytes());
    }
    for row in rows {
        out.extend_from_slice(row.id.as_bytes());
    }
    for row in rows {
        out.extend_from_slice(&row.crc32.to_be_bytes());
    }
    let mut large = Vec::new();
    for row in rows {
        let short = match u32::try_from(row.offset) {
            Ok(offset) if row.offset < LARGE => offset,
            _ => {
                large.push(row.offset);
                0x8000_0000 | u32::try_from(large.len() - 1).expect("fewer large offsets than objects")
            }
        };
        out.extend_from_slice(&short.to_be_bytes());
    }
    for offset in large {
        out.extend_from_slice(&offset.to_be_bytes());
    }
    out.extend_from_slice(pack.as_bytes());
    let own = pack::checksum(&out);
    out.extend_from_slice(own.as_bytes());
    out
}

/// Decodes the index of a pack into rows sorted by id; none if it is not a whole index of version 2.
pub(crate) fn decode(bytes: &[u8]) -> Option<Vec<Row>> {
    let body = bytes.len().checked_sub(pack::TRAILER_BYTES)?;
    if !bytes.starts_with(SIGNATURE) || pack::checksum(&bytes[..body]).as_bytes() != &bytes[body..] {
        return None;
    }
    let count = word(bytes, SIGNATURE.len() + FAN_BYTES - 4)? as usize;
    let ids = SIGNATURE.len() + FAN_BYTES;
    let crcs = ids + count * 20;
    let offsets = crcs + count * 4;
    let large = offsets + count * 4;
    (0..count)
        .map(|at| {
            let id = bytes.get(ids + at * 20..ids + at * 20 + 20)?.try_into().ok()?;
            let short = word(bytes, offsets + at * 4)?;
            let offset = match u64::from(short) {
                direct if direct < LARGE => direct,
                _ => {
                    let start = large + (short & 0x7fff_ffff) as usize * 8;
                    u64::from_be_bytes(bytes.get(start..start + 8)?.try_into().ok()?)
                }
            };
            Some(Row {
                id: Oid::from_bytes(id),
                crc32: word(bytes, crcs + at * 4)?,
                offset,
            })
        })
        .collect()
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_survives_a_round_trip_also_past_two_gigabytes() {
        let offsets = [12, LARGE - 1, LARGE, 0xffff_ffff, 0x1_0000_0000, 99];
        let mut rows: Vec<Row> = offsets
            .iter()
            .zip(0_u8..)
            .map(|(&offset, at)| Row {
                id: Oid::from_bytes([at.wrapping_mul(91); 20]),
                crc32: u32::from(at) << 20,
                offset,
            })
            .collect();
        rows.sort_by_key(|row| row.id);
        let bytes = encode(&rows, Oid::from_bytes([7; 20]));
        assert_eq!(decode(&bytes).unwrap(), rows);
        assert_eq!(decode(&encode(&[], Oid::from_bytes([7; 20]))).unwrap(), []);
        for at in [0, 7, 600, 1040, bytes.len() - 1] {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(decode(&damaged).is_none(), "byte {at}");
        }
        assert!(decode(&bytes[..bytes.len() - 1]).is_none());
        assert!(decode(b"").is_none());
    }
}
