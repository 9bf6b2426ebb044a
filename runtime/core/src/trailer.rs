//! The trailers of a mirror's commit: the record from which a mirror that lost everything else
//! finds out what the remote has (DESIGN §3).
//!
//! Values are escaped so that none can break a line or pass for another trailer. Reading is
//! tolerant: people's commits simply have no trailers of ours. Who may be trusted to have written
//! a trailer is not known here; readers take the lower of trailer and cursor.

use crate::{
    cut::{LogId, Position},
    digest::RenderDigest,
    ids::{BranchId, ComponentId, ConfigId, LaneId, MirrorId},
    key::{EventsDigest, digest_of_texts},
    path::{MirrorPath, OwnedPaths},
};
use std::fmt::Write as _;

/// So many objects are listed by name; past it their number and digest stand for the rest.
pub const LISTED_MAX: usize = 100;

/// A covered version of one configuration (`Keboola-Change`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TrailerChange {
    pub component: ComponentId,
    pub config: ConfigId,
    /// 0 where it is not known.
    pub version: u64,
    pub identifier: Option<String>,
    pub deleted: bool,
}

/// All that is covered, where that is more than the list shows (`Keboola-Changes`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangesDigest {
    pub count: u64,
    /// SHA-256 over the lines that a full list would have; 64 hexadecimal digits.
    pub sha256: String,
}

/// The trailers of one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trailers {
    pub log: LogId,
    pub lane: LaneId,
    /// The commit and its ancestors cover the log up to and with these.
    pub change: Position,
    pub jobs: Position,
    pub render: RenderDigest,
    /// Where the mirror's files lie; none where the commit does not say so.
    pub owned: Option<OwnedPaths>,
    /// The commit is of versions from before the mirror: a first sync is yet to come.
    pub backfill: bool,
    pub events: EventsDigest,
    /// Ascending.
    pub changes: Vec<TrailerChange>,
    /// Set where `changes` is not all.
    pub all_changes: Option<ChangesDigest>,
}

const LOG: &str = "Mirror-Log";
const LANE: &str = "Mirror-Lane";
const THROUGH: &str = "Mirror-Through";
const RENDER: &str = "Mirror-Render";
const PREFIX: &str = "Mirror-Prefix";
const EVENTS: &str = "Mirror-Events";
const BACKFILL: &str = "Mirror-Backfill";
const CHANGE: &str = "Keboola-Change";
const CHANGES: &str = "Keboola-Changes";
/// Stands where a value is none.
const NOTHING: &str = "-";

impl Trailers {
    /// Lists the covered versions: by name up to [`LISTED_MAX`], or none if `listed` is false.
    #[must_use]
    pub fn with_changes(mut self, mut changes: Vec<TrailerChange>, listed: bool) -> Self {
        changes.sort();
        let shown = if listed { LISTED_MAX } else { 0 };
        self.all_changes = (changes.len() > shown).then(|| ChangesDigest {
            count: changes.len() as u64,
            sha256: digest_of_texts(changes.iter().map(TrailerChange::written)),
        });
        changes.truncate(shown);
        self.changes = changes;
        self
    }

    /// Writes the block, one trailer a line, each ended by a line feed.
    #[must_use]
    pub fn write(&self) -> String {
        let Self {
            log,
            lane,
            change,
            jobs,
            render,
            owned,
            backfill,
            events,
            changes,
            all_changes,
        } = self;
        let mut block = String::new();
        let mut line = |name: &str, value: &str| {
            // Writing to a string cannot fail.
            let _ = writeln!(block, "{name}: {value}");
        };
        line(LOG, log.as_str());
        line(
            LANE,
            &format!(
                "{}/{}",
                escaped(lane.mirror.as_str()),
                escaped(lane.branch.as_str())
            ),
        );
        line(THROUGH, &format!("change={change} jobs={jobs}"));
        line(RENDER, render.as_str());
        if let Some(owned) = owned {
            let prefix = owned.prefix().map(|prefix| escaped(prefix.as_str()));
            line(PREFIX, prefix.as_deref().unwrap_or(NOTHING));
        }
        if *backfill {
            line(BACKFILL, "yes");
        }
        line(EVENTS, &format!("{} {}", events.count, events.sha256));
        for change in changes {
            line(CHANGE, &change.written());
        }
        if let Some(ChangesDigest { count, sha256 }) = all_changes {
            line(CHANGES, &format!("{count} {sha256}"));
        }
        block
    }

