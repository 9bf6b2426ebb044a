//! Recognises columns with data of persons, by the column's name or by what most of its cells look like.
//!
//! It judges columns, not cells: one e-mail address inside a note does not make the notes personal.

use crate::filter::is_marker;

/// Names, without accents and divisions, that say it alone at the end of a column's name.
const NOUNS: &[&str] = &[
    "email",
    "emails",
    "mail",
    "phone",
    "phones",
    "telephone",
    "telefon",
    "mobile",
    "mobil",
    "tel",
    "fax",
    "address",
    "addresses",
    "adresa",
    "street",
    "ulice",
    "surname",
    "lastname",
    "firstname",
    "fullname",
    "middlename",
    "maidenname",
    "forename",
    "jmeno",
    "prijmeni",
    "birthdate",
    "birthday",
    "dob",
    "birthnumber",
    "narozeni",
    "ssn",
    "passport",
    "iban",
    "username",
    "nickname",
    "zip",
    "zipcode",
    "postcode",
    "postalcode",
    "psc",
    "ip",
    "ipaddress",
    "cardnumber",
    "creditcard",
    "emailaddress",
    "phonenumber",
    "mobilenumber",
    "cellphone",
    "msisdn",
    "streetaddress",
    "contactname",
    "customername",
    "nationalid",
    "personalid",
    "rodnecislo",
    "latitude",
    "longitude",
    "lat",
    "lng",
];

/// Pairs of words that say it together.
const PAIRS: &[(&[&str], &[&str])] = &[
    (
        &[
            "first",
            "last",
            "full",
            "middle",
            "maiden",
            "given",
            "family",
            "user",
            "customer",
            "client",
            "contact",
            "person",
            "employee",
            "owner",
            "sender",
            "recipient",
            "nick",
            "billing",
            "shipping",
            "cardholder",
            "holder",
            "patient",
            "guest",
            "subscriber",
            "member",
            "student",
            "buyer",
            "payer",
        ],
        &["name", "names"],
    ),
    (
        &[
            "birth", "rodne", "national", "personal", "passport", "card", "iban",
        ],
        &["number", "cislo", "id", "no", "nr"],
    ),
    (&["of"], &["birth"]),
    (&["birth"], &["date", "day"]),
    (&["datum"], &["narozeni"]),
    (&["credit", "debit", "payment"], &["card"]),
    (&["social"], &["security"]),
    (&["postal", "zip"], &["code"]),
    (&["house"], &["number"]),
];

/// Words behind the noun that leave it personal: `phone_number`, `address_line_2`, `email_primary`.
const TAILS: &[&str] = &[
    "number",
    "no",
    "nr",
    "cislo",
    "line",
    "full",
    "primary",
    "secondary",
    "home",
    "work",
    "private",
    "normalized",
    "raw",
    "clean",
    "lower",
    "value",
    "text",
    "old",
    "new",
    "original",
    "billing",
    "shipping",
    "zakaznika",
    "klienta",
    "osoby",
];

/// Says whether a column of this name has data of persons.
#[must_use]
pub fn is_personal_name(name: &str) -> bool {
    let words = words(name);
    let mut words = words.as_slice();
    loop {
        let Some((head, before)) = words.split_last() else {
            return false;
        };
        let noun = |word: &str| NOUNS.contains(&word);
        let prior = before.last().map(String::as_str).unwrap_or_default();
        let together = PAIRS
            .iter()
            .any(|(firsts, seconds)| firsts.contains(&prior) && seconds.contains(&head.as_str()));
        // A host's or a service's address is nobody's home.
        let technical = matches!(
            prior,
            "web" | "url" | "mac" | "server" | "host" | "has" | "is" | "count" | "num"
        );
        if (noun(head) && !technical) || together || noun(&format!("{prior}{head}")) {
            return true;
        }
        if !TAILS.contains(&head.as_str()) && !head.bytes().all(|byte| byte.is_ascii_digit()) {
            return false;
        }
        words = before;
    }
}

/// Says whether most cells that have something look like data of persons of one kind. Redacted cells do not count.
pub fn are_personal<'a>(cells: impl Iterator<Item = &'a str>) -> bool {
    const KINDS: [fn(&str) -> bool; 5] = [is_email, is_phone, is_birth_number, is_iban, is_card];
    let mut filled = 0_usize;
    let mut counts = [0_usize; KINDS.len()];
    for cell in cells
        .map(str::trim)
        .filter(|cell| !cell.is_empty() && !is_marker(cell))
    {
        filled += 1;
        for (count, kind) in counts.iter_mut().zip(KINDS) {
            *count += usize::from(kind(cell));
        }
    }
    counts.iter().any(|&count| count * 2 > filled)
}

