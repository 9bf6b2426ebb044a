//! Forms of tokens without a distinctive start: each is told from a long run, and from what is around it.

use super::{
    NAMELESS_MIN, NUMBER_MAX, PART_MAX, Run, Tells, WHOLE_MIN, has_both_cases, is_inside, is_noise, is_part,
    is_start, wallets,
};
use crate::alphabet::{
    ALNUM, Alphabet, DIGIT, DOT, LETTER, LOWER, LOWER_ALNUM, LOWER_HEX, PLUS_SLASH, UPPER_ALNUM, URL64,
    URL64_PADDED, variety,
};
use crate::formats::{base64_bytes, boundary_before};
use crate::shape;
use std::ops::Range;

/// What has a form around a long run.
type Form = fn(&[u8], Range<usize>) -> Option<Range<usize>>;

/// Longest half of a token of two, in bytes.
const HALF_MAX: usize = 256;

/// What tells that noise is a digest or a signature of what is for everybody to see.
const DIGESTS: [&str; 7] = ["sha", "hash", "digest", "integrity", "checksum", "sig", "public"];

/// Length of the shortest token behind the number of its record, in bytes.
const PIPED_MIN: usize = 27;

/// Length of the shortest noise that one letter is joined to, in bytes.
const LETTERED_MIN: usize = 36;

/// A name before a dot has so many parts at most.
const DOTTED_PARTS_MAX: usize = 2;

/// Base64 without its padding.
const SIXTY_FOUR: Alphabet = ALNUM.or(PLUS_SLASH);

/// Forms of runs with letters of both cases.
const OF_BOTH_CASES: [Form; 19] = [
    ably,
    atlassian,
    behind_colon,
    discord,
    dropbox,
    halved,
    lettered,
    ngrok,
    numbered,
    of_64_bytes,
    okta,
    piped,
    prefixed,
    sanity,
    signalwire,
    tableau,
    telnyx,
    wallets::bitcoin,
    yandex,
];

/// Returns the range of the token that a run is of.
pub(super) fn find(text: &[u8], run: &Run, goes_on: bool) -> Option<Range<usize>> {
    let range = || run.range.clone();
    if run.has_both_cases() {
        let found = OF_BOTH_CASES.iter().find_map(|form| form(text, range()));
        return found.or_else(|| dotted(text, &run.range, goes_on));
    }
    // Most runs have letters of one case, or none: ids.
    match run.range.len() {
        31 => sevens(text, range()),
        32 => asana(text, range())
            .or_else(|| everhour(text, range()))
            .or_else(|| zoho(text, range())),
        33 | 34 => pixabay(text, range()),
        35 => fibery(text, range()),
        36 => bitwarden(text, range()),
        39 => finage(text, range()),
        50 => mailgun(text, range()),
        56 => wallets::stellar(text, range()).or_else(|| unleash(text, range())),
        64 => airtable(text, range()),
        _ => None,
    }
}

/// Says whether noise is made of letters of both cases, without words.
pub(super) fn is_mixed_noise(noise: &[u8]) -> bool {
    has_both_cases(noise) && is_noise(noise) && !shape::has_words(noise)
}

/// Says whether noise is as varied as it is by chance, which is enough where the form is rigid.
fn is_varied(noise: &[u8]) -> bool {
    variety(noise) >= 15
}

/// Says whether a text is made of pieces of such lengths and of one alphabet, with dashes between them.
fn is_made_of(token: &[u8], alphabet: Alphabet, lengths: &[usize]) -> bool {
    token.split(|byte| *byte == b'-').count() == lengths.len()
        && token
            .split(|byte| *byte == b'-')
            .zip(lengths)
            .all(|(piece, length)| piece.len() == *length && alphabet.all(piece))
        && token.iter().any(u8::is_ascii_alphabetic)
}

/// `<6>.<6>:<43>`: a key of Ably.
fn ably(text: &[u8], run: Range<usize>) -> Option<Range<usize>> {
    let start = run.start.checked_sub(6 + 1 + 6 + 1)?;
    let name = &text[start..run.start];
    let is_token = run.len() == 43
        && name[6] == b'.'
        && name[13] == b':'
        && ALNUM.all(&name[..6])
        && ALNUM.all(&name[7..13])
        && is_start(text, start)
        && is_mixed_noise(&text[run.clone()]);
    is_token.then_some(start..run.end)
}

