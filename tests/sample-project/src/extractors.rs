//! Extractors: databases, shops, ad systems, files and interfaces the retailer reads from.
//!
//! Each function makes one configuration and registers the tables it writes.

use serde_json::{Value, json};

use crate::builder::{Builder, Draft};
use crate::entities::entity;
use crate::market::Market;

/// A database to extract from, a row for every table.
pub(crate) struct Database {
    pub(crate) role: &'static str,
    pub(crate) component: &'static str,
    pub(crate) name: &'static str,
    pub(crate) host: &'static str,
    pub(crate) port: u16,
    pub(crate) kinds: &'static [&'static str],
}

pub(crate) const ERP: Database = Database {
    role: "erp",
    component: "keboola.ex-db-mysql",
    name: "ERP Helios",
    host: "erp-db",
    port: 3306,
    kinds: &[
        "orders",
        "order_items",
        "customers",
        "products",
        "categories",
        "payments",
    ],
};
pub(crate) const ESHOP: Database = Database {
    role: "eshop",
    component: "keboola.ex-db-mysql",
    // The same path as the first one's: normalising takes the difference away.
    name: "erp helios",
    host: "eshop-replica",
    port: 3307,
    kinds: &["gift_cards", "reviews"],
};
pub(crate) const WMS: Database = Database {
    role: "wms",
    component: "keboola.ex-db-pgsql",
    name: "Sklad a logistika (WMS)",
    host: "wms-pg",
    port: 5432,
    kinds: &["stock_levels", "stock_movements", "warehouses", "shipments"],
};
pub(crate) const PURCHASING: Database = Database {
    role: "purchasing",
    component: "keboola.ex-db-mssql",
    name: "Nákup – dodavatelé a objednávky",
    host: "navision",
    port: 1433,
    kinds: &["suppliers", "purchase_orders"],
};
pub(crate) const STAFF: Database = Database {
    role: "staff",
    component: "keboola.ex-db-oracle",
    name: "HR & mzdy",
    host: "hr-oracle",
    port: 1521,
    kinds: &["employees"],
};
pub(crate) const SHARED_WAREHOUSE: Database = Database {
    role: "warehouse-share",
    component: "keboola.ex-db-snowflake",
    name: "Holding data share",
    host: "holding.snowflakecomputing.example.com",
    port: 443,
    kinds: &["stores"],
};

pub(crate) fn database(b: &mut Builder, market: &Market, database: &Database) {
    let mut draft = b.draft(
        database.component,
        format!("{} {}", database.name, market.upper()),
    );
    let host = format!("{}.{}.retail.example.com", database.host, market.code);
    draft.description = format!(
        "Zdroj **{}** pro trh {}.\n\n- vlastník: data platform\n- okno: 02:00–04:00 ({})\n- síť: VPN `{host}`\n",
        database.name, market.country, market.timezone
    );
    draft.folder = Some("01 Extraction".to_owned());
    let password = b.protected("erp_password");
    let tunnel = b.protected("ssh_key");
    let mut connection = json!({
        "host": host, "port": database.port, "database": format!("prod_{}", market.code),
        "user": "keboola_ro", "#password": password,
    });
    if database.port == 5432 {
        connection["ssh"] = json!({"enabled": true, "sshHost": format!("bastion.{}.retail.example.com", market.code),
            "sshPort": 22, "user": "tunnel", "keys": {"public": "ssh-ed25519 AAAA keboola", "#private": tunnel}});
    }
    draft.configuration = json!({"parameters": {"db": connection}});
    let bucket = Builder::default_bucket(&draft);
    for (number, kind) in database.kinds.iter().enumerate() {
        let table = entity(kind);
        let columns: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
        let output = format!("{bucket}.{kind}");
        let mut parameters = json!({
            "outputTable": output, "incremental": number % 2 == 0, "primaryKey": &columns[..table.key],
            "columns": columns, "retries": 5,
        });
        if number % 3 == 2 {
            let list = columns.join(",\n       ");
            parameters["query"] = json!(format!(
                "SELECT {list}\n  FROM `{kind}`\n WHERE deleted_at IS NULL"
            ));
        } else {
            parameters["table"] = json!({"schema": "prod", "tableName": kind});
        }
        if number % 2 == 0 {
            parameters["incrementalFetchingColumn"] = json!(columns[columns.len() - 1]);
            parameters["incrementalFetchingLimit"] = json!(500_000);
        }
        let row = b.row(
            &mut draft,
            format!("{kind} ({})", market.upper()),
            json!({"parameters": parameters}),
        );
        b.writes(market, &mut draft, Some(&row), &bucket, kind, kind);
    }
    if database.role == "erp" {
        let row = b.row(&mut draft, "archiv objednávek 2015–2019", json!({"parameters": {
            "outputTable": format!("{bucket}.orders_archive"), "table": {"schema": "archive", "tableName": "orders"},
            "primaryKey": ["order_id"], "columns": [], "incremental": false, "retries": 5}}));
        if let Some(last) = draft.rows.last_mut() {
            last.is_disabled = true;
            last.description = "Jednorázově načteno, už se nespouští.".to_owned();
        }
        b.writes(
            market,
            &mut draft,
            Some(&row),
            &bucket,
            "orders_archive",
            "orders",
        );
    }
    b.add(market, database.role, draft);
}