/// Cuts a column's name into words in small letters without accents.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut open = false;
    let mut before_is_small = false;
    for char in name.chars() {
        let plain = without_accent(char);
        if !plain.is_ascii_alphanumeric() {
            // `e-mail` and `e_mail` are one word.
            open = words.last().is_some_and(|word| word == "e");
            before_is_small = false;
            continue;
        }
        let hump = before_is_small && plain.is_ascii_uppercase();
        let digit = words
            .last()
            .and_then(|word| word.chars().last())
            .is_some_and(|last| last.is_ascii_digit() != plain.is_ascii_digit());
        if open && !hump && !digit {
            words
                .last_mut()
                .expect("a word is open")
                .push(plain.to_ascii_lowercase());
        } else {
            words.push(plain.to_ascii_lowercase().to_string());
        }
        open = true;
        before_is_small = plain.is_ascii_lowercase();
    }
    words
}

fn without_accent(char: char) -> char {
    match char {
        'á' | 'ä' | 'à' | 'â' => 'a',
        'č' | 'ç' => 'c',
        'ď' => 'd',
        'é' | 'ě' | 'ë' | 'è' | 'ê' => 'e',
        'í' | 'î' | 'ï' => 'i',
        'ľ' | 'ĺ' => 'l',
        'ň' | 'ñ' => 'n',
        'ó' | 'ö' | 'ô' | 'ő' => 'o',
        'ř' | 'ŕ' => 'r',
        'š' | 'ß' => 's',
        'ť' => 't',
        'ú' | 'ů' | 'ü' | 'ű' => 'u',
        'ý' => 'y',
        'ž' => 'z',
        'Á' | 'Ä' => 'A',
        'Č' => 'C',
        'É' | 'Ě' => 'E',
        'Í' => 'I',
        'Ó' | 'Ö' => 'O',
        'Ř' => 'R',
        'Š' => 'S',
        'Ú' | 'Ů' | 'Ü' => 'U',
        'Ý' => 'Y',
        'Ž' => 'Z',
        other => other,
    }
}

fn is_email(cell: &str) -> bool {
    let Some((user, host)) = cell.rsplit_once('@') else {
        return false;
    };
    let part = |part: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|char| char.is_alphanumeric() || "._%+-'".contains(char))
    };
    part(user)
        && part(host)
        && host
            .rsplit_once('.')
            .is_some_and(|(name, end)| !name.is_empty() && end.len() >= 2)
}

/// A number with a country's prefix, or one that is grouped as only telephone numbers are.
fn is_phone(cell: &str) -> bool {
    let digits = cell.bytes().filter(u8::is_ascii_digit).count();
    let only = cell
        .bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b' ' | b'+' | b'-' | b'(' | b')' | b'.' | b'/'));
    if !only || !(9..=15).contains(&digits) {
        return false;
    }
    let plus = cell.starts_with('+') || cell.starts_with("00") && digits >= 12;
    let groups: Vec<usize> = cell
        .split(|char: char| !char.is_ascii_digit())
        .filter(|group| !group.is_empty())
        .map(str::len)
        .collect();
    plus || matches!(groups.as_slice(), [3, 3, 3 | 4] | [3, 2, 2, 2])
}

/// A Czech or Slovak birth number: a date, women's months plus 50, and from 1954 divisible by 11.
fn is_birth_number(cell: &str) -> bool {
    let (date, tail) = match cell.split_once('/') {
        Some(parts) => parts,
        None if matches!(cell.len(), 9 | 10) && cell.is_ascii() => cell.split_at(6),
        None => return false,
    };
    let numeric = date.bytes().chain(tail.bytes()).all(|byte| byte.is_ascii_digit());
    if !numeric || date.len() != 6 || !matches!(tail.len(), 3 | 4) {
        return false;
    }
    let number = |text: &str| text.parse::<u64>().unwrap_or_default();
    let (month, day) = (number(&date[2..4]), number(&date[4..6]));
    let real_month = matches!(month, 1..=12 | 21..=32 | 51..=62 | 71..=82);
    let old = tail.len() == 3 && cell.contains('/') && number(&date[..2]) < 54;
    let checked = tail.len() == 4 && number(&format!("{date}{tail}")) % 11 == 0;
    real_month && (1..=31).contains(&day) && (old || checked)
}

