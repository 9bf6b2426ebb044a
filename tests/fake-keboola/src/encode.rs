//! Identifiers and times in Keboola's forms, made from numbers that are given.

use jiff::{Timestamp, tz};

const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A number that looks random and is the same for equal arguments (SplitMix64).
pub(crate) fn chance(seed: u64, step: u64) -> u64 {
    let mut state = seed.wrapping_add(step.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    state = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    state ^ (state >> 31)
}

fn milliseconds(at: Timestamp) -> u128 {
    u128::try_from(at.as_millisecond().max(0)).expect("it is not negative") & ((1 << 48) - 1)
}

/// Returns a ULID: 48 bits of time and 80 of chance.
pub(crate) fn ulid(at: Timestamp, chances: [u64; 2]) -> String {
    let low = (u128::from(chances[0]) << 16) | u128::from(chances[1] & 0xFFFF);
    let bits = (milliseconds(at) << 80) | (low & ((1 << 80) - 1));
    let digit = |place: u32| char::from(CROCKFORD[((bits >> (place * 5)) & 31) as usize]);
    (0..26).rev().map(digit).collect()
}

/// Returns a UUID of version 7: 48 bits of time, then chance.
pub(crate) fn uuid_v7(at: Timestamp, chances: [u64; 2]) -> String {
    let high = (milliseconds(at) << 16) | 0x7000 | u128::from(chances[0] & 0x0FFF);
    let low = (1 << 63) | (chances[1] >> 2);
    let text = format!("{high:016x}{low:016x}");
    [
        &text[..8],
        &text[8..12],
        &text[12..16],
        &text[16..20],
        &text[20..],
    ]
    .join("-")
}

/// Returns the time as the Storage API writes it, such as `2017-02-13T16:42:00+0100`.
pub(crate) fn storage_time(at: Timestamp) -> String {
    at.to_zoned(tz::TimeZone::fixed(tz::offset(1)))
        .strftime("%Y-%m-%dT%H:%M:%S%z")
        .to_string()
}

/// Returns the time as the Queue API writes it, such as `2017-02-13T15:42:00+00:00`.
pub(crate) fn queue_time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string()
}

/// Returns the time as an event for the mirror has it.
pub(crate) fn event_time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Parses either API's time.
pub(crate) fn parse_time(raw: &str) -> Option<Timestamp> {
    raw.parse()
        .ok()
        .or_else(|| Timestamp::strptime("%Y-%m-%dT%H:%M:%S%z", raw).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_have_the_forms_of_the_real_ones() {
        let at: Timestamp = "2026-01-05T08:24:00Z".parse().unwrap();
        assert_eq!(ulid(at, [0, 0]), "01KE6M31800000000000000000");
        assert_eq!(ulid(at, [u64::MAX, u64::MAX]), "01KE6M3180ZZZZZZZZZZZZZZZZ");
        let uuid = uuid_v7(at, [0xABC, u64::MAX]);
        assert_eq!(uuid, "019b8d41-8500-7abc-bfff-ffffffffffff");
        assert!(uuid < uuid_v7(at + jiff::SignedDuration::from_millis(1), [0, 0]));
    }

    #[test]
    fn times_survive_both_forms() {
        let at: Timestamp = "2026-01-05T08:24:00Z".parse().unwrap();
        assert_eq!(storage_time(at), "2026-01-05T09:24:00+0100");
        assert_eq!(queue_time(at), "2026-01-05T08:24:00+00:00");
        assert_eq!(
            [storage_time(at), queue_time(at), event_time(at)].map(|raw| parse_time(&raw)),
            [Some(at); 3]
        );
    }
}
