//! Values that stand for others: templates, placeholders, paths, types, and expressions of code.

use super::{is_opaque, is_words};
use crate::alphabet::{DIGIT, DOT, LETTER, WORD, variety};
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
        || (whole('{', '}') && WORD.or(DOT).all(&value.as_bytes()[1..value.len() - 1]))
        || (whole('[', ']') && !value.contains(|char: char| char.is_ascii_digit()))
        || (whole('%', '%') && WORD.all(&value.as_bytes()[1..value.len() - 1]))
        || value.starts_with("$(")
        // Values that SOPS has encrypted.
        || value.starts_with("ENC[")
        || value.contains("%s")
        || value.contains("%(")
        || has_field(value)
        || value
            .strip_prefix('!')
            .is_some_and(|tag| LETTER.all(tag.as_bytes()) && tag.len() > 2)
        || (value.len() > 4 && value.starts_with("__") && value.ends_with("__"))
        || (value.len() > 4 && value.starts_with("@@") && value.ends_with("@@"))
        || value.strip_prefix(['$', ':', '@', '&']).is_some_and(|name| {
            name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && is_variable(name)
        })
}

/// Says whether a part is a name in braces, as in `share-{name}`.
fn has_field(value: &str) -> bool {
    let bytes = value.as_bytes();
    memchr::memchr_iter(b'{', bytes).any(|open| {
        let end = WORD.or(DOT).run(bytes, open + 1, 64);
        end > open + 1 && LETTER.has(bytes[open + 1]) && bytes.get(end) == Some(&b'}')
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
        || memchr::memmem::find(bytes, b"xxxx").is_some()
        || memchr::memmem::find(bytes, b"XXXX").is_some()
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
        || (starts && is_words(value))
        || (slashes > 0 && (is_words(value) || is_path(value)))
        || e_mail
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
        "md5",
        "sha256",
    ];
    WORDS.iter().any(|word| word.eq_ignore_ascii_case(value))
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
        return matches!(bytes.first(), Some(b'(' | b'[' | b'{' | b'*' | b'\\' | b'|'));
    }
    if bytes[0].is_ascii_digit() {
        return false;
    }
    match bytes.get(name) {
        Some(b'(') => true,
        Some(b'[') => {
            bytes.contains(&b']')
                || bytes.len() == name + 1
                || bytes[name + 1] == b'"'
                || bytes[name + 1] == b'\''
        }
        // `config.password`, `os.environ[…]`, `self.token`: dotted names in one case.
        Some(b'.') => {
            let dotted = WORD.or(DOT).run(bytes, 0, usize::MAX);
            let rest = bytes.get(dotted);
            matches!(rest, Some(b'(' | b'[')) || (rest.is_none() && is_attribute(&value[..dotted]))
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
