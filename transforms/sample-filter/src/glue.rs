//! The glue between WIT and the filter. Generated code needs `unsafe`; nothing else here does.

#![expect(
    unsafe_code,
    reason = "the generated bindings lift and lower values through raw memory"
)]

use crate::filter;
use crate::settings::Settings;
use exports::keboola::mirror::sampling::{Choice, Guest, Sample};
use guest_memory as _;
use keboola::mirror::types::{Context, GuestError, Issue};
use std::sync::OnceLock;

wit_bindgen::generate!({
    path: "../../wit",
    world: "sample-filter",
});

static SETTINGS: OnceLock<Settings> = OnceLock::new();

struct Filter;

impl Guest for Filter {
    fn configure(text: String) -> Result<(), Vec<Issue>> {
        let issue = |issue: crate::settings::Issue| Issue {
            pointer: issue.pointer,
            message: issue.message,
        };
        let settings =
            Settings::parse(&text).map_err(|issues| issues.into_iter().map(issue).collect::<Vec<_>>())?;
        SETTINGS.set(settings).map_err(|_| {
            vec![Issue {
                pointer: String::new(),
                message: "the filter is configured already".to_owned(),
            }]
        })
    }

    fn choose(_context: Context, samples: Vec<Sample>) -> Result<Vec<Choice>, GuestError> {
        let Some(settings) = SETTINGS.get() else {
            return Err(GuestError {
                message: "the filter is not configured".to_owned(),
                item: None,
            });
        };
        samples
            .iter()
            .enumerate()
            .map(|(item, sample)| {
                let too_large = || GuestError {
                    message: "a sample has more than 2^32 rows or columns".to_owned(),
                    item: u32::try_from(item).ok(),
                };
                lower(&filter::choose(settings, &borrow(sample))).ok_or_else(too_large)
            })
            .collect()
    }
}

fn borrow(sample: &Sample) -> filter::Sample<'_> {
    filter::Sample {
        columns: sample
            .columns
            .iter()
            .map(|column| filter::Column { name: &column.name })
            .collect(),
        rows: sample
            .rows
            .iter()
            .map(|row| row.iter().map(String::as_str).collect())
            .collect(),
    }
}

/// None where an index does not fit the interface's 32 bits.
fn lower(choice: &filter::Choice) -> Option<Choice> {
    let indices = |indices: &[usize]| {
        indices
            .iter()
            .map(|&index| u32::try_from(index).ok())
            .collect::<Option<Vec<_>>>()
    };
    Some(Choice {
        columns: indices(&choice.columns)?,
        rows: indices(&choice.rows)?,
    })
}

export!(Filter);
