//! Dead letters: listed, replayed once, and gone by age and number.

use super::{
    super::{Appended, DeadLetter, DeadLetterId, EventLog, LogError},
    at, change, read_all, topic,
};
use mirror_core::event::masked_body;
use std::sync::Arc;

pub(super) async fn dead_letters_are_listed_and_replayed(log: &Arc<dyn EventLog>) {
    let poisoned = change("dead", "a", 1);
    let position = log.append(vec![poisoned.clone()]).await.unwrap()[0].position;
    let readable = DeadLetter {
        topic: Some(topic("dead")),
        key: Some(poisoned.envelope.key.clone()),
        position: Some(position),
        reason: "the renderer trapped".to_owned(),
        body: String::new(),
        at: at(1),
        envelope: Some(poisoned.envelope.clone()),
    };
    let unreadable = DeadLetter {
        topic: None,
        key: None,
        position: None,
        reason: "field `projectId` must be a text".to_owned(),
        body: masked_body(b"{\"projectId\":[]}"),
        at: at(2),
        envelope: None,
    };
    let one = log.dead_letter(readable.clone()).await.unwrap();
    let two = log.dead_letter(unreadable.clone()).await.unwrap();
    let listed = log.dead_letters(None, 10).await.unwrap();
    let kept: Vec<_> = listed
        .iter()
        .map(|filed| (filed.id, filed.letter.clone(), filed.replayed_at))
        .collect();
    assert_eq!(kept, [(one, readable.clone(), None), (two, unreadable, None)]);
    assert_eq!(log.dead_letters(Some(one), 10).await.unwrap(), listed[1..]);

    let again = log.replay(one, at(60)).await.unwrap();
    assert!(
        again.position > position && !again.duplicate,
        "a replay is no duplicate"
    );
    let events = read_all(log.as_ref(), "dead").await;
    assert_eq!(
        events,
        [
            (position, poisoned.envelope.clone()),
            (again.position, poisoned.envelope)
        ]
    );
    assert_eq!(
        log.dead_letters(None, 1).await.unwrap()[0].replayed_at,
        Some(at(60))
    );
    assert!(
        matches!(log.replay(one, at(61)).await, Err(LogError::NotReplayable { .. })),
        "only once"
    );
    assert!(matches!(
        log.replay(two, at(61)).await,
        Err(LogError::NotReplayable { .. })
    ));
    assert!(matches!(
        log.replay(DeadLetterId(999), at(61)).await,
        Err(LogError::NoSuchLetter { id: 999 })
    ));
    let unplayed = log.unplayed().await.unwrap();
    assert_eq!((unplayed.depth, unplayed.oldest), (1, Some(at(2))));
    // Seen and settled, it stays listed and counts no more.
    assert!(log.acknowledge(two, at(61)).await.unwrap());
    assert!(!log.acknowledge(two, at(62)).await.unwrap());
    assert!(!log.acknowledge(one, at(62)).await.unwrap(), "it was replayed");
    assert!(matches!(
        log.acknowledge(DeadLetterId(999), at(61)).await,
        Err(LogError::NoSuchLetter { id: 999 })
    ));
    let acknowledged: Vec<_> = log
        .dead_letters(None, 10)
        .await
        .unwrap()
        .iter()
        .map(|filed| (filed.id, filed.acknowledged_at))
        .collect();
    assert_eq!(acknowledged, [(one, None), (two, Some(at(61)))]);
    assert_eq!(log.unplayed().await.unwrap(), super::super::Backlog::default());
    let young = DeadLetter {
        at: at(3),
        ..unreadable_letter()
    };
    let three = log.dead_letter(young.clone()).await.unwrap();
    assert_eq!(
        log.prune_letters(at(2), 10, 10).await.unwrap(),
        1,
        "replayed or not, by age"
    );
    assert_eq!(log.prune_letters(at(2), 10, 10).await.unwrap(), 0);
    let left = log.dead_letters(None, 10).await.unwrap();
    assert_eq!(
        left.iter().map(|filed| filed.id).collect::<Vec<_>>(),
        [two, three]
    );
    assert!(matches!(
        log.replay(one, at(62)).await,
        Err(LogError::NoSuchLetter { .. })
    ));
    // By number, a few at a time, and ids are never given again.
    for _ in 0..3 {
        log.dead_letter(DeadLetter {
            reason: uuid::Uuid::new_v4().to_string(),
            ..young.clone()
        })
        .await
        .unwrap();
    }
    assert_eq!(log.prune_letters(at(0), 2, 2).await.unwrap(), 2);
    assert_eq!(log.prune_letters(at(0), 2, 2).await.unwrap(), 1);
    assert_eq!(log.prune_letters(at(0), 2, 2).await.unwrap(), 0);
    assert_eq!(log.unplayed().await.unwrap().depth, 2);
    assert_eq!(log.prune_letters(at(99), 2, 10).await.unwrap(), 2);
    assert_eq!(log.unplayed().await.unwrap().oldest, None);
    assert!(log.dead_letter(young.clone()).await.unwrap() > three);

    // However many of what cannot be read somebody tells, what can be replayed is not pushed out by it.
    assert_eq!(log.prune_letters(at(99), 0, 10).await.unwrap(), 1);
    let kept = log.dead_letter(readable).await.unwrap();
    for second in 3..8 {
        let reason = format!("the field of number {second} must be a text");
        let flood = DeadLetter {
            reason,
            at: at(second),
            ..unreadable_letter()
        };
        log.dead_letter(flood).await.unwrap();
    }
    assert_eq!(log.prune_letters(at(0), 2, 10).await.unwrap(), 4);
    let left = log.dead_letters(None, 10).await.unwrap();
    assert_eq!((left.len(), left[0].id), (2, kept));
    assert_eq!(log.prune_letters(at(0), 0, 10).await.unwrap(), 2);
}

pub(super) async fn an_event_that_was_put_aside_can_be_told_again(log: &Arc<dyn EventLog>) {
    let events = || vec![change("again", "a", 1), change("again", "b", 1)];
    let first = log.append(events()).await.unwrap();
    let letter = |key| DeadLetter {
        key,
        ..unreadable_letter()
    };
    let told = events().remove(0).envelope.key;
    log.dead_letter(letter(None)).await.unwrap();
    assert!(
        log.append(events())
            .await
            .unwrap()
            .iter()
            .all(|one| one.duplicate)
    );
    let mut last = first[1].position;
    for _ in 0..2 {
        log.dead_letter(letter(Some(told.clone()))).await.unwrap();
        let again = log.append(events()).await.unwrap();
        assert!(!again[0].duplicate && again[0].position > last, "{again:?}");
        assert_eq!(
            again[1],
            Appended {
                duplicate: true,
                ..first[1]
            }
        );
        last = again[0].position;
        // Once for a letter.
        let twice = log.append(events()).await.unwrap();
        assert_eq!(
            twice[0],
            Appended {
                duplicate: true,
                position: last
            }
        );
    }
    assert_eq!(read_all(log.as_ref(), "again").await.len(), 4);
    log.prune_letters(at(99), 100, 100).await.unwrap();
    assert_eq!(log.unplayed().await.unwrap(), super::Backlog::default());
}

fn unreadable_letter() -> DeadLetter {
    DeadLetter {
        topic: None,
        key: None,
        position: None,
        reason: "field `branchId` must be a text".to_owned(),
        body: String::new(),
        at: at(2),
        envelope: None,
    }
}