/// Shop platforms: Shopify by default, Shoptet's permalinks in the second flavour.
pub(crate) fn shop(b: &mut Builder, market: &Market) {
    let mut draft = b.draft("kds-team.ex-shopify", format!("{} (Shopify)", market.shop));
    draft.description =
        "Objednávky a zákazníci z nového e-shopu. Credentials: **custom app** `keboola-reader`.".to_owned();
    draft.folder = Some("01 Extraction".to_owned());
    let token = b.protected("shopify");
    draft.configuration = json!({"parameters": {
        "admin_api_token": "", "#admin_api_token": token, "shop": format!("zahradnik-{}", market.code),
        "endpoints": {"orders": true, "customers": true, "products": true, "events": false, "inventory": true},
        "loading_options": {"date_since": "3 days ago", "date_to": "now", "fetch_parameter": "updated_at",
                            "incremental_output": 1},
        "debug": false}});
    let bucket = Builder::default_bucket(&draft);
    for (name, kind) in [
        ("order", "orders"),
        ("customer", "customers"),
        ("product", "products"),
    ] {
        b.writes(market, &mut draft, None, &bucket, name, kind);
    }
    b.add(market, "shopify", draft);
}

pub(crate) fn shoptet(b: &mut Builder, market: &Market) {
    let mut draft = b.draft(
        "kds-team.ex-shoptet-permalink",
        format!("Shoptet {}", market.upper()),
    );
    let hash = b.protected("shoptet_hash");
    draft.configuration = json!({"parameters": {
        "shop_name": market.shop, "base_url": "https://www.zahradnik.example.com",
        "additional_data": [
            {"name": "orders", "#permalink": hash, "delimiter": ";", "charset": "cp1250"},
            {"name": "stock", "#permalink": b.protected("shoptet_hash"), "delimiter": ";", "charset": "cp1250"}],
        "loading_options": {"date_since": "1 week ago", "incremental_output": 1}}});
    let bucket = Builder::default_bucket(&draft);
    b.writes(market, &mut draft, None, &bucket, "orders", "orders");
    b.add(market, "shoptet", draft);
}

