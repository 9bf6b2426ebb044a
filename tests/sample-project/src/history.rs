//! From a draft to a configuration with a history: versions, authors, times, change descriptions.
//!
//! Histories are told forwards, as Keboola would have recorded them: created, rows added one by one, then edits.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::builder::{Draft, RowDraft};
use crate::edit::edited;
use crate::encode::{Moment, ulid};
use crate::project::{Configuration, VersionEntry};
use crate::random::Random;

/// The people of the project and the token of its continuous integration, as `creatorToken` shows them.
pub(crate) const AUTHORS: &[(u64, &str)] = &[
    (41_204, "jana.novakova@example.com"),
    (41_877, "petr.dvorak@example.com"),
    (43_010, "tereza.cerna@example.com"),
    (43_512, "maria.horvathova@example.com"),
    (44_203, "jurgen.mueller@example.com"),
    (45_990, "agnieszka.kowalska@example.com"),
    (47_381, "ondrej.simek@example.com"),
    (49_120, "eva.kralova@example.com"),
    (CI.0, CI.1),
];
pub(crate) const CI: (u64, &str) = (52_777, "ci-bot");

/// Markets whose configurations were made by hand, one row a version. The later ones were copied with their rows from
/// those, which keeps the history of a large project from growing faster than the project.
const ROUNDS_MADE_BY_HAND: usize = 4;
const COPIED: &str = "Copied from another market";

pub(crate) fn token(author: (u64, &str)) -> Value {
    json!({"id": author.0, "description": author.1})
}

/// Tells histories; one for the whole project, so that metadata ids stay unique.
#[derive(Debug)]
pub(crate) struct Teller {
    pub(crate) random: Random,
    pub(crate) versions_max: usize,
    /// Nothing happens after this.
    pub(crate) present: Moment,
    next_metadata_id: u64,
}

impl Teller {
    pub(crate) fn new(random: Random, versions_max: usize, present: Moment) -> Self {
        Self {
            random,
            versions_max: versions_max.max(1),
            present,
            next_metadata_id: 700_000,
        }
    }

    /// An entry of branch or configuration metadata.
    pub(crate) fn metadata(&mut self, key: &str, value: &str, at: Moment) -> Value {
        self.next_metadata_id += 1;
        json!({"id": self.next_metadata_id.to_string(), "key": key, "value": value, "provider": "user", "timestamp": at.storage()})
    }

    pub(crate) fn author(&mut self) -> (u64, &'static str) {
        *self.random.pick(AUTHORS)
    }

    /// Turns a draft into a configuration of the default branch.
    pub(crate) fn tell(&mut self, draft: Draft) -> Configuration {
        let owner = self.author();
        let mut told = Telling::begin(&draft, owner, &mut self.random);
        let contents = self.contents(&draft);
        let (first, change) = contents[0].clone();
        let mut at = draft.created;
        if draft.round < ROUNDS_MADE_BY_HAND {
            told.commit(at, owner, Some(&change), first, &mut self.random);
            for row in &draft.rows {
                at = at.plus(self.random.between(20, 400));
                told.place_row(at, owner, row, &format!("Row {} added", row.id), &mut self.random);
                told.next(
                    at,
                    owner,
                    Some(&format!("Row {} added", row.id)),
                    &mut self.random,
                );
            }
        } else {
            for row in &draft.rows {
                told.place_row(at, owner, row, COPIED, &mut self.random);
            }
            told.commit(at, owner, Some(COPIED), first, &mut self.random);
        }
        let later = contents.len() - 1;
        for (number, (configuration, change)) in contents.into_iter().skip(1).enumerate() {
            at = self.later(at, later - number);
            let author = if self.random.chance(60) {
                owner
            } else {
                self.author()
            };
            let change = match (number + 1 == later, draft.change.as_deref()) {
                (true, Some(change)) => Some(change.to_owned()),
                _ => self.worded(change),
            };
            told.commit(at, author, change.as_deref(), configuration, &mut self.random);
        }
        if draft.is_disabled || draft.rows.iter().any(|row| row.is_disabled) {
            at = self.later(at, 1);
            told.disable(at, owner, &draft, &mut self.random);
        }
        if draft.rows.len() > 2 && self.random.chance(20) {
            at = self.later(at, 1);
            told.reverse_rows(at, owner, &mut self.random);
        }
        let mut metadata = Vec::new();
        if let Some(folder) = &draft.folder {
            metadata.push(self.metadata("KBC.configuration.folderName", folder, draft.created.plus(30)));
        }
        if self.random.chance(6) {
            let instance = self.random.text(crate::encode::HEX, 12);
            metadata.push(self.metadata("KBC.KAC.templates.repository", "keboola", draft.created.plus(1)));
            metadata.push(self.metadata("KBC.KAC.templates.templateId", "ecommerce", draft.created.plus(1)));
            metadata.push(self.metadata("KBC.KAC.templates.instanceId", &instance, draft.created.plus(1)));
        }
        told.end(draft, metadata)
    }

