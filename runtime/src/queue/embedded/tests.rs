//! What the embedded log promises over restarts, crashes and a full disk.

use super::super::contract::{
    Memory, at, change, contract, lane, read_all, topic, unreadable::unreadable_entries_are_passed,
};
use super::*;
use crate::database::{DATABASE_FILE, DatabaseError, DatabaseOptions};
use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
};

async fn open(directory: &Path) -> EmbeddedLog {
    open_with(directory, DatabaseOptions::default()).await
}

async fn open_with(directory: &Path, options: DatabaseOptions) -> EmbeddedLog {
    EmbeddedLog::open(Database::open(directory, options).unwrap())
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_log_keeps_the_contract() {
    let directory = tempfile::tempdir().unwrap();
    contract(open(directory.path()).await, Memory::UntilPruned).await;
}

#[tokio::test]
async fn entries_that_cannot_be_read_are_passed() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(directory.path()).await;
    unreadable_entries_are_passed(&log, async |envelope| {
        let at = envelope.published_at;
        let appended = log.append(vec![NewEvent { envelope, at }]).await.unwrap();
        let position = appended[0].position;
        let damaged = log.database.write(move |connection| {
            let statement = "UPDATE event SET envelope = substr(envelope, 1, 20) WHERE position = ?";
            connection.execute(statement, [signed(position.0)])
        });
        assert_eq!(damaged.await.unwrap(), 1);
        position
    })
    .await;
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(directory.path()).await;
    let first = log.append(vec![change("1", "a", 1)]).await.unwrap()[0];
    let cursor = LaneCursor {
        change: first.position,
        ..LaneCursor::start(log.log_id().clone())
    };
    log.commit(&lane("m", "1"), None, &cursor).await.unwrap();
    let id = log.log_id().clone();
    drop(log);

    let log = open(directory.path()).await;
    assert_eq!(log.log_id(), &id, "the same log");
    assert_eq!(
        read_all(&log, "1").await,
        [(first.position, change("1", "a", 1).envelope)]
    );
    assert_eq!(log.cursor(&lane("m", "1")).await.unwrap(), Some(cursor));
    let again = log
        .append(vec![change("1", "a", 1), change("1", "a", 2)])
        .await
        .unwrap();
    assert!(again[0].duplicate, "deduplication remembers");
    assert!(again[1].position > first.position);
}

/// Says who the child of this test is: a process that appends until it is killed.
const CHILD: &str = "KBC_MIRROR_TEST_APPENDS_TO";

