//! Cuts lists of lines into files of a bounded size, such that a new line touches one file.

use crate::api::{DocumentKind, File};

/// No file of lines is larger, unless one line is.
pub(super) const FILE_BYTES_MAX: usize = 256_000;

/// A line and the text that decides which file it goes to; the text must stay when the line changes.
pub(super) struct Line {
    pub(super) key: String,
    pub(super) text: String,
}

/// Makes the files of lines, which stay in their order: `<stem>.jsonl`, or where that would be too
/// large `<stem>+<digits>.jsonl` by as many hexadecimal digits of the hash of each line's key as it
/// takes. Which file a line is in depends on the lines alone, not on what was there before.
pub(super) fn files(stem: &str, lines: &[Line]) -> Vec<File> {
    let hashed: Vec<(u64, &Line)> = lines.iter().map(|line| (hash(&line.key), line)).collect();
    let mut files = Vec::new();
    cut(stem, "", &hashed, &mut files);
    files
}

fn cut(stem: &str, digits: &str, lines: &[(u64, &Line)], files: &mut Vec<File>) {
    if lines.is_empty() {
        return;
    }
    let bytes: usize = lines.iter().map(|(_, line)| line.text.len() + 1).sum();
    let deepest = digits.len() == 16;
    if bytes <= FILE_BYTES_MAX || lines.len() == 1 || deepest {
        // Ids never hold a plus sign as they stand in paths (`paths::encode`).
        let mark = if digits.is_empty() { "" } else { "+" };
        files.push(File {
            path: format!("{stem}{mark}{digits}.jsonl"),
            kind: DocumentKind::Index,
            content: lines
                .iter()
                .flat_map(|(_, line)| [line.text.as_str(), "\n"])
                .collect(),
        });
        return;
    }
    let shift = 60 - 4 * digits.len();
    for digit in 0..16_u64 {
        let part: Vec<(u64, &Line)> = lines
            .iter()
            .filter(|(hash, _)| (hash >> shift) & 15 == digit)
            .copied()
            .collect();
        cut(stem, &format!("{digits}{digit:x}"), &part, files);
    }
}

/// FNV-1a with the finaliser of `SplitMix64`, which spreads the few bits in which ids differ to the front.
fn hash(text: &str) -> u64 {
    let fnv = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mixed = (fnv ^ (fnv >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn lines(count: usize, bytes: usize) -> Vec<Line> {
        let line = |at| Line {
            key: format!("[\"keboola.x\",\"{at}\"]"),
            text: format!("{at:06}{}", "x".repeat(bytes - 6)),
        };
        (0..count).map(line).collect()
    }

    fn contents(lines: &[Line]) -> BTreeMap<String, String> {
        let files = files("ai/x", lines);
        files.into_iter().map(|file| (file.path, file.content)).collect()
    }

    #[test]
    fn a_short_list_is_one_file_and_an_empty_one_none() {
        assert!(contents(&[]).is_empty());
        assert_eq!(
            contents(&lines(2, 7)),
            BTreeMap::from([("ai/x.jsonl".to_owned(), "000000x\n000001x\n".to_owned())])
        );
    }

    #[test]
    fn a_long_list_is_cut_evenly_and_nothing_is_lost() {
        let all = lines(20_000, 300);
        let files = contents(&all);
        assert!(files.len() > 16, "{}", files.len());
        assert!(files.values().all(|content| content.len() <= FILE_BYTES_MAX));
        let mut found: Vec<&str> = files.values().flat_map(|content| content.lines()).collect();
        found.sort_unstable();
        let wanted: Vec<&str> = all.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(found, wanted);
    }

    #[test]
    fn one_more_line_changes_one_file() {
        let mut all = lines(5_000, 300);
        let before = contents(&all);
        all.push(Line {
            key: "new".into(),
            text: "new".into(),
        });
        let after = contents(&all);
        let changed = after
            .iter()
            .filter(|(path, content)| before.get(*path) != Some(content));
        assert_eq!((before.len(), after.len(), changed.count()), (16, 16, 1));
    }

    #[test]
    fn a_line_larger_than_a_file_stands_alone() {
        let mut all = lines(2, FILE_BYTES_MAX + 1);
        assert_eq!(contents(&all).len(), 2);
        // Even if no digit tells them apart.
        all[1].key = all[0].key.clone();
        assert_eq!(contents(&all).len(), 1);
    }
}
