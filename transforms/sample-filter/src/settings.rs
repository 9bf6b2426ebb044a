//! The filter's settings: how much of a table stays, and which columns never do.

use serde_json::Value;

/// Parsed settings, with the defaults of absent ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Most rows that stay.
    pub rows_max: usize,
    /// Most columns that stay; later ones go.
    pub columns_max: usize,
    /// Largest cell, in bytes of UTF-8. A row with a larger one goes as a whole, since a cut cell would be a
    /// value that the table does not have.
    pub cell_bytes_max: usize,
    /// Patterns of names of columns that go, with `*` and `?`, in either case.
    pub drop_columns: Vec<String>,
    /// Whether columns that look like data of persons go.
    pub drop_personal: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rows_max: 100,
            columns_max: 200,
            cell_bytes_max: 4096,
            drop_columns: Vec::new(),
            drop_personal: true,
        }
    }
}

/// Something wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// RFC 6901 pointer into the settings.
    pub pointer: String,
    pub message: String,
}

impl Settings {
    /// Parses the settings, a JSON text.
    ///
    /// # Errors
    /// Everything that is wrong with them, each with its place.
    pub fn parse(text: &str) -> Result<Self, Vec<Issue>> {
        let issue = |pointer: String, message: &str| Issue {
            pointer,
            message: message.to_owned(),
        };
        let value: Value = serde_json::from_str(text).map_err(|error| {
            vec![Issue {
                pointer: String::new(),
                message: format!("the settings are not JSON (line {})", error.line()),
            }]
        })?;
        let Value::Object(members) = value else {
            return Err(vec![issue(String::new(), "the settings must be an object")]);
        };
        let mut settings = Self::default();
        let mut issues = Vec::new();
        for (name, value) in &members {
            let pointer = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
            match name.as_str() {
                "rowsMax" | "columnsMax" | "cellBytesMax" => {
                    let Some(number) = value.as_u64().and_then(|number| usize::try_from(number).ok()) else {
                        issues.push(issue(pointer, "must be a whole number from 0"));
                        continue;
                    };
                    match name.as_str() {
                        "rowsMax" => settings.rows_max = number,
                        "columnsMax" => settings.columns_max = number,
                        _ => settings.cell_bytes_max = number,
                    }
                }
                "dropPersonal" => match value {
                    Value::Bool(drop) => settings.drop_personal = *drop,
                    _ => issues.push(issue(pointer, "must be true or false")),
                },
                "dropColumns" => match value {
                    Value::Array(patterns) => {
                        for (index, pattern) in patterns.iter().enumerate() {
                            match pattern {
                                Value::String(pattern) if !pattern.is_empty() => {
                                    settings.drop_columns.push(pattern.clone());
                                }
                                _ => issues.push(issue(
                                    format!("{pointer}/{index}"),
                                    "must be a text that is not empty",
                                )),
                            }
                        }
                    }
                    _ => issues.push(issue(pointer, "must be a list of texts")),
                },
                _ => issues.push(issue(pointer, "there is no such setting")),
            }
        }
        if issues.is_empty() {
            Ok(settings)
        } else {
            Err(issues)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_settings_have_their_defaults() {
        assert_eq!(Settings::parse("{}"), Ok(Settings::default()));
    }

    #[test]
    fn all_settings_are_read() {
        let text = r#"{"rowsMax": 5, "columnsMax": 6, "cellBytesMax": 7, "dropColumns": ["a*"], "dropPersonal": false}"#;
        let expected = Settings {
            rows_max: 5,
            columns_max: 6,
            cell_bytes_max: 7,
            drop_columns: vec!["a*".into()],
            drop_personal: false,
        };
        assert_eq!(Settings::parse(text), Ok(expected));
    }

    #[test]
    fn what_is_not_understood_is_an_issue_with_its_place() {
        for (text, expected) in [
            ("", &[""][..]),
            ("[]", &[""]),
            (r#"{"rowMax": 1, "a/b": 2}"#, &["/rowMax", "/a~1b"]),
            (
                r#"{"rowsMax": -1, "columnsMax": "5", "cellBytesMax": 1.5}"#,
                &["/rowsMax", "/columnsMax", "/cellBytesMax"],
            ),
            (
                r#"{"dropColumns": ["a", 1, ""]}"#,
                &["/dropColumns/1", "/dropColumns/2"],
            ),
            (
                r#"{"dropColumns": "a", "dropPersonal": 1}"#,
                &["/dropColumns", "/dropPersonal"],
            ),
        ] {
            let issues = Settings::parse(text).unwrap_err();
            let pointers: Vec<_> = issues.iter().map(|issue| issue.pointer.as_str()).collect();
            assert_eq!(pointers, expected, "{text}");
        }
    }
}
