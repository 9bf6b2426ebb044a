//! Contents of table previews: plausible, personal-looking, and all invented.
//!
//! E-mail addresses are at example.com; people, streets and numbers are put together from short lists.

use crate::encode::{DIGITS, Moment};
use crate::entities::{Cell, Column};
use crate::random::Random;

const FIRST: &[&str] = &[
    "Jana",
    "Petr",
    "Tereza",
    "Jiří",
    "Zdeňka",
    "Łukasz",
    "Agnieszka",
    "Jürgen",
    "Mária",
    "Ondřej",
    "Eva",
    "Günther",
];
const LAST: &[&str] = &[
    "Nováková",
    "Dvořák",
    "Černá",
    "Kowalski",
    "Müller",
    "Horváth",
    "Šimek",
    "Königová",
    "Popescu",
    "O'Brien",
    "Ďurica",
];
const STREETS: &[&str] = &[
    "Květná",
    "Na Příkopě",
    "Lindenstraße",
    "Ogrodowa",
    "Růžová",
    "Hlavná",
    "Petőfi utca",
];
const CITIES: &[&str] = &[
    "Brno",
    "Praha 5",
    "Bratislava",
    "Leipzig",
    "Kraków",
    "Győr",
    "Žilina",
    "Wien",
];
const PRODUCTS: &[&str] = &[
    "Růže pnoucí \"Eden\"",
    "Hnojivo NPK, 5 kg",
    "Konev 10 l",
    "Sekačka, aku 40 V",
    "Semena rajčat",
    "Gartenschere",
    "Substrát 50 l",
];
const STATUSES: &[&str] = &[
    "new",
    "paid",
    "shipped",
    "delivered",
    "cancelled",
    "returned",
    "VIP",
];
const CHANNELS: &[&str] = &[
    "organic",
    "cpc",
    "email",
    "direct",
    "affiliate",
    "Zboží.cz",
    "Heureka",
];
const CAMPAIGNS: &[&str] = &[
    "jaro_2026_brand",
    "black-friday",
    "newsletter 12",
    "retargeting | 30d",
    "PMax feed",
];
const COUNTRIES: &[&str] = &["CZ", "SK", "DE", "PL", "EUR", "CZK"];
const SENTENCES: &[&str] = &[
    "Balík dorazil pozdě, jinak spokojenost.",
    "Kvalita ok,\ncena nic moc",
    "Reklamace: \"praskl květináč\"",
    "Sehr schnell geliefert!",
    "",
    "volat po 17:00 <prosím>",
];

fn plain(name: &str) -> String {
    name.to_lowercase()
        .chars()
        .filter(char::is_ascii_alphabetic)
        .collect()
}

/// One value of a column in the row of this number.
pub(crate) fn value(column: Column, row: u64, now: Moment, random: &mut Random) -> String {
    match column.cell {
        Cell::Number => format!("{}", 100_000 + row),
        Cell::Reference => format!("{}", 1000 + random.below(900)),
        Cell::Person => format!("{} {}", random.pick(FIRST), random.pick(LAST)),
        Cell::Email => {
            let (first, last) = (
                plain(random.pick::<&str>(FIRST)),
                plain(random.pick::<&str>(LAST)),
            );
            format!("{first}.{last}{}@example.com", random.below(100))
        }
        Cell::Phone => format!(
            "+420 7{} {} {}",
            random.text(DIGITS, 2),
            random.text(DIGITS, 3),
            random.text(DIGITS, 3)
        ),
        Cell::Street => format!("{} {}", random.pick(STREETS), random.between(1, 120)),
        Cell::City => (*random.pick(CITIES)).to_owned(),
        Cell::NationalId => format!("{}/{}", random.text(DIGITS, 6), random.text(DIGITS, 4)),
        Cell::Money => format!("{}.{:02}", random.below(5000), random.below(100)),
        Cell::Count => random.below(500).to_string(),
        Cell::Share => format!("0.{:04}", random.below(10_000)),
        Cell::Day => Moment(now.0 - 86_400 * i64::try_from(row).unwrap_or(0)).day(),
        Cell::Instant => Moment(now.0 - 3607 * i64::try_from(row).unwrap_or(0)).sql(),
        Cell::Flag => if random.chance(50) { "true" } else { "false" }.to_owned(),
        Cell::Sku => format!("ZK-{}", random.text(DIGITS, 6)),
        Cell::Product => (*random.pick(PRODUCTS)).to_owned(),
        Cell::Address => format!(
            "https://www.zahradnik.example.com/p/{}?ref=feed",
            random.below(9000)
        ),
        Cell::Status => (*random.pick(STATUSES)).to_owned(),
        Cell::Channel => (*random.pick(CHANNELS)).to_owned(),
        Cell::Campaign => (*random.pick(CAMPAIGNS)).to_owned(),
        Cell::Country => (*random.pick(COUNTRIES)).to_owned(),
        Cell::Sentence => (*random.pick(SENTENCES)).to_owned(),
    }
}

/// One record of RFC 4180 with every field quoted, ended by a line feed.
pub(crate) fn record<'a>(fields: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = fields
        .into_iter()
        .map(|field| format!("\"{}\"", field.replace('"', "\"\"")))
        .collect();
    quoted.join(",") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_and_quotes_doubled() {
        assert_eq!(
            record(["a", "b \"c\"", "d\ne"]),
            "\"a\",\"b \"\"c\"\"\",\"d\ne\"\n"
        );
    }
}
