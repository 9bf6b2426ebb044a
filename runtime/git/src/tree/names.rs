//! A sorted map of the names in a directory.
//!
//! Most directories have a few entries, of which a tree of nodes makes half a kilobyte each, and there are several for each
//! object of a project; some have tens of thousands, in which a list would be slow. So it is a list until it is long, and
//! a list has no room but for what is in it.

use std::collections::BTreeMap;

/// So many names are a list.
const LISTED_MAX: usize = 32;

/// Values by name, in the order of their bytes.
#[derive(Debug)]
pub(super) enum Names<V> {
    Listed(List<V>),
    Sorted(BTreeMap<Box<[u8]>, V>),
}

impl<V> Default for Names<V> {
    fn default() -> Self {
        Self::Listed(List::default())
    }
}

impl<V> Names<V> {
    /// Makes a map of values that are in the order of their names, of which each is there once.
    pub(super) fn of_sorted(sorted: Vec<(&[u8], V)>) -> Self {
        if sorted.len() > LISTED_MAX {
            let owned = sorted.into_iter().map(|(name, value)| (name.into(), value));
            return Self::Sorted(owned.collect());
        }
        let mut names = Vec::new();
        let mut values = Vec::with_capacity(sorted.len());
        for (name, value) in sorted {
            names.push(length(name));
            names.extend_from_slice(name);
            values.push(value);
        }
        Self::Listed(List {
            names: names.into(),
            values: values.into(),
        })
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<&V> {
        match self {
            Self::Listed(list) => Some(&list.values[list.find(name).ok()?.at]),
            Self::Sorted(map) => map.get(name),
        }
    }

    pub(super) fn get_mut(&mut self, name: &[u8]) -> Option<&mut V> {
        match self {
            Self::Listed(list) => {
                let at = list.find(name).ok()?.at;
                Some(&mut list.values[at])
            }
            Self::Sorted(map) => map.get_mut(name),
        }
    }

    pub(super) fn contains(&self, name: &[u8]) -> bool {
        self.get(name).is_some()
    }

    /// Sets a value; returns the one before.
    pub(super) fn insert(&mut self, name: &[u8], value: V) -> Option<V> {
        if let Self::Listed(list) = self {
            match list.find(name) {
                Ok(place) => return Some(std::mem::replace(&mut list.values[place.at], value)),
                Err(place) if list.values.len() < LISTED_MAX => {
                    list.insert(place, name, value);
                    return None;
                }
                Err(_) => *self = Self::Sorted(std::mem::take(list).into_map()),
            }
        }
        match self {
            Self::Sorted(map) => map.insert(name.into(), value),
            Self::Listed(_) => None,
        }
    }

    pub(super) fn remove(&mut self, name: &[u8]) -> Option<V> {
        match self {
            Self::Listed(list) => {
                let place = list.find(name).ok()?;
                Some(list.remove(place))
            }
            Self::Sorted(map) => map.remove(name),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Listed(list) => list.values.len(),
            Self::Sorted(map) => map.len(),
        }
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        let (list, map) = match self {
            Self::Listed(list) => (Some(list), None),
            Self::Sorted(map) => (None, Some(map)),
        };
        let listed = list.into_iter().flat_map(|list| list.values.iter());
        listed.chain(map.into_iter().flat_map(BTreeMap::values))
    }

    /// Returns all values by name, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &V)> {
        let (list, map) = match self {
            Self::Listed(list) => (Some(list), None),
            Self::Sorted(map) => (None, Some(map)),
        };
        let listed = list
            .into_iter()
            .flat_map(|list| Listed(&list.names).zip(list.values.iter()));
        let sorted = map.into_iter().flatten().map(|(name, value)| (&**name, value));
        listed.chain(sorted)
    }

    /// Returns all values by name, in order.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&[u8], &mut V)> {
        let (list, map) = match self {
            Self::Listed(list) => (Some(list), None),
            Self::Sorted(map) => (None, Some(map)),
        };
        let listed = list
            .into_iter()
            .flat_map(|list| Listed(&list.names).zip(list.values.iter_mut()));
        let sorted = map.into_iter().flatten().map(|(name, value)| (&**name, value));
        listed.chain(sorted)
    }
}

