//! Variables, shared code, schedules, apps: what holds the other configurations together.
//!
//! Flows stand in `flows`.

use serde_json::{Value, json};

use crate::builder::{Builder, Draft};
use crate::market::Market;
use crate::project::DANGLING_ID;

/// Shared codes for one kind of transformation; the first row is the one that is used.
pub(crate) fn shared_code(b: &mut Builder, market: &Market, target: &'static str, role: &'static str) {
    let mut draft = b.draft("keboola.shared-code", format!("Shared Codes {target}"));
    draft.configuration = json!({"componentId": target});
    if target.contains("python") {
        b.row(&mut draft, "Audit columns", json!({"code_content": ["import datetime\n\nLOADED_AT = datetime.datetime.now(datetime.timezone.utc).isoformat()\n"]}));
        b.row(&mut draft, "Čtení tabulek", json!({"code_content": "def read(name):\n    import csv\n    with open(f'in/tables/{name}', encoding='utf-8') as lines:\n        return list(csv.DictReader(lines))\n"}));
    } else {
        b.row(
            &mut draft,
            "Audit columns",
            json!({"code_content": [
            "ALTER TABLE \"orders_out\" ADD COLUMN IF NOT EXISTS \"_loaded_at\" TIMESTAMP_NTZ;",
            "UPDATE \"orders_out\" SET \"_loaded_at\" = CURRENT_TIMESTAMP();"]}),
        );
        b.row(&mut draft, "Fiskální kalendář", json!({"code_content": [
            "CREATE OR REPLACE TEMPORARY TABLE \"calendar\" AS\nSELECT DATEADD(day, SEQ4(), '2020-01-01') AS \"day\"\nFROM TABLE(GENERATOR(ROWCOUNT => 4000));"]}));
    }
    b.add(market, role, draft);
}

/// Variables of one consumer: their names, and rows with values of which the first is the default.
pub(crate) fn variables(b: &mut Builder, market: &Market, consumer: &'static str, names: &[(&str, &str)]) {
    let mut draft = b.draft(
        "keboola.variables",
        format!("Variables definition for {consumer} {}", market.upper()),
    );
    let list: Vec<Value> = names
        .iter()
        .map(|(name, _)| json!({"name": name, "type": "string"}))
        .collect();
    draft.configuration = json!({"variables": list});
    let values = |suffix: &str| -> Value {
        names
            .iter()
            .map(|(name, value)| json!({"name": name, "value": format!("{value}{suffix}")}))
            .collect()
    };
    let default = b.row(&mut draft, "Default Values", json!({"values": values("")}));
    b.row(&mut draft, "Backfill", json!({"values": values("0")}));
    let id = draft.id.clone();
    if let Some(user) = b.role_mut(market, consumer) {
        user.configuration["variables_id"] = json!(id);
        user.configuration["variables_values_id"] = json!(default);
    }
    b.add(market, "variables", draft);
}

/// Variables of a shared code's second row.
pub(crate) fn shared_code_variables(b: &mut Builder, market: &Market) {
    let mut draft = b.draft(
        "keboola.variables",
        format!("Variables of fiscal calendar {}", market.upper()),
    );
    draft.configuration = json!({"variables": [{"name": "fiscal_start", "type": "string"}]});
    b.row(
        &mut draft,
        "Default Values",
        json!({"values": [{"name": "fiscal_start", "value": "2020-01-01"}]}),
    );
    let id = draft.id.clone();
    if let Some(row) = b
        .role_mut(market, "shared-sql")
        .and_then(|shared| shared.rows.get_mut(1))
    {
        row.configuration["variables_id"] = json!(id);
    }
    b.add(market, "variables-shared", draft);
}

/// Variables nobody uses: the CLI's layout has no place for them.
pub(crate) fn unattached_variables(b: &mut Builder, market: &Market) {
    let mut draft = b.draft(
        "keboola.variables",
        format!("Zapomenuté proměnné {}", market.upper()),
    );
    draft.configuration = json!({"variables": [{"name": "unused", "type": "string"}]});
    b.row(
        &mut draft,
        "",
        json!({"values": [{"name": "unused", "value": ""}]}),
    );
    b.add(market, "variables-unattached", draft);
}