#[tokio::test]
async fn what_was_acknowledged_survives_kill_9_and_a_second_process_is_refused() {
    if let Some(directory) = std::env::var_os(CHILD) {
        let log = open(Path::new(&directory)).await;
        let mut out = std::io::stdout();
        for version in 1.. {
            let appended = log.append(vec![change("1", "a", version)]).await.unwrap()[0];
            writeln!(out, "\nacked {} {version}", appended.position).unwrap();
            out.flush().unwrap();
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "queue::embedded::tests::what_was_acknowledged_survives_kill_9_and_a_second_process_is_refused",
        ])
        .args(["--nocapture", "--test-threads=1"])
        .env(CHILD, directory.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut acked: Vec<(u64, u64)> = Vec::new();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let note = |line: &str, acked: &mut Vec<(u64, u64)>| {
        if let Some((position, version)) = line.strip_prefix("acked ").and_then(|rest| rest.split_once(' ')) {
            acked.push((position.parse().unwrap(), version.parse().unwrap()));
        }
    };
    while acked.len() < 150 {
        note(
            &lines
                .next()
                .expect("the child appends until it is killed")
                .unwrap(),
            &mut acked,
        );
        if acked.len() == 75 {
            let second = Database::open(directory.path(), DatabaseOptions::default());
            assert!(matches!(second, Err(DatabaseError::InUse { .. })), "{second:?}");
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    lines
        .map_while(Result::ok)
        .for_each(|line| note(&line, &mut acked));

    let log = open(directory.path()).await;
    let events = read_all(&log, "1").await;
    for (position, version) in &acked {
        let found = events.iter().find(|(found, _)| found.0 == *position);
        assert_eq!(
            found.map(|(_, event)| &event.key),
            Some(&change("1", "a", *version).envelope.key)
        );
    }
    // At most the one that was in flight is there without having been answered.
    assert!(
        events.len() <= acked.len() + 1,
        "{} events, {} acknowledged",
        events.len(),
        acked.len()
    );
}

#[tokio::test]
async fn a_full_disk_is_said_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let log = open_with(directory.path(), DatabaseOptions { pages_max: Some(64) }).await;
    let mut acked = Vec::new();
    let refused = loop {
        let version = acked.len() as u64 + 1;
        match log.append(vec![change("1", &"x".repeat(300), version)]).await {
            Ok(appended) => acked.push(appended[0].position),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, LogError::NoSpace), "{refused:?}");
    assert!(acked.len() > 20, "{} events fitted", acked.len());
    assert!(log.is_ready(), "the refused write was undone, so the log goes on");
    let read = |events: Vec<(Position, Envelope)>| {
        events
            .into_iter()
            .map(|(position, _)| position)
            .collect::<Vec<_>>()
    };
    assert_eq!(read(read_all(&log, "1").await), acked);
    let newest = *acked.last().unwrap();
    let cursor = LaneCursor {
        change: newest,
        ..LaneCursor::start(log.log_id().clone())
    };
    log.commit(&lane("m", "1"), None, &cursor)
        .await
        .expect("a cursor needs no new page");
    drop(log);

    let log = open(directory.path()).await;
    assert_eq!(read(read_all(&log, "1").await), acked);
    let appended = log
        .append(vec![change("1", "after", 1)])
        .await
        .expect("there is room again");
    assert!(appended[0].position > newest);
}

#[tokio::test]
async fn a_group_in_which_one_write_fails_keeps_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::open(directory.path(), DatabaseOptions::default()).unwrap();
    let log = EmbeddedLog::open(database.clone()).await.unwrap();
    let failing = database.write(|connection| {
        connection.execute("INSERT INTO meta (name, value) VALUES ('half', 'done')", [])?;
        connection.execute("INSERT INTO meta (name, value) VALUES ('half', 'done')", [])
    });
    let (one, failed, two) = tokio::join!(
        log.append(vec![change("1", "a", 1)]),
        failing,
        log.append(vec![change("1", "a", 2)])
    );
    assert!(matches!(failed, Err(DatabaseError::Sqlite { .. })), "{failed:?}");
    assert_eq!(
        read_all(&log, "1").await.len(),
        one.unwrap().len() + two.unwrap().len()
    );
    let half = database.read(|connection| {
        connection.query_row("SELECT count(*) FROM meta WHERE name = 'half'", [], |row| {
            row.get::<_, i64>(0)
        })
    });
    assert_eq!(half.await.unwrap(), 0, "the failed write left nothing");
}

#[tokio::test]
async fn after_a_failed_commit_nothing_more_is_accepted() {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::open(directory.path(), DatabaseOptions::default()).unwrap();
    let log = EmbeddedLog::open(database.clone()).await.unwrap();
    log.append(vec![change("1", "a", 1)]).await.unwrap();
    // A deferred constraint is the one thing that only COMMIT finds out.
    let failed = database.write(|connection| {
        connection.execute_batch("PRAGMA defer_foreign_keys = ON")?;
        connection.execute(
            "INSERT INTO event (topic, stream, appended_at, published_at, envelope) VALUES (99, 0, 0, 0, '')",
            [],
        )
    });
    let failed = failed.await;
    assert!(
        matches!(failed, Err(DatabaseError::Sqlite { what: "commit", .. })),
        "{failed:?}"
    );
    assert!(!log.is_ready());
    let refused = log.append(vec![change("1", "a", 2)]).await;
    assert!(
        matches!(
            refused,
            Err(LogError::Database {
                source: DatabaseError::Stopped
            })
        ),
        "{refused:?}"
    );
    drop((log, database));
    assert_eq!(read_all(&open(directory.path()).await, "1").await.len(), 1);
}

#[track_caller]
fn check_refused(content: &[u8], expected: fn(&DatabaseError) -> bool) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join(DATABASE_FILE), content).unwrap();
    let error =
        Database::open(directory.path(), DatabaseOptions::default()).expect_err("it must not be used");
    assert!(expected(&error), "{error:?}");
}

