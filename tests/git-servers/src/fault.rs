//! What a web server can do wrong.

/// Which request a fault meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// The advertisement for reading.
    AdvertiseRead,
    /// The advertisement for writing.
    AdvertiseWrite,
    /// A request to read.
    Read,
    /// A push.
    Write,
    Any,
}

/// A failure of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// None: the request is served as ever, and the next one meets what comes next.
    Pass,
    /// The connection ends before a byte of the request's body is read.
    CutBeforeBody,
    /// The connection ends when so many bytes of the body were read.
    CutInBody(usize),
    /// The connection ends after the whole body, and the repository never sees it.
    CutAfterBody,
    /// The repository has done its part; the connection ends without an answer.
    CutBeforeAnswer,
    /// The repository has done its part; the connection ends after so many bytes of the answer.
    CutInAnswer(usize),
    /// Another answer, and the repository never sees the request.
    Answer {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: String,
    },
    /// Another answer after the repository has done its part, as a proxy gives it that has lost patience.
    AnswerAfterwards { status: u16 },
    /// Nothing, for as long as anybody waits.
    Hang,
    /// The repository has done its part; then nothing.
    HangAfterwards,
    /// So many bytes of the answer, then nothing.
    HangInAnswer(usize),
}

impl Fault {
    /// An answer without anything special.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::text(status, "")
    }

    /// An answer for people.
    #[must_use]
    pub fn text(status: u16, body: &str) -> Self {
        Self::Answer {
            status,
            headers: vec![("content-type", "text/plain; charset=utf-8".to_owned())],
            body: body.to_owned(),
        }
    }

    /// A page as a proxy or a login makes it.
    #[must_use]
    pub fn html(status: u16, body: &str) -> Self {
        Self::Answer {
            status,
            headers: vec![("content-type", "text/html".to_owned())],
            body: body.to_owned(),
        }
    }

    /// The same with a body of another type.
    #[must_use]
    pub fn with_content_type(mut self, content_type: &str, content: &str) -> Self {
        if let Self::Answer { headers, body, .. } = &mut self {
            headers.retain(|(name, _)| *name != "content-type");
            headers.push(("content-type", content_type.to_owned()));
            content.clone_into(body);
        }
        self
    }

    /// The same with one more header.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: &str) -> Self {
        if let Self::Answer { headers, .. } = &mut self {
            headers.push((name, value.to_owned()));
        }
        self
    }
}
