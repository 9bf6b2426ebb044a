//! Entries of a log that cannot be read: damaged, or of a newer release.

use super::{
    super::{
        EventLog, LogError, Retention,
        reader::{Read, Reader},
    },
    at, change, eventually, lane, run, topic,
};
use mirror_core::{
    cut::{LaneCursor, Position, Stream},
    event::Envelope,
};

/// What is appended: changes and runs that can be read, and some of each that cannot.
const ENTRIES: &str = "C j c c J j C c J C";

/// Checks that readers get past them whatever is read at a time, that they are counted, and that they are no end of
/// pruning. `damage` appends an event so that it cannot be read.
pub(crate) async fn unreadable_entries_are_passed(
    log: &dyn EventLog,
    damage: impl AsyncFn(Envelope) -> Position,
) {
    let topic = topic("damaged");
    let mut positions = Vec::new();
    for (entry, version) in ENTRIES.split(' ').zip(1..) {
        let event = match entry.to_lowercase().as_str() {
            "c" => change("damaged", "a", version),
            _ => run("damaged", &format!("5.{version}"), &[]),
        };
        positions.push(match entry == entry.to_lowercase() {
            true => log.append(vec![event]).await.unwrap()[0].position,
            false => damage(event.envelope).await,
        });
    }
    let refused = log.read(&topic, Position::START, None, 100).await;
    assert!(
        matches!(refused, Err(LogError::Unreadable { position, .. }) if position == positions[0].0),
        "{refused:?}"
    );

    // Of the entries by their order, what a reader tells; what cannot be read in brackets.
    let told = async |stream, after: usize, through: usize, page_max| {
        let position = |count: usize| {
            count
                .checked_sub(1)
                .map_or(Position::START, |index| positions[index])
        };
        let span = (position(after), position(through));
        let mut reader = Reader::new(log, &topic, stream, span, page_max);
        let nth = |position: Position| positions.iter().position(|one| *one == position).unwrap() + 1;
        let mut told = Vec::new();
        while let Some(read) = reader.next().await.unwrap() {
            match read {
                Read::Events(page) => {
                    assert!((1..=page_max).contains(&page.len()), "{page:?}");
                    told.extend(page.iter().map(|logged| nth(logged.position).to_string()));
                }
                Read::Unreadable { position, error } => {
                    assert!(matches!(error, LogError::Unreadable { .. }), "{error:?}");
                    told.push(format!("({})", nth(position)));
                }
            }
        }
        told.join(" ")
    };
    for page_max in [1, 2, 3, 4, 7, 100] {
        for (stream, after, through, expected) in [
            (None, 0, 10, "(1) 2 3 4 (5) 6 (7) 8 (9) (10)"),
            (Some(Stream::Change), 0, 10, "(1) 3 4 (7) 8 (10)"),
            (Some(Stream::Jobs), 0, 10, "2 (5) 6 (9)"),
            (None, 1, 9, "2 3 4 (5) 6 (7) 8 (9)"),
            (Some(Stream::Change), 0, 6, "(1) 3 4"),
            (None, 8, 8, ""),
        ] {
            let told = told(stream, after, through, page_max).await;
            assert_eq!(
                told, expected,
                "{stream:?} of {after} to {through}, {page_max} at a time"
            );
        }
    }

    let lanes = vec![(lane("damaged", "damaged"), topic.clone())];
    eventually(10, async || log.backlog(&lanes).await.unwrap().depth).await;
    let backlog = log.backlog(&lanes).await.unwrap();
    assert!(backlog.oldest.is_some(), "{backlog:?}");
    let retention = |events_before| Retention {
        lanes: lanes.clone(),
        held: Vec::new(),
        events_before,
        keys_before: at(-1_000_000),
        unmirrored_max: u64::MAX,
        batch_max: 100,
    };
    let prune = async |before| log.prune(&retention(at(before))).await.unwrap().events;
    let mut seen = None;
    // Nobody waits for the entries up to here; one that cannot be read waits as long as any other.
    for (through, gone) in [(0, 0), (5, 5), (10, 5)] {
        let cursor = |count: usize| {
            count
                .checked_sub(1)
                .map_or(Position::START, |index| positions[index])
        };
        let next = LaneCursor {
            change: cursor(through),
            jobs: cursor(through),
            ..LaneCursor::start(log.log_id().clone())
        };
        log.commit(&lanes[0].0, seen.as_ref(), &next).await.unwrap();
        seen = Some(next);
        assert_eq!(prune(-1_000_000).await, 0, "they are too young");
        assert_eq!(prune(1_000_000_000).await, gone, "up to {through}");
    }
    for stream in Stream::ALL {
        let pruned = log.pruned(&topic, stream).await.unwrap();
        assert_eq!(pruned, log.newest(&topic, stream).await.unwrap());
    }
    let left = log.read(&topic, Position::START, None, 100).await.unwrap();
    assert!(left.is_empty(), "{left:?}");
}
