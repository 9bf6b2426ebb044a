//! Members of the API's answers that this version does not know: they are kept as they are, under `other`.
//!
//! What changes with every load must not make a commit, whatever it is called. So of a member that nobody knows its name
//! decides: figures that are counts or sizes, times of the last change or use, and what is the last of something are left out,
//! at any depth. What says nothing (`null`, `{}`, `[]`, which PHP writes for one another) is no member.

use crate::{
    json::{Json, Object},
    time,
};
use std::collections::BTreeMap;

/// Words of a name whose number is a figure.
const FIGURES: [&str; 23] = [
    "age",
    "bytes",
    "cost",
    "costs",
    "count",
    "counts",
    "credits",
    "duration",
    "estimate",
    "estimated",
    "free",
    "hits",
    "percent",
    "ratio",
    "reads",
    "rows",
    "size",
    "sizes",
    "total",
    "usage",
    "used",
    "version",
    "writes",
];

/// Words of a name whose number is set by somebody, whatever it counts.
const LIMITS: [&str; 10] = [
    "default",
    "expiration",
    "interval",
    "limit",
    "max",
    "maximum",
    "min",
    "minimum",
    "quota",
    "retention",
];

/// What a name says of something that was done to data.
const DEEDS: [&str; 16] = [
    "accessed",
    "analyzed",
    "changed",
    "checked",
    "imported",
    "loaded",
    "modified",
    "profiled",
    "queried",
    "read",
    "refreshed",
    "scanned",
    "seen",
    "synced",
    "updated",
    "written",
];

/// What a name of a deed ends with where it tells when or by whom.
const OCCASIONS: [&str; 5] = ["at", "by", "date", "time", "timestamp"];

/// Returns the members that are not known and do not change with every load, sorted by name: one answer about an object
/// need not have them in the order of another.
pub(super) fn members<'s>(source: &Object<'s>, is_known: impl Fn(&str) -> bool) -> Object<'s> {
    let kept = source
        .iter()
        .filter(|(name, _)| !is_known(name))
        .filter_map(|(name, value)| Some((name.to_owned(), steady(name, value)?)));
    kept.collect::<BTreeMap<String, Json<'s>>>().into_iter().collect()
}

/// Adds them to the content of a file, where there are any.
pub(super) fn set<'s>(content: &mut Object<'s>, members: Object<'s>) {
    if !members.is_empty() {
        content.set("other", members);
    }
}

/// Returns what of a member does not change with every load.
fn steady<'s>(name: &str, value: &Json<'s>) -> Option<Json<'s>> {
    if is_volatile(name, value) {
        return None;
    }
    match value {
        Json::Object(members) => {
            let kept: Vec<(String, Json<'s>)> = members
                .iter()
                .filter_map(|(name, value)| Some((name.to_owned(), steady(name, value)?)))
                .collect();
            (!kept.is_empty()).then(|| Json::Object(kept.into_iter().collect()))
        }
        // What an item says keeps its place, also where nothing is left of it.
        Json::Array(items) if !items.is_empty() => {
            let item = |item: &Json<'s>| match item {
                Json::Object(_) | Json::Array(_) => steady("", item).unwrap_or(Json::Null),
                plain => plain.clone(),
            };
            Some(Json::Array(items.iter().map(item).collect()))
        }
        Json::Null | Json::Array(_) => None,
        plain => Some(plain.clone()),
    }
}

/// Says whether a member changes with every load, as far as its name and value tell.
fn is_volatile(name: &str, value: &Json<'_>) -> bool {
    let words = words(name);
    let has = |known: &[&str]| words.iter().any(|word| known.contains(&word.as_str()));
    let is_number = match value {
        Json::Number(_) => true,
        Json::String(text) => {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        }
        _ => false,
    };
    if words
        .first()
        .is_some_and(|first| matches!(first.as_str(), "last" | "latest" | "recent"))
    {
        return true;
    }
    if is_number && has(&FIGURES) && !has(&LIMITS) {
        return true;
    }
    let is_time = value.as_str().is_some_and(|text| time::utc(text).is_some());
    let is_occasion = words
        .last()
        .is_some_and(|last| OCCASIONS.contains(&last.as_str()));
    has(&DEEDS) && (is_time || is_occasion)
}

/// Returns the words of a name: `lastImportDate` and `last_import_date` have three.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut goes_on = false;
    let mut was_capital = false;
    for sign in name.chars() {
        let is_capital = sign.is_uppercase();
        if !sign.is_alphanumeric() {
            goes_on = false;
        } else if let Some(word) = words
            .last_mut()
            .filter(|_| goes_on && (!is_capital || was_capital))
        {
            word.extend(sign.to_lowercase());
        } else {
            words.push(sign.to_lowercase().collect());
            goes_on = true;
        }
        was_capital = is_capital;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::write;

    #[track_caller]
    fn check(source: &str, expected: &str) {
        let source = Json::parse(source).unwrap().into_object();
        let kept = members(&source, |name| name == "known");
        assert_eq!(write::object_line(&kept), expected);
    }

    #[test]
    fn names_are_taken_apart_at_capitals_and_signs() {
        assert_eq!(words("lastImportDate"), ["last", "import", "date"]);
        assert_eq!(words("rows_count"), ["rows", "count"]);
        assert_eq!(words("KBC.dataSizeBytes"), ["kbc", "data", "size", "bytes"]);
        assert_eq!(words("URI"), ["uri"]);
        assert_eq!(words("#"), Vec::<String>::new());
    }

    #[test]
    fn what_is_known_goes_and_the_rest_is_sorted() {
        check(
            r#"{"z":false,"known":1,"a":{"y":1.0,"x":[{"b":1},2]}}"#,
            r#"{"a":{"y":1.0,"x":[{"b":1},2]},"z":false}"#,
        );
        check(
            r#"{"none":null,"list":[],"object":{},"deep":{"none":null}}"#,
            "{}",
        );
    }

    #[test]
    fn figures_and_times_of_loads_are_left_out_at_any_depth() {
        for volatile in [
            r#""rowsCountEstimate":7"#,
            r#""compressedSize":"1024""#,
            r#""lastAccess":null"#,
            r#""lastLoadedBy":{"id":"1"}"#,
            r#""statsRefreshed":"2026-01-05T09:00:00+0100""#,
            r#""updatedAt":1790000000"#,
            r#""latestSnapshot":{"id":"9"}"#,
            r#""snapshotVersion":12"#,
        ] {
            check(&format!(r#"{{{volatile},"statistics":{{{volatile}}}}}"#), "{}");
            check(
                &format!(r#"{{"a":{{{volatile},"b":"x"}}}}"#),
                r#"{"a":{"b":"x"}}"#,
            );
        }
        // Somebody set these.
        let set = r#"{"countryCode":"420","expiresAt":"2027-01-05T09:00:00+0100","maxRows":5,"priority":3,"retentionDays":7}"#;
        check(set, set);
    }
}
