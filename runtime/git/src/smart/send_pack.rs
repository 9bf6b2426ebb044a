//! Sending commands and a pack, and reading what became of each.

use super::{
    advertisement::Advertisement,
    pktline::{self, Packet, PacketError, PacketReader},
    sideband::{self, Sideband},
};
use crate::{
    AGENT,
    error::Offer,
    ref_update::{PushMode, RefUpdate},
    refname::RefName,
};
use mirror_core::ids::Oid;
use std::fmt::Write as _;

const ZERO: Oid = Oid::from_bytes([0; 20]);

/// Writes everything that comes before the pack. That every update has its expected old id makes each a
/// compare-and-swap: the server moves the ref from there or not at all.
pub(crate) fn request(
    server: &Advertisement,
    updates: &[&RefUpdate],
    mode: &PushMode,
) -> Result<Vec<u8>, Offer> {
    let mut capabilities = String::new();
    let mut use_capability = |name: &str| {
        let _ = write!(capabilities, " {name}");
    };
    let report = ["report-status-v2", "report-status"];
    // Without it nobody would know what became of a push.
    let report = report.into_iter().find(|name| server.has(name));
    use_capability(report.ok_or(Offer::Report)?);
    for name in ["side-band-64k", "quiet"] {
        if server.has(name) {
            use_capability(name);
        }
    }
    if server.has("object-format") {
        use_capability("object-format=sha1");
    }
    // One alone is all or none anyway.
    let is_atomic = mode.atomic && updates.len() > 1;
    for (is_wanted, offer) in [
        (updates.iter().any(|update| update.new.is_none()), Offer::Deletion),
        (is_atomic, Offer::Atomic),
    ] {
        if is_wanted && !server.has(offer.capability()) {
            return Err(offer);
        }
    }
    if is_atomic {
        use_capability("atomic");
    }
    let sends_options = takes_options(server, mode);
    if sends_options {
        use_capability("push-options");
    }
    use_capability(&format!("agent={AGENT}"));
    let mut out = Vec::new();
    for (number, update) in updates.iter().enumerate() {
        let (old, new) = (update.expected_old.unwrap_or(ZERO), update.new.unwrap_or(ZERO));
        let capabilities = if number == 0 {
            format!("\0{capabilities}")
        } else {
            String::new()
        };
        pktline::push(
            &mut out,
            &format!("{old} {new} {}{capabilities}", update.refname.as_str()),
        );
    }
    out.extend_from_slice(pktline::FLUSH);
    if sends_options {
        for option in &mode.options {
            pktline::push(&mut out, option.as_str());
        }
        out.extend_from_slice(pktline::FLUSH);
    }
    Ok(out)
}

/// Returns whether there are push options, and the server takes them.
pub(crate) fn takes_options(server: &Advertisement, mode: &PushMode) -> bool {
    !mode.options.is_empty() && server.has("push-options")
}

/// What the server did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Report {
    /// What was wrong with the pack; none if nothing was.
    pub(crate) unpack: Option<String>,
    /// By ref; its error is the server's reason.
    pub(crate) refs: Vec<(String, Result<(), String>)>,
    /// What it, or its hooks, said meanwhile.
    pub(crate) messages: String,
}

impl Report {
    /// Returns what became of a ref; none if the server does not say.
    pub(crate) fn of(&self, refname: &RefName) -> Option<&Result<(), String>> {
        let found = self.refs.iter().find(|(name, _)| name == refname.as_str());
        found.map(|(_, outcome)| outcome)
    }
}

/// A report that did not come whole; the messages up to there tell why more often than not.
#[derive(Debug)]
pub(crate) struct NoReport {
    pub(crate) messages: String,
    pub(crate) error: ReportError,
}

