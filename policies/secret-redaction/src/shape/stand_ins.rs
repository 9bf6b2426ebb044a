//! Values that stand for others: templates, placeholders, paths, types, and expressions of code.

use super::{is_opaque, is_words};
use crate::alphabet::{ALNUM, DASH, DIGIT, DOT, LETTER, WORD, variety};
use crate::keys::is_secret_name;

/// Says whether the value is a template that something else fills in.
pub(crate) fn is_template(value: &str) -> bool {
    let value = value.trim();
    let inside = |open: &str, close: &str| {
        value
            .find(open)
            .is_some_and(|at| value[at + open.len()..].contains(close))
    };
    let whole =
        |open: char, close: char| value.len() > 2 && value.starts_with(open) && value.ends_with(close);
    inside("{{", "}}")
        || inside("${", "}")
        || inside("#{", "}")
        || inside("$(", ")")
        || inside("{%", "%}")
        || inside("<%", "%>")
        || whole('<', '>')
        || begins_with_tag(value)
        || (whole('{', '}') && WORD.or(DOT).all(&value.as_bytes()[1..value.len() - 1]))
        || (whole('[', ']') && !value.contains(|char: char| char.is_ascii_digit()))
        // `%NAME%`, `%%NAME%%`
        || (whole('%', '%') && WORD.all(value.trim_matches('%').as_bytes()) && !has_three_kinds(value))
        // Of Concourse.
        || (value.starts_with("((") && value.ends_with("))"))
        || value.starts_with("$(")
        // Values that SOPS has encrypted.
        || value.starts_with("ENC[")
        // Noise has them by chance.
        || ((value.contains("%s") || value.contains("%(")) && !is_opaque(value.as_bytes(), 16))
        || has_field(value)
        || value
            .strip_prefix('!')
            .is_some_and(|tag| LETTER.all(tag.as_bytes()) && tag.len() > 2)
        || (value.len() > 4 && value.starts_with("__") && value.ends_with("__"))
        || (value.len() > 4 && value.starts_with("@@") && value.ends_with("@@"))
        // A part of a regular expression.
        || has_character_class(value)
        || value.strip_prefix(['$', ':', '@', '&']).is_some_and(|name| {
            name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && is_variable(name)
        })
}

/// `[a-z0-9_-]{6`, `[^@]*`: of a regular expression.
fn has_character_class(value: &str) -> bool {
    memchr::memchr_iter(b'[', value.as_bytes()).any(|open| {
        let class = &value[open + 1..];
        let begins = ["a-z", "A-Z", "0-9", "^"]
            .iter()
            .any(|range| class.starts_with(range));
        begins
            && class
                .split_once(']')
                .is_some_and(|(_, rest)| rest.starts_with(['*', '+', '?', '{']))
    })
}

/// `&lt;password&gt;`: what documentation in HTML has for `<password>`.
fn begins_with_tag(value: &str) -> bool {
    value.starts_with('&')
        && ["&lt;", "&#x3c;", "&#60;"].iter().any(|tag| {
            value
                .get(..tag.len())
                .is_some_and(|head| head.eq_ignore_ascii_case(tag))
        })
}

/// Says whether a part is a name in braces, or a call or an item, as in `share-{name}` and `{get(name)}`.
fn has_field(value: &str) -> bool {
    let bytes = value.as_bytes();
    memchr::memchr_iter(b'{', bytes).any(|open| {
        let end = WORD.or(DOT).run(bytes, open + 1, 64);
        let is_named = end > open + 1 && (LETTER.has(bytes[open + 1]) || bytes[open + 1] == b'_');
        let closes =
            |close: &[u8]| memchr::memmem::find(&bytes[end..bytes.len().min(end + 64)], close).is_some();
        is_named
            && match bytes.get(end) {
                Some(b'}') => LETTER.has(bytes[open + 1]),
                Some(b'(') => closes(b")}"),
                Some(b'[') => closes(b"]}"),
                _ => false,
            }
    })
}

fn is_variable(name: &str) -> bool {
    let name = name.strip_prefix("env:").unwrap_or(name);
    // `$Passw0rd!` is a password, `$PASSWORD` and `$db_password` are variables.
    let one_case =
        !name.contains(|c: char| c.is_ascii_lowercase()) || !name.contains(|c: char| c.is_ascii_uppercase());
    WORD.all(name.as_bytes())
        && (is_secret_name(name) || (one_case && !name.contains(|c: char| c.is_ascii_digit())))
}

