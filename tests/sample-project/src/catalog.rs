//! Definitions of the components a retailer uses, in the form of `GET /v2/storage/components/{id}`.
//!
//! Flags and default buckets are the ones that decide the layout; texts are our own.

use serde_json::{Value, json};

/// One component: id, type, name, flags in short, stage of the default bucket.
pub(crate) struct Component {
    pub(crate) id: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) name: &'static str,
    /// `b` code blocks, `t` table input, `r` rows, `d` deprecated, `n` not offered in the list of new ones.
    flags: &'static str,
    default_bucket: Option<&'static str>,
}

const fn component(
    id: &'static str,
    kind: &'static str,
    name: &'static str,
    flags: &'static str,
    default_bucket: Option<&'static str>,
) -> Component {
    Component {
        id,
        kind,
        name,
        flags,
        default_bucket,
    }
}

const EXTRACTOR: &str = "extractor";
const WRITER: &str = "writer";
const APPLICATION: &str = "application";
const TRANSFORMATION: &str = "transformation";
const OTHER: &str = "other";
const INTO_IN: Option<&str> = Some("in");

pub(crate) const COMPONENTS: &[Component] = &[
    component("ex-generic-v2", EXTRACTOR, "Generic", "", None),
    component(
        "kds-team.app-custom-python",
        APPLICATION,
        "Custom Python",
        "",
        None,
    ),
    component(
        "kds-team.app-generative-ai",
        APPLICATION,
        "Generative AI",
        "rt",
        None,
    ),
    component("kds-team.ex-bing-ads", EXTRACTOR, "Microsoft Ads", "r", INTO_IN),
    component(
        "kds-team.ex-google-search-console",
        EXTRACTOR,
        "Google Search Console",
        "r",
        INTO_IN,
    ),
    component("kds-team.ex-jira", EXTRACTOR, "Jira", "r", INTO_IN),
    component("kds-team.ex-shopify", EXTRACTOR, "Shopify", "", INTO_IN),
    component(
        "kds-team.ex-shoptet-permalink",
        EXTRACTOR,
        "Shoptet Permalink",
        "",
        INTO_IN,
    ),
    component("kds-team.wr-generic", WRITER, "Generic Writer", "t", None),
    component("kds-team.wr-hubspot-crm", WRITER, "HubSpot CRM", "rt", None),
    component("keboola.app-data-gateway", APPLICATION, "Data Gateway", "t", None),
    component(
        "keboola.app-project-migrate",
        APPLICATION,
        "Project Migration",
        "n",
        None,
    ),
    component("keboola.azure-openai", APPLICATION, "Azure OpenAI", "t", None),
    component("keboola.data-apps", OTHER, "Data Apps", "", None),
    component("keboola.dbt-transformation", TRANSFORMATION, "dbt", "t", None),
    component(
        "keboola.duckdb-transformation",
        TRANSFORMATION,
        "DuckDB SQL",
        "bt",
        None,
    ),
    component("keboola.ex-aws-s3", EXTRACTOR, "AWS S3", "r", INTO_IN),
    component("keboola.ex-currency", EXTRACTOR, "Currency", "r", INTO_IN),
    component(
        "keboola.ex-db-mssql",
        EXTRACTOR,
        "Microsoft SQL Server",
        "r",
        INTO_IN,
    ),
    component("keboola.ex-db-mysql", EXTRACTOR, "MySQL", "r", INTO_IN),
    component("keboola.ex-db-oracle", EXTRACTOR, "Oracle", "r", INTO_IN),
    component("keboola.ex-db-pgsql", EXTRACTOR, "PostgreSQL", "r", INTO_IN),
    component("keboola.ex-db-snowflake", EXTRACTOR, "Snowflake", "r", INTO_IN),
    component(
        "keboola.ex-email-attachments",
        EXTRACTOR,
        "Email Attachments",
        "r",
        INTO_IN,
    ),
    component("keboola.ex-facebook-ads", EXTRACTOR, "Facebook Ads", "", INTO_IN),
    component("keboola.ex-ftp", EXTRACTOR, "FTP", "r", INTO_IN),
    component("keboola.ex-google-ads", EXTRACTOR, "Google Ads", "r", INTO_IN),
    component(
        "keboola.ex-google-analytics-v4",
        EXTRACTOR,
        "Google Analytics 4",
        "r",
        INTO_IN,
    ),
    component(
        "keboola.ex-google-bigquery-v2",
        EXTRACTOR,
        "Google BigQuery",
        "r",
        INTO_IN,
    ),
    component(
        "keboola.ex-google-drive",
        EXTRACTOR,
        "Google Sheets",
        "r",
        INTO_IN,
    ),
    component("keboola.ex-http", EXTRACTOR, "HTTP", "r", INTO_IN),
    component("keboola.ex-mongodb", EXTRACTOR, "MongoDB", "r", INTO_IN),
    component("keboola.ex-sklik", EXTRACTOR, "Sklik", "", INTO_IN),
    component("keboola.ex-zendesk", EXTRACTOR, "Zendesk", "", INTO_IN),
    component("keboola.flow", OTHER, "Conditional Flows", "", None),
    component(
        "keboola.google-bigquery-transformation",
        TRANSFORMATION,
        "BigQuery SQL",
        "bt",
        None,
    ),
    component("keboola.orchestrator", OTHER, "Orchestrator", "", None),
    component(
        "keboola.processor-move-files",
        "processor",
        "Move files",
        "",
        None,
    ),
    component(
        "keboola.python-transformation-v2",
        TRANSFORMATION,
        "Python",
        "bt",
        None,
    ),
    component("keboola.r-transformation-v2", TRANSFORMATION, "R", "bt", None),
    component("keboola.sandboxes", OTHER, "Sandboxes", "n", None),
    component("keboola.scheduler", OTHER, "Scheduler", "", None),
    component("keboola.shared-code", OTHER, "Shared Codes", "", None),
    component(
        "keboola.snowflake-transformation",
        TRANSFORMATION,
        "Snowflake SQL",
        "bt",
        None,
    ),
    component("keboola.variables", OTHER, "Variables", "", None),
    component("keboola.wr-aws-s3", WRITER, "AWS S3", "rt", None),
    component(
        "keboola.wr-db-mssql-v2",
        WRITER,
        "Microsoft SQL Server",
        "rt",
        None,
    ),
    component("keboola.wr-db-mysql", WRITER, "MySQL", "rt", None),
    component("keboola.wr-db-pgsql", WRITER, "PostgreSQL", "rt", None),
    component("keboola.wr-ftp", WRITER, "FTP", "rt", None),
    component(
        "keboola.wr-google-bigquery-v2",
        WRITER,
        "Google BigQuery",
        "rt",
        None,
    ),
    component("keboola.wr-google-sheets", WRITER, "Google Sheets", "rt", None),
    component("keboola.wr-onedrive", WRITER, "OneDrive Excel Sheets", "t", None),
    component("keboola.wr-snowflake", WRITER, "Snowflake", "rt", None),
    component("transformation", OTHER, "Transformations (legacy)", "d", None),
];

