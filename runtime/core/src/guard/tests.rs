use super::*;
use data_encoding::BASE64;
use proptest::prelude::*;

fn guard() -> Guard {
    Guard::new(&KnownSecrets::new())
}

/// A varied text of letters and digits; never the same twice within one secret.
fn noise(length: usize) -> String {
    let alphabet = b"k3Zq9XbR7mT2vLw8YcN5pHs4JdF6gGxA1eQ";
    (0..length)
        .map(|at| char::from(alphabet[(at * 11 + at / 35) % 35]))
        .collect()
}

fn hex(length: usize) -> String {
    noise(length)
        .bytes()
        .map(|byte| char::from(b"0123456789abcdef"[usize::from(byte % 16)]))
        .collect()
}

fn checked(prefix: &str) -> String {
    let token = noise(30);
    let digits = forms::check_digits(token.as_bytes());
    format!("{prefix}_{token}{}", String::from_utf8_lossy(&digits))
}

fn wrong_digits(token: &str) -> String {
    format!("{}{}", &token[..39], if token.ends_with('0') { '1' } else { '0' })
}

#[track_caller]
fn check(text: &str, expected: Option<&str>) {
    assert_eq!(
        guard().check_text(text).as_ref().map(RuleId::as_str),
        expected,
        "{text}"
    );
    let json = serde_json::json!({ "code": format!("x = \"{text}\"\n") }).to_string();
    assert_eq!(
        guard().check_file("a.json", &json).as_ref().map(RuleId::as_str),
        expected,
        "{json}"
    );
    assert_eq!(
        guard().check_file("a.sql", text).as_ref().map(RuleId::as_str),
        expected,
        "{text}"
    );
}

#[test]
fn tokens_show_themselves_by_their_form() {
    for kind in ["p", "o", "u", "s", "r"] {
        check(&checked(&format!("gh{kind}")), Some("guard-github"));
    }
    check(&checked("npm"), Some("guard-npm"));
    check(
        &format!("github_{}_{}_{}", "pat", noise(22), noise(59)),
        Some("guard-github"),
    );
    check(&format!("gl{}-{}", "pat", noise(20)), Some("guard-gitlab"));
    check(
        &format!("xo{}-123456789012-{}", "xb", noise(24)),
        Some("guard-slack"),
    );
    check(
        &format!(
            "https://hooks.slack.{}/services/T{}/B{}/{}",
            "com",
            "0AB12CD34",
            "0AB12CD34",
            noise(24)
        ),
        Some("guard-slack"),
    );
    check(&format!("AI{}{}", "za", noise(35)), Some("guard-google"));
    check(&format!("sk_{}_{}", "live", noise(24)), Some("guard-stripe"));
    check(
        &format!("S{}.{}.{}", "G", noise(22), noise(43)),
        Some("guard-sendgrid"),
    );
    check(
        &format!("pypi-{}{}", "AgEIcHlwaS5vcmc", noise(60)),
        Some("guard-pypi"),
    );
    check(
        &format!("sk-ant-{}-{}", "api03", noise(95)),
        Some("guard-anthropic"),
    );
    check(
        &format!("sk-{}T3Blbk{}{}", noise(20), "FJ", noise(20)),
        Some("guard-openai"),
    );
    check(&format!("shp{}_{}", "at", hex(32)), Some("guard-shopify"));
    check(&format!("da{}{}", "pi", hex(32)), Some("guard-databricks"));
    check(&format!("dop_{}_{}", "v1", hex(64)), Some("guard-digitalocean"));
    check(&format!("AccountKey={}==", noise(86)), Some("guard-azure"));
    check(&format!("SharedAccessKey={}=", noise(43)), Some("guard-azure"));
    check(&format!("abc8{}{}", "Q~", noise(34)), Some("guard-azure"));
    check(&format!("1234-56789-{}", noise(40)), Some("guard-keboola-token"));
}

#[test]
fn a_token_with_a_right_checksum_is_one_whatever_it_is_glued_to() {
    for before in ["r", "1", "_", "job-x"] {
        check(&format!("{before}{}", checked("ghp")), Some("guard-github"));
        check(&format!("{before}{}", checked("npm")), Some("guard-npm"));
    }
}

#[test]
fn a_key_id_of_aws_is_a_secret_only_with_its_secret() {
    let id = format!("AK{}{}", "IA", "Q3EGRZ5TLBVX7WKM");
    check(&id, None);
    check(&format!("{id} secret={}", noise(40)), Some("guard-aws"));
    check(&format!("{id} sha {}", noise(40)), None);
    check(&format!("{id} secret={}", hex(40)), None);
}

