//! The configuration file told back: what one says with all defaults, and what any may say.

use super::{Config, ConfigError, raw, read_text, without_value};
use std::path::Path;

impl Config {
    /// Returns what a configuration file says, once it is checked, with each default where it says nothing.
    ///
    /// Its keys are those of the file, and so are its relative paths; credentials are the references that stand there. What
    /// is none while nothing is said is left out.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn written_out(path: &Path) -> Result<toml::Table, ConfigError> {
        let text = read_text(path)?;
        Self::parse(&text, path)?;
        let syntax = |message: String| ConfigError::Syntax {
            path: path.into(),
            position: String::new(),
            message,
        };
        let raw =
            toml::from_str::<raw::Config>(&text).map_err(|error| syntax(without_value(error.message())))?;
        toml::Table::try_from(raw).map_err(|error| syntax(error.to_string()))
    }

    /// Returns the JSON Schema of the configuration file, for editors and for tools that write such files.
    ///
    /// It has the keys, their types, defaults and words; which values go together only [`Self::parse`] knows.
    #[must_use]
    pub fn schema() -> serde_json::Value {
        schemars::schema_for!(raw::Config).to_value()
    }
}