/// `pat<14>.<64 hexadecimal digits>`: a personal access token of Airtable.
fn airtable(text: &[u8], run: Range<usize>) -> Option<Range<usize>> {
    let name = (run.start.checked_sub("pat".len() + 14 + 1))?;
    let is_token = run.len() == 64
        && LOWER_HEX.all(&text[run.clone()])
        && text[run.start - 1] == b'.'
        && ALNUM.all(&text[name..run.start - 1])
        && text[name..].starts_with(b"pat")
        && boundary_before(text, name);
    is_token.then_some(name..run.end)
}

/// `1/<user>:<32 hexadecimal digits>`, or `2/<user>/<token>:…`: a personal access token of Asana.
fn asana(text: &[u8], run: Range<usize>) -> Option<Range<usize>> {
    let colon = run.start.checked_sub(1).filter(|colon| text[*colon] == b':')?;
    let mut user = DIGIT.run_back(text, colon, 20);
    if user > 0 && text[user - 1] == b'/' {
        let first = DIGIT.run_back(text, user - 1, 20);
        user = if user - 1 - first >= 10 { first } else { user };
    }
    let start = user.checked_sub(2)?;
    let is_token = run.len() == 32
        && LOWER_HEX.all(&text[run.clone()])
        && colon - user >= 10
        && DIGIT.has(text[start])
        && text[start + 1] == b'/'
        && boundary_before(text, start);
    is_token.then_some(start..run.end)
}

/// `0.<UUID>.<30>:<24 in base64>`: a token of Bitwarden's secrets manager.
fn bitwarden(text: &[u8], run: Range<usize>) -> Option<Range<usize>> {
    let start = run.start.checked_sub("0.".len())?;
    let colon = run.end + 1 + 30;
    let end = colon + 1 + 24;
    let is_token = text[start..].starts_with(b"0.")
        && shape::is_uuid(&text[run.clone()])
        && text.get(run.end) == Some(&b'.')
        && text.get(colon) == Some(&b':')
        && ALNUM.all(&text[run.end + 1..colon])
        && text
            .get(colon + 1..end)
            .is_some_and(|key| SIXTY_FOUR.all(&key[..22]) && key.ends_with(b"=="))
        && is_start(text, start);
    is_token.then_some(start..end)
}

/// The user's number in base64, a time of six bytes, and a signature: the token of a bot of Discord.
fn discord(text: &[u8], run: Range<usize>) -> Option<Range<usize>> {
    let time = run.end + 1;
    let signature = URL64.run(text, time, 8) + 1;
    let end = URL64.run(text, signature, 64);
    let is_token = (24..=28).contains(&run.len())
        && matches!(text[run.start], b'M' | b'N' | b'O')
        && text.get(run.end) == Some(&b'.')
        && (7..=8).contains(&(signature - time))
        && text.get(signature - 1) == Some(&b'.')
        && (27..=40).contains(&end.saturating_sub(signature))
        && shape::is_opaque(&text[signature..end], 27);
    is_token.then_some(run.start..end)
}

/// `2<26>_<digit><20>`: a token of ngrok, a time and noise at first.
fn ngrok(text: &[u8], run: Range<usize>) -> Option<Range<usize>> {
    let token = &text[run.clone()];
    let is_token = token.len() == 49
        && matches!(token[0], b'1'..=b'3')
        && token[27] == b'_'
        && DIGIT.has(token[28])
        && ALNUM.all(&token[..27])
        && ALNUM.all(&token[28..])
        && is_mixed_noise(token);
    is_token.then_some(run)
}

/// `<number>-<noise>`: a key of TrueNAS, and what else begins with the number of whoever has it.
fn numbered(text: &[u8], run: Range<usize>) -> Option<Range<usize>> {
    let token = &text[run.clone()];
    let noise = token.get(DIGIT.run(token, 0, 12) + 1..)?;
    let is_token = DIGIT.has(token[0])
        && (40..=128).contains(&noise.len())
        && matches!(token[token.len() - noise.len() - 1], b'-' | b'_')
        && ALNUM.all(noise)
        && has_both_cases(noise)
        && is_noise(noise);
    is_token.then_some(run)
}

/// `00<40>`: an API token of Okta.
fn okta(text: &[u8], run: Range<usize>) -> Option<Range<usize>> {
    let token = &text[run.clone()];
    let is_token =
        token.len() == 42 && token.starts_with(b"00") && has_both_cases(token) && is_noise(&token[2..]);
    is_token.then_some(run)
}

