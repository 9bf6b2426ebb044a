//! Reads many blobs with few exchanges, and no more of them at once than fit well into memory.

use crate::app::Failure;
use mirror_core::ids::Oid;
use mirror_git::{RemoteError, TransportError};

/// So many are read first: they show how large the others may be.
const FIRST: usize = 64;
/// So many are asked for at once at most.
const AT_ONCE_MAX: usize = 500;
/// So many bytes a batch has, if its blobs are as large as those before. A mirror's own files are small.
const BATCH_BYTES: usize = 64 << 20;

/// Blobs, a batch at a time, in the order of their ids.
pub(super) struct BlobBatches<'b, R> {
    read: R,
    left: &'b [Oid],
    at_once: usize,
    blobs_read: usize,
    bytes_read: usize,
}

/// Ids and their contents.
type Batch<'b> = (&'b [Oid], Vec<Vec<u8>>);

impl<'b, R> BlobBatches<'b, R>
where
    R: FnMut(&[Oid]) -> Result<Vec<Vec<u8>>, RemoteError>,
{
    /// `read` reads blobs from a remote, in the order of their ids.
    pub(super) fn new(ids: &'b [Oid], read: R) -> Self {
        Self {
            read,
            left: ids,
            at_once: FIRST,
            blobs_read: 0,
            bytes_read: 0,
        }
    }

    /// Reads the next batch. What is too much for one answer is asked for in parts.
    fn next_batch(&mut self) -> Result<Batch<'b>, RemoteError> {
        loop {
            let (ids, left) = self.left.split_at(self.at_once.min(self.left.len()));
            match (self.read)(ids) {
                Ok(blobs) => {
                    self.left = left;
                    self.blobs_read += ids.len();
                    self.bytes_read += blobs.iter().map(Vec::len).sum::<usize>();
                    let mean = self.bytes_read / self.blobs_read;
                    self.at_once = (BATCH_BYTES / mean.max(1)).clamp(1, AT_ONCE_MAX);
                    return Ok((ids, blobs));
                }
                Err(RemoteError::Transport(TransportError::AnswerTooLarge { .. })) if ids.len() > 1 => {
                    self.at_once = ids.len() / 2;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl<'b, R> Iterator for BlobBatches<'b, R>
where
    R: FnMut(&[Oid]) -> Result<Vec<Vec<u8>>, RemoteError>,
{
    type Item = Result<Batch<'b>, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left.is_empty() {
            return None;
        }
        Some(self.next_batch().map_err(|error| {
            self.left = &[];
            Failure::failed(&error)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(count: usize) -> Vec<Oid> {
        let id = |number: usize| {
            let mut bytes = [0; 20];
            bytes[12..].copy_from_slice(&(number as u64).to_be_bytes());
            Oid::from_bytes(bytes)
        };
        (0..count).map(id).collect()
    }

    fn too_large() -> RemoteError {
        RemoteError::Transport(TransportError::AnswerTooLarge {
            remote: "r".to_owned(),
            what: "data",
            bytes_max: 1,
        })
    }

    /// Reads so many blobs of so many bytes from a remote that sends only so many at once.
    fn batches(count: usize, bytes: usize, sent_max: usize) -> Vec<usize> {
        let ids = ids(count);
        let read = |ids: &[Oid]| match ids.len() {
            len if len <= sent_max => Ok(vec![vec![0; bytes]; len]),
            _ => Err(too_large()),
        };
        let mut seen = Vec::new();
        let lengths = BlobBatches::new(&ids, read).map(|batch| {
            let (ids, blobs) = batch.map_err(|_| "it can be read").unwrap();
            seen.extend_from_slice(ids);
            assert_eq!(ids.len(), blobs.len());
            ids.len()
        });
        let lengths = lengths.collect();
        assert_eq!(seen, ids, "each once, in order");
        lengths
    }

    #[test]
    fn batches_are_as_long_as_memory_and_the_server_allow() {
        let all = usize::MAX;
        assert_eq!(batches(0, 1, all), [0; 0]);
        assert_eq!(batches(64, 1, all), [64]);
        assert_eq!(batches(1_100, 0, all), [64, 500, 500, 36]);
        assert_eq!(batches(100, 4 << 20, all), [64, 16, 16, 4]);
        assert_eq!(batches(66, 128 << 20, 1), [1; 66], "one by one if it must be");
        assert_eq!(batches(100, 1, 40), [32, 34, 34]);
    }

    #[test]
    fn an_error_ends_it() {
        let ids = ids(3);
        let mut batches = BlobBatches::new(&ids, |_: &[Oid]| Err(too_large()));
        assert!(batches.next().is_some_and(|batch| batch.is_err()));
        assert!(batches.next().is_none());
    }
}
