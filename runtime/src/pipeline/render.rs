//! The second look: objects that were placed are rendered chunk after chunk, on all cores, and what became of
//! them goes on at once and in order. How much is under way at a time is bounded by bytes.

use super::{
    parallel::{Between, in_order},
    spool::weight,
    transform::{CHUNK, CHUNK_BYTES, FilledShard},
};
use mirror_core::layout::PlacedObject;

/// An object takes about so many times its bytes until it is written: as a value in the guest, as files, as
/// what policies judge, and as what they leave. Estimated, on the safe side.
const STAGES: usize = 12;

/// Works on objects in chunks. `memory_bytes_max` is for all that is under way, not for one chunk.
///
/// # Errors
/// The first failure of any of the three.
pub(crate) fn objects<O: Send, E: Send>(
    memory_bytes_max: usize,
    next: &mut dyn FnMut() -> Result<Option<PlacedObject>, E>,
    work: impl Fn(Vec<PlacedObject>) -> Result<O, E> + Sync,
    take: &mut dyn FnMut(O) -> Result<(), E>,
) -> Result<(), E> {
    let mut ahead: Option<PlacedObject> = None;
    let mut next_chunk = || -> Result<_, E> {
        let mut chunk = Vec::new();
        let mut bytes = 0;
        while chunk.len() < CHUNK {
            let Some(placed) = ahead.take().map_or_else(&mut *next, |placed| Ok(Some(placed)))? else {
                break;
            };
            let more = weight(&placed.object);
            if !chunk.is_empty() && bytes + more > CHUNK_BYTES {
                ahead = Some(placed);
                break;
            }
            bytes += more;
            chunk.push(placed);
        }
        Ok((!chunk.is_empty()).then_some((chunk, bytes)))
    };
    let mut feed = Between {
        next: &mut next_chunk,
        take,
    };
    in_order(&mut feed, memory_bytes_max / STAGES, work)
}

/// Works on shards of shared files, as [`objects`] does on objects.
///
/// # Errors
/// The first failure of any of the three.
pub(crate) fn shards<O: Send, E: Send>(
    memory_bytes_max: usize,
    next: &mut dyn FnMut() -> Result<Option<FilledShard>, E>,
    work: impl Fn(FilledShard) -> Result<O, E> + Sync,
    take: &mut dyn FnMut(O) -> Result<(), E>,
) -> Result<(), E> {
    let mut next_shard = || -> Result<_, E> {
        let shard = next()?;
        Ok(shard.map(|shard| {
            let entries = shard.2.iter();
            let bytes = entries
                .map(|entry| entry.value.len() + entry.key.len() + 64)
                .sum();
            (shard, bytes)
        }))
    };
    let mut feed = Between {
        next: &mut next_shard,
        take,
    };
    in_order(&mut feed, memory_bytes_max / STAGES, work)
}
