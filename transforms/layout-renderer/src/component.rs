//! What components mean to the layout.

use crate::sql;

pub(crate) const SHARED_CODE: &str = "keboola.shared-code";
pub(crate) const VARIABLES: &str = "keboola.variables";
pub(crate) const SCHEDULER: &str = "keboola.scheduler";
pub(crate) const ORCHESTRATOR: &str = "keboola.orchestrator";
pub(crate) const FLOW: &str = "keboola.flow";
pub(crate) const LEGACY_TRANSFORMATION: &str = "transformation";
pub(crate) const DATA_APPS: &str = "keboola.data-apps";
pub(crate) const CUSTOM_PYTHON: &str = "kds-team.app-custom-python";
pub(crate) const DATA_GATEWAY: &str = "keboola.app-data-gateway";

/// The language of a component's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Language {
    pub(crate) extension: &'static str,
    pub(crate) comment: &'static str,
    /// Whether one code is many statements, with an empty line between them.
    statements: bool,
}

impl Language {
    pub(crate) fn of(component: &str) -> Self {
        let (extension, comment) = match component {
            "keboola.snowflake-transformation"
            | "keboola.synapse-transformation"
            | "keboola.oracle-transformation"
            | "keboola.google-bigquery-transformation"
            | "keboola.teradata-transformation" => ("sql", "--"),
            "keboola.python-transformation"
            | "keboola.python-transformation-v2"
            | "keboola.python-spark-transformation"
            | "keboola.python-snowpark-transformation"
            | "keboola.python-mlflow-transformation"
            | "keboola.csas-python-transformation-v2" => ("py", "#"),
            "keboola.r-transformation" => ("r", "#"),
            "keboola.julia-transformation" => ("jl", "#"),
            _ => ("txt", "//"),
        };
        let statements = matches!(
            component,
            "keboola.snowflake-transformation"
                | "keboola.synapse-transformation"
                | "keboola.oracle-transformation"
        );
        Self {
            extension,
            comment,
            statements,
        }
    }

    /// How many empty lines stand between two scripts of a file.
    pub(crate) fn lines_between(self) -> usize {
        usize::from(self.statements)
    }

    /// Returns the text of a code file.
    pub(crate) fn join<S: AsRef<str>>(self, scripts: &[S]) -> String {
        let trimmed: Vec<&str> = scripts.iter().map(|script| trim_end(script.as_ref())).collect();
        let mut text = trimmed.join(if self.statements { "\n\n" } else { "\n" });
        text.push('\n');
        text
    }

    /// Returns the scripts of a text, as the CLI reads them from a file.
    pub(crate) fn split(self, text: &str) -> Vec<String> {
        let text = trim_end(text);
        if self.statements {
            sql::split(text)
        } else {
            vec![text.to_owned()]
        }
    }
}

/// Trims what the CLI trims at the end of texts.
pub(crate) fn trim_end(text: &str) -> &str {
    text.trim_end_matches([' ', '\r', '\n', '\t'])
}

/// Returns the part of a default bucket's id that stands for a component.
pub(crate) fn bucket_name_of(component: &str) -> String {
    component
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect()
}
