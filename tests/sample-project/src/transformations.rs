//! Transformations: code in blocks, mappings, links to shared code and to variables.
//!
//! The code itself stands in `sql` and `python`.

use serde_json::{Value, json};

use crate::builder::{Builder, Draft};
use crate::entities::entity;
use crate::market::Market;

/// One code of a block: its name and its scripts.
type Code = (&'static str, &'static [&'static str]);

/// What one transformation does.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) role: &'static str,
    pub(crate) component: &'static str,
    pub(crate) name: &'static str,
    pub(crate) folder: &'static str,
    pub(crate) description: &'static str,
    pub(crate) inputs: &'static [&'static str],
    /// Name of the table and its kind.
    pub(crate) outputs: &'static [(&'static str, &'static str)],
    pub(crate) blocks: &'static [(&'static str, &'static [Code])],
}

/// The topic of this role.
///
/// # Panics
/// When there is none: roles are literals of this crate.
pub(crate) fn topic(role: &str) -> &'static Topic {
    let mut topics = crate::sql::TOPICS.iter().chain(crate::python::TOPICS);
    topics
        .find(|topic| topic.role == role)
        .unwrap_or_else(|| panic!("no transformation `{role}`"))
}

/// Fills the market into a text.
pub(crate) fn filled(text: &str, market: &Market) -> String {
    text.replace("%market%", &market.code)
        .replace("%MARKET%", &market.upper())
        .replace("%currency%", market.currency)
        .replace("%vat%", &market.vat_percent.to_string())
}

/// Input and output mapping, and the tables that come out of it.
fn mapping(b: &mut Builder, market: &Market, draft: &mut Draft, topic: &Topic) -> Value {
    let input = b.reads(market, draft, topic.inputs);
    let short = topic.role.trim_start_matches("tr-");
    let bucket = format!("out.c-{short}-{}", market.code);
    let mut output = Vec::new();
    for (name, kind) in topic.outputs {
        let destination = b.writes(market, draft, None, &bucket, name, kind);
        let columns = entity(kind).columns;
        let key: Vec<&str> = columns[..entity(kind).key]
            .iter()
            .map(|column| column.name)
            .collect();
        let mut table = json!({"source": name, "destination": destination, "primary_key": key});
        if b.random.chance(40) {
            table["incremental"] = json!(true);
            table["delete_where_column"] = json!("");
        }
        output.push(table);
    }
    json!({"input": {"tables": input}, "output": {"tables": output}})
}

/// A transformation with code blocks.
pub(crate) fn coded(b: &mut Builder, market: &Market, topic: &Topic) {
    let mut draft = b.draft(topic.component, format!("{} [{}]", topic.name, market.upper()));
    draft.description = topic.description.to_owned();
    draft.folder = Some(topic.folder.to_owned());
    let blocks: Vec<Value> = topic
        .blocks
        .iter()
        .map(|(name, codes)| {
            let codes: Vec<Value> = codes
                .iter()
                .map(|(name, scripts)| {
                    let script: Vec<String> = scripts.iter().map(|script| filled(script, market)).collect();
                    json!({"name": filled(name, market), "script": script})
                })
                .collect();
            json!({"name": name, "codes": codes})
        })
        .collect();
    let mut parameters = json!({"blocks": blocks});
    if topic.component.contains("python") {
        parameters["packages"] = json!(["pandas==2.2.3", "scikit-learn"]);
    }
    if topic.component.contains("-r-") || topic.component.contains(".r-") {
        parameters["packages"] = json!(["dplyr", "readr", "arules"]);
    }
    let storage = mapping(b, market, &mut draft, topic);
    draft.configuration = json!({"parameters": parameters, "storage": storage});
    if topic.role == "tr-orders" || topic.role == "tr-churn" {
        draft.configuration["runtime"] = json!({"backend": {"type": "small"}});
    }
    if matches!(topic.role, "tr-orders" | "tr-churn" | "tr-forecast") {
        link_shared_code(b, market, &mut draft);
    }
    b.add(market, topic.role, draft);
}

/// Uses the first market's shared code in the transformations that were written for it.
fn link_shared_code(b: &Builder, market: &Market, draft: &mut Draft) {
    let role = match draft.component {
        "keboola.snowflake-transformation" => "shared-sql",
        "keboola.python-transformation-v2" => "shared-python",
        _ => return,
    };
    let Some(shared) = b.role(market, role) else {
        return;
    };
    let Some(row) = shared.rows.first() else { return };
    draft.configuration["shared_code_id"] = json!(shared.id);
    draft.configuration["shared_code_row_ids"] = json!([row.id]);
    let call = json!({"name": "Shared: audit columns", "script": [format!("{{{{{}}}}}", row.id)]});
    if let Some(codes) = draft
        .configuration
        .pointer_mut("/parameters/blocks/0/codes")
        .and_then(Value::as_array_mut)
    {
        codes.push(call);
    }
}