pub(crate) fn analytics(b: &mut Builder, market: &Market) {
    let mut draft = b.draft(
        "keboola.ex-google-analytics-v4",
        format!("GA4 {} – web + app", market.upper()),
    );
    draft.folder = Some("01 Extraction/Marketing".to_owned());
    let account = b.random.between(100_000_000, 399_999_999);
    draft.configuration = json!({
        "authorization": {"oauth_api": {"id": format!("ga4-{}", market.code), "version": 3}},
        "parameters": {"outputBucket": format!("in.c-ga4-{}", market.code), "retriesCount": 8,
            "properties": [{"accountKey": format!("accounts/{account}"), "propertyKey": format!("properties/{}", account + 7),
                            "propertyName": format!("{} web", market.shop)}]}});
    let bucket = format!("in.c-ga4-{}", market.code);
    for (name, kind, metrics) in [
        (
            "sessions",
            "sessions",
            ["sessions", "screenPageViews", "bounceRate"],
        ),
        (
            "page_views",
            "page_views",
            ["screenPageViews", "totalUsers", "engagementRate"],
        ),
        (
            "search_terms",
            "search_terms",
            ["eventCount", "totalUsers", "eventValue"],
        ),
    ] {
        let metrics: Vec<Value> = metrics.iter().map(|name| json!({"name": name})).collect();
        let configuration = json!({"parameters": {"outputTable": name, "endpoint": "data-api", "query": {
            "metrics": metrics, "dimensions": [{"name": "date"}, {"name": "sessionSourceMedium"}],
            "dateRanges": [{"startDate": "-4 days", "endDate": "-1 day"}], "viewId": ""}}});
        let row = b.row(&mut draft, name, configuration);
        b.writes(market, &mut draft, Some(&row), &bucket, name, kind);
    }
    b.add(market, "ga4", draft);
}

/// An ad system with an OAuth authorization.
pub(crate) fn ads(b: &mut Builder, market: &Market, component: &'static str, role: &'static str, name: &str) {
    let mut draft = b.draft(component, format!("{name} {}", market.upper()));
    draft.folder = Some("01 Extraction/Marketing".to_owned());
    draft.description = format!("Náklady kampaní z **{name}**; účet vede agentura.");
    let account = b.random.between(100_000_000, 999_999_999);
    draft.configuration = json!({
        "authorization": {"oauth_api": {"id": format!("{role}-{}", market.code), "version": 3}},
        "parameters": {"accounts": {format!("act_{account}"): {"id": format!("act_{account}"), "name": market.shop,
            "timezone_name": market.timezone, "currency": market.currency}},
            "api-version": "v19.0", "since": "-14 days", "until": "-1 day", "report_settings": {"level": "campaign",
            "fields": ["impressions", "clicks", "spend", "conversions"], "ignore_empty": true}}});
    let developer = b.protected("ads_developer_token");
    draft.state = json!({"component": {"last_run": b.base.plus(100).storage(), "#refresh_token": developer}});
    let bucket = Builder::default_bucket(&draft);
    b.writes(market, &mut draft, None, &bucket, "campaigns", "campaigns");
    b.writes(market, &mut draft, None, &bucket, "ad_costs", "ad_costs");
    b.add(market, role, draft);
}

/// Files: S3, FTP and HTTP sources have a connection and a row per file pattern.
pub(crate) fn object_store(b: &mut Builder, market: &Market) {
    let mut draft = b.draft(
        "keboola.ex-aws-s3",
        format!("S3 exporty {} <> Data Lake & archiv", market.upper()),
    );
    draft.folder = Some("01 Extraction/Files".to_owned());
    let secret = b.protected("s3_secret");
    draft.configuration = json!({"parameters": {"accessKeyId": "{{ vault.s3_access_key_id }}", "#secretAccessKey": secret,
        "loginType": "credentials", "roleArn": "arn:aws:iam::123456789012:role/keboola-reader"}});
    let bucket = Builder::default_bucket(&draft);
    for (name, kind, pattern) in [
        ("stock snapshots", "stock_levels", "stock/*.csv.gz"),
        ("competitor prices", "competitor_prices", "prices/*.csv"),
        ("exchange rates", "exchange_rates", "fx/latest.csv"),
    ] {
        let configuration = json!({
            "parameters": {"bucket": format!("retail-exports-{}", market.code), "key": pattern, "newFilesOnly": true,
                           "includeSubfolders": false, "limit": 0},
            "processors": {"after": [
                {"definition": {"component": "keboola.processor-move-files"}, "parameters": {"direction": "tables", "folder": kind}},
                {"definition": {"component": "keboola.processor-create-manifest"},
                 "parameters": {"delimiter": ",", "enclosure": "\"", "incremental": true, "primary_key": [], "columns_from": "header"}}]}});
        let row = b.row(&mut draft, name, configuration);
        b.writes(market, &mut draft, Some(&row), &bucket, kind, kind);
    }
    b.add(market, "s3", draft);
}