/// Says whether the value stands for a value that is not there.
pub(crate) fn is_placeholder(value: &str) -> bool {
    const STARTS: &[&str] = &[
        "your_",
        "your-",
        "your ",
        "yourpass",
        "yourtoken",
        "yoursecret",
        "insert",
        "enter ",
        "enter_",
        "replace",
        "change_me",
        "change-me",
        "changeme",
        "example",
        "placeholder",
        "dummy",
        "todo",
        "fill_",
        "put_",
        "redacted",
        "my_",
        "my-",
        "the_",
        "some_",
        "some-",
        "xxx",
    ];
    let bytes = value.as_bytes();
    let starts = |start: &&str| {
        value
            .get(..start.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(start))
            && bytes.iter().filter(|byte| byte.is_ascii_digit()).count() < 3
    };
    is_template(value)
        || STARTS.iter().any(starts)
        || variety(bytes) <= 2
        || value.contains("...")
        || value.contains('…')
        || value.contains("****")
        || is_mask(bytes)
        || is_remark(bytes)
        || memchr::memmem::find(bytes, b"xxxx").is_some()
        || memchr::memmem::find(bytes, b"XXXX").is_some()
}

/// `(hidden)`, and `<insert` of `<insert token here>`, which ends at a blank: words in brackets.
fn is_remark(bytes: &[u8]) -> bool {
    let is_of_words = |words: &[u8]| {
        words
            .iter()
            .all(|byte| LETTER.or(DASH).has(*byte) || matches!(byte, b' ' | b'_') || *byte >= 0x80)
    };
    match bytes {
        [b'(', words @ .., b')'] => is_of_words(words),
        [b'<', words @ ..] => !words.is_empty() && is_of_words(words),
        _ => false,
    }
}

/// Says whether a value has bullets in a row, which stand for what is not shown.
fn is_mask(bytes: &[u8]) -> bool {
    memchr::memchr_iter(0xE2, bytes).any(|at| {
        ["•••", "●●●"]
            .iter()
            .any(|mask| bytes[at..].starts_with(mask.as_bytes()))
    })
}

/// Says whether the value is a URL, a path or a reference to where the secret is.
pub(crate) fn is_location(value: &str) -> bool {
    let bytes = value.as_bytes();
    if value.contains("://") || value.starts_with("arn:") {
        return true;
    }
    let path_start = [
        "/",
        "./",
        "../",
        "~/",
        "s3:",
        "gs:",
        "projects/",
        "secret/",
        "file:",
    ];
    let starts = path_start.iter().any(|start| value.starts_with(start));
    let drive = bytes.len() > 3
        && bytes[0].is_ascii_alphabetic()
        && bytes[1] == b':'
        && matches!(bytes[2], b'\\' | b'/');
    let slashes = bytes.iter().filter(|&&byte| byte == b'/').count();
    let e_mail = value.contains('@')
        && is_words(value)
        && value.rsplit('.').next().is_some_and(|end| end.len() <= 4)
        && value.contains('.');
    let names_another = ["env:", "param:", "ssm:", "vault:"]
        .iter()
        .any(|start| value.starts_with(start));
    drive
        || names_another
        || (value.starts_with("~/") && bytes[1..].iter().all(|&byte| WORD.or(DASH).or(DOT).has(byte) || byte == b'/'))
        || (starts && is_words(value))
        // `p@ss:w/rd` is none.
        || (slashes > 0 && !value.contains('@') && (is_words(value) || is_path(value)))
        || e_mail
}

/// Says whether a value of a name that says little, such as `key`, is that of an object in a store: a path of several parts, or of
/// a file of data.
pub(crate) fn is_data_path(value: &str) -> bool {
    const ENDS: [&str; 12] = [
        ".parquet", ".csv", ".tsv", ".json", ".jsonl", ".avro", ".orc", ".gz", ".zip", ".xml", ".txt",
        ".xlsx",
    ];
    let bytes = value.as_bytes();
    let slashes = bytes.iter().filter(|&&byte| byte == b'/').count();
    // Base64 has slashes as well, but none of these inside.
    let joints = |byte: &u8| matches!(byte, b'-' | b'.' | b'_');
    let partition =
        memchr::memchr(b'=', bytes).is_some_and(|at| bytes.get(at + 1).is_some_and(|byte| *byte != b'='));
    ENDS.iter().any(|end| value.ends_with(end))
        || ["in.c-", "out.c-"].iter().any(|stage| value.starts_with(stage))
        || (slashes > 1 && !bytes.contains(&b'+') && (bytes.iter().any(joints) || partition))
}