fn file_made_by(sql: &str) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("x.sqlite");
    Connection::open(&file).unwrap().execute_batch(sql).unwrap();
    std::fs::read(file).unwrap()
}

#[test]
fn files_that_are_not_ours_are_left_alone() {
    check_refused(&[b'x'; 8192], |error| {
        matches!(error, DatabaseError::Foreign { .. })
    });
    let foreign = file_made_by("CREATE TABLE people (name TEXT)");
    check_refused(&foreign, |error| matches!(error, DatabaseError::Foreign { .. }));
    let newer =
        file_made_by("PRAGMA application_id = 1801610093; PRAGMA user_version = 99; CREATE TABLE x (y)");
    check_refused(&newer, |error| {
        matches!(error, DatabaseError::TooNew { found: 99, .. })
    });
    let older =
        file_made_by("PRAGMA application_id = 1801610093; PRAGMA user_version = 1; CREATE TABLE x (y)");
    check_refused(&older, |error| matches!(error, DatabaseError::TooOld { .. }));
}

#[tokio::test]
async fn a_damaged_file_is_found_when_it_is_opened() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(directory.path()).await;
    for version in 1..200 {
        log.append(vec![change("1", "a", version)]).await.unwrap();
    }
    log.database.write(|_| Ok(())).await.unwrap();
    drop(log);
    let file = directory.path().join(DATABASE_FILE);
    Connection::open(&file)
        .unwrap()
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    for page in bytes.chunks_mut(4096).skip(8) {
        page[..16].fill(0xff);
    }
    std::fs::write(&file, bytes).unwrap();
    let error = Database::open(directory.path(), DatabaseOptions::default()).expect_err("it is damaged");
    assert!(matches!(error, DatabaseError::Damaged { .. }), "{error:?}");
}

#[tokio::test]
async fn the_file_does_not_keep_a_growing_journal() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(directory.path()).await;
    let text = "x".repeat(400);
    for chunk in (1..=8_000).collect::<Vec<u64>>().chunks(100) {
        log.append(chunk.iter().map(|version| change("1", &text, *version)).collect())
            .await
            .unwrap();
    }
    let wal = std::fs::metadata(directory.path().join(format!("{DATABASE_FILE}-wal")))
        .unwrap()
        .len();
    assert!(wal < 24 << 20, "{wal} bytes");
    assert_eq!(log.newest(&topic("1"), Stream::Change).await.unwrap().0, 8_000);
    assert_eq!(
        log.backlog(&[(lane("m", "1"), topic("1"))]).await.unwrap().oldest,
        Some(at(1))
    );
}

#[tokio::test]
async fn a_file_that_is_taken_away_takes_nothing_more_and_may_come_back() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(directory.path()).await;
    log.append(vec![change("1", "a", 1)]).await.unwrap();
    let (file, away) = (
        directory.path().join("mirror.sqlite"),
        directory.path().join("away"),
    );
    let check = async |says: &str| {
        let refused = log
            .append(vec![change("1", "a", 2)])
            .await
            .map_err(|error| crate::app::chain(&error));
        let over = log.over().map(|error| crate::app::chain(&error));
        for said in [refused.unwrap_err(), over.unwrap_or_default()] {
            assert!(said.contains(says), "{said}");
        }
        assert!(!log.is_ready());
    };
    std::fs::rename(&file, &away).unwrap();
    check("was deleted or moved away").await;
    std::fs::copy(&away, &file).unwrap();
    check("was replaced by another file").await;
    std::fs::rename(&away, &file).unwrap();
    assert!(log.is_ready() && log.over().is_none());
    assert!(!log.append(vec![change("1", "a", 2)]).await.unwrap()[0].duplicate);
}
