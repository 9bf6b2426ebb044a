//! One stream for data, progress and errors: the first byte of a packet says which.

/// A packet's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sideband<'a> {
    Data(&'a [u8]),
    /// Text for people.
    Progress(&'a [u8]),
    /// The end, and why.
    Error(&'a [u8]),
}

/// Tells the band of a packet; none if there is no such band.
pub(crate) fn split(packet: &[u8]) -> Option<Sideband<'_>> {
    let (band, content) = packet.split_first()?;
    match band {
        1 => Some(Sideband::Data(content)),
        2 => Some(Sideband::Progress(content)),
        3 => Some(Sideband::Error(content)),
        _ => None,
    }
}
