//! Entries of a bucket that its tables' shards are handed too: who writes a bucket may write any table in it.
//!
//! Which tables those are, no writer knows; so the host hands on what the bucket's shard holds. Names of shards are
//! as `lineage` of `wit/layout.wit` has them.

use super::{Entry, IndexKind};

/// Most entries of one bucket that are handed on: each of its tables is given them.
pub const HANDED_ON_MAX: usize = 21;

/// Returns the shard of the bucket whose neighbours a table's shard is handed.
#[must_use]
pub fn bucket_of(kind: IndexKind, shard: &str) -> Option<String> {
    let (branch, name) = parts(kind, shard)?;
    let id = name.strip_prefix("table/")?;
    let (dot, _) = id.match_indices('.').nth(1)?;
    Some([branch, "bucket/", &id[..dot]].concat())
}

/// Returns what names of the shards of a bucket's tables begin with.
#[must_use]
pub fn tables_of(kind: IndexKind, shard: &str) -> Option<String> {
    let (branch, name) = parts(kind, shard)?;
    let id = name.strip_prefix("bucket/")?;
    Some([branch, "table/", id, "."].concat())
}

fn parts(kind: IndexKind, shard: &str) -> Option<(&str, &str)> {
    let branch = shard.find("//").map_or(0, |end| end + 2);
    (kind == IndexKind::Lineage).then(|| shard.split_at(branch))
}

/// Whether an entry of a bucket's shard, by its key, is of a neighbour, which is handed on.
#[must_use]
pub fn is_handed_on(key: &str) -> bool {
    key.starts_with('<')
}

/// Returns those of a bucket's entries, which are sorted by key, that its tables' shards are handed.
pub fn handed_on(entries: Vec<Entry>) -> impl Iterator<Item = Entry> {
    let neighbours = entries.into_iter().filter(|entry| is_handed_on(&entry.key));
    neighbours.take(HANDED_ON_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_an_heir_of_its_bucket_and_of_no_other() {
        let lineage = IndexKind::Lineage;
        for (table, bucket) in [
            ("table/in.c-main.orders", Some("bucket/in.c-main")),
            ("table/in.c-main.or.ders", Some("bucket/in.c-main")),
            ("dev//table/in.c-main.orders", Some("dev//bucket/in.c-main")),
            ("table/odd", None),
            ("bucket/in.c-main", None),
        ] {
            assert_eq!(bucket_of(lineage, table).as_deref(), bucket, "{table}");
            assert_eq!(bucket_of(IndexKind::Catalog, table), None);
            let Some(bucket) = bucket else { continue };
            let prefix = tables_of(lineage, bucket).expect("it is a bucket's");
            assert!(table.starts_with(&prefix), "{prefix}");
        }
        let prefix = tables_of(lineage, "bucket/in.c-main").expect("it is a bucket's");
        assert!(!"table/in.c-main-2.orders".starts_with(&prefix));
        assert_eq!(tables_of(lineage, "table/in.c-main.orders"), None);
    }
}
