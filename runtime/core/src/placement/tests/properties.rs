//! What holds after any changes.

use super::*;
use proptest::prelude::*;

const CONFIGS: [&str; 6] = ["c/1", "c/2", "s/1", "s/2", "v/1", "v/2"];

fn any_change() -> impl Strategy<Value = String> {
    let config = prop::sample::select(CONFIGS.to_vec());
    let other = prop::sample::select(CONFIGS.to_vec());
    let name = prop::sample::select(vec![
        "a", "b", "A", "a-001", "é", "e\u{301}", "ß", "ss", "con", "a.",
    ]);
    let row = prop::sample::select(vec!["r", "q"]);
    (config, other, name, row, 0..10_u8, any::<bool>()).prop_map(|(config, other, name, row, kind, fact)| {
        let facts = if fact { "facts:t" } else { "facts:u" };
        match (kind, &config[..1]) {
            (0, _) => format!("gone {config}"),
            (1, _) => format!("gone {config}/{row}"),
            (2, "c") => format!("{config}/{row} rows/{name} claims:{other} {facts}"),
            (2..=4, _) => format!("{config}/{row} rows/{name} sort:{name} uses:{config} {facts}"),
            (_, "s") => format!("{config} schedules/{name} below:{other} uses:{other} {facts}"),
            (_, "v") => format!("{config} variables claimed {facts}"),
            (5, _) => format!("{config} x/{name} claims:{other} claims:{other}/{row}=rows/default {facts}"),
            (6, _) => format!("{config} x/{name} none"),
            (7, _) => format!("{config} x/{name} alias:{name} {facts}"),
            _ => format!("{config} x/{name} uses:{other} uses:{other}/{row} asks:a asks:b {facts}"),
        }
    })
}

fn batches() -> impl Strategy<Value = Vec<Vec<String>>> {
    prop::collection::vec(prop::collection::vec(any_change(), 1..6), 1..8)
}

