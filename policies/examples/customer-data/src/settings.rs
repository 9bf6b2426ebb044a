//! The policy's settings.

use serde_json::Value;

/// JSON Schema of the settings.
pub const SCHEMA: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "additionalProperties": false,
  "required": ["numbers"],
  "properties": {
    "numbers": {
      "description": "Forms of customer numbers: a prefix and so many digits after it",
      "type": "array",
      "minItems": 1,
      "items": {
        "type": "object",
        "additionalProperties": false,
        "required": ["prefix", "digits"],
        "properties": {
          "prefix": {"type": "string", "minLength": 2, "maxLength": 20},
          "digits": {"type": "integer", "minimum": 4, "maximum": 20}
        }
      }
    },
    "own_domains": {
      "description": "E-mail addresses of these domains, and of those below them, stay",
      "type": "array",
      "items": {"type": "string", "minLength": 1}
    }
  }
}"#;

/// A form of customer numbers: `prefix` and exactly `digits` digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    pub prefix: String,
    pub digits: usize,
}

/// Parsed settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub numbers: Vec<Form>,
    /// In lower case.
    pub own_domains: Vec<String>,
}

/// A JSON pointer into the settings, and what is wrong there.
pub type Issue = (String, String);

impl Settings {
    /// Parses the settings, a JSON text.
    ///
    /// # Errors
    /// Everything that is wrong with them, each with its place.
    pub fn parse(text: &str) -> Result<Self, Vec<Issue>> {
        let Ok(Value::Object(members)) = serde_json::from_str(text) else {
            return Err(vec![(String::new(), "must be a JSON object".to_owned())]);
        };
        let mut issues = Vec::new();
        for name in members.keys() {
            if !matches!(name.as_str(), "numbers" | "own_domains") {
                let place = name.replace('~', "~0").replace('/', "~1");
                issues.push((format!("/{place}"), "is not known".to_owned()));
            }
        }
        let mut numbers = Vec::new();
        match members.get("numbers") {
            Some(Value::Array(forms)) if !forms.is_empty() => {
                for (n, form) in forms.iter().enumerate() {
                    match parse_form(form) {
                        Ok(form) => numbers.push(form),
                        Err(problem) => issues.push((format!("/numbers/{n}"), problem.to_owned())),
                    }
                }
            }
            _ => issues.push((
                "/numbers".to_owned(),
                "must be a list of at least one form, such as {\"prefix\": \"CUST-\", \"digits\": 8}"
                    .to_owned(),
            )),
        }
        let mut own_domains = Vec::new();
        match members.get("own_domains") {
            None => {}
            Some(Value::Array(domains)) => {
                for (n, domain) in domains.iter().enumerate() {
                    match domain.as_str().filter(|domain| !domain.is_empty()) {
                        Some(domain) => own_domains.push(domain.to_ascii_lowercase()),
                        None => issues.push((format!("/own_domains/{n}"), "must be a domain".to_owned())),
                    }
                }
            }
            Some(_) => issues.push(("/own_domains".to_owned(), "must be a list".to_owned())),
        }
        if issues.is_empty() {
            Ok(Self { numbers, own_domains })
        } else {
            Err(issues)
        }
    }
}

fn parse_form(form: &Value) -> Result<Form, &'static str> {
    let prefix = form.get("prefix").and_then(Value::as_str).unwrap_or_default();
    if !(2..=20).contains(&prefix.len()) {
        return Err("must have a `prefix` of 2 to 20 bytes");
    }
    match form.get("digits").and_then(Value::as_u64).map(usize::try_from) {
        Some(Ok(digits)) if (4..=20).contains(&digits) => Ok(Form {
            prefix: prefix.to_owned(),
            digits,
        }),
        _ => Err("must have `digits`, a number between 4 and 20"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let found: Vec<_> = match Settings::parse(text) {
            Ok(_) => Vec::new(),
            Err(issues) => issues.into_iter().map(|(pointer, _)| pointer).collect(),
        };
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn everything_that_is_wrong_is_told_with_its_place() {
        check(r#"{"numbers": [{"prefix": "CUST-", "digits": 8}]}"#, &[]);
        check("[]", &[""]);
        check("{}", &["/numbers"]);
        check(
            r#"{"numbers": [{"prefix": "C", "digits": 8}, {"prefix": "CC", "digits": 1}], "own_domains": [7], "a/b": 1}"#,
            &["/a~1b", "/numbers/0", "/numbers/1", "/own_domains/0"],
        );
        check(
            r#"{"numbers": [{"prefix": "CUST-", "digits": 8}], "own_domains": {}}"#,
            &["/own_domains"],
        );
    }

    #[test]
    fn the_schema_is_json() {
        assert!(serde_json::from_str::<Value>(SCHEMA).is_ok());
    }
}