/// Says whether every part between slashes and dots is a word or a number.
fn is_path(value: &str) -> bool {
    value
        .split(['/', '.', '-', '_'])
        .all(|part| DIGIT.all(part.as_bytes()) || (part.len() < 12 && is_words(part)))
}

/// Words that say of which type a value is, or that there is none.
pub(crate) fn is_type_word(value: &str) -> bool {
    const WORDS: &[&str] = &[
        "string",
        "str",
        "text",
        "varchar",
        "char",
        "integer",
        "int",
        "number",
        "numeric",
        "boolean",
        "bool",
        "object",
        "array",
        "null",
        "none",
        "nil",
        "true",
        "false",
        "undefined",
        "required",
        "optional",
        "hidden",
        "masked",
        "encrypted",
        "empty",
        "unknown",
        "n/a",
        "input",
        "yes",
        "no",
        "password",
        "basic",
        "static",
        "off",
        "never",
        "always",
        "default",
        "heslo",
        "secret",
        "token",
        "pass",
        "query",
        "header",
        "body",
        "bearer",
        "oauth",
        "oauth2",
        "key",
        "varbinary",
        "binary",
        "timestamp",
        "date",
        "float",
        "secretstring",
        "securestring",
        "x-oauth-basic",
        "x-token-auth",
        "md5",
        "sha256",
    ];
    WORDS.iter().any(|word| word.eq_ignore_ascii_case(value))
}

/// `2026-11-02T00:00:00Z`
pub(super) fn is_time(value: &str) -> bool {
    let bytes = value.as_bytes();
    let is_of_time =
        |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'-' | b':' | b'.' | b'+' | b'T' | b'Z' | b' ');
    bytes.len() >= 8 && DIGIT.run(bytes, 0, 5) == 4 && bytes[4] == b'-' && bytes.iter().all(is_of_time)
}

pub(crate) fn is_column_list(value: &str) -> bool {
    value.contains(", ")
}

pub(crate) fn is_small_number(value: &str) -> bool {
    value.len() <= 4 && DIGIT.all(value.as_bytes())
}

/// Says whether an unquoted value is an expression: a call, an index, an attribute.
pub(crate) fn looks_like_code(value: &str) -> bool {
    let bytes = value.as_bytes();
    if value.contains("::") {
        return true;
    }
    let name = WORD.run(bytes, 0, usize::MAX);
    if name == 0 {
        // `--features=a,b`
        let is_flag =
            bytes.starts_with(b"--") && bytes[LETTER.or(DASH).run(bytes, 2, 32)..].starts_with(b"=");
        return is_flag || matches!(bytes.first(), Some(b'(' | b'[' | b'{' | b'*' | b'\\' | b'|'));
    }
    if bytes[0].is_ascii_digit() {
        return false;
    }
    match bytes.get(name) {
        // `Kx9(vT4mQ65pL`: what nobody closes, and no name is.
        Some(b'(') => value.contains(')') || bytes.len() == name + 1 || !has_three_kinds(&value[..name]),
        // `app$getParameters()$…`, `config$password` of R.
        Some(b'$') => {
            let is_of_names = |byte: u8| WORD.or(DOT).has(byte) || byte == b'$';
            let end = bytes
                .iter()
                .position(|&byte| !is_of_names(byte))
                .unwrap_or(bytes.len());
            let last = value[..end].rsplit('$').next().unwrap_or_default();
            let is_name = LETTER.has(bytes.get(name + 1).copied().unwrap_or_default());
            is_name && (bytes.get(end) == Some(&b'(') || (end == bytes.len() && is_secret_name(last)))
        }
        Some(b'[') => {
            bytes.contains(&b']')
                || bytes.len() == name + 1
                || bytes[name + 1] == b'"'
                || bytes[name + 1] == b'\''
                || is_open_type(value)
        }
        // `config.password`, `os.environ[…]`, `self.token`: dotted names in one case.
        Some(b'.') => {
            let dotted = WORD.or(DOT).run(bytes, 0, usize::MAX);
            let rest = bytes.get(dotted);
            matches!(rest, Some(b'(' | b'['))
                || (rest.is_none() && is_attribute(&value[..dotted]))
                || (rest == Some(&b'$') && bytes.ends_with(b"("))
                || (rest == Some(&b':') && is_entry_point(&value[..dotted], &bytes[dotted + 1..]))
        }
        _ => false,
    }
}