    /// Contents from the first to the last, each with the description of the change that led to it.
    fn contents(&mut self, draft: &Draft) -> Vec<(Value, String)> {
        let last = draft.configuration.clone();
        if !draft.older.is_empty() {
            let mut contents = draft.older.clone();
            contents.push((last, "Update parameters".to_owned()));
            return contents;
        }
        let most = u64::try_from(self.versions_max).unwrap_or(1);
        let mut edits = self.random.below(most);
        if draft.change.is_some() {
            edits = edits.max(1).min(most.max(2) - 1);
        }
        let mut backwards = vec![(last, String::new())];
        for _ in 0..edits {
            let newer = backwards.len() - 1;
            let Some((older, change)) = edited(&backwards[newer].0, &mut self.random) else {
                break;
            };
            backwards[newer].1 = change.to_owned();
            backwards.push((older, String::new()));
        }
        if let Some(first) = backwards.last_mut() {
            first.1 = "Configuration created".to_owned();
        }
        backwards.reverse();
        backwards
    }

    /// A later moment, with room for as many more changes before the present.
    fn later(&mut self, at: Moment, changes: usize) -> Moment {
        let room = at.seconds_until(self.present) / u64::try_from(changes + 1).unwrap_or(u64::MAX);
        at.plus(1 + self.random.below(room.max(1)))
    }

    /// How people describe a change: as the interface suggests, not at all, or at length.
    fn worded(&mut self, change: String) -> Option<String> {
        match self.random.below(12) {
            0 => None,
            1 => Some(String::new()),
            2 => Some(format!(
                "{change}\n\nViz ticket DATA-{}.\nSchválila Jana.",
                self.random.between(100, 999)
            )),
            3 => Some("Updated from #KeboolaCLI".to_owned()),
            4 => Some("Úprava <dle požadavku> & oprava překlepu".to_owned()),
            _ => Some(change),
        }
    }

    /// The copy of a configuration in a new development branch.
    pub(crate) fn copied(
        &mut self,
        source: &Configuration,
        at: Moment,
        author: (u64, &'static str),
    ) -> Configuration {
        let mut detail = source.detail.clone();
        let change = format!(
            "Copied from default branch configuration \"{}\" (version {})",
            text(&detail, "name"),
            source.version()
        );
        let identifier = ulid(at, &mut self.random);
        detail["version"] = json!(1);
        detail["created"] = json!(at.storage());
        detail["creatorToken"] = token(author);
        detail["changeDescription"] = json!(change);
        detail["state"] = json!({});
        for row in detail["rows"].as_array_mut().into_iter().flatten() {
            row["version"] = json!(1);
            row["created"] = json!(at.storage());
            row["creatorToken"] = token(author);
            row["changeDescription"] = json!(change);
            row["state"] = json!({});
            row["versionIdentifier"] = json!(ulid(at, &mut self.random));
        }
        let mut copy = Configuration {
            component_id: source.component_id.clone(),
            detail,
            versions: Vec::new(),
            metadata: source.metadata.clone(),
        };
        record(&mut copy, at, author, Some(&change), &identifier);
        copy
    }

    /// One more version of a configuration with something changed in it.
    pub(crate) fn advance(&mut self, configuration: &mut Configuration, at: Moment) {
        let author = self.author();
        let change = match edited(&configuration.detail["configuration"], &mut self.random) {
            Some((changed, change)) => {
                configuration.detail["configuration"] = changed;
                change.to_owned()
            }
            None => {
                let description = format!(
                    "{}\n\nUpraveno ve větvi.",
                    text(&configuration.detail, "description")
                );
                configuration.detail["description"] = json!(description);
                "Update description".to_owned()
            }
        };
        let next = configuration.version() + 1;
        configuration.detail["version"] = json!(next);
        configuration.detail["changeDescription"] = json!(change);
        let identifier = ulid(at, &mut self.random);
        record(configuration, at, author, Some(&change), &identifier);
    }
}

fn text<'a>(detail: &'a Value, key: &str) -> &'a str {
    detail[key].as_str().unwrap_or("")
}

