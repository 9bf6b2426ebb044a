//! Secrets that are known by their form: a distinctive start, then runs of fixed alphabets and lengths.
//!
//! Rules are data. Each carries vectors of what it must match, at least one for each of its patterns, and of what it must
//! not, which one test runs; they are kept in pieces, so that no literal of this repository looks like a live token. A
//! rule's pattern is matched anchored, greedily and without going back, so a match costs no more than the bytes it reads.

mod bare_keys;
mod checks;
mod cloud;
mod code_hosts;
mod hashes;
mod hosting;
mod private_keys;
mod services;

pub(crate) use bare_keys::{STARTS as BARE_KEYS, bare_private_key};
pub(crate) use checks::{base64_bytes, boundary_before, decode_base64, end_with_rest};
pub(crate) use private_keys::{
    base64_private_key, base64_registry_login, base64_web_token, json_web_token, private_key_block,
    putty_private_lines,
};

use crate::alphabet::{ALNUM, Alphabet, DASH, DOT, PLUS_SLASH, variety};

/// One piece of a pattern.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part {
    /// Between `min` and `max` bytes of the alphabet, and no further byte of it where this is the last part.
    Run {
        alphabet: Alphabet,
        min: usize,
        max: usize,
    },
    /// This text.
    Text(&'static str),
}

/// What a match must be beside its form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Check {
    /// Enough different bytes to be no placeholder.
    Variety,
    /// A right checksum in base62 at the end, or enough different bytes: a wrong checksum is what a
    /// copying error or an example has, and costs nothing to hide.
    Checksum62,
    /// Neither words nor a placeholder: for starts that ordinary names have too.
    Opaque,
}

/// One form of a secret.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pattern {
    /// What it can start with; distinctive, as every occurrence is looked at.
    pub(crate) starts: &'static [&'static str],
    pub(crate) parts: &'static [Part],
    pub(crate) check: Check,
    /// Whether the start is inside a URL's host, which goes with it.
    pub(crate) with_host: bool,
    /// How many parts, each of one length only, are before the start: a mark inside a key.
    lead: usize,
    glued: Glued,
}

/// Whether a start is so distinctive that a letter, digit or `_` may stand right before it, and what then has to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Glued {
    Never,
    /// Words end like the start, and names go on with a digest.
    ToNoise,
    ToNoiseOrHex,
}

/// A rule: secrets of one issuer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Format {
    /// The `<type>` of the marker.
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    pub(crate) patterns: &'static [Pattern],
    /// Texts of which some part matches, at least one for each pattern, in pieces to be joined; `~` at the end of a piece
    /// stands for the checksum of the pieces since the first.
    #[cfg_attr(not(test), expect(dead_code, reason = "vectors are for the test below"))]
    pub(crate) yes: &'static [&'static [&'static str]],
    /// Texts of which nothing matches.
    #[cfg_attr(not(test), expect(dead_code, reason = "vectors are for the test below"))]
    pub(crate) no: &'static [&'static [&'static str]],
}

const fn run(alphabet: Alphabet, min: usize, max: usize) -> Part {
    Part::Run { alphabet, min, max }
}

const fn exact(alphabet: Alphabet, length: usize) -> Part {
    Part::Run {
        alphabet,
        min: length,
        max: length,
    }
}

const fn pattern(starts: &'static [&'static str], parts: &'static [Part]) -> Pattern {
    Pattern {
        starts,
        parts,
        check: Check::Variety,
        with_host: false,
        lead: 0,
        glued: Glued::Never,
    }
}

const fn marked(starts: &'static [&'static str], lead: usize, parts: &'static [Part]) -> Pattern {
    Pattern {
        lead,
        ..pattern(starts, parts)
    }
}

impl Pattern {
    const fn checksummed(self) -> Self {
        Self {
            check: Check::Checksum62,
            ..self
        }
    }

    const fn glued(self) -> Self {
        Self {
            glued: Glued::ToNoiseOrHex,
            ..self
        }
    }

    const fn glued_to_noise(self) -> Self {
        Self {
            glued: Glued::ToNoise,
            ..self
        }
    }

    const fn opaque(self) -> Self {
        Self {
            check: Check::Opaque,
            ..self
        }
    }

    const fn in_url(self) -> Self {
        Self {
            with_host: true,
            ..self
        }
    }

    /// Returns the range that the secret has, where the text has `start` at `at`.
    pub(crate) fn find(&self, text: &[u8], at: usize, start: &str) -> Option<(usize, usize)> {
        let body = at + start.len();
        let (lead, rest) = self.parts.split_at(self.lead);
        let begin = at.checked_sub(lead.iter().map(Part::least).sum())?;
        // Not inside a longer text of base64, where the start is inside the key.
        let is_inside = !lead.is_empty() && begin > 0 && PLUS_SLASH.has(text[begin - 1]);
        let is_glued = !self.with_host && !boundary_before(text, begin);
        if text.get(at..body)? != start.as_bytes()
            || is_inside
            || (is_glued && self.glued == Glued::Never)
            || read(lead, text, begin)? != at
        {
            return None;
        }
        let end = read(rest, text, body)?;
        if let Some(Part::Run { alphabet, .. }) = rest.last()
            && text.get(end).is_some_and(|&next| alphabet.has(next))
        {
            return None;
        }
        let secret = &text[if lead.is_empty() { body } else { begin }..end];
        let varied = variety(secret) >= if secret.len() < 16 { 5 } else { 7 };
        let passes = match self.check {
            Check::Variety => varied,
            Check::Checksum62 => varied || checks::has_checksum62(secret),
            Check::Opaque => crate::shape::is_opaque(secret, 12),
        };
        let passes = passes && (!is_glued || self.may_be_glued(secret));
        passes.then(|| {
            if self.with_host {
                (url_start(text, at), end)
            } else {
                (begin, checks::end_with_rest(text, end))
            }
        })
    }
}

