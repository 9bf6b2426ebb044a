//! Buckets, tables and data previews.

use crate::{
    item::{Item, item},
    json::{Members, Problem, items},
    text::Text,
};
use jiff::Timestamp;
use mirror_core::ids::{BucketId, TableId};

/// A bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    pub id: BucketId,
    pub display_name: String,
    /// `in` or `out`.
    pub stage: String,
    pub last_change: Option<Timestamp>,
    /// The bucket's JSON text as received.
    pub source: String,
}

impl Bucket {
    pub(crate) fn parse_list(text: Text<'_>) -> Result<Vec<Item<Self, BucketId>>, Problem> {
        let buckets = items(text)?.into_iter();
        Ok(buckets.map(|text| item(text, Self::parse, bucket_id)).collect())
    }

    fn parse(text: &str) -> Result<Self, Problem> {
        let members = Members::parse(text)?;
        Ok(Self {
            id: bucket_id(&members)?,
            display_name: members.text_or_empty("displayName"),
            stage: members.text_or_empty("stage"),
            last_change: members.time("lastChangeDate"),
            source: text.to_owned(),
        })
    }
}

/// A table with its columns and metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    pub id: TableId,
    pub name: String,
    pub primary_key: Vec<String>,
    pub columns: Vec<String>,
    pub is_alias: bool,
    /// Whether its columns have types of the backend; they stand in its detail, not in a listing.
    pub is_typed: bool,
    pub last_change: Option<Timestamp>,
    pub last_import: Option<Timestamp>,
    /// The table's JSON text as received.
    pub source: String,
}

impl Table {
    /// Reads an item of the list of tables.
    pub(crate) fn parse_item(text: Text<'_>) -> Result<Item<Self, TableId>, Problem> {
        Ok(item(text, Self::parse, table_id))
    }

    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        let members = Members::parse(text)?;
        Ok(Self {
            id: table_id(&members)?,
            name: members.text_or_empty("name"),
            primary_key: members.texts("primaryKey"),
            columns: members.texts("columns"),
            is_alias: members.flag("isAlias"),
            is_typed: members.flag("isTyped"),
            last_change: members.time("lastChangeDate"),
            last_import: members.time("lastImportDate"),
            source: text.to_owned(),
        })
    }
}

fn bucket_id(members: &Members<'_>) -> Result<BucketId, Problem> {
    let id = members.text("id").ok_or("`id` of a bucket is missing")?;
    BucketId::parse(&id).map_err(|error| error.to_string())
}

fn table_id(members: &Members<'_>) -> Result<TableId, Problem> {
    let id = members.text("id").ok_or("`id` of a table is missing")?;
    TableId::parse(&id).map_err(|error| error.to_string())
}

/// Which rows of a table to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviewRequest {
    pub table: TableId,
    /// Columns to ask for, in order; empty asks for all.
    pub columns: Vec<String>,
    /// The columns that rows are ordered by, for a sample that is the same each time.
    pub order_by: Vec<String>,
    /// At most 1000.
    pub limit: u32,
}

impl PreviewRequest {
    /// Asks for the first rows of all columns of a table, ordered by its primary key.
    #[must_use]
    pub fn of(table: &Table, limit: u32) -> Self {
        let Table {
            id,
            primary_key,
            columns,
            ..
        } = table;
        Self {
            table: id.clone(),
            columns: columns.clone(),
            order_by: primary_key.clone(),
            limit,
        }
    }

    /// Returns a request for fewer columns, key first, or none if there are few already.
    pub(crate) fn narrowed(&self) -> Option<Self> {
        if self.columns.len() <= NARROW_COLUMNS {
            return None;
        }
        let is_key = |column: &&String| self.order_by.contains(column);
        let keys = self.columns.iter().filter(is_key);
        let others = self.columns.iter().filter(|column| !is_key(column));
        let chosen: Vec<&String> = keys.chain(others).take(NARROW_COLUMNS).collect();
        let columns = self
            .columns
            .iter()
            .filter(|column| chosen.contains(column))
            .cloned()
            .collect();
        Some(Self {
            columns,
            ..self.clone()
        })
    }
}

/// Some backends refuse previews of more columns than this.
const NARROW_COLUMNS: usize = 30;

/// The first rows of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// CSV by RFC 4180 with a header line, as received.
    pub csv: String,
    /// Whether columns were left out because the backend refused them all.
    pub is_narrowed: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrowed_preview_keeps_the_key_and_the_order() {
        let columns: Vec<String> = (0..40).map(|number| format!("c{number}")).collect();
        let table = TableId::parse("in.c-main.t").unwrap();
        let wide = PreviewRequest {
            table,
            columns,
            order_by: vec!["c39".into()],
            limit: 100,
        };
        let narrow = wide.narrowed().unwrap();
        assert_eq!(narrow.columns.len(), 30);
        assert_eq!((&*narrow.columns[28], &*narrow.columns[29]), ("c28", "c39"));
        assert_eq!(narrow.narrowed(), None);
    }
}
