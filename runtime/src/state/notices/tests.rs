use super::*;
use crate::database::DatabaseOptions;
use mirror_core::{
    cause::Cause,
    retry::{self, Disposition, Failure, Outage},
};
use std::path::Path;

fn store(directory: &Path) -> NoticeStore {
    NoticeStore::new(Database::open(directory, DatabaseOptions::default()).unwrap())
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

fn mirror() -> MirrorId {
    "shop".parse().unwrap()
}

fn context() -> Context {
    Context {
        mirror: mirror(),
        stack: "connection.keboola.com".parse().unwrap(),
        project: "1".parse().unwrap(),
        repository: "file:r.git".to_owned(),
        main: "main".to_owned(),
        branches: Vec::new(),
    }
}

fn outage(notice: retry::Notice) -> Report {
    let failure = Failure {
        disposition: Disposition::NeedsCustomer,
        cause: Cause::Quota,
        reason: "full".to_owned(),
    };
    Report::Outage {
        from: Some("7".parse().unwrap()),
        notice,
        outage: Outage::begin(failure, at(0)),
    }
}

async fn record(store: &NoticeStore, report: Report, targets: &[&str], now: Timestamp) -> Vec<String> {
    let targets = targets.iter().map(|target| (*target).to_owned()).collect();
    let recorded = store
        .record(&mirror(), vec![report], context(), targets, now)
        .await;
    recorded.unwrap().into_iter().map(|(id, _)| id).collect()
}

async fn targets(store: &NoticeStore, now: Timestamp) -> Vec<String> {
    let due = store.due(now, 10).await.unwrap();
    due.into_iter().map(|delivery| delivery.target).collect()
}

#[tokio::test]
async fn what_is_to_be_told_is_there_once_after_any_restart_and_goes_to_each_address() {
    let directory = tempfile::tempdir().unwrap();
    let told = record(
        &store(directory.path()),
        outage(retry::Notice::NeedsCustomer),
        &["a", "b"],
        at(1),
    )
    .await;
    assert_eq!(told.len(), 1);

    // Whoever was killed before it could note that it told says it again.
    let store = store(directory.path());
    let again = record(&store, outage(retry::Notice::NeedsCustomer), &["a", "b"], at(2)).await;
    assert_eq!(again, [""; 0]);
    assert_eq!(targets(&store, at(0)).await, [""; 0], "nothing is due yet");
    let due = store.due(at(2), 10).await.unwrap();
    assert_eq!(
        due.iter().map(|one| one.target.as_str()).collect::<Vec<_>>(),
        ["a", "b"]
    );
    assert!(
        due.iter().all(|one| one.message.id == told[0]),
        "one notice, one id"
    );

    let later = Sent::Later {
        due: at(60),
        problem: "busy".to_owned(),
    };
    store.settle(&due[0], later, at(3)).await.unwrap();
    store.settle(&due[1], Sent::Delivered, at(3)).await.unwrap();
    assert_eq!(targets(&store, at(59)).await, [""; 0]);
    assert_eq!(store.next_due().await.unwrap(), Some(at(60)));
    let again = store.due(at(60), 10).await.unwrap();
    assert_eq!(
        (again[0].attempts, again[0].message.id.as_str()),
        (1, told[0].as_str())
    );
    assert_eq!(store.standing().await.unwrap()["shop"].waiting, 1);

    let gone = Sent::GivenUp {
        problem: "refused".to_owned(),
    };
    store.settle(&again[0], gone, at(61)).await.unwrap();
    let standing = store.standing().await.unwrap().remove("shop").unwrap();
    assert_eq!(standing.waiting, 0);
    let [given_up] = standing.given_up.as_slice() else {
        panic!("{standing:?}")
    };
    assert_eq!(
        (given_up.target.as_str(), given_up.problem.as_str(), given_up.at),
        ("a", "refused", at(61))
    );
}

#[tokio::test]
async fn what_was_put_off_before_the_clock_was_put_back_is_due_all_the_same() {
    const DAYS: i64 = 2 * 86_400;
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    let told = outage(retry::Notice::NeedsCustomer);
    record(&store, told, &["failed", "asked"], at(DAYS)).await;
    let due = store.due(at(DAYS), 10).await.unwrap();
    let put_off = |seconds| Sent::Later {
        due: at(DAYS + seconds),
        problem: "busy".to_owned(),
    };
    for (delivery, seconds) in due.iter().zip([2, 86_400]) {
        store.settle(delivery, put_off(seconds), at(DAYS)).await.unwrap();
    }
    assert_eq!(targets(&store, at(DAYS + 1)).await, [""; 0]);
    // Put back by what may be an ordinary wait: the first waits out its time, and no longer than such a wait.
    assert_eq!(targets(&store, at(DAYS - 3_600)).await, [""; 0]);
    assert_eq!(targets(&store, at(0)).await, ["asked", "failed"]);
}

#[tokio::test]
async fn findings_that_gather_are_told_though_the_clock_was_put_back() {
    const DAYS: i64 = 2 * 86_400;
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    assert_eq!(record(&store, withheld(&["1"]), &[], at(DAYS)).await.len(), 1);
    assert_eq!(
        record(&store, withheld(&["1", "2"]), &[], at(DAYS)).await.len(),
        0
    );
    assert_eq!(store.due_ledgers(at(DAYS)).await.unwrap(), [""; 0]);
    assert_eq!(store.due_ledgers(at(0)).await.unwrap(), ["shop"]);
    assert_eq!(record(&store, Report::Tick, &[], at(0)).await.len(), 0);
    assert_eq!(store.next_due().await.unwrap(), Some(at(3_600)));
    assert_eq!(store.due_ledgers(at(3_599)).await.unwrap(), [""; 0]);
    assert_eq!(record(&store, Report::Tick, &[], at(3_600)).await.len(), 1);
}

fn withheld(ids: &[&str]) -> Report {
    let object = |id: &&str| mirror_core::ids::ObjectKey::Job(id.parse().unwrap());
    Report::Withheld {
        branch: "7".parse().unwrap(),
        objects: ids
            .iter()
            .map(|id| (object(id).to_string(), "why".to_owned()))
            .collect(),
    }
}

#[tokio::test]
async fn messages_stay_as_long_as_they_are_waited_for_or_looked_at() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    record(&store, outage(retry::Notice::NeedsCustomer), &["a"], at(1)).await;
    record(&store, outage(retry::Notice::Recovered), &[], at(2)).await;
    assert_eq!(store.prune(at(2)).await.unwrap(), 0, "it waits");
    assert_eq!(
        store.prune(at(3)).await.unwrap(),
        1,
        "nobody was to be told of the other"
    );
    let due = store.due(at(1), 1).await.unwrap();
    store.settle(&due[0], Sent::Delivered, at(4)).await.unwrap();
    assert_eq!(store.prune(at(2)).await.unwrap(), 1);
    assert_eq!(store.standing().await.unwrap(), BTreeMap::new());
}

#[tokio::test]
async fn findings_that_wait_come_due() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    assert_eq!(record(&store, withheld(&["1"]), &[], at(0)).await.len(), 1);
    assert_eq!(record(&store, withheld(&["1", "2"]), &[], at(10)).await.len(), 0);
    assert_eq!(store.next_due().await.unwrap(), Some(at(3_600)));
    assert_eq!(store.due_ledgers(at(3_599)).await.unwrap(), [""; 0]);
    assert_eq!(store.due_ledgers(at(3_600)).await.unwrap(), ["shop"]);
    assert_eq!(record(&store, Report::Tick, &[], at(3_600)).await.len(), 1);
    assert_eq!(store.next_due().await.unwrap(), None);
}
