//! The render digest: what a commit's content depends on beside the project itself.
//!
//! A tip whose digest differs from the running one is rendered anew, in a commit of its own.

use crate::key::digest_of_texts;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Digest over everything but the project that decides what the files look like; 32 hexadecimal digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RenderDigest(String);

/// What goes into a [`RenderDigest`].
#[derive(Debug, Clone, Copy)]
pub struct RenderInputs<'a> {
    /// Raised by releases whose output changes.
    pub format_version: u32,
    /// Digest of the renderer component.
    pub renderer: &'a str,
    /// (component, settings) digests of the policies, in the order in which they judge.
    pub policies: &'a [(String, String)],
    pub secrets_mode: &'a str,
    /// Render options, as one canonical text.
    pub options: &'a str,
    /// Names the key of the markers' tags; never the key.
    pub tag_key_id: &'a str,
}

impl RenderDigest {
    /// Computes the digest.
    #[must_use]
    pub fn of(inputs: &RenderInputs<'_>) -> Self {
        let RenderInputs {
            format_version,
            renderer,
            policies,
            secrets_mode,
            options,
            tag_key_id,
        } = *inputs;
        let (version, count) = (format_version.to_string(), policies.len().to_string());
        let mut texts = vec![
            "keboola-mirror-render",
            version.as_str(),
            renderer,
            count.as_str(),
        ];
        texts.extend(
            policies
                .iter()
                .flat_map(|(component, settings)| [component.as_str(), settings.as_str()]),
        );
        texts.extend([secrets_mode, options, tag_key_id]);
        let mut digest = digest_of_texts(texts);
        digest.truncate(32);
        Self(digest)
    }

    /// Reads a digest back, as from a trailer; none where it is not 32 lower-case hexadecimal digits.
    #[must_use]
    pub fn parse(raw: &str) -> Option<Self> {
        let fits = raw.len() == 32 && raw.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        fits.then(|| Self(raw.to_owned()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RenderDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RenderDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RenderDigest({})", self.0)
    }
}

impl TryFrom<String> for RenderDigest {
    type Error = &'static str;
    fn try_from(raw: String) -> Result<Self, Self::Error> {
        Self::parse(&raw).ok_or("a render digest has 32 lower-case hexadecimal digits")
    }
}

impl From<RenderDigest> for String {
    fn from(digest: RenderDigest) -> String {
        digest.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(component: &str, settings: &str) -> (String, String) {
        (component.to_owned(), settings.to_owned())
    }

    #[test]
    fn every_input_counts_and_so_does_the_order_of_the_policies() {
        let (one, two) = (
            [policy("a", "b"), policy("c", "d")],
            [policy("c", "d"), policy("a", "b")],
        );
        let base = RenderInputs {
            format_version: 1,
            renderer: "r",
            policies: &one,
            secrets_mode: "masked",
            options: "{}",
            tag_key_id: "k",
        };
        let variants = [
            base,
            RenderInputs {
                format_version: 2,
                ..base
            },
            RenderInputs {
                renderer: "s",
                ..base
            },
            RenderInputs {
                policies: &two,
                ..base
            },
            RenderInputs {
                policies: &one[..1],
                ..base
            },
            RenderInputs {
                secrets_mode: "omitted",
                ..base
            },
            RenderInputs {
                options: "{\"a\":1}",
                ..base
            },
            RenderInputs {
                tag_key_id: "l",
                ..base
            },
        ];
        let digests: std::collections::BTreeSet<RenderDigest> =
            variants.iter().map(RenderDigest::of).collect();
        assert_eq!(digests.len(), variants.len());
        let digest = RenderDigest::of(&base);
        assert_eq!(RenderDigest::parse(digest.as_str()), Some(digest));
        assert_eq!(RenderDigest::parse("x"), None);
    }
}
