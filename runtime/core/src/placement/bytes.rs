//! Keys as byte strings, for [`super::front_coded`]: they sort as the keys do, and none is another's beginning.

use crate::{
    ids::{BucketId, ComponentId, ConfigId, InvalidId, ObjectKey, RowId, RunId, TableId},
    layout::Reference,
};
use std::str::FromStr;

/// Ends an id: no id has control characters, and all others sort after it.
const END: u8 = 0;

/// What the key of a configuration begins with.
pub(super) const CONFIG: u8 = 1;
/// What the key of a row begins with.
pub(super) const ROW: u8 = 2;

pub(super) fn of_key(key: &ObjectKey) -> Vec<u8> {
    let (kind, ids) = match key {
        ObjectKey::Branch => (0, [None; 3]),
        ObjectKey::Config { component, config } => {
            (CONFIG, [Some(component.as_str()), Some(config.as_str()), None])
        }
        ObjectKey::Row {
            component,
            config,
            row,
        } => (ROW, [component.as_str(), config.as_str(), row.as_str()].map(Some)),
        ObjectKey::Bucket(id) => (3, [Some(id.as_str()), None, None]),
        ObjectKey::Table(id) => (4, [Some(id.as_str()), None, None]),
        ObjectKey::Sample(id) => (5, [Some(id.as_str()), None, None]),
        ObjectKey::Job(id) => (6, [Some(id.as_str()), None, None]),
    };
    let ids = || ids.into_iter().flatten();
    let mut bytes = Vec::with_capacity(1 + ids().map(|id| id.len() + 1).sum::<usize>());
    bytes.push(kind);
    for id in ids() {
        bytes.extend_from_slice(id.as_bytes());
        bytes.push(END);
    }
    bytes
}

/// Reads what [`of_key`] wrote.
pub(super) fn to_key(bytes: &[u8]) -> ObjectKey {
    let (kind, ids) = bytes.split_first().expect(WRITTEN);
    let mut ids = ids.split(|byte| *byte == END);
    let ids = &mut ids;
    match *kind {
        0 => ObjectKey::Branch,
        CONFIG => ObjectKey::Config {
            component: id::<ComponentId>(ids.next()),
            config: id::<ConfigId>(ids.next()),
        },
        ROW => ObjectKey::Row {
            component: id::<ComponentId>(ids.next()),
            config: id::<ConfigId>(ids.next()),
            row: id::<RowId>(ids.next()),
        },
        3 => ObjectKey::Bucket(id::<BucketId>(ids.next())),
        4 => ObjectKey::Table(id::<TableId>(ids.next())),
        5 => ObjectKey::Sample(id::<TableId>(ids.next())),
        _ => ObjectKey::Job(id::<RunId>(ids.next())),
    }
}

const WRITTEN: &str = "it was written of a key";

fn id<T: FromStr<Err = InvalidId>>(bytes: Option<&[u8]>) -> T {
    let text = bytes.and_then(|bytes| std::str::from_utf8(bytes).ok());
    text.and_then(|text| text.parse().ok()).expect(WRITTEN)
}

/// A guest chooses aliases, so they may have any characters: their length comes first.
pub(super) fn of_alias(alias: &str) -> Vec<u8> {
    [&alias.len().to_be_bytes(), alias.as_bytes()].concat()
}

pub(super) fn of_reference(reference: &Reference) -> Vec<u8> {
    let (kind, bytes) = match reference {
        Reference::Object(key) => (0, of_key(key)),
        Reference::Alias(alias) => (1, of_alias(alias)),
    };
    [&[kind], bytes.as_slice()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_key() -> impl Strategy<Value = ObjectKey> {
        let id = || prop::sample::select(vec!["a", "a!", "a-b", "ab", "b", "é", "1", "a b"]);
        (0..7_u8, id(), id(), id()).prop_map(|(kind, one, two, three)| match kind {
            0 => ObjectKey::Branch,
            1 => ObjectKey::Config {
                component: one.parse().unwrap(),
                config: two.parse().unwrap(),
            },
            2 => ObjectKey::Row {
                component: one.parse().unwrap(),
                config: two.parse().unwrap(),
                row: three.parse().unwrap(),
            },
            3 => ObjectKey::Bucket(one.parse().unwrap()),
            4 => ObjectKey::Table(one.parse().unwrap()),
            5 => ObjectKey::Sample(one.parse().unwrap()),
            _ => ObjectKey::Job(one.parse().unwrap()),
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn bytes_sort_as_keys_do_and_none_begins_another(one in any_key(), other in any_key()) {
            let bytes = [&one, &other].map(of_key);
            prop_assert_eq!(&to_key(&bytes[0]), &one);
            prop_assert_eq!(bytes[0].cmp(&bytes[1]), one.cmp(&other));
            prop_assert!(one == other || !bytes[1].starts_with(&bytes[0]));
        }

        #[test]
        fn no_reference_begins_another(one in "[a\u{0}]{0,3}", other in "[a\u{0}]{0,3}", key in any_key()) {
            let references = [Reference::Alias(one), Reference::Alias(other), Reference::Object(key)];
            for one in &references {
                for other in &references {
                    prop_assert!(one == other || !of_reference(other).starts_with(&of_reference(one)));
                }
            }
        }
    }
}
