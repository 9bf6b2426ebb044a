//! Reads samples from redacted files, and takes from the files what a filter did not choose.

use super::{BatchFile, Item, Subject, malformed};
use crate::{
    finding::WithholdReason,
    ids::ObjectKey,
    redaction::removals,
    sample::{Choice, Column, Sample},
    walk::{
        Format,
        csv::Table,
        json::{Kind, Tree},
    },
};
use std::ops::Range;

pub(super) fn is_sample(subject: &Subject) -> bool {
    matches!(subject, Subject::Object(ObjectKey::Sample(_)))
}

/// Returns the sample that an item is, or why its files are none; `None` for other objects.
pub(super) fn read(item: &Item) -> Option<Result<Sample, WithholdReason>> {
    let Subject::Object(ObjectKey::Sample(table)) = &item.subject else {
        return None;
    };
    Some(Files::of(item).map(|files| {
        let text = &item.files[files.csv].content;
        let cells = |row: &Range<usize>| {
            files.table.cells[row.clone()]
                .iter()
                .map(|cell| cell.value(text).into_owned())
        };
        let mut rows = files.table.rows.iter().map(|row| cells(&row.cells));
        let names: Vec<String> = rows.next().map(Iterator::collect).unwrap_or_default();
        let base_types = files.base_types(item);
        let columns = names.into_iter().enumerate().map(|(index, name)| {
            let base_type = base_types.get(index).cloned().unwrap_or_default();
            Column { name, base_type }
        });
        Sample {
            table_id: table.as_str().to_owned(),
            columns: columns.collect(),
            rows: rows.map(Iterator::collect).collect(),
        }
    }))
}

/// Takes from a sample's files what the choice leaves out; all of them where nothing stays.
pub(super) fn apply(item: &mut Item, choice: &Choice) -> Result<(), WithholdReason> {
    let files = Files::of(item)?;
    let bad = || malformed("sample filter", "a choice is not ascending or not in range");
    let columns = kept(files.columns(), &choice.columns).ok_or_else(bad)?;
    let rows = kept(files.rows(), &choice.rows).ok_or_else(bad)?;
    if choice.columns.is_empty() || choice.rows.is_empty() {
        item.files.clear();
        return Ok(());
    }
    if !columns.contains(&false) && !rows.contains(&false) {
        return Ok(());
    }
    let csv = files.choose_csv(&item.files[files.csv].content, &columns, &rows);
    if let Some(twin) = &files.twin {
        let file = &mut item.files[twin.file];
        file.content = twin.choose(&file.content, &columns, &rows);
    }
    item.files[files.csv].content = csv;
    Ok(())
}

/// Returns for each index whether it stays.
fn kept(length: usize, chosen: &[usize]) -> Option<Vec<bool>> {
    let mut kept = vec![false; length];
    for index in chosen {
        *kept.get_mut(*index)? = true;
    }
    chosen.is_sorted_by(|a, b| a < b).then_some(kept)
}

/// The files of a sample, as places in the item.
pub(super) struct Files {
    pub(super) csv: usize,
    pub(super) table: Table,
    pub(super) twin: Option<Twin>,
}

/// The JSON file beside the CSV file: `{"columns": […], "rows": [[…], …]}`, maybe with more members.
pub(super) struct Twin {
    pub(super) file: usize,
    pub(super) tree: Tree,
    /// The node of the array of columns, and that of the array of rows.
    columns: usize,
    pub(super) rows: usize,
}

impl Files {
    /// A sample is one CSV file of rows as long as its header, and maybe a JSON twin of the same size.
    ///
    /// Other files or entries could hold rows that no filter sees, so there must be none.
    pub(super) fn of(item: &Item) -> Result<Self, WithholdReason> {
        let bad = |detail| malformed("layout renderer", detail);
        let (mut csv, mut twin) = (None, None);
        for (index, file) in item.files.iter().enumerate() {
            let place = match Format::of(file.path.as_str()) {
                Format::Csv => &mut csv,
                Format::Json => &mut twin,
                Format::JsonLines | Format::Text => {
                    return Err(bad("a sample has a file that is neither CSV nor JSON"));
                }
            };
            if place.replace(index).is_some() {
                return Err(bad("a sample has two files of one kind"));
            }
        }
        if !item.entries.is_empty() {
            return Err(bad("a sample has entries"));
        }
        let csv = csv.ok_or_else(|| bad("a sample has no CSV file"))?;
        let table =
            Table::parse(&item.files[csv].content).map_err(|_| bad("a sample is not well-formed CSV"))?;
        let width = table.rows.first().map_or(0, |row| row.cells.len());
        if table.rows.iter().any(|row| row.cells.len() != width) {
            return Err(bad("a sample has rows of different lengths"));
        }
        let mut files = Self {
            csv,
            table,
            twin: None,
        };
        if let Some(file) = twin {
            let mismatch =
                || bad("the JSON file of a sample does not have the rows and columns of its CSV file");
            files.twin = Some(Twin::of(file, &item.files[file], &files).ok_or_else(mismatch)?);
        }
        Ok(files)
    }

