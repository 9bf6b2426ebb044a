use super::*;
use mirror_core::{
    event::Envelope,
    ids::{BucketId, TableId, Topic},
};
use mirror_keboola::Revision;

fn config(config: &str) -> ConfigKey {
    ConfigKey {
        component: ComponentId::parse("keboola.ex").expect("an id"),
        config: ConfigId::parse(config).expect("an id"),
    }
}

/// Reads `name@version`, or `name@version!` for one whose identifier is another.
fn listed(text: &str) -> ListedConfiguration {
    let (name, version) = text.split_once('@').expect("name and version");
    let identifier = format!("of {version}");
    let version = version.trim_end_matches('!').parse().expect("a version");
    ListedConfiguration {
        component_id: config(name).component,
        id: config(name).config,
        name: name.to_owned(),
        revision: Revision {
            version,
            identifier: Some(identifier),
            created: Some(Timestamp::UNIX_EPOCH),
            author: None,
            change_description: String::new(),
            is_deleted: false,
        },
    }
}

fn begin(lists: &[&str]) -> Told {
    let all: Vec<ListedConfiguration> = lists.iter().map(|text| listed(text)).collect();
    Told::begin("life".into(), "branch".into(), &all, unversioned(&[], &[]))
}

fn unversioned(metadata: &[(&str, &str)], storage: &[(&str, &str)]) -> Unversioned {
    let owned = |(name, digest): &(&str, &str)| ((*name).to_owned(), (*digest).to_owned());
    Unversioned {
        branch_metadata: "m".into(),
        metadata: metadata
            .iter()
            .map(|(name, digest)| (config(name), (*digest).to_owned()))
            .collect(),
        storage: storage.iter().map(owned).collect(),
    }
}

#[track_caller]
fn check(told: &Told, now: &[&str], expected: &[&str]) {
    let News { changed, vanished } = told.news(now.iter().map(|text| listed(text)).collect());
    let changed = changed.iter().map(|Changed { listed, above }| {
        let above = above.map_or("as listed".to_owned(), |above| format!("above {above}"));
        format!("{} {above}", listed.id)
    });
    let vanished = vanished.iter().map(|key| format!("{} gone", key.config));
    assert_eq!(changed.chain(vanished).collect::<Vec<_>>(), expected);
}

#[test]
fn versions_are_told_from_the_last_that_was_told() {
    let told = begin(&["a@3", "b@7", "c@1"]);
    check(&told, &["a@3", "b@7", "c@1"], &[]);
    check(
        &told,
        &["a@4", "b@9", "new@1", "grown@2", "old@900"],
        &[
            "a as listed",
            "b above 7",
            "new as listed",
            "grown above 0",
            "old as listed",
            "c gone",
        ],
    );
    check(&told, &["a@3", "b@5000", "c@1"], &["b above 4000"]);
}

#[test]
fn what_is_restored_goes_on_and_what_is_made_anew_begins_again() {
    let mut told = begin(&["a@3", "b@2"]);
    let gone = told.put_gone(&config("a"), Some(4));
    assert!(matches!(&gone, Some(Body::ConfigDeleted(deleted)) if deleted.version == 3));
    assert_eq!(told.put_gone(&config("a"), Some(4)), None, "that was told");
    check(&told, &["b@2"], &[]);
    check(&told, &["a@5", "b@2"], &["a as listed"]);
    check(&told, &["a@7", "b@2"], &["a above 4"]);
    told.put_gone(&config("a"), None);
    // Purged and made anew, and the same without being seen to be gone.
    check(&told, &["a@2", "b@1"], &["a above 0", "b as listed"]);
    check(&told, &["b@2!"], &["b above 0"]);
    told.put_changed(&listed("a@5"));
    check(&told, &["a@5", "b@2"], &[]);
}

fn keys(bodies: &[Body]) -> Vec<String> {
    let topic = Topic {
        stack: "connection.keboola.com".parse().expect("a stack"),
        project: "1".parse().expect("an id"),
        branch: "2".parse().expect("an id"),
    };
    let key = |body: &Body| Envelope::internal(topic.clone(), body.clone(), Timestamp::UNIX_EPOCH).key;
    bodies.iter().map(|body| key(body).event_id()).collect()
}

