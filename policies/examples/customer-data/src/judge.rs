//! What goes: customer numbers and addresses. One pass over a text for each form, linear in its length.

use crate::settings::{Form, Settings};

/// Id and title of each rule, in the order of the indices below.
pub const RULES: [(&str, &str); 2] = [
    ("customer-number", "A number by which a customer is known"),
    ("email-address", "An e-mail address outside of the own domains"),
];
const CUSTOMER_NUMBER: u32 = 0;
const EMAIL_ADDRESS: u32 = 1;

/// A range of a text's bytes, on character boundaries, and the rule that it breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub start: usize,
    pub end: usize,
    pub rule: u32,
}

/// Judges one text; e-mail addresses only where `addresses` says so.
#[must_use]
pub fn judge(settings: &Settings, text: &str, addresses: bool) -> Vec<Found> {
    let mut found: Vec<Found> = settings
        .numbers
        .iter()
        .flat_map(|form| numbers(form, text))
        .collect();
    if addresses {
        found.extend(emails(settings, text));
    }
    found
}

fn numbers<'a>(form: &'a Form, text: &'a str) -> impl Iterator<Item = Found> + 'a {
    text.match_indices(form.prefix.as_str())
        .filter_map(|(start, prefix)| {
            let digits = start + prefix.len();
            let rest = &text.as_bytes()[digits..];
            let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            // A longer word that ends like the prefix, or a longer number, is something else.
            let stands_alone = !text[..start].ends_with(|c: char| c.is_alphanumeric());
            (count == form.digits && stands_alone).then_some(Found {
                start,
                end: digits + count,
                rule: CUSTOMER_NUMBER,
            })
        })
}

fn emails<'a>(settings: &'a Settings, text: &'a str) -> impl Iterator<Item = Found> + 'a {
    let mut taken = 0;
    text.match_indices('@').filter_map(move |(at, _)| {
        let local = |byte: &u8| byte.is_ascii_alphanumeric() || b"._%+-".contains(byte);
        let host = |byte: &u8| byte.is_ascii_alphanumeric() || b".-".contains(byte);
        // No byte is looked at for two addresses, so a text of nothing but `@` costs no more than others.
        let before = &text.as_bytes()[taken..at];
        let start = at - before.iter().rev().take_while(|byte| local(byte)).count();
        let after = &text.as_bytes()[at + 1..];
        let domain_end = at + 1 + after.iter().take_while(|byte| host(byte)).count();
        let domain = text[at + 1..domain_end].trim_end_matches(['.', '-']);
        taken = at + 1;
        let (name, top) = domain.rsplit_once('.')?;
        let is_address = start < at
            && !name.is_empty()
            && top.len() >= 2
            && top.bytes().all(|byte| byte.is_ascii_alphabetic());
        (is_address && !is_own(settings, domain)).then_some(Found {
            start,
            end: at + 1 + domain.len(),
            rule: EMAIL_ADDRESS,
        })
    })
}

fn is_own(settings: &Settings, domain: &str) -> bool {
    let domain = domain.to_ascii_lowercase();
    settings.own_domains.iter().any(|own| {
        let above = domain.strip_suffix(own.as_str());
        above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let settings = Settings::parse(
            r#"{"numbers": [{"prefix": "CUST-", "digits": 8}], "own_domains": ["acme.example"]}"#,
        );
        let settings = settings.expect("good settings");
        let found = judge(&settings, text, true);
        let found: Vec<_> = found.iter().map(|found| &text[found.start..found.end]).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn a_customer_number_is_its_prefix_and_so_many_digits() {
        check("where id = 'CUST-00412345'", &["CUST-00412345"]);
        check("CUST-00412345,CUST-00412346", &["CUST-00412345", "CUST-00412346"]);
        check("CUST-0041234", &[]);
        check("CUST-004123456", &[]);
        check("XCUST-00412345", &[]);
        check("éCUST-00412345", &[]);
    }

    #[test]
    fn an_address_goes_unless_its_domain_is_the_customers_own() {
        check(
            "mail jane.doe+x@mail.example.org, please.",
            &["jane.doe+x@mail.example.org"],
        );
        check("to bob@example.org.", &["bob@example.org"]);
        check("ops@acme.example, ops@eu.ACME.example", &[]);
        check("ops@notacme.example", &["ops@notacme.example"]);
        check("@decorator, a@b, user@localhost, x@1.2", &[]);
        check(&"@".repeat(1000), &[]);
        check("a@b.cz@d.cz", &["a@b.cz", "b.cz@d.cz"]);
    }
}
