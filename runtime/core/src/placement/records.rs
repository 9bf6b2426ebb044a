//! The records of a placement by key, in a form that takes little room.

use super::{
    Record,
    bytes::{of_key, to_key},
    front_coded::FrontCoded,
};
use crate::ids::ObjectKey;

/// A record as it is kept.
pub(super) type Stored = Box<[u8]>;

/// Records by key.
#[derive(Debug, Clone, Default)]
pub(super) struct Records(FrontCoded);

impl Records {
    pub(super) fn get(&self, key: &ObjectKey) -> Option<Record> {
        self.0.get(&of_key(key)).map(read)
    }

    /// Returns a record as it is kept, for [`read`].
    pub(super) fn stored(&self, key: &ObjectKey) -> Option<Stored> {
        self.0.get(&of_key(key)).map(Into::into)
    }

    pub(super) fn contains(&self, key: &ObjectKey) -> bool {
        self.0.contains(&of_key(key))
    }

    pub(super) fn insert(&mut self, key: &ObjectKey, record: Record) {
        self.0.insert(&of_key(key), &stored(record));
    }

    pub(super) fn remove(&mut self, key: &ObjectKey) {
        self.0.remove(&of_key(key));
    }

    /// Returns all records, by key.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ObjectKey, Record)> {
        self.0.iter().map(|(key, record)| (to_key(&key), read(record)))
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = ObjectKey> {
        self.0.iter().map(|(key, _)| to_key(&key))
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.bytes()
    }
}

/// Most paths end in the segment that was wished for, which is not kept twice: its length is, or 0.
fn stored(mut record: Record) -> Vec<u8> {
    let segment = &mut record.inspection.segment;
    let path = record.path.as_deref().unwrap_or_default();
    let at_end = if path.ends_with(segment.as_str()) {
        segment.len()
    } else {
        0
    };
    if at_end > 0 {
        segment.clear();
    }
    postcard::to_allocvec(&(at_end, record)).expect("a record is plain data")
}

/// Reads a record as it is kept.
pub(super) fn read(stored: &[u8]) -> Record {
    let (at_end, mut record): (usize, Record) =
        postcard::from_bytes(stored).expect("it was written of a record");
    if let Some(path) = record.path.as_deref().filter(|_| at_end > 0) {
        record.inspection.segment = path[path.len() - at_end..].to_owned();
    }
    record
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{Claim, Inspection, Place, Reference};

    #[test]
    fn a_record_is_read_as_it_was_kept() {
        let key: ObjectKey = ObjectKey::Bucket("in.c-main".parse().unwrap());
        let full = Record {
            inspection: Inspection {
                place: Place::Below(key.clone()),
                segment: "x/é".into(),
                sort_name: "É".into(),
                claims: vec![Claim {
                    target: key.clone(),
                    segment: Some("s".into()),
                }],
                references: vec![Reference::Object(key.clone()), Reference::Alias("a\0".into())],
                aliases: vec!["b".into()],
                facts: "f".into(),
            },
            path: Some("y/x/é".into()),
            parent: Some(key.clone()),
            claimed_by: vec![key.clone()],
            order: u64::MAX,
        };
        let mut records = Records::default();
        for path in [None, Some(""), Some("é"), Some("y/x/é"), Some("y/x/é-001")] {
            for segment in ["", "x/é"] {
                let mut record = full.clone();
                record.path = path.map(str::to_owned);
                segment.clone_into(&mut record.inspection.segment);
                records.insert(&key, record.clone());
                assert_eq!(records.get(&key).as_ref(), Some(&record));
                assert_eq!(records.stored(&key).as_deref().map(read), Some(record.clone()));
                assert_eq!(records.iter().collect::<Vec<_>>(), [(key.clone(), record)]);
            }
        }
        records.remove(&key);
        assert_eq!((records.get(&key), records.bytes()), (None, 0));
    }
}