/// `1000.<32 hexadecimal digits>.<32>`: a code or a token of Zoho.
fn zoho(text: &[u8], run: Range<usize>) -> Option<Range<usize>> {
    let start = run.start.checked_sub("1000.".len())?;
    let end = run.end + 1 + 32;
    let second = text.get(run.end + 1..end)?;
    let is_token = run.len() == 32
        && LOWER_HEX.all(&text[run.clone()])
        && text[run.end] == b'.'
        && LOWER_HEX.all(second)
        && text.get(end).is_none_or(|next| !URL64.has(*next))
        && text[start..].starts_with(b"1000.")
        && boundary_before(text, start);
    is_token.then_some(start..end)
}

/// `t1.<data>.<86>`: an access token of Yandex Cloud.
fn yandex(text: &[u8], run: Range<usize>) -> Option<Range<usize>> {
    let dot = run.start.checked_sub(1).filter(|dot| text[*dot] == b'.')?;
    let data = URL64_PADDED.run_back(text, dot, 500);
    let start = data.checked_sub("t1.".len())?;
    let is_token = run.len() >= 80
        && dot - data >= 20
        && text[start..].starts_with(b"t1.")
        && boundary_before(text, start)
        && shape::is_opaque(&text[run.clone()], 80);
    is_token.then_some(start..run.end)
}

/// 12 digits, a colon and 20 bytes in base64: a personal access token of a data centre of Atlassian.
fn atlassian(text: &[u8], run: Range<usize>) -> Option<Range<usize>> {
    let start = SIXTY_FOUR.run_back(text, run.start, 45);
    let end = SIXTY_FOUR.run(text, run.end, 45);
    if end - start != 44 || !matches!(text[start], b'M' | b'N' | b'O') {
        return None;
    }
    let head: Vec<u8> = base64_bytes(&text[start..start + 20]).collect::<Option<_>>()?;
    let is_token = DIGIT.all(&head[..12]) && head[12] == b':' && shape::is_opaque(&text[start + 18..end], 26);
    is_token.then_some(start..end)
}

/// `name.<noise>`: the joint of some issuers, and of members of objects, of files and of hosts.
fn dotted(text: &[u8], run: &Range<usize>, goes_on: bool) -> Option<Range<usize>> {
    let dot = run.start.checked_sub(1).filter(|dot| text[*dot] == b'.')?;
    let noise = &text[run.clone()];
    if noise.len() < NAMELESS_MIN {
        return None;
    }
    let start = ALNUM
        .or(DOT)
        .run_back(text, dot, DOTTED_PARTS_MAX * (PART_MAX + 1));
    let name = &text[start..dot];
    let mut parts = name.split(|byte| *byte == b'.');
    let is_name = parts.by_ref().take(DOTTED_PARTS_MAX).all(is_dotted_part) && parts.next().is_none();
    let is_token = is_name
        && is_start(text, start)
        && Tells::by(name) != Tells::Public
        && noise
            .split(|byte| !ALNUM.has(*byte))
            .any(|piece| piece.len() >= WHOLE_MIN && has_both_cases(piece))
        && !is_inside(text, &(start..run.end), goes_on)
        && !matches!(text.get(run.end), Some(b'(' | b'[' | b'='))
        && is_mixed_noise(noise);
    is_token.then_some(start..run.end)
}

fn is_dotted_part(part: &[u8]) -> bool {
    (part.len() <= PART_MAX && is_part(part))
        || matches!(part, [letter] if LETTER.has(*letter))
        || is_number(part)
}

fn is_number(part: &[u8]) -> bool {
    (1..=8).contains(&part.len()) && DIGIT.all(part)
}

/// 64 bytes with as many zeros as ten digits have in their middle: a long-lived token of Dropbox.
fn dropbox(text: &[u8], run: Range<usize>) -> Option<Range<usize>> {
    let token = &text[run.clone()];
    let is_token = token.len() == 64
        && (11..=13).any(|at| token[at..at + 10].iter().all(|byte| *byte == b'A'))
        && ALNUM.all(&token[..11])
        && variety(&token[..11]) >= 6
        && is_varied(&token[24..]);
    is_token.then_some(run)
}

/// `<4>-<4>-<6>-<6>-<8>` hexadecimal digits: a key of Everhour.
fn everhour(text: &[u8], run: Range<usize>) -> Option<Range<usize>> {
    is_made_of(&text[run.clone()], LOWER_HEX, &[4, 4, 6, 6, 8]).then_some(run)
}

/// `<8>.<35>` hexadecimal digits: a token of Fibery.
fn fibery(text: &[u8], run: Range<usize>) -> Option<Range<usize>> {
    let start = run.start.checked_sub(8 + 1)?;
    let is_token = LOWER_HEX.all(&text[run.clone()])
        && text[run.start - 1] == b'.'
        && LOWER_HEX.all(&text[start..run.start - 1])
        && is_start(text, start);
    is_token.then_some(start..run.end)
}