#[test]
fn signed_web_tokens_are_secrets() {
    let part = |json: &str| data_encoding::BASE64URL_NOPAD.encode(json.as_bytes());
    let (header, payload) = (part(r#"{"alg":"HS256"}"#), part(r#"{"sub":"1"}"#));
    check(&format!("{header}.{payload}.{}", noise(43)), Some("guard-jwt"));
    check(
        &format!("{}.{payload}.{}", part(r#"{"alg":"none"}"#), noise(43)),
        None,
    );
    check(&format!("{header}.{payload}."), None);
    check(&format!("{header}.{}", noise(40)), None);
}

#[test]
fn private_keys_are_secrets_with_either_kind_of_line_break() {
    let dashes = "-----";
    for (kind, line_break) in [
        ("", "\n"),
        ("RSA ", "\\n"),
        ("ENCRYPTED ", "\r\n"),
        ("OPENSSH ", "\\\\n"),
    ] {
        let body = format!("{}{line_break}{}", noise(64), noise(64));
        let key = format!(
            "{dashes}BEGIN {kind}PRIVATE KEY{dashes}{line_break}{body}{line_break}{dashes}END {kind}PRIVATE KEY{dashes}"
        );
        assert_eq!(
            guard().check_text(&key).as_ref().map(RuleId::as_str),
            Some("guard-private-key"),
            "{key}"
        );
    }
    check(
        &format!(
            "{dashes}BEGIN PUBLIC KEY{dashes}\n{}\n{dashes}END PUBLIC KEY{dashes}",
            noise(64)
        ),
        None,
    );
    check(
        &format!(
            "{dashes}BEGIN PRIVATE KEY{dashes}\n[REDACTED:private-key:0]\n{dashes}END PRIVATE KEY{dashes}"
        ),
        None,
    );
    check(
        &format!("expects {dashes}BEGIN PRIVATE KEY{dashes} at the start"),
        None,
    );
}

#[test]
fn passwords_in_urls_are_secrets_unless_they_are_templates() {
    let url = |password: &str| format!("postgres://loader:{password}@db.example.com:5432/x");
    check(&url("Tr0ub4dor&3x"), Some("guard-url-password"));
    for harmless in [
        "password",
        "{{pass1234}}",
        "${PASSWORD_1}",
        "[REDACTED:url:0]",
        "********",
        "%s",
        "<password1>",
        "abc1",
    ] {
        check(&url(harmless), None);
    }
    check("https://example.com/a:b1234567@c", None);
    check("https://user@example.com", None);
}

#[test]
fn what_only_resembles_a_token_passes() {
    let token = checked("ghp");
    for harmless in [
        wrong_digits(&token),
        format!("x{}", wrong_digits(&token)),
        format!("xgl{}-{}", "pat", noise(20)),
        format!("{token}x"),
        format!("sk_{}_{}", "live", "x".repeat(24)),
        format!("2024-11-{}", hex(40)),
        format!("1234-56789-{}", noise(41)),
        format!("KBC::ProjectSecure::eJw+{token}/AI{}{}=", "za", noise(35)),
        format!("KBC::Encrypted=={token}=="),
        "[REDACTED:github-token:abcdefghijkl]".to_owned(),
        "eyJhbGciOiJIUzI1NiJ9".to_owned(),
        String::new(),
    ] {
        check(&harmless, None);
    }
}

#[test]
fn a_token_begins_after_an_escape() {
    let token = checked("ghp");
    for text in [
        format!("a\\n{token}"),
        format!("key%3D{token}"),
        format!("'{token}'"),
    ] {
        assert!(guard().check_text(&text).is_some(), "{text}");
    }
    let escaped: String = token
        .chars()
        .map(|c| format!("\\u{:04x}", u32::from(c)))
        .collect();
    assert!(
        guard()
            .check_file("a.json", &format!("[\"{escaped}\"]"))
            .is_some()
    );
    assert!(
        guard()
            .check_file("a.csv", &format!("\"\"\"\",{token}\n"))
            .is_some()
    );
}

#[test]
fn hash_keys_hold_ciphers_references_markers_or_nothing() {
    for (json, expected) in [
        (r##"{"#a": "x"}"##, Some("guard-hash-key")),
        (r##"{"#a": {"b": ["", 1]}}"##, Some("guard-hash-key")),
        (r##"{"\u0023a": true}"##, Some("guard-hash-key")),
        (
            r##"{"#a": "KBC::ProjectSecure::eJwx hunter2"}"##,
            Some("guard-hash-key"),
        ),
        (
            r##"{"#a": "KBC::ProjectSecure::eJwx", "#b": "{{vault.x}}", "#c": "[REDACTED:a:0]", "#d": ["", null]}"##,
            None,
        ),
        (r##"{"a": "x", "b": 1}"##, None),
        (r##"{"#a": "x""##, Some("guard-unreadable")),
    ] {
        assert_eq!(
            guard().check_file("a.json", json).as_ref().map(RuleId::as_str),
            expected,
            "{json}"
        );
        assert_eq!(
            guard().check_json(json).as_ref().map(RuleId::as_str),
            expected,
            "{json}"
        );
        let lines = format!("{{}}\n{json}\n");
        assert_eq!(
            guard().check_file("a.jsonl", &lines).as_ref().map(RuleId::as_str),
            expected,
            "{lines}"
        );
        assert_eq!(guard().check_file("a.txt", json), None);
    }
}

#[test]
fn plaintexts_that_occur_by_chance_are_not_remembered() {
    for (value, remembered) in [
        ("Sh0rt!", false),
        ("hunter2", false),
        ("production", false),
        ("analytics_db", false),
        ("john.doe1@example.com", false),
        ("db-1.eu-Central.example.com", false),
        ("https://connection.keboola.com/v2/storage", false),
        ("x [REDACTED:a:0] Y1", false),
        ("Tr0ub4dor", true),
        ("correct-horse-battery", true),
        ("https://api.example.com/?key=Abc123", true),
        ("https://u:Pa55word@example.com", true),
    ] {
        let mut known = KnownSecrets::new();
        known.add_plaintext(value);
        assert_eq!(!known.is_empty(), remembered, "{value}");
    }
}

#[test]
fn debug_shows_no_secret() {
    let mut known = KnownSecrets::new();
    known.add_credential("Tr0ub4dor&3");
    let shown = format!("{known:?} {:?}", Guard::new(&known));
    assert_eq!(shown, "KnownSecrets(1 hidden) Guard { .. }");
}

#[test]
fn what_a_marker_says_is_no_known_secret() {
    let mut known = KnownSecrets::new();
    known.add_credential("keboola-plaintext");
    let guard = Guard::new(&known);
    assert_eq!(guard.check_text("[REDACTED:keboola-plaintext:0]"), None);
    assert!(
        guard
            .check_text("[REDACTED:keboola-plaintext:0] keboola-plaintext")
            .is_some()
    );
}

proptest! {
    #[test]
    fn known_secrets_are_found_in_any_disguise(secret in "[ -~é\\n]{8,30}", before in any::<Vec<u8>>(), after in any::<Vec<u8>>()) {
        let mut known = KnownSecrets::new();
        known.add_credential(&secret);
        let guard = Guard::new(&known);
        let around = |form: &str| format!("a {form} b");
        prop_assert!(guard.check_text(&around(&secret)).is_some());

        let bytes = [&before[..], secret.as_bytes(), &after[..]].concat();
        prop_assert!(guard.check_text(&BASE64.encode(&bytes)).is_some());
        prop_assert!(guard.check_text(&data_encoding::BASE64URL_NOPAD.encode(&bytes)).is_some());

        let percent: String = secret.bytes().map(|byte| match byte {
            b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
            _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        }).collect();
        prop_assert!(guard.check_text(&around(&percent)).is_some());
        // As `encodeURIComponent` has it.
        let left = [("%21", "!"), ("%7E", "~"), ("%2A", "*"), ("%27", "'"), ("%28", "("), ("%29", ")")];
        let component = left.iter().fold(percent, |text, (escaped, plain)| text.replace(escaped, plain));
        prop_assert!(guard.check_text(&around(&component)).is_some());

        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        prop_assert!(guard.check_text(&digits).is_some());
        prop_assert!(guard.check_text(&digits.to_uppercase()).is_some());
        let wide: Vec<u8> = secret.encode_utf16().flat_map(u16::to_le_bytes).collect();
        prop_assert!(guard.check_text(&BASE64.encode(&[&before[..], &wide, &after[..]].concat())).is_some());
        let marks = secret.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        for (double, single) in [("\"", "'"), ("&quot;", "'"), ("&quot;", "&#x27;"), ("&quot;", "&apos;"), ("&#34;", "&#39;")] {
            let xml = marks.replace('"', double).replace('\'', single);
            prop_assert!(guard.check_text(&around(&xml)).is_some());
        }
        let doubled = secret.replace('\'', "''");
        prop_assert!(guard.check_text(&around(&doubled)).is_some());

        let json = serde_json::json!({ "a": around(&secret) }).to_string();
        prop_assert!(guard.check_file("a.json", &json).is_some());
        prop_assert!(guard.check_file("a.txt", &json).is_some());
        let nested = serde_json::json!({ "a": json }).to_string();
        prop_assert!(guard.check_text(&nested).is_some());
    }

    #[test]
    fn no_text_makes_the_guard_fail(text in any::<String>(), literal in 0..7_usize) {
        let literal = ["AKIA", "Q~", "://u:", "T3BlbkFJ", "eyJ", "-----BEGIN ", "1-2-"][literal];
        let _ = guard().check_file("a.json", &format!("{text}{literal}{text}"));
        let _ = guard().check_file("a.csv", &format!("{literal}{text}\"\"{literal}"));
    }
}
