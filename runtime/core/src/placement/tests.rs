mod properties;

use super::*;
use crate::layout::Claim;
use expect_test::{Expect, expect};

/// `c/1` is a configuration, `c/1/a` a row, `-` the branch.
fn key(text: &str) -> ObjectKey {
    let id = |part: &str| part.to_owned();
    match text.split('/').collect::<Vec<_>>()[..] {
        ["-"] => ObjectKey::Branch,
        [component, config] => ObjectKey::Config {
            component: id(component).parse().unwrap(),
            config: id(config).parse().unwrap(),
        },
        [component, config, row] => ObjectKey::Row {
            component: id(component).parse().unwrap(),
            config: id(config).parse().unwrap(),
            row: id(row).parse().unwrap(),
        },
        _ => panic!("{text}"),
    }
}

/// Reads `<key> <segment> [below:<key>|claimed|none] [claims:<key>[=<segment>]] [uses:<key>] [asks:<alias>]
/// [alias:<alias>] [facts:<text>] [sort:<text>]`.
fn inspection(words: &[&str]) -> Inspection {
    let mut inspection = Inspection {
        place: Place::Container,
        segment: words[0].to_owned(),
        sort_name: String::new(),
        claims: Vec::new(),
        references: Vec::new(),
        aliases: Vec::new(),
        facts: String::new(),
    };
    for word in &words[1..] {
        match word.split_once(':') {
            None if *word == "claimed" => inspection.place = Place::Claimed,
            None if *word == "none" => inspection.place = Place::None,
            Some(("below", target)) => inspection.place = Place::Below(key(target)),
            Some(("claims", claim)) => {
                let (target, segment) = claim
                    .split_once('=')
                    .map_or((claim, None), |(t, s)| (t, Some(s.to_owned())));
                inspection.claims.push(Claim {
                    target: key(target),
                    segment,
                });
            }
            Some(("uses", target)) => inspection.references.push(Reference::Object(key(target))),
            Some(("asks", alias)) => inspection.references.push(Reference::Alias(alias.to_owned())),
            Some(("alias", alias)) => inspection.aliases.push(alias.to_owned()),
            Some(("facts", facts)) => facts.clone_into(&mut inspection.facts),
            Some(("sort", name)) => name.clone_into(&mut inspection.sort_name),
            _ => panic!("{word}"),
        }
    }
    inspection
}

fn change(line: &str) -> Change {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        ["gone", target] => Change::Remove(key(target)),
        _ => Change::Put(key(words[0]), inspection(&words[1..])),
    }
}

fn changes(script: &str) -> Vec<Change> {
    script
        .split(';')
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(change)
        .collect()
}

fn paths(placement: &Placement) -> BTreeMap<String, String> {
    let path =
        |(key, record): (ObjectKey, Record)| (key.to_string(), record.path.clone().unwrap_or("none".into()));
    placement.records().map(path).collect()
}

/// Applies batches, one a line, and shows what the last one did and where everything is.
#[track_caller]
fn check(batches: &[&str], expected: &Expect) {
    let mut placement = Placement::new();
    let mut delta = Delta::default();
    for batch in batches {
        delta = placement.apply(changes(batch));
        // What is persisted must be all there is.
        placement = Placement::restore(placement.records());
    }
    let mut shown = String::new();
    for (key, path) in paths(&placement) {
        let stale = if delta.stale.iter().any(|stale| stale.to_string() == key) {
            '*'
        } else {
            ' '
        };
        shown += &format!("{stale}{key}: {path}\n");
    }
    for Moved { key, from, to } in &delta.moved {
        if from.is_some() {
            shown += &format!(
                "{key} moved: {} -> {}\n",
                from.as_deref().unwrap_or("none"),
                to.as_deref().unwrap_or("none")
            );
        }
    }
    for key in &delta.removed {
        shown += &format!("{key} removed\n");
    }
    expected.assert_eq(&shown);
}