/// `API_KEY<32>`: a key of Finage.
fn finage(text: &[u8], run: Range<usize>) -> Option<Range<usize>> {
    let noise = text[run.clone()].strip_prefix(b"API_KEY")?;
    (UPPER_ALNUM.all(noise) && is_noise(noise)).then_some(run)
}

/// `<noise>.<noise>`: a token of Segment, and others whose halves are told apart.
fn halved(text: &[u8], run: Range<usize>) -> Option<Range<usize>> {
    let second = run.end + 1;
    let end = URL64.run(text, second, HALF_MAX + 1);
    let halves = [run.clone(), second..end];
    let is_half = |half: &Range<usize>| (NAMELESS_MIN..=HALF_MAX).contains(&half.len());
    let is_token = text.get(run.end) == Some(&b'.')
        && halves.iter().all(is_half)
        && !text[run.clone()].starts_with(b"eyJ")
        && !is_inside(text, &(run.start..end), false)
        && halves.iter().all(|half| is_mixed_noise(&text[half.clone()]));
    is_token.then_some(run.start..end)
}

/// `<letter>_<noise>`, where that is long or 32 bytes in base64: a key of Mailsac or of Beamer.
fn lettered(text: &[u8], run: Range<usize>) -> Option<Range<usize>> {
    let [letter, b'_', ..] = text[run.clone()] else {
        return None;
    };
    let start = run.start + 2;
    let end = URL64.or(PLUS_SLASH).run(text, run.end, 44);
    let noise = &text[start..end];
    let is_padded = noise.len() == 43 && text.get(end) == Some(&b'=');
    let is_token = LOWER.has(letter)
        && (is_padded || (end == run.end && noise.len() >= LETTERED_MIN && ALNUM.all(noise)))
        && noise.len() <= HALF_MAX
        && !is_inside(text, &(run.start..end), false)
        && (is_mixed_noise(noise) || (is_padded && is_varied(noise)));
    is_token.then_some(run.start..end + usize::from(is_padded))
}

/// `<32>-<8>-<8>` hexadecimal digits: a key of Mailgun.
fn mailgun(text: &[u8], run: Range<usize>) -> Option<Range<usize>> {
    is_made_of(&text[run.clone()], LOWER_HEX, &[32, 8, 8]).then_some(run)
}

/// 64 bytes in base64, as keys of storage accounts are, where no word before it tells of a digest.
fn of_64_bytes(text: &[u8], run: Range<usize>) -> Option<Range<usize>> {
    if run.len() > 86 {
        return None;
    }
    let start = SIXTY_FOUR.run_back(text, run.start, 86);
    let end = SIXTY_FOUR.run(text, run.end, 86);
    if end - start != 86 || !text[end..].starts_with(b"==") || text.get(end + 2) == Some(&b'=') {
        return None;
    }
    let before = text[start.saturating_sub(40)..start].to_ascii_lowercase();
    let is_digest = DIGESTS
        .iter()
        .any(|word| memchr::memmem::find(&before, word.as_bytes()).is_some());
    let is_token = !is_digest && !before.ends_with(b"-") && shape::is_opaque(&text[start..end], 86);
    is_token.then_some(start..end + 2)
}

/// `<digit>:<52>`, `<8 to 10 digits>:<35>`: a token of Optimizely, an old one of Telegram.
fn behind_colon(text: &[u8], run: Range<usize>) -> Option<Range<usize>> {
    let colon = run.start.checked_sub(1).filter(|colon| text[*colon] == b':')?;
    let start = DIGIT.run_back(text, colon, 11);
    let is_rigid = match run.len() {
        35 => (8..=10).contains(&(colon - start)),
        52 => colon - start == 1,
        _ => false,
    };
    let is_token = is_rigid && is_start(text, start) && is_mixed_noise(&text[run.clone()]);
    is_token.then_some(start..run.end)
}

/// `<number>|<noise>`: a token of Laravel, of an app of Facebook. A row of a table has more cells.
fn piped(text: &[u8], run: Range<usize>) -> Option<Range<usize>> {
    let bar = run.start.checked_sub(1).filter(|bar| text[*bar] == b'|')?;
    let start = DIGIT.run_back(text, bar, NUMBER_MAX + 1);
    let token = &text[run.clone()];
    let number = bar - start;
    let is_rigid = match token.len() {
        27 => (15..=16).contains(&number),
        40 | 48 => ALNUM.all(token),
        _ => false,
    };
    let is_token = (1..=NUMBER_MAX).contains(&number)
        && (PIPED_MIN..=HALF_MAX).contains(&token.len())
        && is_start(text, start)
        && text.get(run.end) != Some(&b'|')
        && (is_mixed_noise(token) || (is_rigid && is_varied(token)));
    is_token.then_some(start..run.end)
}

