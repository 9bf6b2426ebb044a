//! The workbench on which a project is put together: drafts, tables, ids, times and planted secrets.
//!
//! It hands out what every content module needs; what is built and in which order is `plan`'s business.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::catalog::{Component, component_of};
use crate::encode::{DIGITS, Moment, ulid};
use crate::entities::{Entity, entity};
use crate::market::Market;
use crate::project::{Planted, Shape};
use crate::random::Random;
use crate::secrets;

/// A configuration before it has a history.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) component: &'static str,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) configuration: Value,
    pub(crate) rows: Vec<RowDraft>,
    pub(crate) state: Value,
    pub(crate) is_disabled: bool,
    pub(crate) created: Moment,
    /// Folder shown in the user interface (`KBC.configuration.folderName`).
    pub(crate) folder: Option<String>,
    /// Earlier contents that matter, oldest first, each with the description of the change that made it.
    pub(crate) older: Vec<(Value, String)>,
    /// Description of the newest change, when it matters.
    pub(crate) change: Option<String>,
    pub(crate) inputs: Vec<String>,
    pub(crate) outputs: Vec<String>,
    /// Number of the market it was made for.
    pub(crate) round: usize,
}

/// A row before it has a history.
#[derive(Debug, Clone)]
pub(crate) struct RowDraft {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) configuration: Value,
    pub(crate) is_disabled: bool,
}

