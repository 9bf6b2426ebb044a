//! How far the log is deleted.
//!
//! [`super::prune`] deletes the oldest of a topic's stream, after it was noted here, by topic and for all of the log. Where
//! the log begins later than that, others have deleted something. Whose it was is not known any more, so it counts as
//! missed by everybody who stands before it.

use super::{JetStreamLog, LogError, Position, Stream, Topic, token};
use crate::nats::kv::{Record, Written};
use mirror_core::cut::LogId;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Key of the note on all of the log.
const ALL: &str = "deleted";

/// A note, which of another log means nothing.
#[derive(Serialize, Deserialize)]
struct Noted<T> {
    log: LogId,
    #[serde(flatten)]
    marks: T,
}

/// How far a topic's streams are pruned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Marks {
    change: Position,
    jobs: Position,
}

impl Marks {
    fn of(&mut self, stream: Stream) -> &mut Position {
        match stream {
            Stream::Change => &mut self.change,
            Stream::Jobs => &mut self.jobs,
        }
    }
}

/// How far all of the log is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Deleted {
    /// The last that was pruned.
    pruned: Position,
    /// Others have deleted up to here, whatever it was.
    lost: Position,
}

impl JetStreamLog {
    /// Returns the position after which a topic's stream has everything that it ever had.
    pub(super) async fn pruned_through(&self, topic: &Topic, stream: Stream) -> Result<Position, LogError> {
        let Deleted { lost, .. } = self.note_deleted(Position::START).await?;
        let (mut marks, _) = self.noted::<Marks>(&marks_key(topic)).await?;
        Ok(lost.max(*marks.of(stream)))
    }

    /// Notes that a topic's stream is pruned up to a position, before it is.
    pub(super) async fn note_pruned(
        &self,
        key: &str,
        stream: Stream,
        through: Position,
    ) -> Result<(), LogError> {
        self.note_deleted(through).await?;
        let mark = |marks: &mut Marks| *marks.of(stream) = through.max(*marks.of(stream));
        self.note(key, mark).await.map(drop)
    }

    /// Notes what is about to be pruned, and what others have deleted until now.
    async fn note_deleted(&self, through: Position) -> Result<Deleted, LogError> {
        // Asked before the note is read: all that is gone by then, and was pruned, stands in it.
        let extent = self.standing.look(&self.nats).await?;
        let gone = Position(extent.first.saturating_sub(1));
        let mark = |deleted: &mut Deleted| {
            if gone > deleted.pruned.max(deleted.lost) {
                tracing::error!(
                    through = gone.0,
                    "others have deleted events from the log; all branches are compared with the source"
                );
                deleted.lost = gone;
            }
            deleted.pruned = deleted.pruned.max(through);
        };
        self.note(ALL, mark).await
    }

    /// Changes a note, if there is something to change; others may do so at the same time.
    async fn note<T>(&self, key: &str, change: impl Fn(&mut T)) -> Result<T, LogError>
    where
        T: Copy + Default + PartialEq + Serialize + DeserializeOwned,
    {
        loop {
            let (before, revision) = self.noted::<T>(key).await?;
            let mut marks = before;
            change(&mut marks);
            if marks == before {
                return Ok(marks);
            }
            let log = self.id.clone();
            let text = serde_json::to_vec(&Noted { log, marks }).map_err(|_| unreadable(revision))?;
            if let Written::As(_) = self.state.put(key, text, revision, None).await? {
                return Ok(marks);
            }
        }
    }

    async fn noted<T: Default + DeserializeOwned>(&self, key: &str) -> Result<(T, u64), LogError> {
        let Record { value, revision } = self.state.get(key).await?;
        let Some(value) = value else {
            return Ok((T::default(), revision));
        };
        let noted: Noted<T> = serde_json::from_slice(&value).map_err(|_| unreadable(revision))?;
        let marks = if noted.log == self.id {
            noted.marks
        } else {
            T::default()
        };
        Ok((marks, revision))
    }
}

fn unreadable(revision: u64) -> LogError {
    LogError::Unreadable {
        what: "the record of what is deleted",
        position: revision,
    }
}

fn marks_key(topic: &Topic) -> String {
    let Topic {
        stack,
        project,
        branch,
    } = topic;
    marks_key_of(&[stack.as_str(), project.as_str(), branch.as_str()].map(token))
}

/// The same from the tokens of stack, project and branch.
pub(super) fn marks_key_of<T: AsRef<str>>(tokens: &[T; 3]) -> String {
    let [stack, project, branch] = tokens;
    format!(
        "pruned.{}.{}.{}",
        stack.as_ref(),
        project.as_ref(),
        branch.as_ref()
    )
}