/// `<7 or 8 digits>-<25 hexadecimal digits>`: a key of Pixabay.
fn pixabay(text: &[u8], run: Range<usize>) -> Option<Range<usize>> {
    let token = &text[run.clone()];
    let is_token =
        DIGIT.run(token, 0, 8) + 26 == token.len() && is_made_of(token, LOWER_HEX, &[token.len() - 26, 25]);
    is_token.then_some(run)
}

/// `<8 to 24>-<noise>` with digits and small letters before it: a key of Omnisend or of Zenkit.
fn prefixed(text: &[u8], run: Range<usize>) -> Option<Range<usize>> {
    let token = &text[run.clone()];
    let joint = LOWER_ALNUM.run(token, 0, 25);
    let (prefix, noise) = (&token[..joint], token.get(joint + 1..)?);
    let is_token = (8..=24).contains(&joint)
        && prefix.iter().any(u8::is_ascii_digit)
        && prefix.iter().any(u8::is_ascii_lowercase)
        && token[joint] == b'-'
        && (NAMELESS_MIN..=HALF_MAX).contains(&noise.len())
        && ALNUM.all(noise)
        && !is_inside(text, &run, false)
        && is_mixed_noise(noise);
    is_token.then_some(run)
}

/// `sk<79>` or `sk<178>`: a token of Sanity.
fn sanity(text: &[u8], run: Range<usize>) -> Option<Range<usize>> {
    let token = &text[run.clone()];
    let is_token = matches!(token.len(), 81 | 180)
        && token.starts_with(b"sk")
        && ALNUM.all(token)
        && is_mixed_noise(token);
    is_token.then_some(run)
}

/// `<7>-<7>-<7>-<7>`: a key of Ayrshare, of Mailmodo, and of others.
fn sevens(text: &[u8], run: Range<usize>) -> Option<Range<usize>> {
    let token = &text[run.clone()];
    let is_token = is_made_of(token, UPPER_ALNUM, &[7; 4])
        && !is_inside(text, &run, false)
        && token.iter().filter(|byte| DIGIT.has(**byte)).count() >= 4
        && is_noise(token);
    is_token.then_some(run)
}

/// `PT<48 hexadecimal digits>`: a token of SignalWire.
fn signalwire(text: &[u8], run: Range<usize>) -> Option<Range<usize>> {
    let digits = text[run.clone()].strip_prefix(b"PT")?;
    (digits.len() == 48 && LOWER_HEX.all(digits)).then_some(run)
}

/// 16 bytes in base64, a colon, and 32 letters and digits: a personal access token of Tableau.
fn tableau(text: &[u8], run: Range<usize>) -> Option<Range<usize>> {
    let colon = run.start.checked_sub("==:".len())?;
    let start = SIXTY_FOUR.run_back(text, colon, 23);
    let is_token = run.len() == 32
        && text[colon..].starts_with(b"==:")
        && colon - start == 22
        && ALNUM.all(&text[run.clone()])
        && is_noise(&text[run.clone()]);
    is_token.then_some(start..run.end)
}

/// `<project>:<environment>.<56 hexadecimal digits>`: a token of Unleash.
fn unleash(text: &[u8], run: Range<usize>) -> Option<Range<usize>> {
    let dot = run.start.checked_sub(1).filter(|dot| text[*dot] == b'.')?;
    let environment = URL64.run_back(text, dot, 64);
    let colon = environment.checked_sub(1).filter(|colon| text[*colon] == b':')?;
    let project = URL64.run_back(text, colon, 64);
    let is_any = colon > 0 && matches!(text[colon - 1], b'*');
    let start = if is_any { colon - 1 } else { project };
    let is_token = start < colon
        && environment < dot
        && LOWER_HEX.all(&text[run.clone()])
        && is_varied(&text[run.clone()]);
    is_token.then_some(start..run.end)
}

/// `KEY<32>_<22>`: a key of Telnyx.
fn telnyx(text: &[u8], run: Range<usize>) -> Option<Range<usize>> {
    let token = &text[run.clone()];
    let is_token = token.len() == 58
        && token.starts_with(b"KEY")
        && ALNUM.all(&token[..35])
        && token[35] == b'_'
        && is_noise(&token[36..]);
    is_token.then_some(run)
}

