//! How bytes get to a Git server and back: over HTTP, through `ssh`, or over a plain connection.
//!
//! Knows services, requests and answers as bytes; what they mean is said in [`crate::smart`].

pub(crate) mod duplex;
pub(crate) mod git_daemon;
pub(crate) mod http;
pub(crate) mod ssh;

use crate::{data::Data, transport_error::TransportError};
use bytes::Bytes;
use reqwest::Body;
use std::{
    fmt,
    io::{self, Read},
    time::Duration,
};

/// What is asked of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Service {
    /// To read.
    UploadPack,
    /// To write.
    ReceivePack,
}

impl Service {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::UploadPack => "git-upload-pack",
            Self::ReceivePack => "git-receive-pack",
        }
    }
}

/// How long to wait for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection, with TLS.
    pub connect: Duration,
    /// Without a single byte in either direction. A server that runs hooks may be silent for a while.
    pub idle: Duration,
    /// For one request and its answer.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            idle: Duration::from_secs(90),
            total: Duration::from_secs(900),
        }
    }
}

/// A piece of a request, which is not copied to be sent.
pub(crate) type Piece = Data;

/// A request that got no answer to read.
#[derive(Debug)]
pub(crate) struct SendError {
    pub(crate) error: TransportError,
    /// Whether the server may have done what it was asked for nevertheless.
    pub(crate) may_have_worked: bool,
}

/// A server that may be connected to.
pub(crate) trait Link: Send + Sync + fmt::Debug {
    /// Starts to talk to a service. The first thing to read is the server's advertisement.
    fn open(&self, service: Service, version_2: bool) -> Result<Box<dyn Conversation + '_>, TransportError>;

    /// Starts to talk where each request stands for itself, without an advertisement; none where that cannot be.
    fn resume(&self, service: Service, version_2: bool) -> Option<Box<dyn Conversation + '_>>;

    /// Replaces the credentials in a text, should the other side have sent them back.
    fn without_secrets(&self, text: &str) -> String;
}

/// A conversation with one service.
pub(crate) trait Conversation {
    /// Returns what the server says.
    fn reader(&mut self) -> &mut dyn Read;

    /// Says how many bytes the answer to the next request may have, where that is not settled for the whole conversation.
    fn bound(&mut self, _bytes_max: u64) {}

    /// Sends a request whose answer is read next.
    fn send(&mut self, request: Vec<Piece>) -> Result<(), SendError>;

    /// Says what is behind an error that the reader gave.
    fn explain(&mut self, error: io::Error) -> TransportError;
}

/// Makes a request's body of pieces, with a known length: some servers refuse chunked requests.
pub(crate) fn body(pieces: Vec<Piece>, progress: impl Fn() + Send + Sync + 'static) -> Body {
    Body::wrap(Pieces {
        pieces: pieces.into(),
        progress: Box::new(progress),
    })
}

/// Each part is so long at most, so that progress is seen.
const PART_BYTES: usize = 64 << 10;

struct Pieces {
    pieces: std::collections::VecDeque<Piece>,
    progress: Box<dyn Fn() + Send + Sync>,
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        (self.progress)();
        let Some(first) = self.pieces.front_mut() else {
            return std::task::Poll::Ready(None);
        };
        let part = first.take_front(PART_BYTES);
        if first.is_empty() {
            self.pieces.pop_front();
        }
        let part = part.map(http_body::Frame::data).map_err(io::Error::from);
        std::task::Poll::Ready(Some(part))
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        let bytes = self.pieces.iter().map(Piece::len).sum();
        http_body::SizeHint::with_exact(bytes)
    }
}
