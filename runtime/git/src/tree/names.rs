//! A sorted map of the names in a directory.
//!
//! Most directories have a few entries, of which a tree of nodes makes half a kilobyte each; some have tens of thousands, in
//! which a list would be slow. So it is a list until it is long.

use std::collections::BTreeMap;

/// So many names are a list.
const LISTED_MAX: usize = 32;

/// Values by name, in the order of their bytes.
#[derive(Debug)]
pub(super) enum Names<V> {
    Listed(Vec<(Box<[u8]>, V)>),
    Sorted(BTreeMap<Box<[u8]>, V>),
}

impl<V> Default for Names<V> {
    fn default() -> Self {
        Self::Listed(Vec::new())
    }
}

impl<V> Names<V> {
    pub(super) fn get(&self, name: &[u8]) -> Option<&V> {
        match self {
            Self::Listed(list) => Some(&list[position(list, name).ok()?].1),
            Self::Sorted(map) => map.get(name),
        }
    }

    pub(super) fn get_mut(&mut self, name: &[u8]) -> Option<&mut V> {
        match self {
            Self::Listed(list) => {
                let at = position(list, name).ok()?;
                Some(&mut list[at].1)
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
            match position(list, name) {
                Ok(at) => return Some(std::mem::replace(&mut list[at].1, value)),
                Err(at) if list.len() < LISTED_MAX => {
                    list.insert(at, (name.into(), value));
                    return None;
                }
                Err(_) => *self = Self::Sorted(std::mem::take(list).into_iter().collect()),
            }
        }
        match self {
            Self::Sorted(map) => map.insert(name.into(), value),
            Self::Listed(_) => None,
        }
    }

    pub(super) fn remove(&mut self, name: &[u8]) -> Option<V> {
        match self {
            Self::Listed(list) => Some(list.remove(position(list, name).ok()?).1),
            Self::Sorted(map) => map.remove(name),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Listed(list) => list.is_empty(),
            Self::Sorted(map) => map.is_empty(),
        }
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        let (list, map) = match self {
            Self::Listed(list) => (Some(list), None),
            Self::Sorted(map) => (None, Some(map)),
        };
        let listed = list.into_iter().flatten().map(|(_, value)| value);
        listed.chain(map.into_iter().flat_map(BTreeMap::values))
    }

    /// Returns all values by name, in order.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&[u8], &mut V)> {
        let (list, map) = match self {
            Self::Listed(list) => (Some(list), None),
            Self::Sorted(map) => (None, Some(map)),
        };
        let listed = list.into_iter().flatten().map(|(name, value)| (&**name, value));
        let sorted = map.into_iter().flatten().map(|(name, value)| (&**name, value));
        listed.chain(sorted)
    }
}

fn position<V>(list: &[(Box<[u8]>, V)], name: &[u8]) -> Result<usize, usize> {
    list.binary_search_by(|(listed, _)| (**listed).cmp(name))
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
