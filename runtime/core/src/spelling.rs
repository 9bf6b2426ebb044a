//! Buckets and tables whose ids differ in case only: who has the files.
//!
//! Their paths are made of their ids, so that a file system which ignores case would take those of two for one. Keboola
//! has no such ids as far as it is documented; where there are some, one spelling of each keeps its files, and the
//! objects of all others are to be withheld.

use crate::ids::ObjectKey;
use std::collections::BTreeMap;

/// Which spelling of a bucket and of a table there is, by the form that ignores case.
///
/// Of several it is the first that was asked for: what is in the tree already goes before what is new, so that nobody
/// loses a file to a newcomer.
#[derive(Debug, Default)]
pub struct Spellings {
    buckets: BTreeMap<String, String>,
    tables: BTreeMap<String, String>,
}

impl Spellings {
    /// Returns whether an object may have its files; all but buckets, tables and samples always may.
    ///
    /// A table needs its bucket's spelling and its own. One that lacks the first takes nothing.
    pub fn take(&mut self, key: &ObjectKey) -> bool {
        match key {
            ObjectKey::Bucket(id) => take(&mut self.buckets, id.as_str()),
            ObjectKey::Table(id) | ObjectKey::Sample(id) => {
                let id = id.as_str();
                let of_bucket = bucket_of(id).is_none_or(|bucket| take(&mut self.buckets, bucket));
                of_bucket && take(&mut self.tables, id)
            }
            ObjectKey::Branch | ObjectKey::Config { .. } | ObjectKey::Row { .. } | ObjectKey::Job(_) => true,
        }
    }
}

/// Paths have other bytes than ASCII as `%XX`, so that only ASCII letters have a case there.
fn take(spellings: &mut BTreeMap<String, String>, id: &str) -> bool {
    let spelling = spellings
        .entry(id.to_ascii_lowercase())
        .or_insert_with(|| id.to_owned());
    spelling == id
}

/// Returns the part of a table's id before its second dot, as paths have it.
fn bucket_of(table: &str) -> Option<&str> {
    table.match_indices('.').nth(1).map(|(dot, _)| &table[..dot])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(id: &str) -> ObjectKey {
        ObjectKey::Table(id.parse().unwrap())
    }

    #[test]
    fn the_first_spelling_has_the_files_whatever_comes_after_it() {
        let mut spellings = Spellings::default();
        for (key, expected) in [
            (table("in.c-main.T"), true),
            (table("in.c-main.t"), false),
            (table("in.c-main.T"), true),
            (ObjectKey::Sample("in.c-main.t".parse().unwrap()), false),
            (ObjectKey::Sample("in.c-main.T".parse().unwrap()), true),
            (ObjectKey::Bucket("in.c-main".parse().unwrap()), true),
            (ObjectKey::Bucket("in.c-MAIN".parse().unwrap()), false),
            (table("in.c-MAIN.other"), false),
            (table("in.c-main.other"), true),
            (table("in.c-Other.t"), true),
            (ObjectKey::Bucket("in.c-other".parse().unwrap()), false),
            (ObjectKey::Branch, true),
        ] {
            assert_eq!(spellings.take(&key), expected, "{key}");
        }
    }
}
