//! Which changes there are, and how often each is made.

use proptest::{collection::vec, prelude::*, sample::Index};

/// One change, of whatever is there when its turn comes; without anything to change it is none.
#[derive(Debug, Clone)]
pub(crate) enum Deed {
    Create {
        component: Index,
        name: Index,
    },
    CreateVariables {
        name: Index,
    },
    CreateSharedCode {
        name: Index,
    },
    CreateSchedule {
        target: Index,
        name: Index,
    },
    Edit {
        config: Index,
        value: u8,
    },
    Describe {
        config: Index,
        value: u8,
    },
    Disable {
        config: Index,
    },
    Rename {
        config: Index,
        name: Index,
    },
    Delete {
        config: Index,
    },
    Restore {
        config: Index,
    },
    PurgeAndRecreate {
        config: Index,
        name: Index,
    },
    CreateRow {
        config: Index,
        name: Index,
    },
    EditRow {
        config: Index,
        row: Index,
        value: u8,
    },
    RenameRow {
        config: Index,
        row: Index,
        name: Index,
    },
    DeleteRow {
        config: Index,
        row: Index,
    },
    OrderRows {
        config: Index,
        turn: u8,
    },
    /// Makes a transformation use a set of variables; another one that did so stays.
    UseVariables {
        config: Index,
        variables: Index,
    },
    UseSharedCode {
        config: Index,
        code: Index,
    },
    MoveSchedule {
        schedule: Index,
        target: Index,
    },
    Metadata {
        config: Index,
        name: Index,
    },
    DescribeBranch {
        value: u8,
    },
    RenameBranch {
        value: u8,
    },
    /// Makes two transformations use one set of variables, which then is nobody's.
    ShareVariables {
        one: Index,
        other: Index,
        variables: Index,
    },
    CreateFlow {
        kind: u8,
        name: Index,
        targets: [Index; 3],
    },
    EditFlow {
        flow: Index,
        name: Index,
        targets: [Index; 3],
        turn: u8,
    },
    /// Renames what a task of a flow runs.
    RenameTarget {
        flow: Index,
        task: Index,
        name: Index,
    },
    /// Gives a configuration mappings, one of them of a default bucket, and perhaps a default bucket.
    Map {
        config: Index,
        other: Index,
        table: u8,
    },
    /// Puts a secret into a configuration: under a `#` key, into its text, its description or its name.
    PlantSecret {
        config: Index,
        place: u8,
    },
    Table {
        table: u8,
        columns: u8,
    },
    DropTable {
        table: u8,
    },
    Run {
        config: Index,
        table: u8,
        fails: bool,
    },
    /// Tells what waits, some of it twice, in another order, and some of it only the next time; then mirrors.
    Mirror {
        turn: u8,
        twice: bool,
        hold: bool,
    },
}

/// Sequences of so many changes.
pub(crate) fn deeds(length: usize) -> impl Strategy<Value = Vec<Deed>> {
    let some = any::<Index>;
    let deed = prop_oneof![
        6 => (some(), some()).prop_map(|(component, name)| Deed::Create { component, name }),
        2 => some().prop_map(|name| Deed::CreateVariables { name }),
        2 => some().prop_map(|name| Deed::CreateSharedCode { name }),
        2 => (some(), some()).prop_map(|(target, name)| Deed::CreateSchedule { target, name }),
        8 => (some(), any::<u8>()).prop_map(|(config, value)| Deed::Edit { config, value }),
        1 => (some(), any::<u8>()).prop_map(|(config, value)| Deed::Describe { config, value }),
        1 => some().prop_map(|config| Deed::Disable { config }),
        6 => (some(), some()).prop_map(|(config, name)| Deed::Rename { config, name }),
        4 => some().prop_map(|config| Deed::Delete { config }),
        2 => some().prop_map(|config| Deed::Restore { config }),
        2 => (some(), some()).prop_map(|(config, name)| Deed::PurgeAndRecreate { config, name }),
        6 => (some(), some()).prop_map(|(config, name)| Deed::CreateRow { config, name }),
        3 => (some(), some(), any::<u8>()).prop_map(|(config, row, value)| Deed::EditRow { config, row, value }),
        3 => (some(), some(), some()).prop_map(|(config, row, name)| Deed::RenameRow { config, row, name }),
        2 => (some(), some()).prop_map(|(config, row)| Deed::DeleteRow { config, row }),
        2 => (some(), any::<u8>()).prop_map(|(config, turn)| Deed::OrderRows { config, turn }),
        3 => (some(), some()).prop_map(|(config, variables)| Deed::UseVariables { config, variables }),
        3 => (some(), some()).prop_map(|(config, code)| Deed::UseSharedCode { config, code }),
        2 => (some(), some()).prop_map(|(schedule, target)| Deed::MoveSchedule { schedule, target }),
        2 => (some(), some()).prop_map(|(config, name)| Deed::Metadata { config, name }),
        1 => any::<u8>().prop_map(|value| Deed::DescribeBranch { value }),
        1 => any::<u8>().prop_map(|value| Deed::RenameBranch { value }),
        2 => (some(), some(), some()).prop_map(|(one, other, variables)| Deed::ShareVariables { one, other, variables }),
        3 => (any::<u8>(), some(), [some(), some(), some()])
            .prop_map(|(kind, name, targets)| Deed::CreateFlow { kind, name, targets }),
        3 => (some(), some(), [some(), some(), some()], any::<u8>())
            .prop_map(|(flow, name, targets, turn)| Deed::EditFlow { flow, name, targets, turn }),
        4 => (some(), some(), some()).prop_map(|(flow, task, name)| Deed::RenameTarget { flow, task, name }),
        3 => (some(), some(), 0..4_u8).prop_map(|(config, other, table)| Deed::Map { config, other, table }),
        2 => (some(), any::<u8>()).prop_map(|(config, place)| Deed::PlantSecret { config, place }),
        2 => (0..4_u8).prop_map(|table| Deed::DropTable { table }),
        2 => (0..4_u8, any::<u8>()).prop_map(|(table, columns)| Deed::Table { table, columns }),
        2 => (some(), 0..4_u8, any::<bool>()).prop_map(|(config, table, fails)| Deed::Run { config, table, fails }),
        10 => (any::<u8>(), any::<bool>(), any::<bool>())
            .prop_map(|(turn, twice, hold)| Deed::Mirror { turn, twice, hold }),
    ];
    vec(deed, length)
}
