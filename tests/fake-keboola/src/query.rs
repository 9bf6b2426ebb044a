//! The query of a request: only what the endpoint knows is let through.

use crate::routes::Refusal;
use axum::{
    extract::Query as Pairs,
    http::{StatusCode, Uri},
};

#[derive(Debug)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(uri: &Uri) -> Result<Self, Refusal> {
        let pairs = Pairs::<Vec<(String, String)>>::try_from_uri(uri);
        pairs
            .map(|Pairs(pairs)| Self(pairs))
            .map_err(|_| invalid("the query cannot be parsed"))
    }

    /// Refuses parameters that are not listed, and repeated ones whose name does not end in `[]`.
    /// A listed name that ends in `*` allows what begins so.
    pub(crate) fn allow(&self, names: &[&str]) -> Result<(), Refusal> {
        for (index, (name, _)) in self.0.iter().enumerate() {
            let known = names.iter().any(|known| match known.strip_suffix('*') {
                Some(start) => name.starts_with(start),
                None => name == known,
            });
            if !known {
                return Err(invalid(&format!("unknown parameter `{name}`")));
            }
            if !name.ends_with("[]") && self.0[..index].iter().any(|(other, _)| other == name) {
                return Err(invalid(&format!("parameter `{name}` is repeated")));
            }
        }
        Ok(())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn all<'q>(&'q self, name: &'q str) -> impl Iterator<Item = &'q str> {
        self.0
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn number(&self, name: &str, default: usize, max: usize) -> Result<usize, Refusal> {
        let Some(raw) = self.get(name) else {
            return Ok(default);
        };
        raw.parse()
            .ok()
            .filter(|number| *number <= max)
            .ok_or_else(|| invalid(&format!("parameter `{name}` must be a number up to {max}")))
    }

    /// Returns one of the listed words.
    pub(crate) fn word(&self, name: &str, words: &[&str]) -> Result<Option<&str>, Refusal> {
        match self.get(name) {
            Some(word) if !words.contains(&word) => {
                Err(invalid(&format!("parameter `{name}` has an unknown value")))
            }
            found => Ok(found),
        }
    }

    /// Returns a comma-separated list, each item one of the listed words.
    pub(crate) fn include(&self, words: &[&str]) -> Result<Vec<&str>, Refusal> {
        let items: Vec<&str> = self
            .get("include")
            .map(|list| list.split(',').collect())
            .unwrap_or_default();
        match items.iter().find(|item| !words.contains(item)) {
            Some(item) => Err(invalid(&format!("cannot include `{item}`"))),
            None => Ok(items),
        }
    }
}

pub(crate) fn invalid(message: &str) -> Refusal {
    Refusal {
        status: StatusCode::BAD_REQUEST,
        code: "validation".into(),
        message: message.into(),
    }
}
