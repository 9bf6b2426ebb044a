use super::*;
use crate::database::DatabaseOptions;
use jiff::Timestamp;
use mirror_core::{
    batch::Subject,
    cause::Cause,
    finding::WithholdReason,
    ids::ObjectKey,
    quarantine::Hold,
    retry::{Disposition, Failure},
};

fn lane(mirror: &str) -> LaneId {
    LaneId {
        mirror: mirror.parse().unwrap(),
        branch: "1187".parse().unwrap(),
    }
}

fn oid(byte: u8) -> Oid {
    Oid::from_bytes([byte; 20])
}

fn render() -> RenderDigest {
    RenderDigest::parse("0123456789abcdef0123456789abcdef").unwrap()
}

fn row(key: &str, value: Option<&str>) -> (RowKey, Option<String>) {
    (
        RowKey {
            kind: "path".to_owned(),
            key: key.to_owned(),
        },
        value.map(str::to_owned),
    )
}

fn prepared(commit: u8, base: Option<u8>, delta: Vec<(RowKey, Option<String>)>) -> Prepared {
    Prepared {
        commit: oid(commit),
        render: render(),
        base: base.map(oid),
        delta,
        replace_all: base.is_none(),
    }
}

fn store(directory: &std::path::Path) -> EmbeddedState {
    EmbeddedState::new(Database::open(directory, DatabaseOptions::default()).unwrap())
}

async fn check(state: &EmbeddedState, lane: &LaneId, expected: &str) {
    let (mut rows, mut after) = (Vec::new(), None);
    // One at a time, as many are read in parts.
    while let [(key, value)] = &state.rows(lane, after.take(), 1).await.unwrap()[..] {
        assert_eq!(state.row(lane, key.clone()).await.unwrap().as_ref(), Some(value));
        rows.push(format!("{}={value}", key.key));
        after = Some(key.clone());
    }
    let shown = match state.load(lane).await.unwrap() {
        None => "nothing".to_owned(),
        Some(LaneState { derived, prepared }) => {
            let derived = derived.map_or_else(
                || "no state".to_owned(),
                |Derived { tip, .. }| format!("tip {} with {}", tip.as_bytes()[0], rows.join(" ")),
            );
            match prepared {
                Some(commit) => format!("{derived}; {} prepared", commit.as_bytes()[0]),
                None => derived,
            }
        }
    };
    assert_eq!(shown, expected);
}

#[tokio::test]
async fn rows_count_once_their_commit_is_on_the_remote() {
    let directory = tempfile::tempdir().unwrap();
    let (state, lane) = (store(directory.path()), lane("m"));
    check(&state, &lane, "nothing").await;
    state
        .prepare(
            &lane,
            prepared(1, None, vec![row("a", Some("1")), row("b", Some("2"))]),
        )
        .await
        .unwrap();
    check(&state, &lane, "no state; 1 prepared").await;
    state.adopt(&lane, oid(1)).await.unwrap();
    check(&state, &lane, "tip 1 with a=1 b=2").await;

    state
        .prepare(
            &lane,
            prepared(2, Some(1), vec![row("a", None), row("c", Some("3"))]),
        )
        .await
        .unwrap();
    drop(state);
    let state = store(directory.path());
    check(&state, &lane, "tip 1 with a=1 b=2; 2 prepared").await;
    state.adopt(&lane, oid(2)).await.unwrap();
    state.adopt(&lane, oid(2)).await.expect("adopting is idempotent");
    check(&state, &lane, "tip 2 with b=2 c=3").await;
    assert!(matches!(
        state.adopt(&lane, oid(1)).await,
        Err(StateError::NotPrepared { .. })
    ));

    let stale = state.prepare(&lane, prepared(3, Some(1), Vec::new())).await;
    assert!(matches!(stale, Err(StateError::BaseMoved { .. })));
    state
        .prepare(&lane, prepared(3, Some(2), vec![row("b", None)]))
        .await
        .unwrap();
    state
        .prepare(&lane, prepared(4, Some(2), vec![row("d", Some("4"))]))
        .await
        .unwrap();
    assert!(
        matches!(
            state.adopt(&lane, oid(3)).await,
            Err(StateError::NotPrepared { .. })
        ),
        "4 replaced it"
    );
    state
        .prepare(&lane, prepared(5, None, vec![row("z", Some("9"))]))
        .await
        .unwrap();
    state.adopt(&lane, oid(5)).await.unwrap();
    check(&state, &lane, "tip 5 with z=9").await;
}

