//! Judges the value of a member by its own name, then by the name beside it, before it, and above it.

use crate::engine::{Document, Kind, Role};
use crate::keys::{self, Strength};
use crate::names::{Known, Names};
use crate::shape::Join;
use crate::{mute, pairs, structure, vendors};
use std::ops::{Range, RangeInclusive};

/// Longest item of a list that is taken for the name of the next one, in bytes.
const NAME_MAX: usize = 48;

/// Bytes of a value that is judged by names further away.
const TELLING: RangeInclusive<usize> = 8..=256;

/// Says whether a value is worth judging by the name of its object, or of the item before it.
fn is_telling(value: &str) -> bool {
    TELLING.contains(&value.len()) && value.bytes().fold(false, |any, byte| any | byte.is_ascii_digit())
}

/// Where a leaf is: its pointer, cut before its last name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    parent: &'a str,
    member: &'a str,
    /// It is below a key that begins with `#`, at any depth.
    pub is_under_hash: bool,
}

/// The members of a document, one after the other.
#[derive(Debug)]
pub(crate) struct Members<'n, 'k, 'a> {
    names: &'n mut Names<'k>,
    object: Object<'a>,
}

/// The object that the last leaf was in: members of one object follow each other.
#[derive(Debug, Default)]
struct Object<'a> {
    pointer: &'a str,
    is_under_hash: bool,
    /// Its name, where that has a word of a secret. Together with the name of a member it may promise one, as in
    /// `{"passwords": {"production": "…"}}`.
    name: Option<&'a str>,
}

impl<'n, 'k, 'a> Members<'n, 'k, 'a> {
    pub(crate) fn new(names: &'n mut Names<'k>) -> Self {
        Self {
            names,
            object: Object::default(),
        }
    }

    /// Cuts a pointer.
    pub(crate) fn place(&mut self, pointer: &'a str) -> Place<'a> {
        let (parent, member) = structure::last(pointer);
        if parent != self.object.pointer {
            let name = structure::last(parent).1;
            self.object = Object {
                pointer: parent,
                is_under_hash: structure::is_under_hash(parent),
                name: self.names.of(name).has_keyword.then_some(name),
            };
        }
        Place {
            parent,
            member,
            // What it is cut at is before it.
            is_under_hash: self.object.is_under_hash
                || (member.starts_with('#') && member.len() < pointer.len()),
        }
    }

    /// Judges the value of the leaf at `at`, whose place was the last one that was asked for.
    pub(crate) fn judge(
        &mut self,
        document: &Document<'a>,
        at: usize,
        place: Place<'a>,
    ) -> Option<(Strength, Range<usize>)> {
        let known = self.names.of(place.member);
        // Most names say nothing.
        if (known.tells || self.object.name.is_some())
            && let found @ Some(_) = self.judge_known(document, at, place, known)
        {
            return found;
        }
        if mute::may_be(document.leaves[at].value) && !known.is_of_noise {
            self.judge_mute(document, at, place, known)
        } else {
            None
        }
    }

    /// Judges a long random value whose name says nothing of it.
    #[inline(never)]
    fn judge_mute(
        &mut self,
        document: &Document<'a>,
        at: usize,
        Place { parent, .. }: Place<'a>,
        known: Known,
    ) -> Option<(Strength, Range<usize>)> {
        // What the product writes itself has digests and versions.
        if !matches!(document.kind, Kind::Config | Kind::Row) {
            return None;
        }
        let beside = known
            .is_value
            .then(|| structure::named_beside(document, at, parent, self.names));
        if beside.flatten().is_some_and(keys::is_of_noise) {
            return None;
        }
        mute::judge(document.leaves[at].value)
    }

    #[inline(never)]
    fn judge_known(
        &mut self,
        document: &Document<'a>,
        at: usize,
        Place { parent, member, .. }: Place<'a>,
        known: Known,
    ) -> Option<(Strength, Range<usize>)> {
        let value = document.leaves[at].value;
        let by = |strength: Option<Strength>, name: &str| {
            let strength = strength?;
            Some((strength, pairs::judge(strength, Join::Member, name, value)?))
        };
        let own = self.strength(parent, member, known);
        if own.is_some()
            && let found @ Some(_) = by(own, &structure::name_of(parent, member))
        {
            return found;
        }
        if known.is_service
            && let found @ Some(_) = vendors::judge_of_service(&structure::name_of(parent, member), value)
        {
            return found;
        }
        if known.is_value {
            let name = structure::name_beside(document, at, parent, self.names);
            let found = by(self.names.keywords().strength(&name), &name);
            if let found @ Some(_) = found.or_else(|| vendors::judge(&name, value)) {
                return found;
            }
        }
        if let found @ Some(_) = self.judge_after_name(document, at, parent, member) {
            return found;
        }
        let name = structure::name_of("", self.object.name?);
        // What else such an object has are short values and words.
        let strength = is_telling(value).then(|| keys::strength(&name, member))?;
        by(strength, member)
    }

    /// Returns what the name of a member promises; elements of an array have that of the array.
    fn strength(&mut self, parent: &str, member: &str, known: Known) -> Option<Strength> {
        if member.as_bytes().first()?.is_ascii_digit() {
            let name = structure::segment_of(parent, member);
            self.names.of(name).strength
        } else {
            known.strength
        }
    }

    /// Judges an item of a list by the one before it, where that is a flag or a name: `["--password", "…"]`.
    fn judge_after_name(
        &self,
        document: &Document<'_>,
        at: usize,
        parent: &str,
        member: &str,
    ) -> Option<(Strength, Range<usize>)> {
        if !member.as_bytes().first()?.is_ascii_digit() {
            return None;
        }
        let before = document.leaves.get(at.checked_sub(1)?)?;
        let (name, value) = (before.value, document.leaves[at].value);
        let is_flag = name.starts_with('-');
        // What follows a mere name in a list has to look random, which few items do.
        if value.starts_with('-') || !(is_flag || is_telling(value)) {
            return None;
        }
        let is_beside = before.role == Role::Text
            && name.len() <= NAME_MAX
            && structure::last(before.pointer).0 == parent;
        if !is_beside {
            return None;
        }
        let join = if is_flag { Join::Certain } else { Join::Listed };
        // A list of names, such as that of required properties, is none of secrets.
        let strength = self.names.keywords().strength(name.trim_start_matches('#'))?;
        Some((strength, pairs::judge(strength, join, name, value)?))
    }
}