#[test]
fn new_objects_get_unique_paths_in_the_order_of_the_api() {
    check(
        &["c/2 x/a; c/1 x/a; c/3 x/A; c/1/r2 rows/r sort:b; c/1/r1 rows/r sort:a; c/1/r3 rows/r sort:a"],
        &expect![[r#"
            *c/1: x/a-001
            *c/1/r1: x/a-001/rows/r
            *c/1/r2: x/a-001/rows/r-002
            *c/1/r3: x/a-001/rows/r-001
            *c/2: x/a
            *c/3: x/a-002
        "#]],
    );
}

#[test]
fn what_something_lives_in_that_came_first_has_its_name_first() {
    check(
        &["s/1 schedules/s below:c/2; c/1 x/a; c/2 x/a; c/3 x/a"],
        &expect![[r#"
            *c/1: x/a-001
            *c/2: x/a
            *c/3: x/a-002
            *s/1: x/a/schedules/s
        "#]],
    );
    // Variables of a row take the row and its configuration along.
    check(
        &[
            "v/1 variables claimed; k/1 s; k/2 s; k/2/a codes/x sort:x; k/2/b codes/x sort:x claims:v/1; k/2/c codes/x sort:w",
        ],
        &expect![[r#"
            *k/1: s-001
            *k/2: s
            *k/2/a: s/codes/x-002
            *k/2/b: s/codes/x
            *k/2/c: s/codes/x-001
            *v/1: s/codes/x/variables
        "#]],
    );
    // Nothing is earlier than it was where it stands already, or where what lives in it comes later.
    check(
        &[
            "c/1 x/a; c/2 x/a; s/1 schedules/s below:c/2",
            "s/1 schedules/s below:c/2; c/3 x/a; c/2 x/a",
        ],
        &expect![[r#"
             c/1: x/a
            *c/2: x/a-001
            *c/3: x/a-002
            *s/1: x/a-001/schedules/s
        "#]],
    );
}

#[test]
fn objects_keep_their_paths_when_better_ones_become_free() {
    check(
        &["c/1 x/a; c/2 x/a", "gone c/1"],
        &expect![[r#"
             c/2: x/a-001
            c/1 removed
        "#]],
    );
    check(
        &["c/1 x/a; c/2 x/a", "c/2 x/a; c/1 x/b", "c/3 x/a"],
        &expect![[r#"
             c/1: x/b
             c/2: x/a-001
            *c/3: x/a
        "#]],
    );
}

#[test]
fn children_move_with_their_parents_and_dependents_are_rendered_again() {
    check(
        &[
            "c/1 x/a; c/1/r rows/r; s/1 schedules/s below:c/1; f/1 f uses:c/1; f/2 g uses:c/1/r; f/3 h uses:c/9",
            "c/1 x/b",
        ],
        &expect![[r#"
            *c/1: x/b
            *c/1/r: x/b/rows/r
            *f/1: f
            *f/2: g
             f/3: h
            *s/1: x/b/schedules/s
            c/1 moved: x/a -> x/b
            s/1 moved: x/a/schedules/s -> x/b/schedules/s
            c/1/r moved: x/a/rows/r -> x/b/rows/r
        "#]],
    );
}

#[test]
fn a_change_of_content_concerns_only_the_object() {
    check(
        &["c/1 x/a facts:t; c/1/r rows/r; f/1 f uses:c/1", "c/1 x/a facts:t"],
        &expect![[r#"
            *c/1: x/a
             c/1/r: x/a/rows/r
             f/1: f
        "#]],
    );
}

#[test]
fn changed_facts_and_objects_that_appear_or_vanish_concern_their_dependents() {
    check(
        &[
            "c/1 x/a facts:t; f/1 f uses:c/1; f/2 g uses:c/2",
            "c/1 x/a facts:u; c/2 x/b",
        ],
        &expect![[r#"
            *c/1: x/a
            *c/2: x/b
            *f/1: f
            *f/2: g
        "#]],
    );
    check(
        &["c/1 x/a; f/1 f uses:c/1; f/2 g", "gone c/1"],
        &expect![[r#"
            *f/1: f
             f/2: g
            c/1 removed
        "#]],
    );
}

#[test]
fn aliases_resolve_to_the_first_owner_with_a_place() {
    check(
        &[
            "c/1 x/a alias:b; c/2 x/b alias:b; f/1 f asks:b; f/2 g asks:z",
            "gone c/1",
        ],
        &expect![[r#"
             c/2: x/b
            *f/1: f
             f/2: g
            c/1 removed
        "#]],
    );
    check(
        &["c/1 x/a alias:b; f/1 f asks:b", "c/2 x/b alias:b"],
        &expect![[r#"
             c/1: x/a
            *c/2: x/b
             f/1: f
        "#]],
    );
}

#[test]
fn exactly_one_claim_gives_a_place() {
    let consumer = "c/1 x/a claims:v/1 claims:v/1/d=values/default";
    check(
        &[&format!(
            "v/1 variables claimed; v/1/d values/d; v/1/e values/e; {consumer}"
        )],
        &expect![[r#"
            *c/1: x/a
            *v/1: x/a/variables
            *v/1/d: x/a/variables/values/default
            *v/1/e: x/a/variables/values/e
        "#]],
    );
    check(
        &[
            &format!("v/1 variables claimed; v/1/d values/d; {consumer}"),
            "c/2 x/b claims:v/1",
        ],
        &expect![[r#"
             c/1: x/a
            *c/2: x/b
            *v/1: none
            *v/1/d: none
            v/1 moved: x/a/variables -> none
            v/1/d moved: x/a/variables/values/default -> none
        "#]],
    );
    check(
        &[
            &format!("v/1 variables claimed; v/1/d values/d; {consumer}; c/2 x/b claims:v/1"),
            "gone c/1",
        ],
        &expect![[r#"
             c/2: x/b
            *v/1: x/b/variables
            *v/1/d: x/b/variables/values/d
            c/1 removed
        "#]],
    );
}

#[test]
fn a_claim_of_a_row_holds_where_those_of_configurations_cancel_each_other() {
    let variables = "v/1 variables claimed; v/1/d values/d; k/1 s; k/1/a codes/a claims:v/1; k/1/b codes/b";
    let both = "c/1 x/a claims:v/1 claims:v/1/d=values/default; c/2 x/b claims:v/1";
    // The default values are those of a configuration that does not have the variables.
    check(
        &[&format!("{variables}; {both}")],
        &expect![[r#"
            *c/1: x/a
            *c/2: x/b
            *k/1: s
            *k/1/a: s/codes/a
            *k/1/b: s/codes/b
            *v/1: s/codes/a/variables
            *v/1/d: s/codes/a/variables/values/d
        "#]],
    );
    check(
        &[&format!("{variables}; {both}"), "gone c/2"],
        &expect![[r#"
             c/1: x/a
             k/1: s
             k/1/a: s/codes/a
             k/1/b: s/codes/b
            *v/1: none
            *v/1/d: none
            v/1 moved: s/codes/a/variables -> none
            v/1/d moved: s/codes/a/variables/values/d -> none
            c/2 removed
        "#]],
    );
    check(
        &[&format!("{variables}; {both}"), "k/1/b codes/b claims:v/1"],
        &expect![[r#"
             c/1: x/a
             c/2: x/b
             k/1: s
             k/1/a: s/codes/a
            *k/1/b: s/codes/b
            *v/1: none
            *v/1/d: none
            v/1 moved: s/codes/a/variables -> none
            v/1/d moved: s/codes/a/variables/values/d -> none
        "#]],
    );
    check(
        &[&format!("{variables}; {both}"), "k/1/a codes/a; c/2 x/b"],
        &expect![[r#"
             c/1: x/a
            *c/2: x/b
             k/1: s
            *k/1/a: s/codes/a
             k/1/b: s/codes/b
            *v/1: x/a/variables
            *v/1/d: x/a/variables/values/default
            v/1 moved: s/codes/a/variables -> x/a/variables
            v/1/d moved: s/codes/a/variables/values/d -> x/a/variables/values/default
        "#]],
    );
}

#[test]
fn what_leads_to_no_existing_parent_has_no_place() {
    check(
        &[
            "s/1 schedules/s below:c/1; c/2 x/b none; s/2 schedules/s below:c/2; c/2/r rows/r",
            "c/1 x/a",
        ],
        &expect![[r#"
            *c/1: x/a
             c/2: none
             c/2/r: none
            *s/1: x/a/schedules/s
             s/2: none
        "#]],
    );
    check(
        &["s/1 s below:s/2; s/2 s below:s/1; s/3 s below:s/3; v/1 variables claimed claims:v/1"],
        &expect![[r#"
            *s/1: none
            *s/2: none
            *s/3: none
            *v/1: none
        "#]],
    );
}

#[test]
fn the_branch_stands_at_the_empty_path() {
    check(
        &["c/1 x/a; - main facts:f", "- renamed"],
        &expect![[r#"
            *branch: 
             c/1: x/a
        "#]],
    );
}

#[test]
fn a_wish_without_a_name_falls_back_to_the_id() {
    check(
        &["c/Seven /; c/1 meta.json; c/1/r blocks/x; c/1/s /"],
        &expect![[r#"
            *c/1: meta-json-001
            *c/1/r: meta-json-001/blocks-001/x
            *c/1/s: meta-json-001/s
            *c/Seven: seven
        "#]],
    );
}

#[test]
fn an_object_that_comes_back_in_the_same_batch_keeps_its_path() {
    check(
        &["c/1 x/a; c/2 x/a; c/2/r rows/r", "gone c/2; c/3 x/a; c/2 x/a"],
        &expect![[r#"
             c/1: x/a
            *c/2: x/a-001
             c/2/r: x/a-001/rows/r
            *c/3: x/a-002
        "#]],
    );
}

#[test]
fn known_paths_are_kept_where_the_wish_leads_to_them() {
    let known = [
        ("c/1", "x/a-001", None),
        ("c/2", "x/old", None),
        ("c/1/r", "x/a-001/rows/r", None),
        ("v/1", "x/a-001/variables", Some("c/1")),
        ("v/2", "x/a-001/variables-001", Some("c/9")),
    ];
    let known = known.map(|(object, path, parent)| (key(object), (path.to_owned(), parent.map(key))));
    let mut placement = Placement::with_known_paths(&BTreeMap::from(known));
    placement.apply(changes(
        "c/3 x/a; c/2 x/a; c/1 x/a claims:v/1; c/1/r rows/r; v/1 variables claimed; v/2 variables claimed",
    ));
    expect![[r#"
        {
            "c/1": "x/a-001",
            "c/1/r": "x/a-001/rows/r",
            "c/2": "x/a-002",
            "c/3": "x/a",
            "v/1": "x/a-001/variables",
            "v/2": "none",
        }
    "#]]
    .assert_debug_eq(&paths(&placement));
}

#[test]
fn a_placed_object_has_one_answer_for_each_reference() {
    let mut placement = Placement::new();
    placement.apply(changes(
        "c/1 x/a facts:t alias:b; f/1 f uses:c/1 uses:c/2 asks:b asks:z-; c/3 x none; f/2 g uses:c/3",
    ));
    let object = |key| SourceObject {
        key,
        component: None,
        source: String::new(),
        metadata: Vec::new(),
    };
    let answers = |name: &str| placement.placed(&key(name), object(key(name))).references;
    let found = Resolution {
        key: key("c/1"),
        path: "x/a".into(),
        facts: "t".into(),
    };
    assert_eq!(answers("f/1"), [Some(found.clone()), None, Some(found), None]);
    assert_eq!(
        answers("f/2"),
        [Some(Resolution {
            key: key("c/3"),
            path: String::new(),
            facts: String::new()
        })]
    );
    assert_eq!(answers("c/9"), []);

    // What the stack knows is asked of no alias but one that default buckets may begin with.
    let mut asked = Vec::new();
    let mut among = |alias: &str| {
        asked.push(alias.to_owned());
        if alias == "z-" {
            Ok(Some("z".parse().unwrap()))
        } else {
            Err(())
        }
    };
    let placed = placement.placed_among(&key("f/1"), object(key("f/1")), &mut among);
    let outside = Some(Resolution::outside());
    assert_eq!(placed.map(|placed| placed.references[3].clone()), Ok(outside));
    assert_eq!(asked, ["z-"]);
}

#[test]
fn of_two_components_whose_default_buckets_are_called_the_same_the_stack_says_which_is_meant() {
    let mut placement = Placement::new();
    placement.apply(changes(
        "c/1 x/c alias:b-1 alias:b-; d/1 x/d alias:b-1 alias:b-; c/2 x/c2 alias:b-2 alias:b-; f/1 f asks:b-1 asks:b-2 asks:b-3 asks:b-",
    ));
    let meant = |placement: &Placement, component: Option<&str>| {
        let object = SourceObject {
            key: key("f/1"),
            component: None,
            source: String::new(),
            metadata: Vec::new(),
        };
        let of_stack = |beginning: &str| {
            assert_eq!(beginning, "b-");
            Ok::<_, Infallible>(component.map(|component| component.parse().unwrap()))
        };
        let Ok(placed) = placement.placed_among(&key("f/1"), object, of_stack);
        let paths = placed.references.into_iter();
        paths
            .map(|found| found.map_or("none".into(), |found| found.path))
            .collect::<Vec<String>>()
    };
    assert_eq!(meant(&placement, Some("d")), ["x/d", "none", "none", "x/c"]);
    assert_eq!(meant(&placement, Some("c")), ["x/c", "x/c2", "none", "x/c"]);
    assert_eq!(meant(&placement, Some("e")), ["none", "none", "none", "x/c"]);
    // Where nobody can say it the first one is taken.
    assert_eq!(meant(&placement, None), ["x/c", "x/c2", "none", "x/c"]);
    // Whichever is meant, who asks is rendered again when it goes.
    let stale = placement.apply(changes("gone d/1")).stale;
    assert_eq!(stale, BTreeSet::from([key("f/1")]));
    assert_eq!(meant(&placement, Some("d")), ["none", "none", "none", "x/c"]);
}