#[tokio::test]
async fn everything_comes_in_parts_and_counts_as_a_whole() {
    let directory = tempfile::tempdir().unwrap();
    let (state, lane) = (store(directory.path()), lane("m"));
    state
        .prepare(&lane, prepared(1, None, vec![row("a", Some("1"))]))
        .await
        .unwrap();
    state.adopt(&lane, oid(1)).await.unwrap();
    state
        .prepare(&lane, prepared(2, Some(1), vec![row("b", Some("2"))]))
        .await
        .unwrap();
    // The process ends between two parts: neither what was prepared nor a half of the parts may be adopted.
    state.stage(&lane, vec![row("c", Some("3"))], true).await.unwrap();
    drop(state);
    let state = store(directory.path());
    check(&state, &lane, "tip 1 with a=1").await;
    for commit in [1, 2] {
        let adopted = state.adopt(&lane, oid(commit)).await;
        assert_eq!(adopted.is_ok(), commit == 1, "{commit}");
    }
    state.stage(&lane, vec![row("d", Some("4"))], true).await.unwrap();
    state
        .stage(&lane, vec![row("e", Some("5"))], false)
        .await
        .unwrap();
    check(&state, &lane, "tip 1 with a=1").await;
    state
        .prepare(
            &lane,
            prepared(3, None, vec![row("f", Some("6")), row("e", Some("7"))]),
        )
        .await
        .unwrap();
    state.adopt(&lane, oid(3)).await.unwrap();
    check(&state, &lane, "tip 3 with d=4 e=7 f=6").await;

    // Nothing stays of what counted before, nor of what never counted.
    state.stage(&lane, vec![row("g", Some("8"))], true).await.unwrap();
    state
        .stage(&lane, vec![row("h", Some("9"))], false)
        .await
        .unwrap();
    state
        .prepare(
            &lane,
            prepared(4, Some(3), vec![row("d", None), row("i", Some("1"))]),
        )
        .await
        .unwrap();
    state.adopt(&lane, oid(4)).await.unwrap();
    check(&state, &lane, "tip 4 with e=7 f=6 i=1").await;
    let count = |connection: &Connection| -> rusqlite::Result<i64> {
        let sql = "SELECT (SELECT count(*) FROM derived) + (SELECT count(*) FROM prepared)";
        connection.query_row(sql, [], |row| row.get(0))
    };
    assert_eq!(state.database.read(count).await.unwrap(), 3);
}

#[tokio::test]
async fn lanes_do_not_mix() {
    let directory = tempfile::tempdir().unwrap();
    let state = store(directory.path());
    for (name, value) in [("one", "1"), ("two", "2")] {
        state
            .prepare(&lane(name), prepared(1, None, vec![row("a", Some(value))]))
            .await
            .unwrap();
    }
    state.adopt(&lane("one"), oid(1)).await.unwrap();
    check(&state, &lane("one"), "tip 1 with a=1").await;
    check(&state, &lane("two"), "no state; 1 prepared").await;
    state.adopt(&lane("two"), oid(1)).await.unwrap();
    check(&state, &lane("two"), "tip 1 with a=2").await;
}

#[tokio::test]
async fn outages_what_was_seen_and_facts_come_back() {
    let directory = tempfile::tempdir().unwrap();
    let (state, lane) = (store(directory.path()), lane("m"));
    let now = Timestamp::from_second(1_790_000_000).unwrap();
    let failure = Failure {
        disposition: Disposition::NeedsCustomer,
        cause: Cause::Credentials,
        reason: "credentials rejected".to_owned(),
    };
    let mut outage = Outage::begin(failure, now);
    outage.take_notices(now);
    state.put_outage(&lane, Some(&outage)).await.unwrap();
    let seen = |objects: &[(&str, &str)]| -> BTreeMap<String, String> {
        let owned = |(name, digest): &(&str, &str)| ((*name).to_owned(), (*digest).to_owned());
        objects.iter().map(owned).collect()
    };
    assert_eq!(state.seen(&lane).await.unwrap(), seen(&[]));
    state
        .put_seen(&lane, seen(&[("a", "1"), ("b", "1")]))
        .await
        .unwrap();
    state
        .put_seen(&lane, seen(&[("b", "2"), ("c", "1")]))
        .await
        .unwrap();
    assert_eq!(state.kept(&lane, Feeder::Poller).await.unwrap(), None);
    for kept in [&[("a", "1"), ("b", "1")][..], &[("b", "2"), ("c", "1")]] {
        state.keep(&lane, Feeder::Poller, seen(kept)).await.unwrap();
    }
    state
        .keep(&lane, Feeder::Backfill, seen(&[("d", "1")]))
        .await
        .unwrap();
    assert_eq!(state.meta_once("tag_key", "one").await.unwrap(), "one");
    assert!(state.quarantine(&lane).await.unwrap().is_empty());
    let mut quarantine = Quarantine::default();
    let reason = WithholdReason::RefusedByRemote {
        what: "secret".to_owned(),
        place: "a/b".to_owned(),
    };
    let hold = Hold {
        subject: Subject::Object(ObjectKey::Branch),
        piece: Oid::from_bytes([7; 20]),
        reason,
    };
    quarantine.add(vec![hold], now);
    state.put_quarantine(&lane, &quarantine).await.unwrap();
    drop(state);

    let state = store(directory.path());
    assert_eq!(state.outage(&lane).await.unwrap(), Some(outage));
    assert_eq!(state.quarantine(&lane).await.unwrap(), quarantine);
    assert_eq!(state.seen(&lane).await.unwrap(), seen(&[("b", "2"), ("c", "1")]));
    let kept = state.kept(&lane, Feeder::Poller).await.unwrap();
    assert_eq!(kept, Some(seen(&[("b", "2"), ("c", "1")])));
    let kept = state.kept(&lane, Feeder::Backfill).await.unwrap();
    assert_eq!(kept, Some(seen(&[("d", "1")])));
    let other = LaneId {
        mirror: "other".parse().unwrap(),
        ..lane.clone()
    };
    assert_eq!(state.seen(&other).await.unwrap(), seen(&[]));
    assert_eq!(
        state.meta_once("tag_key", "two").await.unwrap(),
        "one",
        "the first one stays"
    );
    state.put_meta("tag_key", "two").await.unwrap();
    assert_eq!(state.meta_once("tag_key", "three").await.unwrap(), "two");
    state.put_meta("new", "four").await.unwrap();
    assert_eq!(state.meta_once("new", "five").await.unwrap(), "four");
    check(&state, &lane, "nothing").await;
    state.put_outage(&lane, None).await.unwrap();
    assert_eq!(state.outage(&lane).await.unwrap(), None);
}