fn is_iban(cell: &str) -> bool {
    let compact: Vec<u8> = cell
        .bytes()
        .filter(|byte| *byte != b' ')
        .map(|byte| byte.to_ascii_uppercase())
        .collect();
    let shaped = (15..=34).contains(&compact.len())
        && compact[..2].iter().all(u8::is_ascii_uppercase)
        && compact[2..4].iter().all(u8::is_ascii_digit)
        && compact.iter().all(u8::is_ascii_alphanumeric);
    shaped
        && compact[4..]
            .iter()
            .chain(&compact[..4])
            .fold(0_u32, |rest, &byte| match byte {
                b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
                _ => (rest * 100 + u32::from(byte - b'A') + 10) % 97,
            })
            == 1
}

/// A payment card: 13 to 19 digits of a known issuer with a right check digit.
fn is_card(cell: &str) -> bool {
    if !cell
        .bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b' ' | b'-'))
    {
        return false;
    }
    let digits: Vec<u32> = cell
        .bytes()
        .filter(u8::is_ascii_digit)
        .map(|byte| u32::from(byte - b'0'))
        .collect();
    if !(13..=19).contains(&digits.len()) || !matches!(digits[0], 2..=6) {
        return false;
    }
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, &digit)| {
            if place % 2 == 0 {
                digit
            } else {
                digit * 2 / 10 + digit * 2 % 10
            }
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_columns_with_personal_data() {
        for name in [
            "email",
            "E-mail",
            "customer_email",
            "userEmail",
            "first_name",
            "lastName",
            "surname",
            "jméno",
            "Příjmení",
            "jmeno_zakaznika",
            "phone_number",
            "telefon2",
            "address_line_2",
            "ulice",
            "date_of_birth",
            "rodne_cislo",
            "IBAN",
            "card_number",
            "credit_card",
            "billing_address",
            "ip_address",
            "shipping_name",
            "contact-name",
        ] {
            assert!(is_personal_name(name), "{name}");
        }
    }

    #[test]
    fn names_of_other_columns() {
        for name in [
            "id",
            "name",
            "product_name",
            "email_count",
            "email_sent_at",
            "is_phone_verified",
            "has_email",
            "table_name",
            "mac_address",
            "order_number",
            "amount",
            "city",
            "mailing_id",
            "state",
            "",
            "number",
            "line_2",
        ] {
            assert!(!is_personal_name(name), "{name}");
        }
    }

    #[track_caller]
    fn check(kind: fn(&str) -> bool, yes: &[&str], no: &[&str]) {
        for cell in yes {
            assert!(kind(cell), "{cell}");
        }
        for cell in no {
            assert!(!kind(cell), "{cell}");
        }
    }

    #[test]
    fn cells_of_each_kind() {
        check(
            is_email,
            &["a.b+c@acme.example", "jiří@acme.example"],
            &["@acme.example", "a@b", "a b@c.de", "x"],
        );
        check(
            is_phone,
            &[
                "+420 331 351 779",
                "+420331351779",
                "603 111 222",
                "(555) 123-4567",
            ],
            &["331351779", "7231755326202", "2026-01-02", "+1"],
        );
        check(
            is_birth_number,
            &["855101/0006", "8551010006", "535101/123"],
            &["855101/0007", "851301/0001", "123456789", "3070159534/0800"],
        );
        check(
            is_iban,
            &["CZ65 0800 0000 1920 0014 5399", "DE89370400440532013000"],
            &["CZ6508000000192000145320", "DE89", "hello world this is"],
        );
        check(
            is_card,
            &["4111 1111 1111 1111", "5555-5555-5555-4444"],
            &["4111111111111112", "1234567890123", "12"],
        );
    }

    #[test]
    fn a_column_is_personal_where_most_of_its_cells_are() {
        assert!(are_personal(
            ["a@b.cz", "", "c@d.cz", "n/a", "[REDACTED:a:b]"].into_iter()
        ));
        assert!(!are_personal(["a@b.cz", "x", "y"].into_iter()));
        assert!(!are_personal(["a@b.cz", "+420331351779"].into_iter()));
        assert!(!are_personal(["", ""].into_iter()));
    }
}
