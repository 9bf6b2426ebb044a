//! The policy's settings: exceptions, and nothing that could switch off the rules of Keboola itself.

use crate::rules;
use serde_json::Value;

/// JSON Schema of the settings.
pub const SCHEMA: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "allow": {
      "description": "Findings that stay, by rule and file. The rule keboola-plaintext knows no exception.",
      "type": "array",
      "items": {
        "type": "object",
        "additionalProperties": false,
        "required": ["rule", "path"],
        "properties": {
          "rule": {"type": "string", "description": "The type in the marker, such as password"},
          "path": {"type": "string", "description": "Path in the repository; a * at the end stands for any rest"}
        }
      }
    }
  }
}"#;

/// Something wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// RFC 6901 pointer into the settings.
    pub pointer: String,
    pub message: String,
}

impl Issue {
    fn new(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            message: message.into(),
        }
    }
}

/// Parsed settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    allow: Vec<Exception>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Exception {
    rule: rules::RuleIndex,
    path: String,
}

impl Settings {
    /// Parses the settings, a JSON text.
    ///
    /// # Errors
    /// Everything that is wrong with them, each with its place.
    pub fn parse(text: &str) -> Result<Self, Vec<Issue>> {
        let value: Value = serde_json::from_str(text).map_err(|error| {
            vec![Issue::new(
                "",
                format!("the settings are not JSON (line {})", error.line()),
            )]
        })?;
        let Value::Object(members) = value else {
            return Err(vec![Issue::new("", "the settings must be an object")]);
        };
        let mut settings = Self::default();
        let mut issues = Vec::new();
        for (name, value) in &members {
            match (name.as_str(), value) {
                ("allow", Value::Array(items)) => {
                    for (index, item) in items.iter().enumerate() {
                        match parse_exception(item, &format!("/allow/{index}")) {
                            Ok(exception) => settings.allow.push(exception),
                            Err(found) => issues.extend(found),
                        }
                    }
                }
                ("allow", _) => issues.push(Issue::new("/allow", "must be a list")),
                _ => issues.push(unknown("", name)),
            }
        }
        if issues.is_empty() {
            Ok(settings)
        } else {
            Err(issues)
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.allow.is_empty()
    }

    /// Says whether a finding of this rule in this file stays.
    pub(crate) fn allows(&self, rule: rules::RuleIndex, path: &str) -> bool {
        let matches = |pattern: &str| match pattern.strip_suffix('*') {
            Some(start) => path.starts_with(start),
            None => path == pattern,
        };
        !path.is_empty()
            && self
                .allow
                .iter()
                .any(|exception| exception.rule == rule && matches(&exception.path))
    }
}

fn unknown(parent: &str, name: &str) -> Issue {
    let escaped = name.replace('~', "~0").replace('/', "~1");
    Issue::new(format!("{parent}/{escaped}"), "there is no such setting")
}

fn parse_exception(item: &Value, pointer: &str) -> Result<Exception, Vec<Issue>> {
    let Value::Object(members) = item else {
        return Err(vec![Issue::new(
            pointer,
            "must be an object with `rule` and `path`",
        )]);
    };
    let mut issues: Vec<_> = members
        .keys()
        .filter(|name| !matches!(name.as_str(), "rule" | "path"))
        .map(|name| unknown(pointer, name))
        .collect();
    let mut text = |name: &str| match members.get(name) {
        Some(Value::String(text)) if !text.is_empty() => Some(text.as_str()),
        _ => {
            issues.push(Issue::new(
                format!("{pointer}/{name}"),
                "must be a text that is not empty",
            ));
            None
        }
    };
    let (rule, path) = (text("rule"), text("path"));
    let rule = rule.and_then(|id| {
        let place = rules::all()
            .position(|(known, _)| known == id)
            .and_then(|place| u32::try_from(place).ok());
        match place.map(rules::RuleIndex) {
            Some(rules::KEBOOLA_PLAINTEXT) => {
                issues.push(Issue::new(
                    format!("{pointer}/rule"),
                    "values under keys with # are never let through",
                ));
                None
            }
            Some(rule) => Some(rule),
            None => {
                issues.push(Issue::new(format!("{pointer}/rule"), "there is no such rule"));
                None
            }
        }
    });
    match (rule, path) {
        (Some(rule), Some(path)) if issues.is_empty() => Ok(Exception {
            rule,
            path: path.to_owned(),
        }),
        _ => Err(issues),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let found: Vec<_> = match Settings::parse(text) {
            Ok(_) => Vec::new(),
            Err(issues) => issues.into_iter().map(|issue| issue.pointer).collect(),
        };
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn what_is_not_understood_is_an_issue_with_its_place() {
        check("{}", &[]);
        check(
            r#"{"allow": [{"rule": "password", "path": "configs/main/*"}]}"#,
            &[],
        );
        check("{", &[""]);
        check("[]", &[""]);
        check(r#"{"alow": [], "a/b": 1}"#, &["/alow", "/a~1b"]);
        check(r#"{"allow": {}}"#, &["/allow"]);
        check(
            r#"{"allow": [1, {"rule": "password"}, {"rule": "no-such", "path": "x", "y": 1}]}"#,
            &["/allow/0", "/allow/1/path", "/allow/2/y", "/allow/2/rule"],
        );
        check(
            r#"{"allow": [{"rule": "keboola-plaintext", "path": "x"}]}"#,
            &["/allow/0/rule"],
        );
    }

    #[test]
    fn an_exception_is_for_one_rule_and_its_paths() {
        let settings = Settings::parse(
            r#"{"allow": [{"rule": "password", "path": "a/b*"}, {"rule": "json-web-token", "path": "c"}]}"#,
        )
        .unwrap();
        assert!(settings.allows(rules::PASSWORD, "a/bc"));
        assert!(!settings.allows(rules::WEB_TOKEN, "a/bc"));
        assert!(settings.allows(rules::WEB_TOKEN, "c"));
        assert!(!settings.allows(rules::WEB_TOKEN, "cc"));
        assert!(!settings.allows(rules::PASSWORD, ""));
    }

    #[test]
    fn the_schema_is_json() {
        assert!(serde_json::from_str::<Value>(SCHEMA).is_ok());
    }
}
