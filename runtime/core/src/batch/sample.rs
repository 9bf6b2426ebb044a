//! Reads samples from redacted files, and takes from the files what a filter did not choose.
//!
//! Both files of a sample show the same cells. What stands around a cell differs, though: CSV has names of columns above
//! it, JSON has its neighbours in one list. So a policy may see in one file what it does not see in the other, and what is
//! found in a cell of either goes from both ([`share`]). Where they show different texts all the same, the sample is withheld.

use super::{BatchFile, Item, Subject, malformed};
use crate::{
    finding::{Finding, Verdict, WithholdReason},
    ids::ObjectKey,
    redaction::removals,
    sample::{Choice, Column, Sample},
    walk::{
        Format,
        csv::{Cell, Table},
        json::{Kind, Tree},
    },
};
use std::{collections::HashMap, ops::Range};

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

/// Has what was found in a cell of one file of a sample go from the other, too. `verdicts` are those on its files, in order.
///
/// # Errors
/// A cell that must go from one file, and is no text in the other.
pub(super) fn share(item: &Item, verdicts: &mut [Verdict]) -> Result<(), WithholdReason> {
    // Files that are no sample are withheld when it comes to the choice.
    let Ok(files) = Files::of(item) else {
        return Ok(());
    };
    let Some(twin) = &files.twin else { return Ok(()) };
    let found = |file: usize| match verdicts.get(file) {
        Some(Verdict::Findings(findings)) => Some(findings.as_slice()),
        Some(Verdict::Withhold(_)) | None => None,
    };
    let (Some(in_csv), Some(in_twin)) = (found(files.csv), found(twin.file)) else {
        return Ok(());
    };
    if in_csv.is_empty() && in_twin.is_empty() {
        return Ok(());
    }
    // The leaves of CSV are its cells.
    let leaves: Vec<Option<usize>> = twin
        .cells(&item.files[twin.file].content)
        .map(|cell| twin.tree.nodes[cell?].leaf())
        .collect();
    let cells: HashMap<usize, usize> = leaves
        .iter()
        .enumerate()
        .filter_map(|(cell, leaf)| Some(((*leaf)?, cell)))
        .collect();
    let for_twin = in_csv.iter().map(|finding| {
        let leaf = leaves.get(finding.leaf).copied().flatten();
        let missing = || malformed("layout renderer", "a cell of a sample is a text in one file only");
        leaf.map(|leaf| at(leaf, finding)).ok_or_else(missing)
    });
    let for_twin = for_twin.collect::<Result<Vec<_>, _>>()?;
    let for_csv = in_twin
        .iter()
        .filter_map(|finding| cells.get(&finding.leaf).map(|cell| at(*cell, finding)));
    let for_csv: Vec<_> = for_csv.collect();
    // Both have the same findings then, whatever was found twice, and so the same markers.
    for (file, more) in [(files.csv, for_csv), (twin.file, for_twin)] {
        if let Verdict::Findings(findings) = &mut verdicts[file] {
            findings.extend(more);
        }
    }
    Ok(())
}

/// The same finding at another leaf, which shows the same text.
fn at(leaf: usize, finding: &Finding) -> Finding {
    Finding {
        leaf,
        ..finding.clone()
    }
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
    /// A sample is one CSV file of rows as long as its header, and maybe a JSON twin that shows the same cells.
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
            let text = &item.files[csv].content;
            files.twin = Some(Twin::of(file, &item.files[file], &files, text).ok_or_else(mismatch)?);
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
    fn of(index: usize, file: &BatchFile, files: &Files, csv: &str) -> Option<Self> {
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
        let twin = fits.then_some(Self {
            file: index,
            columns,
            rows,
            tree,
        })?;
        twin.shows(text, files, csv).then_some(twin)
    }

    /// Returns the node that shows each cell, the header's first; none where a column has no name.
    fn cells<'t>(&'t self, text: &'t str) -> impl Iterator<Item = Option<usize>> + 't {
        let nodes = &self.tree.nodes;
        let name = move |column: usize| {
            if nodes[column].kind != Kind::Object {
                return Some(column);
            }
            let mut members = self.tree.members(column);
            let named = members.find(|(key, _)| nodes[*key].value(text) == "name");
            named.map(|(_, value)| value)
        };
        let header = self.tree.children(self.columns).map(name);
        let rows = self.tree.children(self.rows);
        header.chain(rows.flat_map(|row| self.tree.children(row)).map(Some))
    }

    /// Says whether it shows the cells of the CSV file; an empty one may be `null`, and a column without a name.
    fn shows(&self, text: &str, files: &Files, csv: &str) -> bool {
        let is_shown = |(cell, node): (&Cell, Option<usize>)| {
            let Some(node) = node.map(|node| &self.tree.nodes[node]) else {
                return true;
            };
            let value = cell.value(csv);
            match node.kind {
                Kind::String | Kind::Scalar => node.value(text) == value,
                Kind::Null => value.is_empty(),
                Kind::Object | Kind::Array | Kind::Key => false,
            }
        };
        files.table.cells.iter().zip(self.cells(text)).all(is_shown)
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
