//! Checks what a renderer returned before anything else looks at it.

use super::{
    BatchFile, Item, Judged, PathLimits, RenderedBatch, Subject, Withheld, malformed, sift, within_size,
};
use crate::{
    document::Context,
    finding::WithholdReason,
    layout::Rendered,
    path::OwnedPaths,
    redaction::RedactionStats,
    walk::{self, Format},
};
use std::collections::{BTreeMap, HashMap, HashSet};

/// The guest that made the files.
const RENDERER: &str = "layout renderer";

impl RenderedBatch {
    /// Takes what the renderer returned, with the default [`PathLimits`].
    #[must_use]
    pub fn new(
        context: Context,
        owned: &OwnedPaths,
        rendered: Vec<(Subject, Rendered)>,
    ) -> (Self, Vec<Withheld>) {
        Self::with_limits(context, owned, rendered, PathLimits::default())
    }

    /// Takes what the renderer returned and withholds every subject of which
    /// - a path is unsafe, is not ours, or is taken for another of the batch by some file system
    ///   (of two subjects the one that sorts first keeps it, whatever their order here);
    /// - a file or entry is too many or too large;
    /// - a file is not what its extension says, or an entry's value is no JSON;
    /// - there is another of the same name in the batch (none of them passes).
    #[must_use]
    pub fn with_limits(
        context: Context,
        owned: &OwnedPaths,
        rendered: Vec<(Subject, Rendered)>,
        limits: PathLimits,
    ) -> (Self, Vec<Withheld>) {
        let mut withheld = Vec::new();
        let mut items = Vec::with_capacity(rendered.len());
        for (subject, rendered) in rendered {
            match item(&subject, rendered, owned, &limits) {
                Ok(item) => items.push(item),
                Err(reason) => withheld.push(Withheld { subject, reason }),
            }
        }
        let colliding = collisions(&items);
        let mut times: HashMap<Subject, usize> = HashMap::new();
        items
            .iter()
            .for_each(|item| *times.entry(item.subject.clone()).or_default() += 1);
        let (items, collided) = sift(items, |item| {
            if times.get(&item.subject) != Some(&1) {
                return Err(malformed(RENDERER, "an object was rendered twice in one batch"));
            }
            colliding
                .get(&item.subject)
                .map_or(Ok(()), |reason| Err(reason.clone()))
        });
        withheld.extend(collided);
        (
            Self(Judged {
                context,
                limits,
                items,
            }),
            withheld,
        )
    }

    /// Counts what was taken away from a subject before it was rendered. For one that is not in the
    /// batch nothing is counted.
    pub fn count(&mut self, subject: &Subject, stats: RedactionStats) {
        if let Some(item) = self.0.items.iter_mut().find(|item| item.subject == *subject) {
            item.stats.add(stats);
        }
    }
}

fn item(
    subject: &Subject,
    rendered: Rendered,
    owned: &OwnedPaths,
    limits: &PathLimits,
) -> Result<Item, WithholdReason> {
    let over = |limit: &str| WithholdReason::OverLimit {
        guest: RENDERER.to_owned(),
        limit: limit.to_owned(),
    };
    if rendered.files.len() > limits.files_per_subject_max {
        return Err(over("files_per_subject_max"));
    }
    if rendered.entries.len() > limits.entries_per_subject_max {
        return Err(over("entries_per_subject_max"));
    }
    let mut files = Vec::with_capacity(rendered.files.len());
    for (at, file) in rendered.files.into_iter().enumerate() {
        let path = owned
            .resolve(&file.path)
            .map_err(|error| bad_path(at, error.problem))?;
        files.push(BatchFile {
            path,
            kind: file.kind,
            content: file.content,
        });
    }
    let item = Item {
        subject: subject.clone(),
        files,
        entries: rendered.entries,
        stats: RedactionStats::default(),
        cuts: Vec::new(),
    };
    within_size(&item, limits)?;
    for (at, file) in item.files.iter().enumerate() {
        walk::check(Format::of(file.path.as_str()), &file.content)
            .map_err(|error| malformed(RENDERER, &format!("file {at} is {error}")))?;
    }
    for (at, entry) in item.entries.iter().enumerate() {
        walk::check(Format::Json, &entry.value)
            .map_err(|error| malformed(RENDERER, &format!("the value of entry {at} is {error}")))?;
    }
    Ok(item)
}

/// Nothing is redacted yet, so a path is not repeated: it may be made of what must not be seen.
fn bad_path(file: usize, problem: &str) -> WithholdReason {
    WithholdReason::Path {
        file,
        problem: problem.to_owned(),
    }
}

/// Returns the subjects that lose a path to another subject, or have one twice themselves.
fn collisions(items: &[Item]) -> BTreeMap<Subject, WithholdReason> {
    let mut colliding = BTreeMap::new();
    let mut lose = |subject: &Subject, file: usize, problem: &str| {
        colliding
            .entry(subject.clone())
            .or_insert_with(|| bad_path(file, problem));
    };
    let mut in_order: Vec<&Item> = items.iter().collect();
    in_order.sort_by(|a, b| a.subject.cmp(&b.subject));
    let mut files: HashSet<String> = HashSet::new();
    let mut directories: HashSet<String> = HashSet::new();
    for item in in_order {
        for (at_file, file) in item.files.iter().enumerate() {
            let folded = file.path.fold();
            for (at, _) in folded.match_indices('/') {
                if files.contains(&folded[..at]) {
                    lose(&item.subject, at_file, "lies below what is a file");
                }
                if !directories.contains(&folded[..at]) {
                    directories.insert(folded[..at].to_owned());
                }
            }
            if directories.contains(&folded) {
                lose(&item.subject, at_file, "is also a directory");
            }
            if !files.insert(folded) {
                lose(
                    &item.subject,
                    at_file,
                    "is the same as another for some file systems",
                );
            }
        }
    }
    colliding
}