/// The component of this id.
///
/// # Panics
/// When the catalogue lacks it: ids are literals of this crate.
pub(crate) fn component_of(id: &str) -> &'static Component {
    COMPONENTS
        .iter()
        .find(|component| component.id == id)
        .unwrap_or_else(|| panic!("no component `{id}`"))
}

impl Component {
    /// Whether configurations of this component are run as jobs of their own.
    pub(crate) fn runs(&self) -> bool {
        self.kind != OTHER
            || matches!(
                self.id,
                "keboola.orchestrator" | "keboola.flow" | "transformation"
            )
    }

    /// Whether the component writes to a bucket named after the configuration.
    pub(crate) fn has_default_bucket(&self) -> bool {
        self.default_bucket.is_some()
    }

    /// The full definition.
    pub(crate) fn definition(&self) -> Value {
        let mut flags: Vec<&str> = Vec::new();
        for flag in self.flags.chars() {
            flags.extend(match flag {
                'b' => ["genericCodeBlocksUI", "genericDockerUI"].as_slice(),
                't' => &["genericDockerUI-tableInput", "genericDockerUI-tableOutput"],
                'r' => &["genericDockerUI-rows"],
                'd' => &["deprecated", "excludeFromNewList"],
                _ => &["excludeFromNewList"],
            });
        }
        let mut data = json!({
            "definition": {"type": "aws-ecr", "uri": format!("registry.example.com/components/{}", self.id), "tag": "2.14.0"},
            "vendor": {"contact": "components@example.com", "license": "MIT"},
            "configuration_format": "json",
            "network": "bridge",
            "memory": "512m",
            "process_timeout": 21600,
            "forward_token": self.id == "keboola.app-project-migrate",
            "staging_storage": {"input": "local", "output": "local"},
        });
        if let Some(stage) = self.default_bucket {
            data["default_bucket"] = json!(true);
            data["default_bucket_stage"] = json!(stage);
        }
        json!({
            "id": self.id,
            "type": self.kind,
            "name": self.name,
            "description": format!("{} {}", self.name, self.kind),
            "longDescription": null,
            "version": 14,
            "complexity": "medium",
            "hasUI": false,
            "hasRun": self.runs(),
            "ico32": format!("https://assets.example.com/icons/{}-32.png", self.id),
            "ico64": format!("https://assets.example.com/icons/{}-64.png", self.id),
            "data": data,
            "flags": flags,
            "configurationSchema": {},
            "configurationRowSchema": {},
            "emptyConfiguration": {},
            "emptyConfigurationRow": {},
            "createConfigurationRowSchema": {},
            "uiOptions": {},
            "configurationDescription": null,
            "features": [],
            "expiredOn": null,
            "documentationUrl": format!("https://help.example.com/components/{}/", self.id),
            "uri": format!("https://syrup.example.com/docker/{}", self.id),
            "categories": [],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_are_listed_by_id_once_each() {
        assert!(COMPONENTS.windows(2).all(|pair| pair[0].id < pair[1].id));
    }
}
