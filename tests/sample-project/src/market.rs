//! The retailer's national shops: one market is one round of the plan.
//!
//! Names only; which configurations a market gets is `plan`'s decision.

/// One national shop.
#[derive(Debug, Clone)]
pub(crate) struct Market {
    /// Number of the round, from 0.
    pub(crate) number: usize,
    /// Short code for buckets and table names: `cz`, later `cz2`.
    pub(crate) code: String,
    pub(crate) country: &'static str,
    pub(crate) currency: &'static str,
    pub(crate) vat_percent: u64,
    pub(crate) shop: String,
    pub(crate) timezone: &'static str,
}

const COUNTRIES: &[(&str, &str, &str, u64, &str, &str)] = &[
    ("cz", "Česko", "CZK", 21, "Zahradníkův košík", "Europe/Prague"),
    (
        "sk",
        "Slovensko",
        "EUR",
        23,
        "Záhradníkov košík",
        "Europe/Bratislava",
    ),
    ("de", "Deutschland", "EUR", 19, "Gärtnerkorb", "Europe/Berlin"),
    ("pl", "Polska", "PLN", 23, "Ogrodowy Koszyk", "Europe/Warsaw"),
    (
        "at",
        "Österreich",
        "EUR",
        20,
        "Gärtnerkorb Österreich",
        "Europe/Vienna",
    ),
    (
        "hu",
        "Magyarország",
        "HUF",
        27,
        "Kertész Kosár",
        "Europe/Budapest",
    ),
    (
        "ro",
        "România",
        "RON",
        19,
        "Coșul Grădinarului",
        "Europe/Bucharest",
    ),
    ("hr", "Hrvatska", "EUR", 25, "Vrtlarova košara", "Europe/Zagreb"),
    (
        "si",
        "Slovenija",
        "EUR",
        22,
        "Vrtnarjeva košarica",
        "Europe/Ljubljana",
    ),
    (
        "it",
        "Italia",
        "EUR",
        22,
        "Il Cestino del Giardiniere",
        "Europe/Rome",
    ),
];

impl Market {
    /// The market of a round; after the last country they start over with a number (`cz2`).
    pub(crate) fn of_round(number: usize) -> Self {
        let (code, country, currency, vat_percent, shop, timezone) = COUNTRIES[number % COUNTRIES.len()];
        let lap = number / COUNTRIES.len();
        let suffix = if lap == 0 {
            String::new()
        } else {
            (lap + 1).to_string()
        };
        let spaced = if lap == 0 {
            String::new()
        } else {
            format!(" {}", lap + 1)
        };
        Self {
            number,
            code: format!("{code}{suffix}"),
            country,
            currency,
            vat_percent,
            shop: format!("{shop}{spaced}"),
            timezone,
        }
    }

    /// The code in capitals, for names.
    pub(crate) fn upper(&self) -> String {
        self.code.to_uppercase()
    }
}
