//! Flows: phases and tasks over the configurations made before.
//!
//! A flow runs only what its market (or the first one) already has.

use serde_json::{Value, json};

use crate::builder::Builder;
use crate::market::Market;
use crate::project::DANGLING_ID;

/// A phase: name, the numbers of the phases it waits for, and the roles it runs.
type Phase = (&'static str, &'static [usize], &'static [&'static str]);

/// A classic flow.
pub(crate) struct Flow {
    pub(crate) role: &'static str,
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
    pub(crate) phases: &'static [Phase],
}

pub(crate) const DAILY: Flow = Flow {
    role: "flow-daily",
    name: "Denní zpracování",
    description: "# Denní zpracování\n\nBěží v noci. Při chybě volejte **L2 data** (viz runbook).\n\n1. extrakce\n2. transformace\n3. zápis\n",
    phases: &[
        (
            "Extrakce",
            &[],
            &["erp", "eshop", "shopify", "wms", "currency", "s3"],
        ),
        ("Jádro", &[0], &["tr-orders", "tr-stock"]),
        ("Modely", &[1], &["tr-segments", "tr-churn", "tr-forecast"]),
        ("Výstupy", &[1, 2], &["wr-snowflake", "wr-mysql", "sheets"]),
    ],
};
pub(crate) const MARKETING: Flow = Flow {
    role: "flow-marketing",
    name: "Marketing hourly",
    description: "Costs and attribution.",
    phases: &[
        (
            "Extraction",
            &[],
            &["ga4", "google-ads", "facebook", "sklik", "bing"],
        ),
        ("Attribution", &[0], &["tr-attribution", "tr-bigquery"]),
        ("Report", &[1], &["sheets"]),
    ],
};
pub(crate) const LOGISTICS: Flow = Flow {
    role: "flow-logistics",
    name: "Sklad & dopravci",
    description: "",
    // The later phase is listed first: its order comes from what it waits for.
    phases: &[
        ("Load", &[1], &["wr-pgsql", "wr-mssql"]),
        ("Extract", &[], &["wms", "ftp", "purchasing"]),
    ],
};

pub(crate) fn classic(b: &mut Builder, market: &Market, flow: &Flow) {
    let mut draft = b.draft(
        "keboola.orchestrator",
        format!("{} {}", flow.name, market.upper()),
    );
    draft.description = flow.description.to_owned();
    draft.folder = Some("00 Flows".to_owned());
    let numeric = market.number.is_multiple_of(2);
    let phase_id = |number: usize| {
        if numeric {
            json!(number + 1)
        } else {
            json!(format!("{}", 10_000 + number))
        }
    };
    let mut phases = Vec::new();
    let mut tasks = Vec::new();
    for (number, (name, after, roles)) in flow.phases.iter().enumerate() {
        let after: Vec<Value> = after.iter().map(|number| phase_id(*number)).collect();
        phases.push(json!({"id": phase_id(number), "name": name, "dependsOn": after, "description": ""}));
        for role in *roles {
            let Some(target) = b.role(market, role) else {
                continue;
            };
            tasks.push(json!({
                "id": tasks.len() + 1, "name": target.name, "phase": phase_id(number), "enabled": *role != "sklik",
                "continueOnFailure": *role == "sheets",
                "task": {"componentId": target.component, "configId": target.id, "mode": "run"}}));
        }
    }
    if flow.role == "flow-daily" {
        let last = phase_id(flow.phases.len() - 1);
        tasks.push(json!({"id": tasks.len() + 1, "name": "Vypnutý export", "phase": last, "enabled": false,
            "continueOnFailure": false, "task": {"componentId": "keboola.wr-ftp", "configId": "", "mode": "run"}}));
        // A task whose configuration is gone: the layout drops it with a warning.
        tasks.push(json!({"id": tasks.len() + 1, "name": "Smazaný writer", "phase": last, "enabled": true,
            "continueOnFailure": true, "task": {"componentId": "keboola.wr-snowflake", "configId": DANGLING_ID, "mode": "run"}}));
    }
    draft.configuration = json!({"phases": phases, "tasks": tasks});
    b.add(market, flow.role, draft);
}

/// A conditional flow, which keeps its phases and tasks inside the configuration.
pub(crate) fn conditional(b: &mut Builder, market: &Market) {
    let mut draft = b.draft(
        "keboola.flow",
        format!("Podmíněné doplnění skladu {}", market.upper()),
    );
    draft.description = "Nakupuje jen tehdy, když předpověď doběhla.".to_owned();
    draft.folder = Some("00 Flows".to_owned());
    let mut tasks = Vec::new();
    for (phase, role) in [
        ("forecast", "tr-forecast"),
        ("propose", "tr-stock"),
        ("propose", "wr-mssql"),
    ] {
        let Some(target) = b.role(market, role) else {
            continue;
        };
        tasks.push(json!({"id": format!("t{}", tasks.len() + 1), "name": target.name, "phase": phase, "enabled": true,
            "task": {"type": "job", "componentId": target.component, "configId": target.id, "mode": "run", "retry": {
                "strategy": "linear", "strategyParams": {"maxRetries": 3, "delay": 60}}}}));
    }
    tasks.push(json!({"id": "notify", "name": "Upozornit nákup", "phase": "alert", "enabled": true, "task": {"type": "notification",
        "recipients": [{"channel": "email", "address": "nakup@example.com"}], "title": "Forecast failed", "message": "Viz {{job.url}}"}}));
    draft.configuration = json!({
        "phases": [
            {"id": "forecast", "name": "Předpověď", "next": [
                {"id": "n1", "name": "ok", "goto": "propose", "condition": {"type": "operator", "operator": "EQUALS", "operands": [
                    {"type": "phase", "phase": "forecast", "value": "status"}, {"type": "const", "value": "success"}]}},
                {"id": "n2", "goto": "alert"}]},
            {"id": "propose", "name": "Návrhy", "next": [{"id": "n3", "goto": null}]},
            {"id": "alert", "name": "Hlášení", "next": [{"id": "n4", "goto": null}]}],
        "tasks": tasks});
    b.add(market, "flow-conditional", draft);
}
