//! What a Git server sends, and packs on disk.
//!
//! What must hold stands beside the parsers, which are nobody else's business; here it is chosen which of them reads the bytes.

use mirror_git::fuzzing;

pub(crate) fn run(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else {
        return;
    };
    match first % 7 {
        0 => fuzzing::advertisement(rest),
        1 => fuzzing::report(rest),
        2 => fuzzing::fetched(rest),
        3 => fuzzing::pack(rest),
        4 => {
            let (content, index) = halves(rest);
            fuzzing::pack_file(content, index);
        }
        5 => {
            let (base, target) = halves(rest);
            fuzzing::delta(base, target);
        }
        _ => {
            let (reason, messages) = halves(rest);
            fuzzing::words(
                &String::from_utf8_lossy(reason),
                &String::from_utf8_lossy(messages),
            );
        }
    }
}

/// Cuts what follows a length of two bytes.
fn halves(data: &[u8]) -> (&[u8], &[u8]) {
    let Some((length, rest)) = data.split_first_chunk() else {
        return (data, &[]);
    };
    rest.split_at(usize::from(u16::from_le_bytes(*length)).min(rest.len()))
}
