//! Packet lines: four hexadecimal digits of length, then the content.

use std::io::{self, Read};

/// One packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Packet {
    Data(Vec<u8>),
    /// `0000`: the end of a message.
    Flush,
    /// `0001`: the end of a section.
    Delimiter,
    /// `0002`: the end of an answer.
    ResponseEnd,
}

impl Packet {
    /// Returns the line without its line feed; none if it is not one.
    pub(crate) fn line(&self) -> Option<&[u8]> {
        match self {
            Self::Data(data) => Some(data.strip_suffix(b"\n").unwrap_or(data)),
            Self::Flush | Self::Delimiter | Self::ResponseEnd => None,
        }
    }
}

const LENGTH_BYTES: usize = 4;
/// The most that a packet may have, with its length.
const PACKET_BYTES_MAX: usize = 65_520;

pub(crate) const FLUSH: &[u8] = b"0000";
pub(crate) const DELIMITER: &[u8] = b"0001";

/// Appends a packet. The line is ours, and short.
pub(crate) fn push(out: &mut Vec<u8>, line: &str) {
    let length = line.len() + LENGTH_BYTES;
    assert!(length <= PACKET_BYTES_MAX, "lines that we write are short");
    out.extend_from_slice(format!("{length:04x}").as_bytes());
    out.extend_from_slice(line.as_bytes());
}

/// Reads packets, up to so many bytes of them.
pub(crate) struct PacketReader<'a> {
    from: &'a mut dyn Read,
    bytes_left: u64,
    bytes_max: u64,
}

/// Why no packet could be read.
#[derive(Debug)]
pub(crate) enum PacketError {
    Io(io::Error),
    /// It is no packet line.
    Malformed(String),
    /// There is more than so many bytes.
    TooMuch(u64),
}

impl<'a> PacketReader<'a> {
    pub(crate) fn new(from: &'a mut dyn Read, bytes_max: u64) -> Self {
        Self {
            from,
            bytes_left: bytes_max,
            bytes_max,
        }
    }

    /// Reads the next packet; none at the end of the input.
    pub(crate) fn next(&mut self) -> Result<Option<Packet>, PacketError> {
        let mut length = [0; LENGTH_BYTES];
        if !read_full_or_nothing(self.from, &mut length).map_err(PacketError::Io)? {
            return Ok(None);
        }
        let digits = std::str::from_utf8(&length).ok();
        let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let parsed = digits.and_then(|digits| usize::from_str_radix(digits, 16).ok());
        let length = match parsed {
            Some(0) => return Ok(Some(Packet::Flush)),
            Some(1) => return Ok(Some(Packet::Delimiter)),
            Some(2) => return Ok(Some(Packet::ResponseEnd)),
            Some(length @ LENGTH_BYTES..) => length - LENGTH_BYTES,
            Some(_) | None => {
                let found = String::from_utf8_lossy(&length).into_owned();
                return Err(PacketError::Malformed(format!("a packet begins with {found:?}")));
            }
        };
        let left = self.bytes_left.checked_sub(length as u64);
        self.bytes_left = left.ok_or(PacketError::TooMuch(self.bytes_max))?;
        let mut data = vec![0; length];
        self.from.read_exact(&mut data).map_err(PacketError::Io)?;
        Ok(Some(Packet::Data(data)))
    }

    /// Reads a packet that must be there.
    pub(crate) fn require(&mut self) -> Result<Packet, PacketError> {
        self.next()?
            .ok_or_else(|| PacketError::Io(io::ErrorKind::UnexpectedEof.into()))
    }
}

/// Splits the line of a ref behind its id; none if there is no id.
pub(crate) fn words(line: &[u8]) -> Option<(&str, &[u8])> {
    let space = line.iter().position(|byte| *byte == b' ')?;
    let id = std::str::from_utf8(&line[..space]).ok()?;
    Some((id, &line[space + 1..]))
}

/// Fills the buffer; false if the input is at its end before the first byte.
fn read_full_or_nothing(from: &mut dyn Read, buffer: &mut [u8]) -> io::Result<bool> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) if filled == 0 => return Ok(false),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(mut input: &[u8], bytes_max: u64) -> Vec<String> {
        let mut reader = PacketReader::new(&mut input, bytes_max);
        let mut found = Vec::new();
        loop {
            match reader.next() {
                Ok(Some(Packet::Data(data))) => found.push(String::from_utf8_lossy(&data).into_owned()),
                Ok(Some(other)) => found.push(format!("{other:?}")),
                Ok(None) => return found,
                Err(error) => {
                    let word = match error {
                        PacketError::Io(error) => format!("!{:?}", error.kind()),
                        PacketError::Malformed(_) => "!malformed".to_owned(),
                        PacketError::TooMuch(_) => "!too much".to_owned(),
                    };
                    found.push(word);
                    return found;
                }
            }
        }
    }

    #[test]
    fn packets_are_told_apart_and_bounded() {
        let mut written = Vec::new();
        push(&mut written, "want\n");
        written.extend_from_slice(DELIMITER);
        push(&mut written, "");
        written.extend_from_slice(FLUSH);
        written.extend_from_slice(b"0002");
        assert_eq!(
            read(&written, 99),
            ["want\n", "Delimiter", "", "Flush", "ResponseEnd"]
        );
        for (input, bytes_max, found) in [
            (&b""[..], 9, &[][..]),
            (b"00", 9, &["!UnexpectedEof"]),
            (b"0008abc", 9, &["!UnexpectedEof"]),
            (b"0003", 9, &["!malformed"]),
            (b"<htm", 9, &["!malformed"]),
            (b"+00a", 9, &["!malformed"]),
            (b"0006ab0006cd", 3, &["ab", "!too much"]),
            (b"ffff", 9, &["!too much"]),
        ] {
            assert_eq!(
                read(input, bytes_max),
                found,
                "{}",
                String::from_utf8_lossy(input)
            );
        }
    }
}
