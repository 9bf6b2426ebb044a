//! Reading a long list item by item, so that memory is bounded by the largest item.

use crate::{
    KeboolaError,
    json::Problem,
    text::{Received, Text},
};
use reqwest::Response;
use std::{collections::VecDeque, fmt, time::Duration};
use tokio::time::{Instant, timeout};

/// A list that is read from the network as it is consumed.
///
/// A failure ends it; what was read before stands, and the call has to be made again. Other calls
/// of the same client go on while it is open: it is not counted into their parallelism.
pub struct ItemStream<T> {
    what: String,
    /// None after the end or a failure.
    response: Option<Response>,
    splitter: ArraySplitter,
    ready: VecDeque<Received>,
    parse: fn(Text<'_>) -> Result<T, Problem>,
    total: Duration,
    left: Duration,
}

impl<T> fmt::Debug for ItemStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ItemStream")
            .field("what", &self.what)
            .finish_non_exhaustive()
    }
}

impl<T> ItemStream<T> {
    pub(crate) fn new(
        what: String,
        response: Response,
        item_bytes_max: usize,
        total: Duration,
        parse: fn(Text<'_>) -> Result<T, Problem>,
    ) -> Self {
        let splitter = ArraySplitter::new(item_bytes_max);
        Self {
            what,
            response: Some(response),
            splitter,
            ready: VecDeque::new(),
            parse,
            total,
            left: total,
        }
    }

    /// Returns the next item, or none at the end.
    ///
    /// # Errors
    /// A broken or slow connection, an item above `response_bytes_max`, or one of another form.
    pub async fn next(&mut self) -> Result<Option<T>, KeboolaError> {
        let item = self.next_text().await;
        let item = item.and_then(|text| {
            text.map(|text| (self.parse)(text.text()).map_err(|detail| self.malformed(detail)))
                .transpose()
        });
        if item.is_err() {
            self.response = None;
            self.ready.clear();
        }
        item
    }

    /// Returns all items that are left.
    ///
    /// # Errors
    /// As `next`.
    pub async fn collect(mut self) -> Result<Vec<T>, KeboolaError> {
        let mut items = Vec::new();
        while let Some(item) = self.next().await? {
            items.push(item);
        }
        Ok(items)
    }

    async fn next_text(&mut self) -> Result<Option<Received>, KeboolaError> {
        loop {
            if let Some(text) = self.ready.pop_front() {
                return Ok(Some(text));
            }
            let Some(response) = &mut self.response else {
                return Ok(None);
            };
            let asked = Instant::now();
            let chunk = timeout(self.left, response.chunk()).await;
            self.left = self.left.saturating_sub(asked.elapsed());
            match chunk {
                Err(_) => {
                    return Err(KeboolaError::Timeout {
                        what: self.what.clone(),
                        after: self.total,
                    });
                }
                Ok(Err(source)) => return Err(crate::http::broken(&self.what, source)),
                Ok(Ok(Some(bytes))) => match self.splitter.feed(&bytes, &mut self.ready) {
                    Ok(()) => {}
                    Err(SplitError::TooLarge) => {
                        return Err(KeboolaError::TooLarge {
                            what: self.what.clone(),
                            limit: self.splitter.item_bytes_max,
                        });
                    }
                    Err(SplitError::Form(problem)) => return Err(self.malformed(problem.to_owned())),
                },
                Ok(Ok(None)) => {
                    self.response = None;
                    if !self.splitter.is_done() {
                        return Err(self.malformed("the list ends early".into()));
                    }
                }
            }
        }
    }

    fn malformed(&self, detail: String) -> KeboolaError {
        KeboolaError::Malformed {
            what: self.what.clone(),
            detail,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SplitError {
    TooLarge,
    Form(&'static str),
}

/// Cuts the text of one JSON array into the texts of its items, as the bytes come. It looks at
/// brackets and strings only; whether an item is valid is found when it is parsed.
#[derive(Debug)]
pub(crate) struct ArraySplitter {
    item_bytes_max: usize,
    state: State,
    item: Vec<u8>,
    depth: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before `[`.
    Start,
    /// After `[`: an item or `]`.
    First,
    /// After `,`: an item.
    Item,
    Inside,
    InString,
    Escaped,
    /// After `]`: only white space.
    Done,
}

impl ArraySplitter {
    pub(crate) fn new(item_bytes_max: usize) -> Self {
        Self {
            item_bytes_max,
            state: State::Start,
            item: Vec::new(),
            depth: 0,
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    pub(crate) fn feed(&mut self, bytes: &[u8], ready: &mut VecDeque<Received>) -> Result<(), SplitError> {
        for &byte in bytes {
            self.step(byte, ready)?;
        }
        Ok(())
    }

    fn step(&mut self, byte: u8, ready: &mut VecDeque<Received>) -> Result<(), SplitError> {
        let blank = matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        match self.state {
            State::Start | State::First | State::Item | State::Done if blank => return Ok(()),
            State::Start if byte == b'[' => {
                self.state = State::First;
                return Ok(());
            }
            State::Start => return Err(SplitError::Form("it is not a list")),
            State::Done => return Err(SplitError::Form("something follows the list")),
            State::First if byte == b']' => {
                self.state = State::Done;
                return Ok(());
            }
            State::First | State::Item if matches!(byte, b',' | b']' | b'}' | b':') => {
                return Err(SplitError::Form("an item of the list is missing"));
            }
            State::Inside if self.depth == 0 && matches!(byte, b',' | b']') => {
                self.state = if byte == b',' { State::Item } else { State::Done };
                ready.push_back(Received::new(std::mem::take(&mut self.item)));
                return Ok(());
            }
            State::First | State::Item | State::Inside => self.open(byte),
            State::InString => {
                self.state = match byte {
                    b'\\' => State::Escaped,
                    b'"' => State::Inside,
                    _ => State::InString,
                }
            }
            State::Escaped => self.state = State::InString,
        }
        if self.item.len() >= self.item_bytes_max {
            return Err(SplitError::TooLarge);
        }
        self.item.push(byte);
        Ok(())
    }

    fn open(&mut self, byte: u8) {
        self.state = State::Inside;
        match byte {
            b'"' => self.state = State::InString,
            b'[' | b'{' => self.depth += 1,
            b']' | b'}' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(ready: &VecDeque<Received>) -> Vec<&str> {
        ready.iter().map(|item| item.text().raw()).collect()
    }

    /// Feeds the text in pieces of every length; all must agree.
    #[track_caller]
    fn check(text: &str, expected: Result<&[&str], SplitError>) {
        for length in 1..=text.len().max(1) {
            let (mut splitter, mut ready) = (ArraySplitter::new(40), VecDeque::new());
            let fed = text
                .as_bytes()
                .chunks(length)
                .try_for_each(|piece| splitter.feed(piece, &mut ready));
            let found = match fed {
                Ok(()) if !splitter.is_done() => Err(SplitError::Form("open")),
                other => other,
            };
            match (&found, &expected) {
                (Ok(()), Ok(items)) => assert_eq!(raw(&ready), *items, "{text} in pieces of {length}"),
                (Err(found), Err(expected)) => assert_eq!(found, expected, "{text} in pieces of {length}"),
                _ => panic!("{text} in pieces of {length}: {found:?}"),
            }
        }
    }

    #[test]
    fn items_are_cut_wherever_the_network_cuts() {
        check("[]", Ok(&[]));
        check(" [ ] \n", Ok(&[]));
        check(
            r#"[{"a":[1,{"b":"]},\""}]}, [] ,12,"x,\\",null]"#,
            Ok(&[r#"{"a":[1,{"b":"]},\""}]}"#, "[] ", "12", r#""x,\\""#, "null"]),
        );
        check(r#"["ž","日本"]"#, Ok(&[r#""ž""#, r#""日本""#]));
    }

    #[test]
    fn other_texts_are_refused() {
        check(r#"{"error":"x"}"#, Err(SplitError::Form("it is not a list")));
        check("[1,]", Err(SplitError::Form("an item of the list is missing")));
        check("[,]", Err(SplitError::Form("an item of the list is missing")));
        check("[1] 2", Err(SplitError::Form("something follows the list")));
        check("[1", Err(SplitError::Form("open")));
        check(&format!("[\"{}\"]", "x".repeat(39)), Err(SplitError::TooLarge));
    }
}
