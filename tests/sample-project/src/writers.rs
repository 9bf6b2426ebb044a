//! Writers and applications: where the results go.
//!
//! Rows carry their own input mapping, as the row-based writers of Keboola do.

use serde_json::{Value, json};

use crate::builder::Builder;
use crate::entities::{Column, entity};
use crate::market::Market;

/// A database to write to, a row per table.
pub(crate) struct Target {
    pub(crate) role: &'static str,
    pub(crate) component: &'static str,
    pub(crate) name: &'static str,
    pub(crate) kinds: &'static [&'static str],
}

pub(crate) const TARGETS: &[Target] = &[
    Target {
        role: "wr-snowflake",
        component: "keboola.wr-snowflake",
        name: "BI datový sklad",
        kinds: &[
            "daily_sales",
            "customer_segments",
            "marketing_roi",
            "stock_forecast",
        ],
    },
    Target {
        role: "wr-mysql",
        component: "keboola.wr-db-mysql",
        name: "Segmenty zpět do e-shopu",
        kinds: &["customer_segments", "reorder_proposals"],
    },
    Target {
        role: "wr-mssql",
        component: "keboola.wr-db-mssql-v2",
        name: "Návrhy nákupu do NAV",
        kinds: &["reorder_proposals"],
    },
    Target {
        role: "wr-pgsql",
        component: "keboola.wr-db-pgsql",
        name: "WMS forecast",
        kinds: &["stock_forecast"],
    },
];

fn items(columns: &[Column], key: usize) -> Vec<Value> {
    let item = |(place, column): (usize, &Column)| {
        let (_, kind, size) = column.types();
        json!({"name": column.name, "dbName": column.name.to_uppercase(), "type": kind.to_lowercase(),
               "size": size.unwrap_or(""), "nullable": place >= key, "default": ""})
    };
    columns.iter().enumerate().map(item).collect()
}

pub(crate) fn database(b: &mut Builder, market: &Market, target: &Target) {
    let mut draft = b.draft(target.component, format!("{} {}", target.name, market.upper()));
    draft.folder = Some("03 Output".to_owned());
    let password = b.protected("warehouse_password");
    draft.configuration = json!({"parameters": {"db": {"host": format!("dwh.{}.retail.example.com", market.code),
        "port": 443, "user": "KEBOOLA_WRITER", "#password": password, "database": "RETAIL", "schema": market.upper(),
        "warehouse": "BI_XS"}}});
    for kind in target.kinds {
        let Some(table) = b.table(market, kind) else {
            continue;
        };
        let source = table.id();
        let kind = entity(kind);
        let columns: Vec<&str> = kind.columns.iter().map(|column| column.name).collect();
        let configuration = json!({
            "parameters": {"dbName": kind.name.to_uppercase(), "tableId": source, "incremental": kind.key > 1,
                "primaryKey": &columns[..kind.key], "items": items(kind.columns, kind.key)},
            "storage": {"input": {"tables": [{"source": source, "destination": format!("{}.csv", kind.name),
                "columns": columns, "where_column": "", "where_values": [], "where_operator": "eq"}]}}});
        draft.inputs.push(source);
        b.row(&mut draft, kind.name, configuration);
    }
    b.add(market, target.role, draft);
}

pub(crate) fn sheets(b: &mut Builder, market: &Market) {
    let mut draft = b.draft(
        "keboola.wr-google-sheets",
        format!("Reporty pro vedení – {}", market.country),
    );
    draft.folder = Some("03 Output".to_owned());
    draft.description =
        "Posílá se v pondělí ráno.\n\n| list | vlastník |\n|---|---|\n| KPI | CFO |\n| ROI | CMO |\n"
            .to_owned();
    draft.configuration =
        json!({"authorization": {"oauth_api": {"id": format!("sheets-{}", market.code), "version": 3}}});
    for (title, kind) in [
        ("KPI", "kpi_daily"),
        ("ROI kampaní", "marketing_roi"),
        ("Prodeje", "daily_sales"),
    ] {
        let mapping = b.reads(market, &mut draft, &[kind]);
        let (file, sheet) = (
            b.random.text(crate::encode::LOWER_ALNUM, 32),
            b.random.between(1, 999_999_999),
        );
        b.row(&mut draft, title, json!({
            "parameters": {"fileId": file, "title": title, "sheetId": sheet, "sheetTitle": title, "enabled": true,
                "action": "update", "folder": {"id": null, "title": "Reporty"}},
            "storage": {"input": {"tables": mapping}}}));
    }
    b.add(market, "sheets", draft);
}

pub(crate) fn files(
    b: &mut Builder,
    market: &Market,
    component: &'static str,
    role: &'static str,
    name: &str,
) {
    let mut draft = b.draft(component, format!("{name} {}", market.upper()));
    draft.folder = Some("03 Output".to_owned());
    let secret = b.protected("target_secret");
    draft.configuration = match role {
        "wr-s3" => {
            json!({"parameters": {"accessKeyId": "{{ vault.s3_access_key_id }}", "#secretAccessKey": secret,
            "bucket": format!("retail-outbound-{}", market.code)}})
        }
        "wr-bq" => json!({"parameters": {"dataset": format!("retail_{}", market.code),
            "service_account": {"client_email": "keboola@retail-bi.example.com", "#private_key": secret, "project_id": "retail-bi"}}}),
        _ => {
            json!({"parameters": {"host": "ftp.partner.example.com", "port": 22, "user": "zahradnik", "#pass": secret,
            "protocol": "SFTP"}})
        }
    };
    for kind in ["product_feed", "stock_forecast", "daily_sales"] {
        let mapping = b.reads(market, &mut draft, &[kind]);
        if mapping.is_empty() {
            continue;
        }
        b.row(
            &mut draft,
            format!("Export {kind}"),
            json!({
            "parameters": {"prefix": format!("{}/{kind}/", market.code), "append_date": 1, "delimiter": ","},
            "storage": {"input": {"tables": mapping}},
            "processors": {"before": [{"definition": {"component": "keboola.processor-move-files"},
                "parameters": {"direction": "files"}}]}}),
        );
    }
    b.add(market, role, draft);
}