pub(crate) fn ftp(b: &mut Builder, market: &Market) {
    let mut draft = b.draft(
        "keboola.ex-ftp",
        format!("Dopravci – sledování zásilek {}", market.upper()),
    );
    draft.folder = Some("01 Extraction/Files".to_owned());
    let password = b.protected("carrier_ftp");
    draft.configuration = json!({"parameters": {"host": "sftp.carrier.example.com", "port": 22, "connectionType": "SFTP",
        "username": format!("zahradnik_{}", market.code), "#password": password, "path": "/", "timeout": 60}});
    let bucket = Builder::default_bucket(&draft);
    for (name, pattern) in [
        ("Zásilkovna", "/out/zas_*.csv"),
        ("DPD", "/dpd/*.csv"),
        ("Česká pošta", "/cp/*.txt"),
    ] {
        let table = name
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .collect::<String>()
            .to_lowercase();
        let configuration = json!({"parameters": {"path": pattern, "onlyForNewFiles": true, "delimiter": ";",
            "enclosure": "\"", "destination": format!("{bucket}.{table}")}});
        let row = b.row(&mut draft, name, configuration);
        b.writes(market, &mut draft, Some(&row), &bucket, &table, "shipments");
    }
    b.add(market, "ftp", draft);
}

pub(crate) fn http(b: &mut Builder, market: &Market) {
    let mut draft = b.draft(
        "keboola.ex-http",
        format!("Heureka & Zboží feedy {}", market.upper()),
    );
    draft.configuration = json!({"parameters": {"baseUrl": "https://feeds.example.com/", "maxRedirects": 5}});
    let bucket = Builder::default_bucket(&draft);
    let configuration =
        json!({"parameters": {"path": format!("{}/prices.csv?region={}&full=1", market.code, market.code)}});
    let row = b.row(&mut draft, "Ceny konkurence <denně>", configuration);
    b.writes(
        market,
        &mut draft,
        Some(&row),
        &bucket,
        "competitor_prices",
        "competitor_prices",
    );
    b.add(market, "http", draft);
}

/// The generic extractor, paged and with jobs inside jobs.
pub(crate) fn generic(b: &mut Builder, market: &Market) {
    let mut draft = b.draft("ex-generic-v2", format!("Loyalty API {}", market.upper()));
    draft.description =
        "Věrnostní program. Stránkování po 500, limit 10 req/s.\n\n```\nGET /v3/members?page=1\n```\n"
            .to_owned();
    let key = b.protected("loyalty_key");
    let output = format!("in.c-loyalty-{}", market.code);
    draft.configuration = json!({"parameters": {
        "api": {"baseUrl": "https://api.loyalty.example.com/v3/", "http": {"headers": {"Accept": "application/json"},
                "maxRetries": 6, "connectTimeout": 30},
            "authentication": {"type": "basic"}, "pagination": {"method": "pagenum", "pageParam": "page", "limit": 500,
                "firstPageParams": true}},
        "config": {"username": "keboola", "#password": key, "outputBucket": format!("loyalty-{}", market.code),
            "incrementalOutput": true, "debug": false, "threshold": 0.000_05,
            "jobs": [{"endpoint": "members", "dataType": "members", "dataField": "data", "params": {"fields": "id,email,points"},
                "children": [{"endpoint": "members/{member_id}/gift-cards", "dataType": "gift_cards",
                    "placeholders": {"member_id": "id"}, "recursionFilter": "points>100"}]}],
            "mappings": {"members": {"id": {"mapping": {"destination": "customer_id", "primaryKey": true}},
                "email": {"mapping": {"destination": "email"}}, "points": {"mapping": {"destination": "points"}}}}}}});
    b.writes(market, &mut draft, None, &output, "gift_cards", "gift_cards");
    b.writes(market, &mut draft, None, &output, "subscribers", "subscribers");
    b.add(market, "loyalty", draft);
}

