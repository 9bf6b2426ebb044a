//! Tokens that show by their form that they are secrets.
//!
//! One pass looks for the literals of all detectors; at each hit the detector's own shape is tested
//! by hand, in time bounded by its length.

use super::forms;
use aho_corasick::{AhoCorasick, AhoCorasickKind};
use std::{ops::Range, sync::LazyLock};

/// Bytes that may stand in a token.
#[derive(Debug, Clone, Copy)]
pub(super) enum Class {
    Digit,
    Hex,
    Alnum,
    /// Letters, digits, `_` and `-`.
    Url,
    /// Letters, digits, `+`, `/` and `=`.
    Base64,
    /// Capitals and digits.
    Upper,
    /// Letters, digits and `_`, `-`, `.`, `=`.
    Dotted,
}

impl Class {
    pub(super) fn has(self, byte: u8) -> bool {
        match self {
            Self::Digit => byte.is_ascii_digit(),
            Self::Hex => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
            Self::Alnum => byte.is_ascii_alphanumeric(),
            Self::Url => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'),
            Self::Base64 => byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='),
            Self::Upper => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            Self::Dotted => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'='),
        }
    }

    /// Returns how many bytes of the class the text begins with.
    pub(super) fn run(self, text: &[u8]) -> usize {
        text.iter()
            .position(|byte| !self.has(*byte))
            .unwrap_or(text.len())
    }
}