    /// Reads the trailers of a commit's message: those of its last paragraph, unknown ones left
    /// out. None where it is not a commit of a mirror, or its trailers are not whole.
    #[must_use]
    pub fn parse(message: &str) -> Option<Self> {
        let mut log = Once::default();
        let mut lane = Once::default();
        let mut through = Once::default();
        let mut render = Once::default();
        let mut owned = Once::default();
        let mut events = Once::default();
        let mut all_changes = Once::default();
        let mut backfill = false;
        let mut changes = Vec::new();
        for line in last_paragraph(message) {
            let Some((name, value)) = line.split_once(": ") else {
                continue;
            };
            let value = value.trim_end();
            match name {
                LOG => log.set(LogId::parse(value).ok()?)?,
                LANE => lane.set(parse_lane(value)?)?,
                THROUGH => through.set(parse_through(value)?)?,
                RENDER => render.set(RenderDigest::parse(value)?)?,
                PREFIX => owned.set(parse_owned(value)?)?,
                EVENTS => events.set(parse_counted(value)?)?,
                BACKFILL => backfill = true,
                CHANGES => all_changes.set(parse_counted(value)?)?,
                CHANGE => changes.push(TrailerChange::parse(value)?),
                _ => {}
            }
        }
        let (change, jobs) = through.0?;
        let (count, sha256) = events.0?;
        Some(Self {
            log: log.0?,
            lane: lane.0?,
            change,
            jobs,
            render: render.0?,
            owned: owned.0,
            backfill,
            events: EventsDigest { count, sha256 },
            changes,
            all_changes: all_changes
                .0
                .map(|(count, sha256)| ChangesDigest { count, sha256 }),
        })
    }
}

/// A trailer that stands twice belongs to no commit that we made.
struct Once<T>(Option<T>);

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Once<T> {
    fn set(&mut self, value: T) -> Option<()> {
        match self.0.replace(value) {
            None => Some(()),
            Some(_) => None,
        }
    }
}

impl TrailerChange {
    fn written(&self) -> String {
        let Self {
            component,
            config,
            version,
            identifier,
            deleted,
        } = self;
        let identifier = identifier.as_deref().filter(|text| !text.is_empty());
        let identifier = identifier.map_or_else(|| NOTHING.to_owned(), escaped);
        let deleted = if *deleted { " deleted" } else { "" };
        format!(
            "{}/{}@{version} {identifier}{deleted}",
            escaped(component.as_str()),
            escaped(config.as_str())
        )
    }

    fn parse(value: &str) -> Option<Self> {
        let mut words = value.split(' ');
        let (object, version) = words.next()?.split_once('@')?;
        let (component, config) = object.split_once('/')?;
        let identifier = words.next()?;
        let deleted = match words.next() {
            None => false,
            Some("deleted") => true,
            Some(_) => return None,
        };
        Some(Self {
            component: ComponentId::parse(&unescaped(component)?).ok()?,
            config: ConfigId::parse(&unescaped(config)?).ok()?,
            version: whole(version)?,
            identifier: if identifier == NOTHING {
                None
            } else {
                Some(unescaped(identifier)?)
            },
            deleted,
        })
        .filter(|_| words.next().is_none())
    }
}

fn last_paragraph(message: &str) -> impl Iterator<Item = &str> {
    let lines: Vec<&str> = message.trim_end().lines().collect();
    let start = lines
        .iter()
        .rposition(|line| line.trim().is_empty())
        .map_or(0, |blank| blank + 1);
    lines.into_iter().skip(start)
}

fn parse_lane(value: &str) -> Option<LaneId> {
    let (mirror, branch) = value.split_once('/')?;
    let mirror = MirrorId::parse(&unescaped(mirror)?).ok()?;
    Some(LaneId {
        mirror,
        branch: BranchId::parse(&unescaped(branch)?).ok()?,
    })
}

