//! What is refused of a stream that somebody else made.

use super::*;

fn wanted(kind: Kind) -> Wanted {
    Wanted {
        name: "KBC_LOG".to_owned(),
        subject: "KBC.log.>".to_owned(),
        replicas: 3,
        kind,
    }
}

const LOG: Kind = Kind::Log {
    dedupe: Duration::from_secs(7200),
    bytes_max: 1 << 30,
};
const INTAKE: Kind = Kind::Intake {
    keep: Duration::from_secs(5 * 86_400),
    dedupe: Duration::from_secs(7200),
    bytes_max: 1 << 30,
};

/// Changes one setting of the stream as we would make it, and says what is wrong with it then.
#[track_caller]
fn check(kind: Kind, change: impl FnOnce(&mut Config), expected: &str) {
    let wanted = wanted(kind);
    let mut config = wanted.config();
    change(&mut config);
    let problems = wanted.problems(&config);
    match expected {
        "" => assert_eq!(problems, [""; 0]),
        expected => {
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(problems[0].contains(expected), "{problems:?}");
        }
    }
}

#[test]
fn what_we_make_is_safe() {
    for kind in [LOG, INTAKE, Kind::Letters, Kind::Records, Kind::Leases] {
        check(kind, |_| {}, "");
    }
}

#[test]
fn each_unsafe_setting_is_named_with_what_to_change() {
    check(LOG, |it| it.retention = RetentionPolicy::WorkQueue, "`workqueue`");
    check(LOG, |it| it.retention = RetentionPolicy::Interest, "`interest`");
    check(LOG, |it| it.storage = StorageType::Memory, "kept in memory");
    check(
        LOG,
        |it| it.persist_mode = Some(PersistenceMode::Async),
        "`persist_mode`",
    );
    check(
        LOG,
        |it| it.num_replicas = 1,
        "nats stream edit KBC_LOG --replicas=3",
    );
    check(LOG, |it| it.no_ack = true, "acknowledges nothing");
    check(LOG, |it| it.sealed = true, "sealed");
    check(LOG, |it| it.allow_direct = false, "--allow-direct");
    check(LOG, |it| it.discard = DiscardPolicy::Old, "--discard=new");
    check(
        LOG,
        |it| it.subjects = vec!["other.>".into()],
        "--subjects='KBC.log.>'",
    );
    check(
        LOG,
        |it| it.max_messages_per_subject = 10,
        "--max-msgs-per-subject=-1",
    );
    check(
        LOG,
        |it| it.max_age = Duration::from_secs(86_400 * 365),
        "--max-age=0",
    );
    check(LOG, |it| it.deny_purge = true, "old messages be deleted");
    check(
        LOG,
        |it| it.duplicate_window = Duration::from_secs(120),
        "--dupe-window=120m",
    );
    check(LOG, |it| it.allow_atomic_publish = false, "--allow-batch");
    check(
        INTAKE,
        |it| it.max_age = Duration::from_secs(3600),
        "--max-age=72h",
    );
    check(
        INTAKE,
        |it| it.retention = RetentionPolicy::WorkQueue,
        "`workqueue`",
    );
    check(Kind::Records, |it| it.max_messages_per_subject = 5, "history");
    check(Kind::Leases, |it| it.allow_message_ttl = false, "--allow-msg-ttl");
}

#[test]
fn what_only_keeps_more_is_taken() {
    check(LOG, |it| it.num_replicas = 5, "");
    check(LOG, |it| it.max_bytes = 1 << 40, "");
    check(LOG, |it| it.duplicate_window = Duration::from_secs(86_400), "");
    check(INTAKE, |it| it.max_age = Duration::ZERO, "");
    check(INTAKE, |it| it.duplicate_window = Duration::from_secs(10), "");
    check(Kind::Letters, |it| it.max_messages = 1_000_000, "");
}