/// A part of what follows a detector's literal.
enum Part {
    /// Between so many bytes of a class; more of the same class is another token.
    Run(Class, usize, usize),
    Text(&'static str),
}

use Part::{Run, Text};

enum Shape {
    Parts(&'static [Part]),
    /// Says whether the literal at this place begins, ends or is within a secret.
    Own(fn(&[u8], usize) -> bool),
}

use Shape::{Own, Parts};

struct Detector {
    rule: &'static str,
    literal: &'static str,
    shape: Shape,
}

const fn parts(rule: &'static str, literal: &'static str, parts: &'static [Part]) -> Detector {
    Detector {
        rule,
        literal,
        shape: Parts(parts),
    }
}

const fn own(rule: &'static str, literal: &'static str, is_secret: fn(&[u8], usize) -> bool) -> Detector {
    Detector {
        rule,
        literal,
        shape: Own(is_secret),
    }
}

const MANY: usize = 4096;

static DETECTORS: &[Detector] = &[
    own("guard-github", "ghp_", forms::checked_token),
    own("guard-github", "gho_", forms::checked_token),
    own("guard-github", "ghu_", forms::checked_token),
    own("guard-github", "ghs_", forms::checked_token),
    own("guard-github", "ghr_", forms::checked_token),
    parts(
        "guard-github",
        "github_pat_",
        &[Run(Class::Alnum, 22, 22), Text("_"), Run(Class::Alnum, 59, 59)],
    ),
    own("guard-npm", "npm_", forms::checked_token),
    parts("guard-gitlab", "glpat-", &[Run(Class::Dotted, 20, 300)]),
    parts("guard-gitlab", "gldt-", &[Run(Class::Url, 20, 300)]),
    parts("guard-gitlab", "glrt-", &[Run(Class::Dotted, 20, 300)]),
    parts("guard-gitlab", "glptt-", &[Run(Class::Hex, 40, 40)]),
    parts(
        "guard-slack",
        "xoxb-",
        &[Run(Class::Digit, 9, 14), Text("-"), Run(Class::Url, 20, 80)],
    ),
    parts(
        "guard-slack",
        "xoxp-",
        &[Run(Class::Digit, 9, 14), Text("-"), Run(Class::Url, 30, 120)],
    ),
    parts("guard-slack", "xoxe.xox", &[Run(Class::Url, 120, 300)]),
    parts("guard-slack", "xapp-1-", &[Run(Class::Url, 60, 200)]),
    own("guard-slack", "hooks.slack.com/services/", forms::slack_webhook),
    own("guard-aws", "AKIA", forms::aws_pair),
    own("guard-aws", "ASIA", forms::aws_pair),
    parts("guard-google", "AIza", &[Run(Class::Url, 35, 35)]),
    parts("guard-google", "GOCSPX-", &[Run(Class::Url, 28, 28)]),
    parts("guard-google", "ya29.", &[Run(Class::Url, 60, MANY)]),
    parts("guard-stripe", "sk_live_", &[Run(Class::Alnum, 24, 120)]),
    parts("guard-stripe", "rk_live_", &[Run(Class::Alnum, 24, 120)]),
    parts("guard-stripe", "whsec_", &[Run(Class::Base64, 32, 44)]),
    parts(
        "guard-sendgrid",
        "SG.",
        &[Run(Class::Url, 22, 22), Text("."), Run(Class::Url, 43, 43)],
    ),
    parts("guard-pypi", "pypi-AgEIcHlwaS5vcmc", &[Run(Class::Url, 50, MANY)]),
    own("guard-jwt", "eyJ", forms::jwt),
    own("guard-private-key", "-----BEGIN ", forms::private_key),
    parts(
        "guard-private-key",
        "AGE-SECRET-KEY-1",
        &[Run(Class::Upper, 58, 58)],
    ),
    own("guard-azure", "AccountKey=", forms::azure_account_key),
    own("guard-azure", "SharedAccessKey=", forms::azure_shared_key),
    own("guard-azure", "Q~", forms::azure_client_secret),
    own("guard-url-password", "://", forms::url_password),
    parts("guard-anthropic", "sk-ant-api03-", &[Run(Class::Url, 95, 95)]),
    own("guard-openai", "T3BlbkFJ", forms::openai_key),
    parts("guard-shopify", "shpat_", &[Run(Class::Hex, 32, 32)]),
    parts("guard-shopify", "shpca_", &[Run(Class::Hex, 32, 32)]),
    parts("guard-shopify", "shppa_", &[Run(Class::Hex, 32, 32)]),
    parts("guard-shopify", "shpss_", &[Run(Class::Hex, 32, 32)]),
    parts("guard-digitalocean", "dop_v1_", &[Run(Class::Hex, 64, 64)]),
    parts("guard-digitalocean", "doo_v1_", &[Run(Class::Hex, 64, 64)]),
    parts("guard-databricks", "dapi", &[Run(Class::Hex, 32, 32)]),
    parts("guard-huggingface", "hf_", &[Run(Class::Alnum, 34, 34)]),
    parts(
        "guard-postman",
        "PMAK-",
        &[Run(Class::Hex, 24, 24), Text("-"), Run(Class::Hex, 34, 34)],
    ),
    parts("guard-newrelic", "NRAK-", &[Run(Class::Upper, 27, 27)]),
    parts("guard-linear", "lin_api_", &[Run(Class::Alnum, 40, 40)]),
    parts("guard-notion", "ntn_", &[Run(Class::Alnum, 46, 46)]),
    parts("guard-atlassian", "ATATT3xFfGF0", &[Run(Class::Dotted, 150, 300)]),
    parts(
        "guard-grafana",
        "glsa_",
        &[Run(Class::Alnum, 32, 32), Text("_"), Run(Class::Hex, 8, 8)],
    ),
    parts("guard-vault", "hvs.", &[Run(Class::Url, 90, 300)]),
    parts("guard-vault", "hvb.", &[Run(Class::Url, 130, 300)]),
    parts("guard-doppler", "dp.pt.", &[Run(Class::Alnum, 43, 43)]),
    parts("guard-sentry", "sntryu_", &[Run(Class::Hex, 64, 64)]),
    parts("guard-planetscale", "pscale_tkn_", &[Run(Class::Url, 32, 64)]),
    parts("guard-planetscale", "pscale_pw_", &[Run(Class::Url, 32, 64)]),
    parts("guard-docker", "dckr_pat_", &[Run(Class::Url, 27, 27)]),
    parts("guard-square", "sq0csp-", &[Run(Class::Url, 43, 43)]),
    parts("guard-rubygems", "rubygems_", &[Run(Class::Hex, 48, 48)]),
    parts(
        "guard-dynatrace",
        "dt0c01.",
        &[Run(Class::Upper, 24, 24), Text("."), Run(Class::Upper, 64, 64)],
    ),
    parts(
        "guard-brevo",
        "xkeysib-",
        &[Run(Class::Hex, 64, 64), Text("-"), Run(Class::Alnum, 16, 16)],
    ),
];

static LITERALS: LazyLock<AhoCorasick> = LazyLock::new(|| {
    AhoCorasick::builder()
        .kind(Some(AhoCorasickKind::DFA))
        .build(DETECTORS.iter().map(|detector| detector.literal))
        .expect("a few hundred bytes of literals make a small automaton")
});

/// Returns the rule of the first secret in the text that shows itself by its form.
pub(super) fn find(text: &str) -> Option<&'static str> {
    let by_literal = hits(text).next().map(|(rule, _)| rule);
    let storage_token = || forms::storage_tokens(text.as_bytes()).next();
    by_literal.or_else(|| storage_token().map(|_| "guard-keboola-token"))
}

/// Returns where such secrets stand, rather with what is around them than cut short: what was taken away of a text only
/// hides none of them where it covers all of these.
pub(super) fn extents(text: &str) -> impl Iterator<Item = Range<usize>> {
    let by_literal = hits(text).map(|(rule, literal)| match rule {
        "guard-private-key" => forms::block(text.as_bytes(), literal),
        "guard-aws" => forms::near(text.as_bytes(), literal),
        _ => forms::word(text.as_bytes(), literal),
    });
    by_literal.chain(forms::storage_tokens(text.as_bytes()))
}

/// Returns the rules of secrets with the literals that these are known by.
fn hits(text: &str) -> impl Iterator<Item = (&'static str, Range<usize>)> {
    let bytes = text.as_bytes();
    LITERALS.find_overlapping_iter(bytes).filter_map(move |hit| {
        let detector = &DETECTORS[hit.pattern().as_usize()];
        let is_secret = match &detector.shape {
            Parts(parts) => !continues(bytes, hit.start()) && fits(&bytes[hit.end()..], parts),
            Own(is_secret) => is_secret(bytes, hit.start()),
        };
        let found = is_secret && !forms::is_in_cipher(text, hit.start());
        found.then(|| (detector.rule, hit.range()))
    })
}

/// Says whether the byte before `at` belongs to the same word, so that no token begins at `at`.
///
/// The letter of an escape such as `\n` or `%3D` is not part of a word.
pub(super) fn continues(text: &[u8], at: usize) -> bool {
    let before = |back: usize| at.checked_sub(back).map(|at| text[at]);
    let Some(last) = before(1) else { return false };
    if !(last.is_ascii_alphanumeric() || last == b'_') {
        return false;
    }
    let escape = before(2) == Some(b'\\') && matches!(last, b'n' | b'r' | b't' | b'b' | b'f');
    let percent = before(3) == Some(b'%')
        && last.is_ascii_hexdigit()
        && before(2).is_some_and(|byte| byte.is_ascii_hexdigit());
    !escape && !percent
}

fn fits(text: &[u8], parts: &[Part]) -> bool {
    let mut at = 0;
    let mut longest: &[u8] = &[];
    for part in parts {
        let rest = &text[at..];
        match part {
            Text(wanted) if rest.starts_with(wanted.as_bytes()) => at += wanted.len(),
            Text(_) => return false,
            Run(class, min, max) => {
                let length = class.run(rest);
                if !(*min..=*max).contains(&length) {
                    return false;
                }
                if length > longest.len() {
                    longest = &rest[..length];
                }
                at += length;
            }
        }
    }
    is_varied(longest)
        && !text
            .get(at)
            .is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

/// Says whether a token is no placeholder such as `xxxxxxxx`, `0000` or `…example…`.
pub(super) fn is_varied(token: &[u8]) -> bool {
    if token.windows(7).any(|word| word.eq_ignore_ascii_case(b"example")) {
        return false;
    }
    let mut seen = [false; 256];
    token.iter().for_each(|byte| seen[usize::from(*byte)] = true);
    seen.iter().filter(|seen| **seen).count() >= (token.len() / 3).clamp(4, 9)
}
