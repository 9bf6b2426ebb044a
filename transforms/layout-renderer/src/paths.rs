//! Ids as segments of our own paths, such that they could be read back.
//!
//! Letters, digits, `-`, `_` and `.` stand for themselves; other bytes are written `%XX`. So is
//! the first byte of a segment that would begin with a dot, name a device of Windows, or be taken
//! for a file of ours. A segment of over 200 bytes continues in the next one, which the `%` at its
//! end says. Ids of buckets and tables that differ in case only give paths that do so too; Keboola has
//! no such, and the host withholds all but one of them. Those of components, configurations, rows and
//! runs are any text, so that their capitals are written `%XX` as well: no two of them meet where case
//! does not count.

const SEGMENT_BYTES_MAX: usize = 200;

/// Returns an id as one or more segments.
#[must_use]
pub(crate) fn encode(id: &str) -> String {
    encode_unless(id, |byte| byte.is_ascii_alphanumeric())
}

/// Returns an id as one or more segments which a file system that ignores case can tell from all
/// others.
#[must_use]
pub(crate) fn encode_caseless(id: &str) -> String {
    encode_unless(id, |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

fn encode_unless(id: &str, letter: impl Fn(u8) -> bool) -> String {
    const HEX: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
    ];
    let mut segments = String::with_capacity(id.len());
    let mut from = 0;
    for (at, byte) in id.bytes().enumerate() {
        let plain = letter(byte) || matches!(byte, b'-' | b'_' | b'.');
        let plain = plain && !(at == 0 && reserved(id));
        let bytes = if plain { 1 } else { 3 };
        if segments.len() - from + bytes > SEGMENT_BYTES_MAX {
            segments.push_str("%/");
            from = segments.len();
        }
        if plain {
            segments.push(char::from(byte));
        } else {
            let [high, low] = [byte >> 4, byte & 15].map(|half| HEX[usize::from(half)]);
            segments.extend(['%', high, low]);
        }
    }
    segments
}

/// Whether an id cannot be a file's name as it is, whatever the extension.
fn reserved(id: &str) -> bool {
    let stem = id.split('.').next().unwrap_or_default();
    let is_stem = |name: &str| stem.eq_ignore_ascii_case(name);
    let is_port = |port: &str| {
        stem.len() == 4
            && stem
                .get(..3)
                .is_some_and(|three| three.eq_ignore_ascii_case(port))
    };
    let device = ["", "con", "prn", "aux", "nul", "conin$", "conout$"]
        .into_iter()
        .any(is_stem)
        || ["com", "lpt"].into_iter().any(is_port);
    // A configuration `a.json` would want a directory of the name that the file of `a` has.
    let json = id.len() >= 5 && id.as_bytes()[id.len() - 5..].eq_ignore_ascii_case(b".json");
    device || json || id.ends_with('.') || is_stem("bucket") || is_stem("rows")
}

/// Returns the file of a branch's author and time. No component has a directory of this name, for
/// ids do not end in `.json` once they are encoded.
#[must_use]
pub(crate) fn branch_extra(root: &str) -> String {
    format!("{root}/branch.json")
}

/// Returns the file of a configuration's versions and of what the layout drops.
#[must_use]
pub(crate) fn config_extra(root: &str, component: &str, config: &str) -> String {
    let (component, config) = (encode_caseless(component), encode_caseless(config));
    [root, "/", &component, "/", &config, ".json"].concat()
}

/// Returns the same of a row.
#[must_use]
pub(crate) fn row_extra(root: &str, component: &str, config: &str, row: &str) -> String {
    let [component, config, row] = [component, config, row].map(encode_caseless);
    [root, "/", &component, "/", &config, "/rows/", &row, ".json"].concat()
}

/// Returns the file of a bucket's structure; `branch` is empty or the branch's directory and a slash.
#[must_use]
pub(crate) fn bucket(branch: &str, id: &str) -> String {
    format!("storage/metadata/{branch}{}/bucket.json", encode(id))
}

/// Returns the file of a table's structure; for `branch` see [`bucket`].
#[must_use]
pub(crate) fn table(branch: &str, id: &str) -> String {
    format!("storage/metadata/{branch}{}.json", table_path(id))
}

/// Returns the file of a table's sample; `extension` is `csv` or `json`.
#[must_use]
pub(crate) fn sample(id: &str, extension: &str) -> String {
    format!("storage/samples/{}.{extension}", table_path(id))
}

/// A table's id is its bucket's, a dot and its name; neither stage nor bucket may hold more dots.
fn table_path(id: &str) -> String {
    match id.match_indices('.').nth(1) {
        Some((dot, _)) => format!("{}/{}", encode(&id[..dot]), encode(&id[dot + 1..])),
        None => format!("{}/{}", encode("%"), encode(id)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The inverse of `encode`; none for what `encode` did not make.
    fn decode(segments: &str) -> Option<String> {
        let joined = segments.replace("%/", "");
        let mut bytes = Vec::with_capacity(joined.len());
        let mut rest = joined.as_bytes();
        while let Some((first, after)) = rest.split_first() {
            if *first == b'%' {
                let digits = after
                    .get(..2)
                    .and_then(|digits| std::str::from_utf8(digits).ok())?;
                bytes.push(u8::from_str_radix(digits, 16).ok()?);
                rest = &after[2..];
            } else {
                bytes.push(*first);
                rest = after;
            }
        }
        let id = String::from_utf8(bytes).ok()?;
        (encode(&id) == segments).then_some(id)
    }

    #[track_caller]
    fn check(id: &str, expected: &str) {
        assert_eq!(encode(id), expected);
        assert_eq!(decode(expected).as_deref(), Some(id));
    }

    #[test]
    fn ids_are_written_so_that_they_can_be_read_back() {
        check("keboola.ex-db_mysql", "keboola.ex-db_mysql");
        check("01jd4k7zq0", "01jd4k7zq0");
        check("in.c-GoogleAds", "in.c-GoogleAds");
        check("a/b c%\\é", "a%2Fb%20c%25%5C%C3%A9");
        check("..", "%2E.");
        check(".git", "%2Egit");
        check("Con.x", "%43on.x");
        check("COM1", "%43OM1");
        check("bucket", "%62ucket");
        check("rows", "%72ows");
        check("x.", "%78.");
        check("a.JSON", "%61.JSON");
        check(
            &"a".repeat(450),
            &format!("{0}%/{0}%/{1}", "a".repeat(200), "a".repeat(50)),
        );
        for foreign in ["%2f", "%6", "a%61", "%zz", "é", ".."] {
            assert_eq!(decode(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn tables_lie_in_the_directory_of_their_bucket() {
        assert_eq!(
            table("", "in.c-main.orders"),
            "storage/metadata/in.c-main/orders.json"
        );
        assert_eq!(
            table("", "in.c-main.bucket"),
            "storage/metadata/in.c-main/%62ucket.json"
        );
        assert_eq!(
            table("x/", "in.c-main.a.b"),
            "storage/metadata/x/in.c-main/a.b.json"
        );
        assert_eq!(
            sample("in.c-main.orders", "csv"),
            "storage/samples/in.c-main/orders.csv"
        );
        assert_eq!(table("", "odd"), "storage/metadata/%25/odd.json");
        assert_eq!(bucket("", "in.c-main"), "storage/metadata/in.c-main/bucket.json");
    }
}
