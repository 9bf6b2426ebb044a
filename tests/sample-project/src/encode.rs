//! The text forms of identifiers, times and checksums as Keboola and well-known token formats write them.
//!
//! Pure functions over numbers and the seeded stream; which objects exist is not known here.

use jiff::Timestamp;
use jiff::tz::Offset;

use crate::random::Random;

pub(crate) const LOWER_ALNUM: &str = "abcdefghijklmnopqrstuvwxyz0123456789";
pub(crate) const HEX: &str = "0123456789abcdef";
pub(crate) const DIGITS: &str = "0123456789";
/// The digits of base 62 in the order GitHub and npm use for their checksums.
pub(crate) const BASE62: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
pub(crate) const BASE64: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
pub(crate) const BASE64_URL: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const CROCKFORD: &str = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A point in time, in whole seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(pub(crate) i64);

impl Moment {
    pub(crate) fn plus(self, seconds: u64) -> Self {
        Self(self.0 + i64::try_from(seconds).expect("spans of a generated project are a few years"))
    }

    pub(crate) fn seconds_until(self, later: Moment) -> u64 {
        u64::try_from(later.0 - self.0).unwrap_or(0)
    }

    fn civil(self, offset: Offset) -> jiff::civil::DateTime {
        let instant =
            Timestamp::from_second(self.0).expect("moments lie within a few years of the base date");
        offset.to_datetime(instant)
    }

    /// As the Storage API writes times: `2025-09-01T08:00:00+0100`.
    pub(crate) fn storage(self) -> String {
        let at = self.civil(Offset::constant(1));
        let (date, time) = (at.date(), at.time());
        format!(
            "{date}T{:02}:{:02}:{:02}+0100",
            time.hour(),
            time.minute(),
            time.second()
        )
    }

    /// As the Queue API writes times: `2025-09-01T07:00:00+00:00`.
    pub(crate) fn queue(self) -> String {
        let at = self.civil(Offset::UTC);
        let (date, time) = (at.date(), at.time());
        format!(
            "{date}T{:02}:{:02}:{:02}+00:00",
            time.hour(),
            time.minute(),
            time.second()
        )
    }

    /// As a warehouse writes a timestamp: `2025-09-01 07:00:00`.
    pub(crate) fn sql(self) -> String {
        let at = self.civil(Offset::UTC);
        let (date, time) = (at.date(), at.time());
        format!(
            "{date} {:02}:{:02}:{:02}",
            time.hour(),
            time.minute(),
            time.second()
        )
    }

    /// The day alone: `2025-09-01`.
    pub(crate) fn day(self) -> String {
        self.civil(Offset::UTC).date().to_string()
    }

    fn milliseconds(self) -> u64 {
        u64::try_from(self.0).unwrap_or(0) * 1000
    }
}

/// A ULID: 10 characters of time, 16 of chance, in upper-case Crockford base 32.
pub(crate) fn ulid(at: Moment, random: &mut Random) -> String {
    let letters = CROCKFORD.as_bytes();
    let milliseconds = at.milliseconds() + random.below(1000);
    let mut text = String::with_capacity(26);
    for place in (0..10).rev() {
        let digit = usize::try_from((milliseconds >> (5 * place)) & 31).expect("five bits fit");
        text.push(char::from(letters[digit]));
    }
    text + &random.text(CROCKFORD, 16)
}

/// A UUID of version 7, time ordered.
pub(crate) fn uuid7(at: Moment, random: &mut Random) -> String {
    let time = format!("{:012x}", at.milliseconds() + random.below(1000));
    format!(
        "{}-{}-7{}-{}{}-{}",
        &time[..8],
        &time[8..],
        random.text(HEX, 3),
        random.text("89ab", 1),
        random.text(HEX, 3),
        random.text(HEX, 12)
    )
}

/// CRC-32 (IEEE), bit by bit: the tokens it is used on are 30 characters long.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    let mut register = u32::MAX;
    for byte in bytes {
        register ^= u32::from(*byte);
        for _ in 0..8 {
            let carry = if register & 1 == 1 { 0xEDB8_8320 } else { 0 };
            register = (register >> 1) ^ carry;
        }
    }
    !register
}

/// A number in base 62, padded with zeros to six characters, as GitHub and npm end their tokens.
pub(crate) fn base62_padded(number: u32) -> String {
    let digits = BASE62.as_bytes();
    let mut rest = usize::try_from(number).expect("32 bits fit a word");
    let mut text = [b'0'; 6];
    for place in text.iter_mut().rev() {
        *place = digits[rest % 62];
        rest /= 62;
    }
    text.iter().copied().map(char::from).collect()
}

/// Base 64 of bytes: standard alphabet with padding, or the URL one without.
pub(crate) fn base64(bytes: &[u8], url: bool) -> String {
    let letters = if url { BASE64_URL } else { BASE64 }.as_bytes();
    let mut text = String::with_capacity(bytes.len() * 4 / 3 + 4);
    for chunk in bytes.chunks(3) {
        let mut group = [0_u8; 3];
        group[..chunk.len()].copy_from_slice(chunk);
        let [first, second, third] = group.map(usize::from);
        let sextets = [
            first >> 2,
            (first & 3) << 4 | second >> 4,
            (second & 15) << 2 | third >> 6,
            third & 63,
        ];
        for (place, sextet) in sextets.into_iter().enumerate() {
            if place <= chunk.len() {
                text.push(char::from(letters[sextet]));
            } else if !url {
                text.push('=');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_and_base64_agree_with_their_published_check_values() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(base62_padded(0), "000000");
        assert_eq!(base62_padded(61), "00000z");
        assert_eq!(base62_padded(62), "000010");
        assert_eq!(base64(b"foob", false), "Zm9vYg==");
        assert_eq!(base64(b"fooba", false), "Zm9vYmE=");
        assert_eq!(base64(b"foobar", false), "Zm9vYmFy");
        assert_eq!(base64(&[0xFB, 0xFF], true), "-_8");
    }

    #[test]
    fn times_are_written_in_the_forms_of_their_interfaces() {
        let moment = Moment(1_756_710_000);
        assert_eq!(moment.storage(), "2025-09-01T08:00:00+0100");
        assert_eq!(moment.queue(), "2025-09-01T07:00:00+00:00");
        assert_eq!(moment.sql(), "2025-09-01 07:00:00");
        assert_eq!(moment.day(), "2025-09-01");
    }

    #[test]
    fn a_ulid_is_26_characters_and_sorts_by_time() {
        let mut random = Random::new(3);
        let early = ulid(Moment(1_756_710_000), &mut random);
        let late = ulid(Moment(1_756_710_002), &mut random);
        assert_eq!(early.len(), 26);
        assert!(early < late);
        assert_eq!(&early[..7], "01K4216");
    }

    #[test]
    fn a_uuid_of_version_seven_has_its_version_and_variant() {
        let text = uuid7(Moment(1_756_710_000), &mut Random::new(3));
        assert_eq!(text.len(), 36);
        assert_eq!(&text[14..15], "7");
        assert!("89ab".contains(&text[19..20]));
    }
}