/// dbt: the code lives in a repository, so there are no blocks.
pub(crate) fn dbt(b: &mut Builder, market: &Market) {
    let mut draft = b.draft(
        "keboola.dbt-transformation",
        format!("dbt – datamart {}", market.country),
    );
    let token = b.protected("dbt_git_token");
    draft.description =
        "Models: `models/marts/%market%`. Owner: analytics engineering.".replace("%market%", &market.code);
    draft.folder = Some("02 Transformations/dbt".to_owned());
    let input = b.reads(market, &mut draft, &["orders", "customers", "products"]);
    let bucket = format!("out.c-dbt-{}", market.code);
    let destination = b.writes(market, &mut draft, None, &bucket, "mart_sales", "daily_sales");
    draft.configuration = json!({
        "parameters": {
            "git": {"repo": "https://git.example.com/retail/dbt-marts.git", "branch": "main", "username": "keboola", "#password": token},
            "dbt": {"modelNames": [], "executeSteps": [{"step": "dbt deps", "active": true},
                {"step": format!("dbt run --select tag:{} --vars '{{\"market\": \"{}\"}}'", market.code, market.code), "active": true},
                {"step": "dbt test", "active": market.number == 0}, {"step": "dbt docs generate", "active": false}],
                "threads": 4, "period": 7},
            "storage": {}, "generateSources": true},
        "storage": {"input": {"tables": input}, "output": {"tables": [{"source": "mart_sales", "destination": destination, "primary_key": ["day", "channel", "category_id"]}]}}});
    b.add(market, "tr-dbt", draft);
}

/// A transformation of the old kind: rows with a phase each, names inside the configuration.
pub(crate) fn legacy(b: &mut Builder, market: &Market) {
    let mut draft = b.draft("transformation", format!("Legacy bucket {}", market.upper()));
    draft.description = "Do not touch, will be migrated.".to_owned();
    for (phase, name) in [(1, "Normalize currency"), (2, "Old margin report")] {
        let input = b.reads(market, &mut draft, &["orders"]);
        b.row(&mut draft, "", json!({"name": name, "phase": phase, "type": "simple", "backend": "snowflake", "disabled": phase == 2,
            "description": "", "packages": [], "requires": [], "tags": [], "input": input, "output": [],
            "queries": [format!("CREATE TABLE \"t{phase}\" AS SELECT * FROM \"orders\" WHERE \"currency\" = '{}';", market.currency)]}));
    }
    b.add(market, "tr-legacy", draft);
}

/// Nothing in it yet, not even blocks.
pub(crate) fn empty(b: &mut Builder, market: &Market) {
    let mut draft = b.draft("keboola.snowflake-transformation", "日本語テスト");
    draft.description = "   \n".to_owned();
    draft.configuration = json!({});
    if market.number % 2 == 1 {
        draft.name = "Untitled".to_owned();
        draft.configuration = json!({"parameters": {"blocks": []}, "storage": {}});
    }
    b.add(market, "tr-empty", draft);
}

/// Odd but valid: scripts as one string, extra keys, colliding block names, numbers of every form.
pub(crate) fn odd(b: &mut Builder, market: &Market) {
    let mut draft = b.draft(
        "keboola.snowflake-transformation",
        format!("Pokusy a omyly & \"uvozovky\" <{}>", market.code),
    );
    let input = b.reads(market, &mut draft, &["orders"]);
    draft.is_disabled = true;
    draft.configuration = json!({
        "parameters": {"blocks": [
            {"name": "Ceny", "description": "kept by the interface only", "codes": [
                {"name": "a b", "script": "SELECT 1;"}, {"name": "a-b", "script": ["SELECT 2;   \n", "", "SELECT ';' AS \"x\"; -- tail"], "enabled": true},
                {"name": "AB", "script": []}]},
            {"name": "ceny", "codes": []}],
            "limits": {"one": 1.0, "small": 1e-7, "large": 9_007_199_254_740_991_u64, "negative": -0.5, "text": "\u{2028}\t\u{7f}"}},
        "storage": {"input": {"tables": input}},
        "processors": {}});
    b.add(market, "tr-odd", draft);
}