#[cfg(test)]
mod tests {
    use super::super::{
        Which, find,
        tests::{HEXADECIMAL, NOISE, check},
    };
    use expect_test::expect;

    #[test]
    fn some_forms_are_read_from_their_longest_run() {
        let texts = [
            format!("pat{}.{HEXADECIMAL}{HEXADECIMAL}", &NOISE[..14]),
            format!("1/1199887766554433:{HEXADECIMAL}"),
            format!("Bot MTA{}.G{}.{}", &NOISE[..22], &NOISE[..5], &NOISE[..38]),
            format!("t1.{NOISE}==.{NOISE}{NOISE}aB3dE5"),
            format!("format{}.{HEXADECIMAL}{HEXADECIMAL}", &NOISE[..14]),
            format!("a/1199887766554433:{HEXADECIMAL}"),
            format!("MTA{}.min.js", &NOISE[..22]),
            format!("[\"10-{NOISE}{NOISE}\"]"),
            format!("10-{NOISE}-{NOISE}"),
            format!("00{NOISE}"),
            format!("000{NOISE}"),
            format!("1000.{HEXADECIMAL}.{HEXADECIMAL}"),
            format!("100.{HEXADECIMAL}.{HEXADECIMAL}"),
        ];
        check(
            &texts,
            &expect![[r#"
                pataB3dE5fG7hJ9kL.0f3a9c71d25e84b60f3a9c71d25e84b60f3a9c71d25e84b60f3a9c71d25e84b6  ->  ["pataB3dE5fG7hJ9kL.0f3a9c71d25e84b60f3a9c71d25e84b60f3a9c71d25e84b60f3a9c71d25e84b6"]
                1/1199887766554433:0f3a9c71d25e84b60f3a9c71d25e84b6  ->  ["1/1199887766554433:0f3a9c71d25e84b60f3a9c71d25e84b6"]
                Bot MTAaB3dE5fG7hJ9kL2mN4pQ6r.GaB3dE.aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3  ->  ["MTAaB3dE5fG7hJ9kL2mN4pQ6r.GaB3dE.aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3"]
                t1.aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE==.aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dEaB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dEaB3dE5  ->  ["t1.aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE==.aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dEaB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dEaB3dE5"]
                formataB3dE5fG7hJ9kL.0f3a9c71d25e84b60f3a9c71d25e84b60f3a9c71d25e84b60f3a9c71d25e84b6  ->  []
                a/1199887766554433:0f3a9c71d25e84b60f3a9c71d25e84b6  ->  []
                MTAaB3dE5fG7hJ9kL2mN4pQ6r.min.js  ->  []
                ["10-aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dEaB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE"]  ->  ["10-aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dEaB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE"]
                10-aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE-aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE  ->  []
                00aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE  ->  ["00aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE"]
                000aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE  ->  []
                1000.0f3a9c71d25e84b60f3a9c71d25e84b6.0f3a9c71d25e84b60f3a9c71d25e84b6  ->  ["1000.0f3a9c71d25e84b60f3a9c71d25e84b6.0f3a9c71d25e84b60f3a9c71d25e84b6"]
                100.0f3a9c71d25e84b60f3a9c71d25e84b6.0f3a9c71d25e84b60f3a9c71d25e84b6  ->  []
            "#]],
        );
    }

    #[test]
    fn forms_of_letters_of_both_cases() {
        let upper = NOISE.to_ascii_uppercase();
        let texts = [
            format!("KEY{}_{}", &upper[..32], &NOISE[..22]),
            format!("sk{NOISE}{}", &NOISE[..39]),
            format!("PT{HEXADECIMAL}{}", &HEXADECIMAL[..16]),
            format!("k_{}", &NOISE[..36]),
            format!("b_{}+3d=", &NOISE[..40]),
            format!("{}:{}", "aB3dE5fG7h/9kL2mN4pQ6r==", &NOISE[..32]),
            format!("token: 38|{NOISE}"),
            format!("123456789012345|{}", &NOISE[..27]),
            format!("7|acme_live_{NOISE}"),
            format!("2:{NOISE}{}", &NOISE[..12]),
            format!("123456789:{}", &NOISE[..35]),
            format!("{NOISE}.{NOISE}"),
            format!("{}AAAAAAAAAA{}{}", &NOISE[..11], NOISE, &NOISE[..3]),
            format!("MTIzNDU2Nzg5MDEyOq{}", &NOISE[..26]),
            format!("{}-{NOISE}", &HEXADECIMAL[..24]),
            format!("{NOISE}/{NOISE}+3dEf==",),
        ];
        check(
            &texts,
            &expect![[r#"
                KEYAB3DE5FG7HJ9KL2MN4PQ6RS8TU0VWX1Y_aB3dE5fG7hJ9kL2mN4pQ6r  ->  ["KEYAB3DE5FG7HJ9KL2MN4PQ6RS8TU0VWX1Y_aB3dE5fG7hJ9kL2mN4pQ6r"]
                skaB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dEaB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3d  ->  ["skaB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dEaB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3d"]
                PT0f3a9c71d25e84b60f3a9c71d25e84b60f3a9c71d25e84b6  ->  ["PT0f3a9c71d25e84b60f3a9c71d25e84b60f3a9c71d25e84b6"]
                k_aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5Ab  ->  ["k_aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5Ab"]
                b_aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE+3d=  ->  ["b_aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE+3d="]
                aB3dE5fG7h/9kL2mN4pQ6r==:aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Y  ->  ["aB3dE5fG7h/9kL2mN4pQ6r==:aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Y"]
                token: 38|aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE  ->  ["38|aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE"]
                123456789012345|aB3dE5fG7hJ9kL2mN4pQ6rS8tU0  ->  ["123456789012345|aB3dE5fG7hJ9kL2mN4pQ6rS8tU0"]
                7|acme_live_aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE  ->  ["7|acme_live_aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE"]
                2:aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dEaB3dE5fG7hJ9  ->  ["2:aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dEaB3dE5fG7hJ9"]
                123456789:aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5A  ->  ["123456789:aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5A"]
                aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE.aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE  ->  ["aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE.aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE"]
                aB3dE5fG7hJAAAAAAAAAAaB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dEaB3  ->  ["aB3dE5fG7hJAAAAAAAAAAaB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dEaB3"]
                MTIzNDU2Nzg5MDEyOqaB3dE5fG7hJ9kL2mN4pQ6rS8tU  ->  ["MTIzNDU2Nzg5MDEyOqaB3dE5fG7hJ9kL2mN4pQ6rS8tU"]
                0f3a9c71d25e84b60f3a9c71-aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE  ->  ["0f3a9c71d25e84b60f3a9c71-aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE"]
                aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE/aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE+3dEf==  ->  ["aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE/aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE+3dEf==", "aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE/aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE+3dEf=="]
            "#]],
        );
    }

    #[test]
    fn forms_with_signs_between_their_parts() {
        let (ably, ngrok) = (
            format!("aB3dE5.fG7hJ9:{}dE5", &NOISE),
            format!("2{}_4{}", &NOISE[..26], &NOISE[20..]),
        );
        let telnyx = format!("KEY01{}_{}", &HEXADECIMAL[2..], &NOISE[..22]);
        let bitwarden = format!(
            "0.ae4eea22-0942-49f4-8fdf-07fe751ab67d.{}:{}==",
            &NOISE[..30],
            &NOISE[..22]
        );
        let (unleash, any) = (
            format!("default:live.{HEXADECIMAL}{}", &HEXADECIMAL[..24]),
            format!("*:live.{HEXADECIMAL}{}", &HEXADECIMAL[..24]),
        );
        let sanity = format!("sk{}{}", NOISE.repeat(4), &NOISE[..18]);
        let found = |text: &str| {
            find(text.as_bytes(), Which::All, false)
                .map(|(range, _)| range)
                .next()
        };
        for token in [&ably, &ngrok, &telnyx, &bitwarden, &unleash, &any, &sanity] {
            assert_eq!(found(&format!("x: {token}")), Some(3..3 + token.len()), "{token}");
        }
        for other in [
            ably.replacen(':', ".", 1),
            ngrok.replacen("_4", "_x", 1),
            bitwarden.replacen("0.", "1.", 1),
            unleash.replacen(':', " ", 1),
        ] {
            assert_ne!(found(&format!("x: {other}")), Some(3..3 + other.len()), "{other}");
        }
    }

    #[test]
    fn forms_of_letters_of_one_case() {
        let upper = NOISE.to_ascii_uppercase();
        let texts = [
            format!("API_KEY{}", &upper[..32]),
            format!("{HEXADECIMAL}-0f3a9c71-d25e84b6"),
            "0f3a-9c71-d25e84-b60f3a-9c71d25e".to_owned(),
            format!("12345678-{}", &HEXADECIMAL[..25]),
            format!("0f3a9c71.{HEXADECIMAL}0f3"),
            "AB3DE5F-G7HJ9KL-2MN4PQ6-RS8TU0V".to_owned(),
        ];
        check(
            &texts,
            &expect![[r#"
            API_KEYAB3DE5FG7HJ9KL2MN4PQ6RS8TU0VWX1Y  ->  ["API_KEYAB3DE5FG7HJ9KL2MN4PQ6RS8TU0VWX1Y"]
            0f3a9c71d25e84b60f3a9c71d25e84b6-0f3a9c71-d25e84b6  ->  ["0f3a9c71d25e84b60f3a9c71d25e84b6-0f3a9c71-d25e84b6"]
            0f3a-9c71-d25e84-b60f3a-9c71d25e  ->  ["0f3a-9c71-d25e84-b60f3a-9c71d25e"]
            12345678-0f3a9c71d25e84b60f3a9c71d  ->  ["12345678-0f3a9c71d25e84b60f3a9c71d"]
            0f3a9c71.0f3a9c71d25e84b60f3a9c71d25e84b60f3  ->  ["0f3a9c71.0f3a9c71d25e84b60f3a9c71d25e84b60f3"]
            AB3DE5F-G7HJ9KL-2MN4PQ6-RS8TU0V  ->  ["AB3DE5F-G7HJ9KL-2MN4PQ6-RS8TU0V"]
        "#]],
        );
    }

    #[test]
    fn a_dot_joins_a_name_and_noise() {
        let texts = [
            format!("sl.{NOISE}"),
            format!("k4.secret.{NOISE}"),
            format!("o.{}", &NOISE[..32]),
            format!("1234567.pt.{NOISE}{NOISE}"),
            format!("acme_live_{}.{}", &NOISE[..22], &NOISE[18..]),
            format!("acme_{NOISE}.{HEXADECIMAL}"),
        ];
        check(
            &texts,
            &expect![[r#"
            sl.aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE  ->  ["sl.aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE"]
            k4.secret.aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE  ->  ["k4.secret.aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE"]
            o.aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Y  ->  ["o.aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Y"]
            1234567.pt.aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dEaB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE  ->  ["1234567.pt.aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dEaB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE"]
            acme_live_aB3dE5fG7hJ9kL2mN4pQ6r.pQ6rS8tU0vWx1Yz5AbC3dE  ->  ["acme_live_aB3dE5fG7hJ9kL2mN4pQ6r.pQ6rS8tU0vWx1Yz5AbC3dE"]
            acme_aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE.0f3a9c71d25e84b60f3a9c71d25e84b6  ->  ["acme_aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE.0f3a9c71d25e84b60f3a9c71d25e84b6"]
        "#]],
        );
    }

    #[test]
    fn what_only_resembles_a_form_stays() {
        let texts = [
            format!("main.{NOISE}.js"),
            format!("chunk.{}.css", &HEXADECIMAL[..20]),
            format!("file.{NOISE}"),
            format!("/static/o.{NOISE}"),
            format!("cdn.acme.example.{NOISE}"),
            format!("self.{}", "someFunctionNameThatIsQuiteLong12345"),
            format!("sl.{NOISE}("),
            format!("in.c-main.{NOISE}"),
            "in.c-Acme-01jd4k7zq0000000000n7x8w0d".to_owned(),
            "storage.c-Acme-01jd4k7zq0000000000n7x8w0d".to_owned(),
            format!("|38|{NOISE}|"),
            format!("38|{NOISE}|2024"),
            format!("h1:{}=", &NOISE[..40]),
            format!("sha512-{NOISE}/{NOISE}+3dEf=="),
            format!("\"contentHash\": \"{NOISE}/{NOISE}+3dEf==\""),
            format!("/a/b_{NOISE}"),
            format!("{}-{NOISE}.js", &HEXADECIMAL[..8]),
            format!("{HEXADECIMAL}-{HEXADECIMAL}"),
            "0f3a9c71-d25e-84b6-0f3a-9c71d25e84b6-0f3a9c71-d25e-84b6-0f3a-9c71d25e84b6".to_owned(),
            "CUSTOME-ORDERSA-REGIONS-COUNTRY".to_owned(),
            "API_KEY_OF_THE_CUSTOMERS_REGION_OF_2024".to_owned(),
        ];
        let found = texts
            .iter()
            .filter(|text| find(text.as_bytes(), Which::All, false).next().is_some());
        assert_eq!(found.collect::<Vec<_>>(), Vec::<&String>::new());
    }
}