fn parse_owned(value: &str) -> Option<OwnedPaths> {
    let prefix = match value {
        NOTHING => None,
        prefix => Some(MirrorPath::parse(&unescaped(prefix)?).ok()?),
    };
    Some(OwnedPaths::new(prefix))
}

fn parse_through(value: &str) -> Option<(Position, Position)> {
    let (change, jobs) = value.split_once(' ')?;
    let position = |text: &str, name: &str| whole(text.strip_prefix(name)?).map(Position);
    Some((position(change, "change=")?, position(jobs, "jobs=")?))
}

fn parse_counted(value: &str) -> Option<(u64, String)> {
    let (count, sha256) = value.split_once(' ')?;
    let hex = sha256.len() == 64
        && sha256
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if !hex {
        return None;
    }
    Some((whole(count)?, sha256.to_owned()))
}

/// Only digits: `u64::from_str` would also take a sign.
fn whole(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    }
}

/// Percent-encodes what separates the parts of a value, white space, what does not print, and the sign
/// by which a Git host takes a number for an issue's.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '%' | '/' | '@' | '#') || c.is_whitespace() || c.is_control() || text == NOTHING {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                // Writing to a string cannot fail.
                let _ = write!(out, "%{byte:02X}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

fn unescaped(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if *first == b'%' {
            out.push(data_encoding::HEXUPPER_PERMISSIVE.decode(tail.get(..2)?).ok()?[0]);
            rest = &tail[2..];
        } else {
            out.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use proptest::prelude::*;

    fn change(
        component: &str,
        config: &str,
        version: u64,
        identifier: Option<&str>,
        deleted: bool,
    ) -> TrailerChange {
        TrailerChange {
            component: ComponentId::parse(component).unwrap(),
            config: ConfigId::parse(config).unwrap(),
            version,
            identifier: identifier.map(str::to_owned),
            deleted,
        }
    }

    fn bare() -> Trailers {
        Trailers {
            log: LogId::parse("6f0c2d4e-0000-4000-8000-000000000000").unwrap(),
            lane: LaneId {
                mirror: MirrorId::parse("acme/main").unwrap(),
                branch: BranchId::parse("1187").unwrap(),
            },
            change: Position(918_273),
            jobs: Position(918_200),
            render: RenderDigest::parse("0123456789abcdef0123456789abcdef").unwrap(),
            owned: None,
            backfill: false,
            events: EventsDigest {
                count: 14,
                sha256: "ab".repeat(32),
            },
            changes: Vec::new(),
            all_changes: None,
        }
    }

    #[test]
    fn the_block_is_one_trailer_a_line_and_hostile_ids_cannot_break_it() {
        let changes = vec![
            change(
                "keboola.ex-db-mysql",
                "01k0vea53rhcw3anmg57w2k2aj",
                42,
                Some("01H2W8N0ZJJB6V126C8ZSND28N"),
                false,
            ),
            change("keboola.ex-db-mysql", "a b/c@7 \u{2028}%", 1, None, false),
            change("keboola.wr", "9", 43, Some("-"), true),
        ];
        let trailers = bare().with_changes(changes, true);
        expect![[r"
            Mirror-Log: 6f0c2d4e-0000-4000-8000-000000000000
            Mirror-Lane: acme%2Fmain/1187
            Mirror-Through: change=918273 jobs=918200
            Mirror-Render: 0123456789abcdef0123456789abcdef
            Mirror-Events: 14 abababababababababababababababababababababababababababababababab
            Keboola-Change: keboola.ex-db-mysql/01k0vea53rhcw3anmg57w2k2aj@42 01H2W8N0ZJJB6V126C8ZSND28N
            Keboola-Change: keboola.ex-db-mysql/a%20b%2Fc%407%20%E2%80%A8%25@1 -
            Keboola-Change: keboola.wr/9@43 %2D deleted
        "]]
        .assert_eq(&trailers.write());
        assert_eq!(
            Trailers::parse(&format!("Subject\n\nBody\n\n{}", trailers.write())),
            Some(trailers)
        );
    }

    #[test]
    fn the_block_says_where_the_files_lie() {
        let check = |prefix: Option<&str>, line: &str| {
            let prefix = prefix.map(|prefix| MirrorPath::parse(prefix).unwrap());
            let trailers = Trailers {
                owned: Some(OwnedPaths::new(prefix)),
                ..bare()
            };
            let block = trailers.write();
            assert!(block.lines().any(|written| written == line), "{block}");
            assert_eq!(Trailers::parse(&format!("s\n\n{block}")), Some(trailers));
        };
        check(None, "Mirror-Prefix: -");
        check(Some("-"), "Mirror-Prefix: %2D");
        check(Some("teams/our data"), "Mirror-Prefix: teams%2Four%20data");
    }

    #[test]
    fn past_a_hundred_objects_count_and_digest_stand_for_all() {
        let many = |count: u64| {
            (0..count)
                .map(|n| change("c", &format!("{n:04}"), n + 1, None, false))
                .collect()
        };
        let full = bare().with_changes(many(100), true);
        assert_eq!((full.changes.len(), full.all_changes.is_none()), (100, true));
        let over = bare().with_changes(many(101), true);
        assert_eq!(
            (over.changes.len(), over.all_changes.as_ref().map(|all| all.count)),
            (100, Some(101))
        );
        let unlisted = bare().with_changes(many(101), false);
        assert_eq!(
            (unlisted.changes.len(), &unlisted.all_changes),
            (0, &over.all_changes)
        );
        assert_eq!(Trailers::parse(&format!("s\n\n{}", over.write())), Some(over));
    }

    #[track_caller]
    fn check_refused(why: &str, message: &str) {
        assert_eq!(Trailers::parse(message), None, "{why}");
    }

    #[test]
    fn commits_that_are_not_whole_commits_of_a_mirror_have_no_trailers() {
        let block = bare().write();
        check_refused("a person's", "Fix a typo\n\nSigned-off-by: A <a@example.com>\n");
        check_refused("empty", "");
        check_refused(
            "quoted in a message",
            &format!("Revert\n\n{block}\nThat was wrong.\n"),
        );
        check_refused(
            "one is missing",
            &format!("s\n\n{}", block.replace("Mirror-Render", "Render")),
        );
        check_refused(
            "one stands twice",
            &format!("s\n\n{block}Mirror-Through: change=1 jobs=1\n"),
        );
        check_refused(
            "a sign",
            &format!("s\n\n{}", block.replace("change=", "change=+")),
        );
        check_refused(
            "past 64 bits",
            &format!("s\n\n{}", block.replace("change=", "change=99999999999999")),
        );
        check_refused(
            "a path out of the repository",
            &format!("s\n\n{block}Mirror-Prefix: ..\n"),
        );
        check_refused(
            "two places",
            &format!("s\n\n{block}Mirror-Prefix: -\nMirror-Prefix: a\n"),
        );
        check_refused("torn escape", &format!("s\n\n{}", block.replace("%2F", "%2")));
        check_refused("half a change", &format!("s\n\n{block}Keboola-Change: a/b\n"));
    }

    #[test]
    fn what_people_and_hosts_add_to_the_block_does_not_matter() {
        let block = format!(
            "{}Co-authored-by: A <a@example.com>\nSigned-off-by: B <b@example.com>\n\n",
            bare().write()
        );
        assert_eq!(Trailers::parse(&format!("s\n\n{block}")), Some(bare()));
        assert_eq!(
            Trailers::parse(&format!("s\n\n{block}").replace('\n', "\r\n")),
            Some(bare())
        );
    }

    proptest! {
        #[test]
        fn any_id_comes_back(config in "[^\\p{Cc}]{1,60}", identifier in "[^\\p{Cc}]{1,40}", version: u64) {
            let trailers = bare().with_changes(vec![change("c", &config, version, Some(&identifier), false)], true);
            prop_assert_eq!(Trailers::parse(&format!("s\n\n{}", trailers.write())), Some(trailers));
        }

        #[test]
        fn no_message_makes_it_panic(message in "(?s).{0,200}") {
            let _ = Trailers::parse(&format!("s\n\n{}{message}", bare().write()));
        }
    }
}