    fn columns(&self) -> usize {
        self.table.rows.first().map_or(0, |row| row.cells.len())
    }

    /// Returns the number of rows without the header.
    fn rows(&self) -> usize {
        self.table.rows.len().saturating_sub(1)
    }

    /// Returns the columns' types, where the twin tells them: `{"name", "baseType"}` for a column.
    fn base_types(&self, item: &Item) -> Vec<String> {
        let Some(twin) = &self.twin else { return Vec::new() };
        let text = &item.files[twin.file].content;
        let nodes = &twin.tree.nodes;
        let base_type = |column: usize| {
            let mut members = (nodes[column].kind == Kind::Object)
                .then(|| twin.tree.members(column))
                .into_iter()
                .flatten();
            let value = members.find(|(key, value)| {
                matches!(&*nodes[*key].value(text), "baseType" | "base_type")
                    && nodes[*value].kind == Kind::String
            });
            value
                .map(|(_, value)| nodes[value].value(text).into_owned())
                .unwrap_or_default()
        };
        twin.tree.children(twin.columns).map(base_type).collect()
    }

    /// Joins the cells that stay, as they are written; each row keeps its line break.
    fn choose_csv(&self, text: &str, columns: &[bool], rows: &[bool]) -> String {
        let mut chosen = String::with_capacity(text.len());
        let stays = std::iter::once(&true).chain(rows);
        let alone = columns.iter().filter(|stays| **stays).count() == 1;
        for (row, _) in self.table.rows.iter().zip(stays).filter(|(_, stays)| **stays) {
            let cells = &self.table.cells[row.cells.clone()];
            let mut first = true;
            for (cell, _) in cells.iter().zip(columns).filter(|(_, stays)| **stays) {
                if !first {
                    chosen.push(',');
                }
                first = false;
                let written = &text[cell.start..cell.end];
                // Alone in its row, an empty cell without quotes is an empty line, which many skip.
                chosen.push_str(if alone && written.is_empty() {
                    "\"\""
                } else {
                    written
                });
            }
            let content_end = cells.last().map_or(row.end, |cell| cell.end);
            chosen.push_str(&text[content_end..row.end]);
        }
        chosen
    }
}

impl Twin {
    fn of(index: usize, file: &BatchFile, files: &Files) -> Option<Self> {
        let text = &file.content;
        let tree = Tree::parse(text).ok()?;
        let (_, root) = *tree.roots.first()?;
        let array = |name: &str| {
            let members = (tree.nodes[root].kind == Kind::Object)
                .then(|| tree.members(root))
                .into_iter()
                .flatten();
            let mut named = members
                .filter(|(key, _)| tree.nodes[*key].value(text) == name)
                .map(|(_, value)| value);
            let found = named
                .next()
                .filter(|value| tree.nodes[*value].kind == Kind::Array);
            // Of two members of one name, readers differ in which they take.
            found.filter(|_| named.next().is_none())
        };
        let (columns, rows) = (array("columns")?, array("rows")?);
        let is_row =
            |row: usize| tree.nodes[row].kind == Kind::Array && tree.children(row).count() == files.columns();
        let fits = tree.children(columns).count() == files.columns()
            && tree.children(rows).count() == files.rows()
            && tree.children(rows).all(is_row);
        fits.then_some(Self {
            file: index,
            columns,
            rows,
            tree,
        })
    }

    fn choose(&self, text: &str, columns: &[bool], rows: &[bool]) -> String {
        let cuts_in = |container: usize, stays: &[bool]| {
            let removed: Vec<bool> = stays.iter().map(|stays| !stays).collect();
            let node = &self.tree.nodes[container];
            removals(node.span(), &self.tree.child_spans(container), &removed)
        };
        let mut cuts = cuts_in(self.columns, columns);
        cuts.extend(cuts_in(self.rows, rows));
        for (row, _) in self
            .tree
            .children(self.rows)
            .zip(rows)
            .filter(|(_, stays)| **stays)
        {
            cuts.extend(cuts_in(row, columns));
        }
        cuts.sort_by_key(|cut| cut.start);
        let mut chosen = String::with_capacity(text.len());
        let mut copied = 0;
        for cut in cuts {
            chosen.push_str(&text[copied..cut.start]);
            copied = cut.end;
        }
        chosen.push_str(&text[copied..]);
        chosen
    }
}