impl Pattern {
    /// Says whether a secret is what no word goes on with that happens to end like the start.
    fn may_be_glued(&self, secret: &[u8]) -> bool {
        (self.check == Check::Checksum62 && checks::has_checksum62(secret))
            || (self.glued == Glued::ToNoiseOrHex && crate::shape::is_hex_or_uuid(secret))
            || crate::shape::is_opaque(secret, 12)
    }
}

impl Part {
    const fn least(&self) -> usize {
        match self {
            Self::Run { min, .. } => *min,
            Self::Text(text) => text.len(),
        }
    }
}

/// Returns where the parts end that begin at `from`.
fn read(parts: &[Part], text: &[u8], from: usize) -> Option<usize> {
    parts.iter().try_fold(from, |end, part| match *part {
        Part::Text(expected) => text[end..]
            .starts_with(expected.as_bytes())
            .then_some(end + expected.len()),
        Part::Run { alphabet, min, max } => {
            let stop = alphabet.run(text, end, max);
            (stop - end >= min).then_some(stop)
        }
    })
}

/// Returns the start of the URL whose host or path goes on at `at`.
fn url_start(text: &[u8], at: usize) -> usize {
    let host = ALNUM.or(DASH).or(DOT).run_back(text, at, 64);
    let scheme = b"https://";
    let before = host.checked_sub(scheme.len()).map(|start| &text[start..host]);
    if before == Some(scheme) {
        host - scheme.len()
    } else {
        host
    }
}

/// All rules of known forms, in the order of their indices after the general rules.
pub(crate) fn all() -> impl Iterator<Item = &'static Format> {
    code_hosts::FORMATS
        .iter()
        .chain(hosting::FORMATS)
        .chain(cloud::FORMATS)
        .chain(services::FORMATS)
        .chain(hashes::FORMATS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assemble(pieces: &[&str]) -> String {
        let mut text = String::new();
        for piece in pieces {
            match piece.strip_suffix('~') {
                Some(body) => {
                    text.push_str(body);
                    text.push_str(&checks::checksum62(body.as_bytes()));
                }
                None => text.push_str(piece),
            }
        }
        text
    }

    fn matches(format: &Format, text: &str) -> bool {
        format.patterns.iter().any(|pattern| is_of(pattern, text))
    }

    fn is_of(pattern: &Pattern, text: &str) -> bool {
        pattern.starts.iter().any(|start| {
            text.match_indices(start)
                .any(|(at, _)| pattern.find(text.as_bytes(), at, start).is_some())
        })
    }

    #[test]
    fn every_pattern_has_a_vector_and_rules_match_theirs_and_nothing_near_them() {
        for format in all() {
            for (place, pattern) in format.patterns.iter().enumerate() {
                assert!(
                    format.yes.iter().any(|pieces| is_of(pattern, &assemble(pieces))),
                    "pattern {place} of {} that starts with {:?} has no vector",
                    format.id,
                    pattern.starts
                );
            }
            for pieces in format.yes {
                let text = assemble(pieces);
                assert!(matches(format, &text), "{} must match {text}", format.id);
                assert!(
                    matches(format, &format!("x = \"{text}\";")),
                    "{} must match in quotes",
                    format.id
                );
                assert!(
                    matches(format, &format!("a\\n{text}")),
                    "{} must match after an escaped newline",
                    format.id
                );
                assert!(
                    !matches(format, &text[..text.len() / 4]),
                    "{} must not match the start of {text}",
                    format.id
                );
                let in_url = format.patterns.iter().any(|pattern| pattern.with_host);
                let glued = format
                    .patterns
                    .iter()
                    .any(|pattern| pattern.glued != Glued::Never && is_of(pattern, &text));
                for before in ["Z", "r", "1", "_", "x1"] {
                    assert_eq!(
                        matches(format, &format!("{before}{text}")),
                        in_url || glued,
                        "{} has a left boundary or has none: {before}{text}",
                        format.id
                    );
                }
            }
            for pieces in format.no {
                let text = assemble(pieces);
                assert!(!matches(format, &text), "{} must not match {text}", format.id);
            }
        }
    }

    #[test]
    fn ids_fit_a_marker_and_are_unique() {
        let mut seen = std::collections::BTreeSet::new();
        for format in all() {
            let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            assert!(
                (1..=40).contains(&format.id.len()) && format.id.bytes().all(fits),
                "{}",
                format.id
            );
            assert!(seen.insert(format.id), "{} occurs twice", format.id);
        }
    }

    #[test]
    fn starts_are_distinctive() {
        for start in all()
            .flat_map(|format| format.patterns)
            .flat_map(|pattern| pattern.starts)
        {
            assert!(start.len() >= 3, "`{start}` would be looked at too often");
        }
    }
}