/// A table somebody writes.
#[derive(Debug)]
pub(crate) struct TableDraft {
    pub(crate) bucket: String,
    pub(crate) name: String,
    pub(crate) entity: &'static Entity,
    /// Component, configuration and row that write it.
    pub(crate) writer: (&'static str, String, Option<String>),
    pub(crate) created: Moment,
    pub(crate) round: usize,
}

impl TableDraft {
    pub(crate) fn id(&self) -> String {
        format!("{}.{}", self.bucket, self.name)
    }
}

/// Where things are made.
#[derive(Debug)]
pub(crate) struct Builder {
    pub(crate) shape: Shape,
    pub(crate) random: Random,
    pub(crate) project_id: u64,
    pub(crate) base: Moment,
    pub(crate) drafts: Vec<Draft>,
    pub(crate) tables: Vec<TableDraft>,
    pub(crate) planted: Vec<Planted>,
    /// (round, role) -> index of the draft.
    roles: BTreeMap<(usize, &'static str), usize>,
    /// (round, kind of table) -> indexes of tables, in the order of making.
    kinds: BTreeMap<(usize, &'static str), Vec<usize>>,
    started: usize,
}

/// Seconds over which the configurations of a project are created.
const BUILDING_SPAN: u64 = 120 * 86_400;

impl Builder {
    pub(crate) fn new(shape: &Shape) -> Self {
        let random = Random::new(shape.seed);
        // The first of September 2025, and another day of the following year for another seed.
        let base = Moment(1_756_710_000).plus((shape.seed % 365) * 86_400);
        Self {
            shape: shape.clone(),
            random,
            project_id: 5000 + shape.seed % 90_000,
            base,
            drafts: Vec::with_capacity(shape.configurations),
            tables: Vec::new(),
            planted: Vec::new(),
            roles: BTreeMap::new(),
            kinds: BTreeMap::new(),
            started: 0,
        }
    }

    /// The end of the story: jobs run up to here.
    pub(crate) fn present(&self) -> Moment {
        self.base.plus(200 * 86_400)
    }

    /// A new empty configuration, created a little later than the one before.
    pub(crate) fn draft(&mut self, component: &'static str, name: impl Into<String>) -> Draft {
        let Component { id: component, .. } = *component_of(component);
        let total = u64::try_from(self.shape.configurations.max(1)).expect("a count in memory fits 64 bits");
        let step = BUILDING_SPAN / total;
        let number = u64::try_from(self.started).expect("a count in memory fits 64 bits");
        self.started += 1;
        let created = self
            .base
            .plus(BUILDING_SPAN * number / total + self.random.below(step.max(1)));
        let id = self.new_id(created);
        Draft {
            component,
            id,
            name: name.into(),
            description: String::new(),
            configuration: json!({}),
            rows: Vec::new(),
            state: json!({}),
            is_disabled: false,
            created,
            folder: None,
            older: Vec::new(),
            change: None,
            inputs: Vec::new(),
            outputs: Vec::new(),
            round: 0,
        }
    }

    /// An id as Keboola gives them: mostly a lower-case ULID, for older objects a decimal number.
    pub(crate) fn new_id(&mut self, created: Moment) -> String {
        if self.random.chance(12) {
            return format!("1{}", self.random.text(DIGITS, 9));
        }
        ulid(created, &mut self.random).to_lowercase()
    }

    /// Adds a row with an id of its own and returns that id.
    pub(crate) fn row(&mut self, draft: &mut Draft, name: impl Into<String>, configuration: Value) -> String {
        let seconds = 60 * u64::try_from(draft.rows.len() + 1).expect("a count in memory fits 64 bits");
        let id = self.new_id(draft.created.plus(seconds));
        draft.rows.push(RowDraft {
            id: id.clone(),
            name: name.into(),
            description: String::new(),
            configuration,
            is_disabled: false,
        });
        id
    }

    /// Keeps the configuration under the role it plays in its market.
    pub(crate) fn add(&mut self, market: &Market, role: &'static str, mut draft: Draft) {
        draft.round = market.number;
        self.roles.insert((market.number, role), self.drafts.len());
        self.drafts.push(draft);
    }

    /// The configuration that plays a role in this market, else in the first one.
    pub(crate) fn role(&self, market: &Market, role: &'static str) -> Option<&Draft> {
        let index = self
            .roles
            .get(&(market.number, role))
            .or_else(|| self.roles.get(&(0, role)))?;
        self.drafts.get(*index)
    }

    pub(crate) fn role_mut(&mut self, market: &Market, role: &'static str) -> Option<&mut Draft> {
        let index = *self.roles.get(&(market.number, role))?;
        self.drafts.get_mut(index)
    }

    /// The bucket a component with a default bucket writes to.
    pub(crate) fn default_bucket(draft: &Draft) -> String {
        debug_assert!(
            component_of(draft.component).has_default_bucket(),
            "{}",
            draft.component
        );
        let clean = |letter: char| {
            if letter.is_ascii_alphanumeric() {
                letter
            } else {
                '-'
            }
        };
        let component: String = draft.component.chars().map(clean).collect();
        format!("in.c-{component}-{}", draft.id)
    }

    /// Records that this configuration (or one row of it) writes a table; returns the table's id.
    pub(crate) fn writes(
        &mut self,
        market: &Market,
        draft: &mut Draft,
        row: Option<&str>,
        bucket: &str,
        name: &str,
        kind: &str,
    ) -> String {
        let entity = entity(kind);
        let table = TableDraft {
            bucket: bucket.to_owned(),
            name: name.to_owned(),
            entity,
            writer: (draft.component, draft.id.clone(), row.map(str::to_owned)),
            created: draft.created.plus(3600),
            round: market.number,
        };
        let id = table.id();
        draft.outputs.push(id.clone());
        self.kinds
            .entry((market.number, entity.name))
            .or_default()
            .push(self.tables.len());
        self.tables.push(table);
        id
    }

    /// The table of a kind to read in this market, else in the first one: what a transformation made last,
    /// or the first that was extracted.
    pub(crate) fn table(&self, market: &Market, kind: &'static str) -> Option<&TableDraft> {
        let found = |round: usize| {
            let tables = self.kinds.get(&(round, kind))?;
            let made = tables
                .iter()
                .rev()
                .find(|index| self.tables[**index].bucket.starts_with("out."));
            made.or_else(|| tables.first())
        };
        found(market.number)
            .or_else(|| found(0))
            .map(|index| &self.tables[*index])
    }

    /// Input mapping of the wanted kinds that exist, and a note of it in the draft.
    pub(crate) fn reads(&mut self, market: &Market, draft: &mut Draft, kinds: &[&'static str]) -> Vec<Value> {
        let mut mapping = Vec::new();
        for kind in kinds {
            let Some(table) = self.table(market, kind) else {
                continue;
            };
            let (source, entity) = (table.id(), table.entity);
            let mut input = json!({"source": source, "destination": kind});
            match self.random.below(5) {
                0 => {
                    let names = entity.columns.iter().map(|column| column.name);
                    input["columns"] = names.collect();
                }
                1 => {
                    input["changed_since"] = json!("adaptive");
                    input["where_column"] = json!("");
                    input["where_values"] = json!([]);
                }
                2 => {
                    input["column_types"] = entity.columns.iter().map(|column| {
                        let (_, kind, length) = column.types();
                        json!({"source": column.name, "type": kind, "length": length, "nullable": true,
                               "convert_empty_values_to_null": false, "compression": "", "destination": column.name})
                    }).collect();
                }
                _ => {}
            }
            draft.inputs.push(source);
            mapping.push(input);
        }
        mapping
    }

    /// A value for a `#` key: a cipher or a vault reference.
    pub(crate) fn protected(&mut self, name: &str) -> Value {
        json!(secrets::protected(&mut self.random, name))
    }

    /// Records a planted secret and gives it back.
    pub(crate) fn plant(&mut self, kind: &'static str, value: String, place: impl Into<String>) -> String {
        self.planted.push(Planted {
            value: value.clone(),
            kind: kind.to_owned(),
            place: place.into(),
        });
        value
    }

    /// Words for the place of a planted secret.
    pub(crate) fn place(draft: &Draft, what: &str) -> String {
        format!("{}/{} {what}", draft.component, draft.id)
    }
}