/// Writes the state of `detail` down as its newest version.
fn record(
    configuration: &mut Configuration,
    at: Moment,
    author: (u64, &str),
    change: Option<&str>,
    identifier: &str,
) {
    let detail = &mut configuration.detail;
    detail["currentVersion"] = json!({"created": at.storage(), "creatorToken": token(author), "changeDescription": change, "versionIdentifier": identifier});
    let item = json!({
        "version": detail["version"], "created": at.storage(), "versionIdentifier": identifier, "creatorToken": token(author),
        "changeDescription": change, "isDeleted": false, "name": detail["name"], "description": detail["description"]});
    let content = json!({
        "isDisabled": detail["isDisabled"], "configuration": detail["configuration"],
        "rowsSortOrder": detail["rowsSortOrder"], "rows": detail["rows"]});
    configuration.versions.insert(
        0,
        VersionEntry {
            item,
            content: Some(Arc::new(content)),
        },
    );
}

/// A configuration while its history is being told.
struct Telling {
    configuration: Configuration,
}

impl Telling {
    fn begin(draft: &Draft, owner: (u64, &str), random: &mut Random) -> Self {
        let name = if random.chance(10) {
            format!("{} (nové)", draft.name)
        } else {
            draft.name.clone()
        };
        let detail = json!({
            "id": draft.id, "name": name, "description": if draft.rows.is_empty() { draft.description.as_str() } else { "" },
            "created": draft.created.storage(), "creatorToken": token(owner), "version": 0, "changeDescription": null,
            "isDisabled": false, "isDeleted": false, "configuration": {}, "rowsSortOrder": [], "rows": [], "state": {},
            "currentVersion": null});
        let component_id = draft.component.to_owned();
        Self {
            configuration: Configuration {
                component_id,
                detail,
                versions: Vec::new(),
                metadata: Vec::new(),
            },
        }
    }

    fn commit(
        &mut self,
        at: Moment,
        author: (u64, &str),
        change: Option<&str>,
        content: Value,
        random: &mut Random,
    ) {
        self.configuration.detail["configuration"] = content;
        self.next(at, author, change, random);
    }

    fn next(&mut self, at: Moment, author: (u64, &str), change: Option<&str>, random: &mut Random) {
        let number = self.configuration.version() + 1;
        self.configuration.detail["version"] = json!(number);
        self.configuration.detail["changeDescription"] = json!(change);
        let identifier = ulid(at, random);
        record(&mut self.configuration, at, author, change, &identifier);
    }

    fn rows(&mut self) -> &mut Vec<Value> {
        self.configuration.detail["rows"]
            .as_array_mut()
            .expect("`begin` made an array of it")
    }

    fn place_row(
        &mut self,
        at: Moment,
        author: (u64, &str),
        row: &RowDraft,
        change: &str,
        random: &mut Random,
    ) {
        let added = json!({
            "id": row.id, "name": row.name, "description": row.description, "isDisabled": false,
            "configuration": row.configuration, "state": {}, "version": 1, "created": at.storage(),
            "creatorToken": token(author), "changeDescription": change, "versionIdentifier": ulid(at, random)});
        self.rows().push(added);
    }

    fn disable(&mut self, at: Moment, author: (u64, &str), draft: &Draft, random: &mut Random) {
        self.configuration.detail["isDisabled"] = json!(draft.is_disabled);
        let mut change = "Configuration disabled".to_owned();
        for (row, drafted) in self
            .rows()
            .iter_mut()
            .zip(&draft.rows)
            .filter(|(_, drafted)| drafted.is_disabled)
        {
            change = format!("Row {} disabled", drafted.id);
            row["isDisabled"] = json!(true);
            row["version"] = json!(2);
            row["changeDescription"] = json!(change);
            row["creatorToken"] = token(author);
            row["created"] = json!(at.storage());
            row["versionIdentifier"] = json!(ulid(at, random));
        }
        self.next(at, author, Some(&change), random);
    }

    fn reverse_rows(&mut self, at: Moment, author: (u64, &str), random: &mut Random) {
        let order: Value = self.rows().iter().rev().map(|row| row["id"].clone()).collect();
        self.configuration.detail["rowsSortOrder"] = order;
        self.next(at, author, Some("Change rows order"), random);
    }

    /// Gives the configuration its final name and description, in the newest version as well as in the detail.
    fn end(mut self, draft: Draft, metadata: Vec<Value>) -> Configuration {
        let detail = &mut self.configuration.detail;
        detail["name"] = json!(draft.name);
        detail["description"] = json!(draft.description);
        detail["state"] = draft.state;
        if let Some(newest) = self.configuration.versions.first_mut() {
            newest.item["name"] = json!(draft.name);
            newest.item["description"] = json!(draft.description);
        }
        self.configuration.metadata = metadata;
        self.configuration
    }
}