pub(crate) fn generic(b: &mut Builder, market: &Market) {
    let mut draft = b.draft(
        "kds-team.wr-generic",
        format!("Mailing: segmenty → API {}", market.upper()),
    );
    let key = b.protected("mailing");
    let mapping = b.reads(market, &mut draft, &["customer_segments"]);
    draft.configuration = json!({"parameters": {
        "api": {"base_url": "https://api.mailing.example.com", "default_query_parameters": [],
            "default_headers": [{"key": "X-Api-Key", "value": {"attr": "#api_key"}}], "ssl_verification": true, "timeout": 60},
        "user_parameters": {"#api_key": key, "list": format!("{}-vip", market.code)},
        "request_parameters": {"method": "POST", "endpoint_path": "/v2/lists/{{list}}/contacts"},
        "request_content": {"content_type": "JSON", "json_mapping": {"nesting_delimiter": "__", "chunk_size": 200,
            "request_data_wrapper": "{\"contacts\": {{data}}}", "column_data_types": {"autodetect": true}}}},
        "storage": {"input": {"tables": mapping}}});
    b.add(market, "wr-generic", draft);
}

pub(crate) fn hubspot(b: &mut Builder, market: &Market) {
    let mut draft = b.draft(
        "kds-team.wr-hubspot-crm",
        format!("HubSpot B2B {}", market.upper()),
    );
    let token = b.protected("hubspot");
    draft.configuration =
        json!({"parameters": {"authentication_type": "Private App Token", "#private_app_token": token}});
    let mapping = b.reads(market, &mut draft, &["customer_lifetime"]);
    b.row(
        &mut draft,
        "contacts update",
        json!({"parameters": {"endpoint": "contact_update"},
        "storage": {"input": {"tables": mapping}}}),
    );
    b.add(market, "hubspot", draft);
}

pub(crate) fn onedrive(b: &mut Builder, market: &Market) {
    let mut draft = b.draft(
        "keboola.wr-onedrive",
        format!("Excel pro nákup {}", market.upper()),
    );
    let mapping = b.reads(market, &mut draft, &["reorder_proposals"]);
    draft.configuration = json!({"authorization": {"oauth_api": {"id": format!("onedrive-{}", market.code), "version": 3}},
        "parameters": {"workbook": {"path": format!("/Nákup/{} návrhy.xlsx", market.upper()), "driveId": "", "fileId": ""},
            "worksheet": {"name": "Návrhy", "append": false}},
        "storage": {"input": {"tables": mapping}}});
    b.add(market, "onedrive", draft);
}

pub(crate) fn language_model(b: &mut Builder, market: &Market, component: &'static str, role: &'static str) {
    let mut draft = b.draft(component, format!("Sentiment recenzí {}", market.upper()));
    draft.folder = Some("02 Transformations/ML".to_owned());
    let key = b.protected("model_key");
    let bucket = format!("out.c-sentiment-{}", market.code);
    let mapping = b.reads(market, &mut draft, &["reviews"]);
    draft.configuration = json!({"parameters": {"ai_service_provider": "azure", "#api_token": key,
        "configuration_type": "batch", "deployment": "reviews-small", "temperature": 0.1,
        "prompt": "Přečti recenzi a odpověz jedním slovem: kladná, záporná, smíšená.\n\n[[comment]]\n\nOdpověď:",
        "additional_options": {"max_token_spend": 250_000, "timeout": 60}},
        "storage": {"input": {"tables": mapping}, "output": {"tables": [
            {"source": "sentiment.csv", "destination": format!("{bucket}.sentiment"), "primary_key": ["review_id"], "incremental": true}]}}});
    b.writes(market, &mut draft, None, &bucket, "sentiment", "reviews");
    b.add(market, role, draft);
}

pub(crate) fn gateway(b: &mut Builder, market: &Market) {
    let mut draft = b.draft(
        "keboola.app-data-gateway",
        format!("Power BI gateway {}", market.upper()),
    );
    let mapping = b.reads(market, &mut draft, &["daily_sales", "kpi_daily"]);
    draft.configuration = json!({"parameters": {"db": {"workspaceId": b.random.between(10_000, 99_999),
        "loginType": "snowflake-service-keypair", "#publicKey": b.protected("gateway_key")}},
        "storage": {"input": {"tables": mapping}}});
    b.add(market, "gateway", draft);
}

pub(crate) fn migration(b: &mut Builder, market: &Market) {
    let mut draft = b.draft(
        "keboola.app-project-migrate",
        format!("Přesun z legacy projektu {}", market.upper()),
    );
    draft.is_disabled = true;
    draft.configuration = json!({"parameters": {"sourceKbcUrl": "https://connection.legacy.example.com",
        "#sourceKbcToken": b.protected("legacy_token"), "dryRun": true, "skipRegionValidation": false}});
    b.add(market, "migration", draft);
}
