//! The second look: objects that were placed are rendered chunk after chunk, on all cores, and what became of
//! them goes on at once and in order. How much is under way at a time is bounded by bytes.

use super::{
    parallel::{Between, in_order},
    spool::weight,
    transform::{CHUNK, CHUNK_BYTES},
};
use mirror_core::layout::PlacedObject;
use mirror_sandbox::FilledShard;

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
    let mut ahead = None;
    let weight = |placed: &PlacedObject| weight(&placed.object);
    let mut next_chunk = || chunk(&mut ahead, next, weight);
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
    work: impl Fn(Vec<FilledShard>) -> Result<O, E> + Sync,
    take: &mut dyn FnMut(O) -> Result<(), E>,
) -> Result<(), E> {
    let mut ahead = None;
    let weight = |(_, _, entries): &FilledShard| {
        let entries = entries.iter();
        entries
            .map(|entry| entry.value.len() + entry.key.len() + 64)
            .sum()
    };
    let mut next_chunk = || chunk(&mut ahead, next, weight);
    let mut feed = Between {
        next: &mut next_chunk,
        take,
    };
    in_order(&mut feed, memory_bytes_max / STAGES, work)
}

/// Returns the next pieces, and what they weigh together: as many as go into one batch of the guests, at least
/// one; none at the end. A piece that does not fit waits in `ahead`.
fn chunk<T, E>(
    ahead: &mut Option<T>,
    next: &mut dyn FnMut() -> Result<Option<T>, E>,
    weight: impl Fn(&T) -> usize,
) -> Result<Option<(Vec<T>, usize)>, E> {
    let mut chunk = Vec::new();
    let mut bytes = 0;
    while chunk.len() < CHUNK {
        let Some(piece) = ahead.take().map_or_else(&mut *next, |piece| Ok(Some(piece)))? else {
            break;
        };
        let more = weight(&piece);
        if !chunk.is_empty() && bytes + more > CHUNK_BYTES {
            *ahead = Some(piece);
            break;
        }
        bytes += more;
        chunk.push(piece);
    }
    Ok((!chunk.is_empty()).then_some((chunk, bytes)))
}