/// `Optional[Union[SecretString`: a type of Python up to its first comma.
fn is_open_type(value: &str) -> bool {
    let mut parts = value.split('[').peekable();
    let is_name = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_uppercase()) && LETTER.or(DOT).all(part.as_bytes())
    };
    let mut of_generics = 0;
    while let Some(part) = parts.next() {
        if !is_name(part) {
            return false;
        }
        of_generics += usize::from(
            parts.peek().is_some()
                && [
                    "Optional",
                    "Union",
                    "Annotated",
                    "Callable",
                    "Dict",
                    "Literal",
                    "Mapping",
                    "Tuple",
                ]
                .iter()
                .any(|name| part.rsplit('.').next() == Some(name)),
        );
    }
    of_generics > 0
}

/// `shop.jobs.settings:API_KEY`: a member of a module, as packages name it.
fn is_entry_point(module: &str, member: &[u8]) -> bool {
    let small = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    module.split('.').count() >= 3
        && is_attribute(module)
        && module.bytes().all(|byte| small(byte) || byte == b'.')
        && LETTER.has(*member.first().unwrap_or(&b'0'))
        && WORD.all(member)
        && !member.iter().any(u8::is_ascii_digit)
}

/// Says whether what has the form of an expression was rather made up by somebody, where hardly anything else can stand:
/// `Medved(12)`, `moje.Heslo.do.DWH1`.
pub(crate) fn is_made_up_like_code(value: &str) -> bool {
    let bytes = value.as_bytes();
    let name = LETTER.run(bytes, 0, usize::MAX);
    if name < 3 || !bytes.iter().any(u8::is_ascii_digit) {
        return false;
    }
    match bytes.get(name) {
        Some(b'(') => {
            let end = DIGIT.run(bytes, name + 1, 5);
            let is_word = bytes[0].is_ascii_uppercase() && bytes[1..name].iter().all(u8::is_ascii_lowercase);
            is_word
                && (1..=4).contains(&(end - name - 1))
                && bytes.get(end) == Some(&b')')
                && bytes.len() - end <= 2
                && !is_type_word(&value[..name])
                && !["Column", "Decimal", "Length", "Max", "Min", "Random", "Range"].contains(&&value[..name])
        }
        Some(b'.') => {
            let digits = bytes
                .iter()
                .rev()
                .take_while(|byte| byte.is_ascii_digit())
                .count();
            let is_root = [
                "self", "this", "cls", "os", "app", "cfg", "conf", "config", "settings", "env", "ctx",
            ]
            .iter()
            .any(|root| root.eq_ignore_ascii_case(&value[..name]));
            let has_capital = value
                .split('.')
                .any(|part| part.starts_with(|first: char| first.is_ascii_uppercase()));
            (1..=4).contains(&digits) && !is_root && has_capital && ALNUM.or(DOT).all(bytes)
        }
        _ => false,
    }
}

/// `Yd29DqpairS`: small letters, capitals and digits in one part are a generator's work, not a programmer's.
fn has_three_kinds(part: &str) -> bool {
    let has = |kind: fn(&u8) -> bool| part.as_bytes().iter().any(kind);
    has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase) && has(u8::is_ascii_digit)
}

fn is_attribute(dotted: &str) -> bool {
    // `Admin.tiger46` is no attribute: names seldom end in two digits.
    let digits_at_end = dotted.bytes().rev().take_while(u8::is_ascii_digit).count();
    digits_at_end < 2
        && dotted.split('.').all(|part| {
            part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && (part.len() < 12 || !is_opaque(part.as_bytes(), 12))
                && !has_three_kinds(part)
        })
}