/// A few values by name.
#[derive(Debug)]
pub(super) struct List<V> {
    /// Each after its length.
    names: Box<[u8]>,
    values: Box<[V]>,
}

impl<V> Default for List<V> {
    fn default() -> Self {
        Self {
            names: Box::default(),
            values: Box::default(),
        }
    }
}

/// Where a name is in a list, or would be.
#[derive(Debug, Clone, Copy)]
struct Place {
    at: usize,
    /// Where its length stands.
    start: usize,
}

impl<V> List<V> {
    /// Returns the place of a name; where it would be if it is not there.
    fn find(&self, name: &[u8]) -> Result<Place, Place> {
        let mut start = 0;
        for (at, listed) in Listed(&self.names).enumerate() {
            match listed.cmp(name) {
                std::cmp::Ordering::Less => start += 1 + listed.len(),
                std::cmp::Ordering::Equal => return Ok(Place { at, start }),
                std::cmp::Ordering::Greater => return Err(Place { at, start }),
            }
        }
        let at = self.values.len();
        Err(Place { at, start })
    }

    fn insert(&mut self, Place { at, start }: Place, name: &[u8], value: V) {
        let (before, after) = self.names.split_at(start);
        self.names = [before, &[length(name)], name, after].concat().into();
        let mut values = std::mem::take(&mut self.values).into_vec();
        values.reserve_exact(1);
        values.insert(at, value);
        self.values = values.into();
    }

    fn remove(&mut self, Place { at, start }: Place) -> V {
        let (before, rest) = self.names.split_at(start);
        let mut rest = Listed(rest);
        rest.next();
        self.names = [before, rest.0].concat().into();
        let mut values = std::mem::take(&mut self.values).into_vec();
        let value = values.remove(at);
        self.values = values.into();
        value
    }

    fn into_map(self) -> BTreeMap<Box<[u8]>, V> {
        Listed(&self.names).map(Into::into).zip(self.values).collect()
    }
}

/// Returns what stands before a name in a list.
pub(super) fn length(name: &[u8]) -> u8 {
    u8::try_from(name.len()).expect("a segment of a path has at most 255 bytes")
}

/// Reads the names of a list.
struct Listed<'l>(&'l [u8]);

impl<'l> Iterator for Listed<'l> {
    type Item = &'l [u8];

    fn next(&mut self) -> Option<Self::Item> {
        let (length, rest) = self.0.split_first()?;
        let (name, rest) = rest.split_at(usize::from(*length));
        self.0 = rest;
        Some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_same_map_however_long() {
        let (mut names, mut map) = (Names::default(), BTreeMap::new());
        let mut number = 7_u32;
        for step in 0..2_000 {
            number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // First few names, later many.
            let name = format!("{}", (number >> 16) % if step < 500 { 20 } else { 90 }).into_bytes();
            if number & 0x4000 == 0 {
                assert_eq!(names.remove(&name), map.remove(&name));
            } else {
                assert_eq!(names.insert(&name, step), map.insert(name.clone(), step));
            }
            assert_eq!(names.get(&name), map.get(&name));
            assert_eq!(names.get_mut(&name), map.get_mut(&name));
            assert_eq!(names.contains(&name), map.contains_key(&name));
            assert_eq!(names.is_empty(), map.is_empty());
            assert_eq!(names.len(), map.len());
            let same = Names::of_sorted(names.iter().map(|(name, value)| (name, *value)).collect());
            assert_eq!(same.iter().collect::<Vec<_>>(), names.iter().collect::<Vec<_>>());
            let wanted: Vec<_> = map.iter_mut().map(|(name, value)| (&name[..], value)).collect();
            assert_eq!(names.iter_mut().collect::<Vec<_>>(), wanted);
            assert_eq!(
                names.values().collect::<Vec<_>>(),
                map.values().collect::<Vec<_>>()
            );
        }
        assert!(matches!(names, Names::Sorted(_)));
    }
}
