//! The mass-delete breaker: tells an honest deletion from a source that answered with too little.
//!
//! A batch that would take away too much of what a branch has is not committed until the operator has
//! said so, or the source has it again. Here is only the decision; the lane holds the batch.

use crate::{
    finding::WithholdReason,
    ids::{LaneId, ObjectKey},
    inventory::ObjectType,
    key::digest_of_texts,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// What a batch may take away without being asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeletionLimits {
    /// Of the objects of one type, at most so many percent, 0 to 100.
    pub share_percent_max: u8,
    /// Fewer objects of one type than this may always go, whatever their share.
    pub floor: usize,
}

impl Default for DeletionLimits {
    fn default() -> Self {
        Self {
            share_percent_max: 50,
            floor: 10,
        }
    }
}

/// What is counted together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// All configurations, whatever their component.
    Configurations,
    Of(ObjectType),
}

impl Group {
    /// Returns the groups that an object is counted in; none where it may go at any time: samples and
    /// runs are extracts, and the branch cannot go.
    #[must_use]
    pub fn of(key: &ObjectKey, component_type: Option<&str>) -> Vec<Self> {
        match key {
            ObjectKey::Branch | ObjectKey::Sample(_) | ObjectKey::Job(_) => Vec::new(),
            ObjectKey::Row { .. } | ObjectKey::Bucket(_) | ObjectKey::Table(_) => {
                ObjectType::of(key, None).map(Self::Of).into_iter().collect()
            }
            ObjectKey::Config { .. } => {
                let own = ObjectType::of(key, component_type).map(Self::Of);
                own.into_iter().chain([Self::Configurations]).collect()
            }
        }
    }

    /// Whether to have none left is always worth a question, however few there were. Of a single
    /// component type, or of rows, people do delete the last few.
    fn must_not_vanish(&self) -> bool {
        matches!(
            self,
            Self::Configurations | Self::Of(ObjectType::Bucket | ObjectType::Table)
        )
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configurations => f.write_str("configurations"),
            Self::Of(object) => object.fmt(f),
        }
    }
}

/// A group that loses too much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    pub group: Group,
    pub lost: usize,
    /// How many there are at the tip.
    pub before: usize,
}

impl Loss {
    /// Says it of a group of which nothing is left.
    #[must_use]
    pub fn left_nothing(&self) -> String {
        let Self {
            group,
            lost: _,
            before,
        } = self;
        format!("{group}: {before} before, 0 now")
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { group, lost, before } = self;
        write!(f, "{lost} of {before} {group}")
    }
}

/// The only one of its kind is no mass.
const VANISH_MIN: usize = 2;

/// Returns the groups that lose too much, given how many each has at the tip and how many would go.
#[must_use]
pub fn losses(
    before: &BTreeMap<Group, usize>,
    lost: &BTreeMap<Group, usize>,
    limits: DeletionLimits,
) -> Vec<Loss> {
    let DeletionLimits {
        share_percent_max,
        floor,
    } = limits;
    let too_much = |group: &Group, lost: usize, before: usize| {
        let over_share = lost >= floor.max(1) && lost * 100 > before * usize::from(share_percent_max);
        let vanishes = lost == before && before >= VANISH_MIN && group.must_not_vanish();
        over_share || vanishes
    };
    lost.iter()
        .filter_map(|(group, lost)| {
            let before = before.get(group).copied().unwrap_or_default().max(*lost);
            too_much(group, *lost, before).then(|| Loss {
                group: group.clone(),
                lost: *lost,
                before,
            })
        })
        .collect()
}

/// Returns the groups of which nothing is left, of those that had more than one. Most may go without being asked
/// about, and none goes without being told of: a source that forgot a whole type looks just like this.
#[must_use]
pub fn vanished(before: &BTreeMap<Group, usize>, lost: &BTreeMap<Group, usize>) -> Vec<Loss> {
    lost.iter()
        .filter_map(|(group, lost)| {
            let before = before.get(group).copied().unwrap_or_default().max(*lost);
            (*lost == before && before >= VANISH_MIN).then(|| Loss {
                group: group.clone(),
                lost: *lost,
                before,
            })
        })
        .collect()
}

/// A batch that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Names exactly this batch: who accepts it accepts nothing else.
    pub id: String,
    pub losses: Vec<Loss>,
    /// How many of the objects the source still has, and the reason why one of them is withheld.
    pub withheld: Option<(usize, String)>,
}

impl Held {
    /// Names a batch by its lane, the position it starts from and what it would take away.
    #[must_use]
    pub fn new(lane: &LaneId, after: &str, lost: &BTreeSet<ObjectKey>, losses: Vec<Loss>) -> Self {
        let head = [lane.to_string(), after.to_owned()];
        let texts: Vec<String> = head
            .into_iter()
            .chain(lost.iter().map(|key| format!("{key:?}")))
            .collect();
        let mut id = digest_of_texts(texts.iter().map(String::as_str));
        id.truncate(16);
        Self {
            id,
            losses,
            withheld: None,
        }
    }