/// What an object's files are made of.
fn view(placement: &Placement, key: &ObjectKey) -> PlacedObject {
    let object = SourceObject {
        key: key.clone(),
        component: None,
        source: String::new(),
        metadata: Vec::new(),
    };
    placement.placed(key, object)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn incremental_and_full_agree_given_the_same_placement(batches in batches()) {
        let mut placement = Placement::new();
        for batch in &batches {
            let known: BTreeMap<_, _> = placement
                .records()
                .filter_map(|(key, record)| Some((key, (record.path?, record.parent))))
                .collect();
            placement.apply(batch.iter().map(String::as_str).map(change).collect());
            let mut listing: Vec<_> = placement.records().collect();
            listing.sort_by_key(|(_, record)| record.order);
            let listing = listing.iter().map(|(key, record)| Change::Put(key.clone(), record.inspection.clone()));
            let mut full = Placement::with_known_paths(&known);
            full.apply(listing.collect());
            prop_assert_eq!(paths(&full), paths(&placement));
            for (key, _) in placement.records() {
                prop_assert_eq!(view(&full, &key), view(&placement, &key));
            }
        }
    }

    #[test]
    fn nothing_changes_but_what_is_stale(batches in batches()) {
        let mut placement = Placement::new();
        for batch in &batches {
            let earlier = placement.clone();
            let batch: Vec<Change> = batch.iter().map(String::as_str).map(change).collect();
            let put = |key: &ObjectKey| batch.iter().any(|change| matches!(change, Change::Put(put, _) if put == key));
            let delta = placement.apply(batch.clone());
            for (key, record) in placement.records() {
                let same = earlier.record(&key) == Some(record) && view(&earlier, &key) == view(&placement, &key);
                prop_assert!(same || delta.stale.contains(&key), "{} changed", key);
                prop_assert!(!same || !delta.stale.contains(&key) || put(&key), "{} did not change", key);
            }
            for key in &delta.removed {
                prop_assert!(placement.record(key).is_none() && earlier.record(key).is_some());
                prop_assert!(!delta.stale.contains(key));
            }
            let mut folded: Vec<String> =
                placement.records().filter_map(|(_, record)| record.path.as_deref().map(crate::path::fold)).collect();
            folded.sort();
            prop_assert!(folded.windows(2).all(|pair| pair[0] != pair[1]), "two objects at one path");
        }
    }

    #[test]
    fn paths_do_not_depend_on_how_the_listing_is_ordered_when_they_are_known(
        (batches, shuffle) in (batches(), any::<prop::sample::Index>())
    ) {
        let mut placement = Placement::new();
        for batch in &batches {
            placement.apply(batch.iter().map(String::as_str).map(change).collect());
        }
        let known: BTreeMap<_, _> = placement
            .records()
            .filter_map(|(key, record)| Some((key, (record.path?, record.parent))))
            .collect();
        let mut listing: Vec<_> = placement
            .records()
            .map(|(key, record)| Change::Put(key, record.inspection))
            .collect();
        if !listing.is_empty() {
            let by = shuffle.index(listing.len());
            listing.rotate_left(by);
        }
        let mut full = Placement::with_known_paths(&known);
        full.apply(listing);
        prop_assert_eq!(paths(&full), paths(&placement));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// What moves is what was put with another wish or parent, and what lives below that.
    #[test]
    fn an_object_keeps_its_path_while_others_come_and_go(batches in batches()) {
        let mut placement = Placement::new();
        for batch in &batches {
            let earlier = placement.clone();
            let batch: Vec<Change> = batch.iter().map(String::as_str).map(change).collect();
            placement.apply(batch);
            for (key, record) in placement.records() {
                let Some(old) = earlier.record(&key).filter(|old| old.path.is_some() && record.path.is_some()) else {
                    continue;
                };
                let wished = |placement: &Placement| {
                    let mut wishes = Vec::new();
                    let mut at = Some(key.clone());
                    while let Some(key) = at {
                        let record = placement.records.get(&key);
                        let wish = record.and_then(|record| super::super::wish(&key, record.inspection, &placement.index));
                        wishes.push(wish.as_ref().map(|wish| granted(&wish.segment, &key, &wish.parent)));
                        at = wish.map(|wish| wish.parent).filter(|parent| *parent != ObjectKey::Branch);
                        wishes.push(at.as_ref().map(ToString::to_string));
                    }
                    wishes
                };
                // A parent that was away for a while, and back in the same batch, kept its place too.
                if wished(&earlier) == wished(&placement) {
                    prop_assert_eq!(&old.path, &record.path, "{} moved", key);
                }
            }
        }
    }

    #[test]
    fn what_lives_below_an_object_lies_below_its_path(batches in batches()) {
        let mut placement = Placement::new();
        for batch in &batches {
            placement.apply(batch.iter().map(String::as_str).map(change).collect());
            for (key, record) in placement.records() {
                let Some(path) = &record.path else { continue };
                let parent = record.parent.clone().or_else(|| container(&key));
                let above = parent.and_then(|parent| placement.record(&parent)?.path);
                if let Some(above) = above {
                    prop_assert!(below(path, &above).is_some(), "{} lies at {}, not below {}", key, path, above);
                }
            }
        }
    }

    #[test]
    fn every_path_can_be_checked_out_anywhere(batches in batches()) {
        let mut placement = Placement::new();
        for batch in &batches {
            placement.apply(batch.iter().map(String::as_str).map(change).collect());
            for (key, record) in placement.records().filter(|(key, _)| *key != ObjectKey::Branch) {
                let Some(path) = &record.path else { continue };
                prop_assert!(crate::path::MirrorPath::parse(path).is_ok(), "{}: {}", key, path);
                for segment in path.split('/') {
                    let stem = segment.split('.').next().unwrap_or_default();
                    prop_assert!(!segment.ends_with(['.', ' ']) && !stem.eq_ignore_ascii_case("con"), "{}: {}", key, path);
                }
            }
        }
    }
}
