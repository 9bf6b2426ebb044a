//! Keys of wallets that are known by their digits: base32 with a checksum, base58.

use super::forms::is_mixed_noise;
use super::is_inside;
use crate::alphabet::ALNUM;
use std::ops::Range;

/// `S<55>` in base32, with its checksum at the end: a seed of Stellar.
pub(super) fn stellar(text: &[u8], run: Range<usize>) -> Option<Range<usize>> {
    let token = &text[run.clone()];
    if token[0] != b'S' {
        return None;
    }
    let (mut bits, mut held, mut bytes) = (0_u32, 0, Vec::with_capacity(35));
    for byte in token {
        let five = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'2'..=b'7' => byte - b'2' + 26,
            _ => return None,
        };
        bits = (bits << 5) | u32::from(five);
        held += 5;
        if held >= 8 {
            held -= 8;
            bytes.push(((bits >> held) & 0xff) as u8);
        }
    }
    let (body, checksum) = bytes.split_last_chunk::<2>()?;
    (crc16(body) == u16::from_le_bytes(*checksum)).then_some(run)
}

/// CRC-16 of XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            (crc << 1) ^ (0x1021 & (crc >> 15).wrapping_neg())
        })
    })
}

/// 51 or 52 digits of base58: a private key of Bitcoin as wallets write it.
pub(super) fn bitcoin(text: &[u8], run: Range<usize>) -> Option<Range<usize>> {
    let token = &text[run.clone()];
    let is_of_wallet = matches!(
        (token.len(), token[0], token[1]),
        (51, b'5', b'H' | b'J' | b'K') | (52, b'K' | b'L', _)
    );
    let is_digit = |byte: &u8| ALNUM.has(*byte) && !matches!(byte, b'0' | b'O' | b'I' | b'l');
    let is_token =
        is_of_wallet && token.iter().all(is_digit) && !is_inside(text, &run, false) && is_mixed_noise(token);
    is_token.then_some(run)
}

#[cfg(test)]
mod tests {
    use super::super::{Which, find};

    #[test]
    fn seeds_and_keys_of_wallets() {
        let seed = ["S", "BCXY5U7HHMGIQMZYDS33PH3ZBNTPTURZPPB7QNQ5JVUJ4JQINW5OKK7"].concat();
        let wallet = ["K", "xdLkXk9hMpNQvQ7x6MbqNbnFDeM2G4UvhvegepFmS36zjonziLf"].concat();
        let found = |text: &str| {
            find(text.as_bytes(), Which::All, false)
                .map(|(range, _)| range)
                .next()
        };
        for token in [&seed, &wallet] {
            assert_eq!(found(&format!("x: {token}")), Some(3..3 + token.len()), "{token}");
        }
        for other in [
            seed.replace('3', "A"),
            format!("{seed}A"),
            wallet.replace('q', "0"),
            format!("{wallet}.js"),
        ] {
            assert_eq!(found(&other), None, "{other}");
        }
    }
}