pub(crate) fn currency(b: &mut Builder, market: &Market) {
    let mut draft = b.draft("keboola.ex-currency", "Kurzy ČNB");
    draft.configuration =
        json!({"parameters": {"dates": "current_day", "currency": market.currency, "provider": "cnb"}});
    let bucket = Builder::default_bucket(&draft);
    b.writes(market, &mut draft, None, &bucket, "rates", "exchange_rates");
    b.add(market, "currency", draft);
}

/// A source with one row per object and nothing special about it.
pub(crate) struct Plain {
    pub(crate) role: &'static str,
    pub(crate) component: &'static str,
    pub(crate) name: &'static str,
    pub(crate) secret: &'static str,
    pub(crate) rows: &'static [(&'static str, &'static str)],
}

pub(crate) const PLAIN: &[Plain] = &[
    Plain {
        role: "bing",
        component: "kds-team.ex-bing-ads",
        name: "Microsoft Ads",
        secret: "#developer_token",
        rows: &[("Campaign performance", "ad_costs"), ("Campaigns", "campaigns")],
    },
    Plain {
        role: "search-console",
        component: "kds-team.ex-google-search-console",
        name: "Search Console",
        secret: "#service_account",
        rows: &[("queries", "search_terms")],
    },
    Plain {
        role: "jira",
        component: "kds-team.ex-jira",
        name: "Jira – reklamace",
        secret: "#token",
        rows: &[("issues", "tickets")],
    },
    Plain {
        role: "zendesk",
        component: "keboola.ex-zendesk",
        name: "Zendesk – zákaznická péče",
        secret: "#apiToken",
        rows: &[("tickets", "tickets")],
    },
    Plain {
        role: "mongodb",
        component: "keboola.ex-mongodb",
        name: "Recenze (MongoDB)",
        secret: "#password",
        rows: &[("reviews", "reviews"), ("wishlists", "basket_pairs")],
    },
    Plain {
        role: "sheets-in",
        component: "keboola.ex-google-drive",
        name: "Plány a číselníky",
        secret: "#token",
        rows: &[("Prodejny", "stores"), ("Kampaně 2026", "campaigns")],
    },
    Plain {
        role: "mail-in",
        component: "keboola.ex-email-attachments",
        name: "Ceníky dodavatelů z e-mailu",
        secret: "#imap_password",
        rows: &[("ceník A", "suppliers")],
    },
    Plain {
        role: "bq-in",
        component: "keboola.ex-google-bigquery-v2",
        name: "GA4 raw export",
        secret: "#private_key",
        rows: &[("events_*", "sessions"), ("purchases", "payments")],
    },
];

pub(crate) fn plain(b: &mut Builder, market: &Market, source: &Plain) {
    let mut draft = b.draft(source.component, format!("{} {}", source.name, market.upper()));
    let secret = b.protected("source_secret");
    draft.configuration = json!({"parameters": {
        "account": format!("retail-{}", market.code), source.secret: secret, "region": "eu", "page_size": 250,
        "sync_options": {"incremental": true, "date_from": "7 days ago", "date_to": "now"}}});
    let bucket = Builder::default_bucket(&draft);
    for (name, kind) in source.rows {
        let configuration = json!({"parameters": {"object": name, "destination": {"output_table_name": kind,
            "load_type": "incremental_load"}, "fields": [], "advanced": false}});
        let row = b.row(&mut draft, *name, configuration);
        b.writes(market, &mut draft, Some(&row), &bucket, kind, kind);
    }
    if source.role == "sheets-in" {
        draft
            .rows
            .iter_mut()
            .for_each(|row| row.description = "Spravuje Jana z kontrolingu.".to_owned());
    }
    b.add(market, source.role, draft);
}

/// A configuration somebody switched off.
pub(crate) fn abandoned(b: &mut Builder, market: &Market) {
    let mut draft: Draft = b.draft(
        "keboola.ex-http",
        format!("NEPOUŽÍVAT starý feed {}", market.upper()),
    );
    draft.is_disabled = true;
    draft.description = "Vypnuto, nahrazeno feedem z Heureky.".to_owned();
    draft.configuration =
        json!({"parameters": {"baseUrl": "http://old-feed.example.com", "maxRedirects": 0}});
    b.add(market, "abandoned", draft);
}