/// Variables that two configurations use, which the CLI's layout cannot express either.
pub(crate) fn contested_variables(b: &mut Builder, market: &Market) {
    let mut draft = b.draft(
        "keboola.variables",
        format!("Společné proměnné exportů {}", market.upper()),
    );
    draft.configuration = json!({"variables": [{"name": "export_day", "type": "string"}]});
    b.row(
        &mut draft,
        "Default Values",
        json!({"values": [{"name": "export_day", "value": "monday"}]}),
    );
    for role in ["wr-s3", "wr-bq"] {
        if let Some(user) = b.role_mut(market, role) {
            user.configuration["variables_id"] = json!(draft.id);
        }
    }
    b.add(market, "variables-contested", draft);
}

/// A schedule of another configuration; `None` points at one that is gone.
pub(crate) fn schedule(b: &mut Builder, market: &Market, target: Option<&'static str>) {
    let wanted = target.and_then(|role| b.role(market, role));
    let (component, id, name) = wanted.map_or(
        (
            "keboola.orchestrator",
            DANGLING_ID.to_owned(),
            "deleted".to_owned(),
        ),
        |draft: &Draft| (draft.component, draft.id.clone(), draft.name.clone()),
    );
    let mut draft = b.draft("keboola.scheduler", format!("Schedule for {name}"));
    let (minute, hour) = (b.random.below(60), b.random.below(6));
    let state = if target.is_some() { "enabled" } else { "disabled" };
    draft.configuration = json!({
        "schedule": {"cronTab": format!("{minute} {hour} * * *"), "timezone": market.timezone, "state": state},
        "target": {"componentId": component, "configurationId": id, "mode": "run"}});
    b.add(market, "schedule", draft);
}

pub(crate) fn data_app(b: &mut Builder, market: &Market) {
    let mut draft = b.draft(
        "keboola.data-apps",
        format!("Skladový přehled {}", market.upper()),
    );
    draft.description = "Streamlit app for warehouse managers.".to_owned();
    let input = b.reads(market, &mut draft, &["stock_forecast", "reorder_proposals"]);
    let (id, secret) = (
        b.random.between(10_000_000, 99_999_999).to_string(),
        b.protected("app_password"),
    );
    draft.configuration = json!({
        "parameters": {"id": id, "dataApp": {"slug": format!("sklad-{}", market.code), "type": "streamlit",
            "git": {"repository": "https://git.example.com/retail/stock-app.git", "branch": "main", "entrypoint": "app.py"},
            "secrets": {"#APP_PASSWORD": secret, "MARKET": market.code}}, "size": "tiny", "autoSuspendAfterSeconds": 900},
        "authorization": {"app_proxy": {"auth_providers": [], "auth_rules": [{"type": "pathPrefix", "value": "/", "auth_required": false}]}},
        "storage": {"input": {"tables": input}}});
    b.add(market, "data-app", draft);
}

pub(crate) fn custom_python(b: &mut Builder, market: &Market) {
    let mut draft = b.draft(
        "kds-team.app-custom-python",
        format!("Kontrola DPH (VIES) {}", market.upper()),
    );
    let input = b.reads(market, &mut draft, &["customers"]);
    let code = "import csv\nimport logging\n\nimport requests\nfrom keboola.component import CommonInterface\n\nlogging.basicConfig(level=logging.INFO)\nci = CommonInterface()\nuser = ci.configuration.parameters['user_properties']\n\nwith open(f'{ci.tables_in_path}/customers', encoding='utf-8') as lines:\n    for row in csv.DictReader(lines):\n        answer = requests.get('https://vies.example.com/check', params={'vat': row['customer_id']}, headers={'X-Key': user['#vies_key']}, timeout=30)\n        logging.info('checked %s: %s', row['customer_id'], answer.status_code)\n";
    draft.configuration = json!({
        "parameters": {"user_properties": {"#vies_key": b.protected("vies_key"), "debug": false},
            "packages": ["requests"], "code": code, "source": "code"},
        "storage": {"input": {"tables": input}}, "runtime": {"backend": {"type": "small"}}});
    b.add(market, "custom-python", draft);
}

pub(crate) fn sandbox(b: &mut Builder, market: &Market) {
    let mut draft = b.draft(
        "keboola.sandboxes",
        format!("Workspace {} – analytik", market.upper()),
    );
    draft.configuration = json!({"parameters": {"id": b.random.between(10_000_000, 99_999_999).to_string(),
        "type": "snowflake", "shared": false}, "runtime": {"shared": false}});
    b.add(market, "sandbox", draft);
}