#[test]
fn a_round_that_is_repeated_tells_the_same_and_one_that_finds_it_again_does_not() {
    let other = || Some(unversioned(&[("a", "1")], &[]));
    let first = || Some(unversioned(&[], &[]));
    let mut told = begin(&["a@1"]);
    // Killed before it was kept, or told by two workers.
    let (mut one, mut two) = (told.clone(), told.clone());
    let none = |_: &BTreeMap<String, String>| Differing::default();
    let (once, twice) = (
        one.put_others("branch".into(), other(), none),
        two.put_others("branch".into(), other(), none),
    );
    assert_eq!((once.len(), keys(&once)), (1, keys(&twice)));
    let mut seen = BTreeSet::from_iter(keys(&once));
    told = one;
    for now in [first(), other(), first()] {
        let bodies = told.put_others("branch".into(), now.clone(), none);
        assert_eq!(bodies.len(), 1);
        assert!(seen.insert(keys(&bodies)[0].clone()), "it was told before");
        assert_eq!(told.put_others("branch".into(), now, none), [], "nothing is new");
    }
    // Another record of the same branch tells by other keys.
    let mut anew = Told::begin("another".into(), "branch".into(), &[], unversioned(&[], &[]));
    assert!(seen.insert(keys(&anew.put_others("branch".into(), other(), none))[0].clone()));
}

#[test]
fn tables_are_told_together_then_buckets_and_a_branch_that_is_gone_once() {
    let mut told = begin(&[]);
    let tables = |before: &BTreeMap<String, String>| {
        assert!(before.is_empty());
        Differing {
            tables: BTreeSet::from([TableId::parse("in.c-a.b").expect("an id")]),
            buckets: BTreeSet::from([BucketId::parse("in.c-b").expect("an id")]),
        }
    };
    let now = unversioned(&[], &[("table in.c-a.b", "1")]);
    let bodies = told.put_others("renamed".into(), Some(now), tables);
    let kinds: Vec<&str> = bodies.iter().map(|body| body.kind().as_str()).collect();
    assert_eq!(kinds, ["branch_changed", "storage_changed", "storage_changed"]);
    assert_eq!(
        BTreeSet::from_iter(keys(&bodies)).len(),
        3,
        "each has a key of its own"
    );
    let gone = told.put_branch_gone();
    assert!(matches!(&gone, Some(Body::BranchChanged(changed)) if changed.deleted));
    assert_eq!(told.put_branch_gone(), None);
}

#[test]
fn a_record_comes_back_as_it_was_kept() {
    let mut told = begin(&["a@3", "b c/d@7"]);
    told.put_gone(&config("a"), Some(4));
    told.put_others(
        "x".into(),
        Some(unversioned(&[("b c/d", "1")], &[("bucket in.c", "2")])),
        |_| Differing::default(),
    );
    let run = |id: &str, second| {
        (
            RunId::parse(id).expect("an id"),
            Timestamp::from_second(second).expect("a time"),
        )
    };
    let overlap = jiff::SignedDuration::from_secs(60);
    told.put_runs([run("1", 1_000), run("2", 1_050), run("3", 1_070)], overlap);
    assert!(!told.has_run(&run("1", 0).0) && told.has_run(&run("2", 0).0));
    let deleted = told.put_gone(&config("b c/d"), None).expect("it was told");
    told.untold = (0..12)
        .map(|second| (deleted.clone(), Timestamp::from_second(second).ok()))
        .collect();
    assert_eq!(Told::restore(told.rows()), Some(told));
    assert_eq!(Told::restore(BTreeMap::new()), None);
    let damaged = BTreeMap::from([
        ("life".to_owned(), "x".to_owned()),
        ("?".to_owned(), String::new()),
    ]);
    assert_eq!(Told::restore(damaged), None);
}