#[derive(Debug)]
pub(crate) enum ReportError {
    Packet(PacketError),
    /// The server gave up.
    Said(String),
    Malformed(&'static str),
}

const MESSAGES_BYTES_MAX: usize = 64 << 10;

/// Reads the report.
pub(crate) fn read_report(
    server: &Advertisement,
    packets: &mut PacketReader<'_>,
) -> Result<Report, NoReport> {
    let mut messages = Vec::new();
    let outcome = if server.has("side-band-64k") {
        read_banded(packets, &mut messages).and_then(|raw| {
            let mut raw = raw.as_slice();
            let bytes = raw.len() as u64;
            read_lines(&mut PacketReader::new(&mut raw, bytes))
        })
    } else {
        read_lines(packets)
    };
    let messages = String::from_utf8_lossy(&messages).into_owned();
    match outcome {
        Ok(report) => Ok(Report { messages, ..report }),
        Err(error) => Err(NoReport { messages, error }),
    }
}

fn read_banded(packets: &mut PacketReader<'_>, messages: &mut Vec<u8>) -> Result<Vec<u8>, ReportError> {
    let mut raw = Vec::new();
    loop {
        match packets.require().map_err(ReportError::Packet)? {
            Packet::Data(data) => match sideband::split(&data) {
                Some(Sideband::Data(data)) => raw.extend_from_slice(data),
                Some(Sideband::Progress(text)) => {
                    let room = MESSAGES_BYTES_MAX.saturating_sub(messages.len());
                    messages.extend_from_slice(&text[..text.len().min(room)]);
                }
                Some(Sideband::Error(said)) => {
                    return Err(ReportError::Said(String::from_utf8_lossy(said).into_owned()));
                }
                // An error before the side-band was agreed on.
                None if data.starts_with(b"ERR ") => {
                    return Err(ReportError::Said(
                        String::from_utf8_lossy(&data[4..]).into_owned(),
                    ));
                }
                None => return Err(ReportError::Malformed("a packet of no known band")),
            },
            Packet::Flush => return Ok(raw),
            Packet::Delimiter | Packet::ResponseEnd => {
                return Err(ReportError::Malformed("a section where the report should be"));
            }
        }
    }
}

fn read_lines(packets: &mut PacketReader<'_>) -> Result<Report, ReportError> {
    let mut report = Report::default();
    let mut has_unpack = false;
    loop {
        let packet = packets.require().map_err(ReportError::Packet)?;
        let Some(line) = packet.line() else { break };
        let line = String::from_utf8_lossy(line);
        match line.split_once(' ') {
            Some(("unpack", "ok")) => has_unpack = true,
            Some(("unpack", problem)) => {
                has_unpack = true;
                report.unpack = Some(problem.to_owned());
            }
            Some(("ok", name)) => report.refs.push((name.to_owned(), Ok(()))),
            Some(("ng", rest)) => {
                let (name, reason) = rest.split_once(' ').unwrap_or((rest, ""));
                report.refs.push((name.to_owned(), Err(reason.to_owned())));
            }
            Some(("ERR", said)) => return Err(ReportError::Said(said.to_owned())),
            // What a hook did with a ref instead. Where the ref then is, is read back.
            Some(("option", _)) => {}
            _ => return Err(ReportError::Malformed("a line of the report is of no known kind")),
        }
    }
    if has_unpack {
        Ok(report)
    } else {
        Err(ReportError::Malformed("the report is empty"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ref_update::PushOption;

    fn server(capabilities: &str) -> Advertisement {
        let mut raw = Vec::new();
        pktline::push(&mut raw, &format!("{ZERO} capabilities^{{}}\0{capabilities}\n"));
        raw.extend_from_slice(pktline::FLUSH);
        let mut raw = raw.as_slice();
        Advertisement::read(&mut PacketReader::new(&mut raw, 10_000)).unwrap()
    }

    fn update(short: &str, old: u8, new: u8) -> RefUpdate {
        let id = |byte| (byte > 0).then(|| Oid::from_bytes([byte; 20]));
        RefUpdate {
            refname: RefName::branch(short).unwrap(),
            expected_old: id(old),
            new: id(new),
        }
    }

    #[test]
    fn the_expected_old_id_is_always_sent_and_nothing_is_asked_for_in_vain() {
        let all = server(
            "report-status report-status-v2 side-band-64k atomic push-options delete-refs quiet object-format=sha1",
        );
        let mode = PushMode {
            atomic: true,
            options: vec![PushOption::parse("ci.skip").unwrap()],
        };
        let (a, b) = (update("a", 1, 2), update("b", 3, 0));
        let written = request(&all, &[&a, &b], &mode).unwrap();
        let written = String::from_utf8(written).unwrap();
        let ones = "01".repeat(20);
        assert!(
            written[4..].starts_with(&format!("{ones} {} refs/heads/a\0", "02".repeat(20))),
            "{written}"
        );
        for part in [
            " report-status-v2 ",
            " atomic ",
            " push-options ",
            " object-format=sha1 ",
            "0000000bci.skip0000",
        ] {
            assert!(written.contains(part), "{part}");
        }
        assert!(written.contains(&format!("{} {ZERO} refs/heads/b0000", "03".repeat(20))));
        let lacking = |capabilities: &str, update: &RefUpdate, mode: &PushMode| {
            request(&server(capabilities), &[update, &a], mode).unwrap_err()
        };
        let plain = PushMode::default();
        assert_eq!(lacking("side-band-64k", &a, &plain), Offer::Report);
        assert_eq!(lacking("report-status", &b, &plain), Offer::Deletion);
        assert_eq!(lacking("report-status push-options", &a, &mode), Offer::Atomic);
        // Options are for hooks; a server that knows none is pushed to without.
        let written = request(&server("report-status"), &[&a], &mode).unwrap();
        let written = String::from_utf8(written).unwrap();
        assert!(!written.contains("option") && !written.contains("atomic"));
    }

    fn report(banded: bool, parts: &[(u8, &str)]) -> Result<Report, NoReport> {
        let mut raw = Vec::new();
        for (band, text) in parts {
            let text = if banded {
                format!("{}{text}", *band as char)
            } else {
                (*text).to_owned()
            };
            pktline::push(&mut raw, &text);
        }
        raw.extend_from_slice(pktline::FLUSH);
        let mut raw = raw.as_slice();
        let server = server(if banded {
            "report-status side-band-64k"
        } else {
            "report-status"
        });
        read_report(&server, &mut PacketReader::new(&mut raw, 1 << 20))
    }

    #[test]
    fn every_ref_has_its_own_outcome() {
        let lines = [
            (1, "unpack ok\n"),
            (1, "ok refs/heads/a\n"),
            (1, "ng refs/heads/b hook declined\n"),
        ];
        let plain = report(false, &lines).unwrap();
        let outcomes = |report: &Report| {
            ["a", "b", "c"].map(|short| report.of(&RefName::branch(short).unwrap()).cloned())
        };
        let expected = [Some(Ok(())), Some(Err("hook declined".to_owned())), None];
        assert_eq!(outcomes(&plain), expected);
        let inner: String = lines
            .iter()
            .map(|(_, line)| format!("{:04x}{line}", line.len() + 4))
            .collect();
        let (first, second) = inner.split_at(17);
        let banded = report(
            true,
            &[
                (2, "remote says\n"),
                (1, first),
                (2, "more"),
                (1, second),
                (1, "0000"),
            ],
        )
        .unwrap();
        assert_eq!(
            (outcomes(&banded), banded.messages.as_str()),
            (expected, "remote says\nmore")
        );
        let unpack = report(
            false,
            &[
                (1, "unpack index-pack abnormal exit\n"),
                (1, "ng refs/heads/a unpacker error\n"),
            ],
        );
        assert_eq!(
            unpack.unwrap().unpack.as_deref(),
            Some("index-pack abnormal exit")
        );
    }

    #[test]
    fn a_report_that_ends_early_keeps_what_was_said() {
        let error = report(true, &[(2, "remote: fatal: too big\n"), (3, "the end\n")]).unwrap_err();
        assert!(matches!(error.error, ReportError::Said(said) if said == "the end\n"));
        assert_eq!(error.messages, "remote: fatal: too big\n");
        assert!(report(true, &[(1, "000eunpack")]).is_err());
        assert!(report(true, &[]).is_err(), "an empty answer is no success");
        assert!(report(false, &[(1, "ok refs/heads/a\n")]).is_err());
        assert!(report(false, &[(1, "<html>\n")]).is_err());
    }
}