    /// Tells of those of the lost objects that are not deleted, but withheld.
    #[must_use]
    pub fn with_withheld(
        mut self,
        lost: &BTreeSet<ObjectKey>,
        withheld: &BTreeMap<ObjectKey, WithholdReason>,
    ) -> Self {
        let reasons: Vec<&WithholdReason> = lost.iter().filter_map(|key| withheld.get(key)).collect();
        // What others follow from is what has to be mended.
        let follows = |reason: &WithholdReason| matches!(reason, WithholdReason::NotAsked { .. });
        let first = reasons.iter().find(|reason| !follows(reason));
        let first = first.or(reasons.first());
        self.withheld = first.map(|reason| (reasons.len(), reason.cause().to_string()));
        self
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, loss) in self.losses.iter().enumerate() {
            write!(f, "{}{loss}", if index > 0 { ", " } else { "" })?;
        }
        if let Some((count, reason)) = &self.withheld {
            write!(
                f,
                " ({count} of these objects are still in Keboola, and withheld: {reason}; mend that, and they stay)"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(lost: usize, before: usize, group: &Group, held: bool) {
        let found = losses(
            &BTreeMap::from([(group.clone(), before)]),
            &BTreeMap::from([(group.clone(), lost)]),
            DeletionLimits::default(),
        );
        assert_eq!(!found.is_empty(), held, "{lost} of {before} {group}");
    }

    #[test]
    fn a_few_may_go_and_most_may_not() {
        let rows = || Group::Of(ObjectType::Row);
        let writers = || Group::Of(ObjectType::Configuration("writer".into()));
        // Below the floor anything goes, unless a whole kind does.
        check(9, 9, &rows(), false);
        check(3, 3, &writers(), false);
        check(9, 10, &Group::Configurations, false);
        check(10, 10, &writers(), true);
        // At the share it passes, above it not.
        check(50, 100, &rows(), false);
        check(51, 100, &rows(), true);
        check(10, 19, &Group::Of(ObjectType::Table), true);
        check(10, 20, &Group::Of(ObjectType::Table), false);
    }

    #[test]
    fn a_source_that_answers_empty_is_always_asked_about() {
        check(2, 2, &Group::Configurations, true);
        check(2, 2, &Group::Of(ObjectType::Table), true);
        check(5, 5, &Group::Of(ObjectType::Bucket), true);
        // The only one of a new project is somebody's decision.
        check(1, 1, &Group::Configurations, false);
    }

    #[test]
    fn a_type_of_which_nothing_is_left_is_told_of_whatever_it_is() {
        let types =
            ["writer", "transformation"].map(|name| Group::Of(ObjectType::Configuration(name.into())));
        let groups = types
            .into_iter()
            .chain([ObjectType::Row, ObjectType::Bucket, ObjectType::Table].map(Group::Of))
            .chain([Group::Configurations]);
        for group in groups {
            let told = |lost: usize, before: usize| {
                let count = |count| BTreeMap::from([(group.clone(), count)]);
                vanished(&count(before), &count(lost))
                    .first()
                    .map(ToString::to_string)
            };
            assert_eq!(told(9, 9), Some(format!("9 of 9 {group}")));
            assert_eq!(told(2, 2), Some(format!("2 of 2 {group}")));
            assert_eq!(told(8, 9), None, "one is left");
            assert_eq!(told(1, 1), None, "the only one is somebody's decision");
        }
    }

    #[test]
    fn what_is_lost_without_having_been_counted_counts_as_having_been_there() {
        check(12, 0, &Group::Of(ObjectType::Row), true);
    }

    #[test]
    fn an_id_names_one_batch_of_one_lane() {
        let lane = |branch: &str| LaneId {
            mirror: "m".parse().unwrap(),
            branch: branch.parse().unwrap(),
        };
        let keys = |ids: &[&str]| {
            let table = |id: &&str| ObjectKey::Table(id.parse().unwrap());
            ids.iter().map(table).collect::<BTreeSet<_>>()
        };
        let id =
            |branch: &str, after: &str, ids: &[&str]| Held::new(&lane(branch), after, &keys(ids), vec![]).id;
        let one = id("1", "4", &["in.c-a.b"]);
        assert_eq!(one, id("1", "4", &["in.c-a.b"]));
        for other in [
            id("2", "4", &["in.c-a.b"]),
            id("1", "5", &["in.c-a.b"]),
            id("1", "4", &["in.c-a.b", "in.c-a.c"]),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn what_is_withheld_is_not_told_as_deleted() {
        let lane = LaneId {
            mirror: "m".parse().unwrap(),
            branch: "1".parse().unwrap(),
        };
        let key = |id: &str| ObjectKey::Bucket(id.parse().unwrap());
        let lost = BTreeSet::from([key("in.c-a"), key("in.c-b"), key("in.c-c")]);
        let reason = || WithholdReason::Trapped {
            guest: "policy own".to_owned(),
            detail: "unreachable".to_owned(),
        };
        let withheld = BTreeMap::from([
            (key("in.c-b"), reason()),
            (key("in.c-c"), reason()),
            (key("in.c-d"), reason()),
        ]);
        let loss = Loss {
            group: Group::Of(ObjectType::Bucket),
            lost: 3,
            before: 3,
        };
        let held = Held::new(&lane, "0/0", &lost, vec![loss]);
        assert_eq!(held.clone().with_withheld(&lost, &BTreeMap::new()), held);
        // What was not asked about is withheld for what failed before it, which may be elsewhere.
        let not_asked = || WithholdReason::NotAsked {
            guest: "policy own".to_owned(),
            failures: 8,
            first: Box::new(reason()),
        };
        for others in [[not_asked(), reason()], [not_asked(), not_asked()]] {
            let [b, c] = others;
            let withheld = BTreeMap::from([(key("in.c-b"), b), (key("in.c-c"), c)]);
            let told = held.clone().with_withheld(&lost, &withheld).withheld;
            assert_eq!(told, Some((2, reason().to_string())));
        }
        assert_eq!(held.to_string(), "3 of 3 buckets");
        assert_eq!(
            held.with_withheld(&lost, &withheld).to_string(),
            "3 of 3 buckets (2 of these objects are still in Keboola, and withheld: the policy own trapped: unreachable; mend that, and they stay)"
        );
    }
}
