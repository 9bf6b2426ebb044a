//! Configurations in which somebody left a secret in the open.
//!
//! Every value is made by `secrets` and recorded with the builder; nothing here opens anything.

use serde_json::{Value, json};

use crate::builder::Builder;
use crate::market::Market;
use crate::secrets;

/// Plaintext under `#` keys in every shape, and its neighbours without `#`.
pub(crate) fn legacy_ftp(b: &mut Builder, market: &Market) {
    let mut draft = b.draft("keboola.ex-ftp", format!("Legacy FTP {}", market.upper()));
    let at = |what: &str| format!("keboola.ex-ftp/{} {what}", draft.id);
    let places = [
        "#password",
        "password",
        "url",
        "#list[0]",
        "#list[1].inner",
        "nested.deep.#key",
        "#pin",
        "headers[0].value",
    ]
    .map(at);
    let [hash, plain, in_url, listed, inner, deep, pin, header] = places;
    let password = secrets::password(&mut b.random);
    let password = b.plant("hash-key", password, hash);
    let other = secrets::password(&mut b.random);
    let other = b.plant("password-key", other, plain);
    let in_address = secrets::short_key(&mut b.random);
    let in_address = b.plant("url-user-info", in_address, in_url);
    let listed_value = secrets::hex_key(&mut b.random);
    let listed_value = b.plant("hash-key-array", listed_value, listed);
    let inner_value = secrets::password(&mut b.random);
    let inner_value = b.plant("hash-key-object", inner_value, inner);
    let deep_value = secrets::password(&mut b.random);
    let deep_value = b.plant("hash-key", deep_value, deep);
    let number = secrets::numeric(&mut b.random);
    b.plant("hash-key-number", number.to_string(), pin);
    let bearer = secrets::bearer(&mut b.random);
    let bearer = b.plant("bearer", bearer, header);
    draft.description = "Starý FTP server partnera.".to_owned();
    draft.configuration = json!({"parameters": {
        "host": "ftp.partner.example.com", "username": "zahradnik", "#password": password, "password": other,
        "url": format!("https://exports:{in_address}@files.partner.example.com/export?full=1"),
        "headers": [{"name": "Authorization", "value": format!("Bearer {bearer}")}],
        "#list": [listed_value, {"inner": inner_value}], "nested": {"deep": {"#key": deep_value}}, "#pin": number,
        "#empty": "", "#none": null, "#flag": true, "#vault": "{{ vault.ftp_password }}",
        "#cipher": secrets::cipher(&mut b.random)}});
    let bucket = Builder::default_bucket(&draft);
    let key = secrets::private_key(&mut b.random);
    let place = Builder::place(&draft, "row daily export, #pgp");
    let key = b.plant("private-key", key, place);
    let row = b.row(
        &mut draft,
        "daily export",
        json!({"parameters": {"path": "/out/*.csv", "#pgp": key}}),
    );
    b.writes(market, &mut draft, Some(&row), &bucket, "daily", "product_feed");
    b.add(market, "plant-ftp", draft);
}

/// Interfaces with keys in ordinary members and headers.
pub(crate) fn crm_interface(b: &mut Builder, market: &Market) {
    let mut draft = b.draft("ex-generic-v2", format!("CRM a platby API {}", market.upper()));
    let (access, secret) = secrets::aws_pair(&mut b.random);
    let (jwt, stripe) = (secrets::jwt(&mut b.random), secrets::stripe_key(&mut b.random));
    let (api_key, google) = (
        secrets::short_key(&mut b.random),
        secrets::google_api_key(&mut b.random),
    );
    let mut planted = |kind, value: &str, what: &str| {
        let place = Builder::place(&draft, what);
        b.plant(kind, value.to_owned(), place);
    };
    planted("api-key", &api_key, "api.http.defaultOptions.params.api_key");
    planted("jwt", &jwt, "api.http.headers.Authorization");
    planted("stripe-key", &stripe, "config.payments.key");
    planted("google-api-key", &google, "jobs[0].params.key");
    planted("aws-access-key-id", &access, "config.aws_access_key_id");
    planted("aws-secret-access-key", &secret, "config.aws_secret_access_key");
    draft.configuration = json!({"parameters": {
        "api": {"baseUrl": "https://crm.example.com/api/", "http": {"headers": {"Authorization": format!("Bearer {jwt}")},
            "defaultOptions": {"params": {"api_key": api_key, "lang": "cs"}}}},
        "config": {"outputBucket": format!("crm-{}", market.code), "payments": {"key": stripe},
            "aws_access_key_id": access, "aws_secret_access_key": secret,
            "jobs": [{"endpoint": "places", "dataType": "places", "params": {"key": google, "q": market.country}}]}}});
    b.add(market, "plant-crm", draft);
}

/// Passwords and storage credentials inside SQL.
pub(crate) fn sql_credentials(b: &mut Builder, market: &Market) {
    let mut draft = b.draft(
        "keboola.snowflake-transformation",
        format!("Setup BI users {}", market.upper()),
    );
    draft.folder = Some("99 Admin".to_owned());
    let user = secrets::password(&mut b.random);
    let (access, secret) = secrets::aws_pair(&mut b.random);
    let changed = secrets::password(&mut b.random);
    for (kind, value, what) in [
        ("sql-password", &user, "CREATE USER"),
        ("aws-access-key-id", &access, "CREATE STAGE"),
        ("aws-secret-access-key", &secret, "CREATE STAGE"),
        ("sql-password", &changed, "ALTER USER"),
    ] {
        let place = Builder::place(&draft, what);
        b.plant(kind, value.clone(), place);
    }
    let input = b.reads(market, &mut draft, &["daily_sales"]);
    draft.configuration = json!({"parameters": {"blocks": [{"name": "Users", "codes": [
        {"name": "Create users", "script": [
            format!("CREATE USER IF NOT EXISTS bi_{} PASSWORD = '{user}' DEFAULT_ROLE = BI_READER MUST_CHANGE_PASSWORD = FALSE;", market.code),
            format!("ALTER USER bi_admin SET PASSWORD='{changed}';"),
            format!("GRANT ROLE BI_READER TO USER bi_{};", market.code)]},
        {"name": "Stage", "script": [
            format!("CREATE OR REPLACE STAGE exports\n  URL = 's3://retail-exports-{}/bi/'\n  CREDENTIALS = (AWS_KEY_ID = '{access}' AWS_SECRET_KEY = '{secret}')\n  FILE_FORMAT = (TYPE = CSV);", market.code)]}]}]},
        "storage": {"input": {"tables": input}}});
    b.add(market, "plant-sql", draft);
}

/// Keys assigned in Python, tokens in headers and in addresses.
pub(crate) fn python_credentials(b: &mut Builder, market: &Market) {
    let mut draft = b.draft(
        "keboola.python-transformation-v2",
        format!("Kurzy a notifikace {}", market.upper()),
    );
    let api_key = secrets::hex_key(&mut b.random);
    let bearer = secrets::bearer(&mut b.random);
    let slack = secrets::slack_token(&mut b.random);
    let github = secrets::github_token(&mut b.random);
    let npm = secrets::npm_token(&mut b.random);
    for (kind, value, what) in [
        ("python-api-key", &api_key, "api_key ="),
        ("bearer", &bearer, "headers"),
        ("slack-token", &slack, "SLACK"),
        ("github-token", &github, "git+https"),
        ("npm-token", &npm, ".npmrc"),
    ] {
        let place = Builder::place(&draft, what);
        b.plant(kind, value.clone(), place);
    }
    let input = b.reads(market, &mut draft, &["exchange_rates"]);
    draft.configuration = json!({"parameters": {"packages": ["requests"], "blocks": [
        {"name": "Notify", "codes": [{"name": "Rates", "script": [
            format!("import requests\n\napi_key = \"{api_key}\"\nrates = requests.get('https://rates.example.com/latest', params={{'access_key': api_key}}, timeout=30).json()\n"),
            format!("headers = {{\n    'Accept': 'application/json',\n    'Authorization': 'Bearer {bearer}',\n}}\nrequests.post('https://hooks.example.com/rates', headers=headers, json=rates, timeout=30)\n"),
            format!("SLACK = '{slack}'  # TODO move to vault\n\n# pip install git+https://{github}@github.example.com/retail/rates.git\nopen('.npmrc', 'w').write('//registry.example.com/:_authToken={npm}')\n")]}]}]},
        "storage": {"input": {"tables": input}}});
    b.add(market, "plant-python", draft);
}

/// A private key inside a JSON document inside a string: its line ends are escaped twice.
pub(crate) fn service_account(b: &mut Builder, market: &Market) {
    let mut draft = b.draft(
        "kds-team.app-custom-python",
        format!("GCS upload {}", market.upper()),
    );
    let escaped = secrets::private_key(&mut b.random).replace('\n', "\\n");
    let place = Builder::place(&draft, "user_properties.service_account");
    let escaped = b.plant("private-key-escaped", escaped, place);
    let sendgrid = secrets::sendgrid_key(&mut b.random);
    let place = Builder::place(&draft, "code");
    let sendgrid = b.plant("sendgrid-key", sendgrid, place);
    let document = format!(
        "{{\"type\": \"service_account\", \"project_id\": \"retail-bi\", \"private_key\": \"{escaped}\", \"client_email\": \"upload@retail-bi.example.com\"}}"
    );
    draft.configuration = json!({"parameters": {"user_properties": {"service_account": document, "bucket": "retail-uploads"},
        "packages": ["google-cloud-storage"],
        "code": format!("import json\nimport os\n\nos.environ['SENDGRID_API_KEY'] = '{sendgrid}'\nprint(json.loads(open('/data/config.json').read())['parameters']['user_properties']['bucket'])\n")}});
    b.add(market, "plant-service-account", draft);
}

/// Connection strings of JDBC and ODBC.
pub(crate) fn connection_strings(b: &mut Builder, market: &Market) {
    let mut draft = b.draft(
        "keboola.wr-db-pgsql",
        format!("Report DB (JDBC) {}", market.upper()),
    );
    let (jdbc, odbc) = (secrets::password(&mut b.random), secrets::password(&mut b.random));
    for (kind, value, what) in [
        ("jdbc", &jdbc, "parameters.jdbc"),
        ("odbc", &odbc, "parameters.odbc"),
    ] {
        let place = Builder::place(&draft, what);
        b.plant(kind, value.clone(), place);
    }
    let protected = b.protected("report_db");
    draft.configuration = json!({"parameters": {"db": {"host": "reports.example.com", "#password": protected},
        "jdbc": format!("jdbc:postgresql://reports.example.com:5432/bi?user=writer&password={jdbc}&ssl=true"),
        "odbc": format!("Driver={{ODBC Driver 18 for SQL Server}};Server=reports.example.com;Uid=writer;Pwd={odbc};Encrypt=yes")}});
    b.add(market, "plant-jdbc", draft);
}

/// Secrets in prose: a description, a row's description and the description of a change.
pub(crate) fn prose(b: &mut Builder, market: &Market) {
    let mut draft = b.draft("keboola.ex-db-mysql", format!("Staging DB {}", market.upper()));
    let (described, token) = (
        secrets::password(&mut b.random),
        secrets::storage_token(b.project_id, &mut b.random),
    );
    let (changed, row_text) = (
        secrets::gitlab_token(&mut b.random),
        secrets::password(&mut b.random),
    );
    for (kind, value, what) in [
        ("prose-password", &described, "description"),
        ("storage-token", &token, "description"),
        ("gitlab-token", &changed, "change description"),
        ("prose-password", &row_text, "row description"),
    ] {
        let place = Builder::place(&draft, what);
        b.plant(kind, value.clone(), place);
    }
    draft.description = format!(
        "Testovací databáze. Přihlášení: uživatel `staging`, heslo: {described}\n\nExport spouští skript s tokenem {token} (platí do konce roku).\n"
    );
    draft.change = Some(format!("Rotated the deploy token\n\nnew one for CI: {changed}\n"));
    let protected = b.protected("staging");
    draft.configuration = json!({"parameters": {"db": {"host": "staging.retail.example.com", "port": 3306, "user": "staging", "#password": protected}}});
    let bucket = Builder::default_bucket(&draft);
    let row = b.row(&mut draft, "orders sample", json!({"parameters": {"outputTable": format!("{bucket}.orders_sample"),
        "table": {"schema": "staging", "tableName": "orders"}, "incremental": false, "primaryKey": ["order_id"]}}));
    if let Some(last) = draft.rows.last_mut() {
        last.description = format!("VPN password: {row_text}");
    }
    b.writes(market, &mut draft, Some(&row), &bucket, "orders_sample", "orders");
    b.add(market, "plant-prose", draft);
}

/// A password that was in the clear two versions ago and has been encrypted since.
pub(crate) fn repaired(b: &mut Builder, market: &Market) {
    let mut draft = b.draft(
        "keboola.wr-db-mysql",
        format!("E-shop zápis (opraveno) {}", market.upper()),
    );
    let old = secrets::password(&mut b.random);
    let place = Builder::place(&draft, "an older version, db.#password");
    let old = b.plant("hash-key-history", old, place);
    let with = |password: Value| json!({"parameters": {"db": {"host": "eshop.example.com", "port": 3306, "user": "writer", "#password": password}}});
    draft.older = vec![
        (json!({}), "Configuration created".to_owned()),
        (with(json!(old)), "Updated from API".to_owned()),
    ];
    draft.change = Some("Encrypt the password".to_owned());
    draft.configuration = with(json!(secrets::cipher(&mut b.random)));
    b.add(market, "plant-repaired", draft);
}

/// A secret as the value of a variable, where name and value are neighbours, and one in an app's environment.
pub(crate) fn variable_values(b: &mut Builder, market: &Market) {
    let mut draft = b.draft(
        "keboola.variables",
        format!("Variables for mailing {}", market.upper()),
    );
    let value = secrets::short_key(&mut b.random);
    let place = Builder::place(&draft, "row values[0].value");
    let value = b.plant("sibling-value", value, place);
    draft.configuration = json!({"variables": [{"name": "api_password", "type": "string"}, {"name": "list", "type": "string"}]});
    let row = b.row(
        &mut draft,
        "Default Values",
        json!({"values": [
        {"name": "api_password", "value": value}, {"name": "list", "value": "vip"}]}),
    );
    let id = draft.id.clone();
    if let Some(writer) = b.role_mut(market, "wr-generic") {
        writer.configuration["variables_id"] = json!(id);
        writer.configuration["variables_values_id"] = json!(row);
    }
    b.add(market, "plant-variables", draft);
}

/// A data app with a plaintext secret among its encrypted ones.
pub(crate) fn app_secret(b: &mut Builder, market: &Market) {
    let mut draft = b.draft(
        "keboola.data-apps",
        format!("Ceník pro prodejny {}", market.upper()),
    );
    let token = secrets::storage_token(b.project_id, &mut b.random);
    let place = Builder::place(&draft, "dataApp.secrets.#KBC_TOKEN");
    let token = b.plant("hash-key", token, place);
    let protected = b.protected("app_key");
    draft.configuration = json!({"parameters": {"id": b.random.between(10_000_000, 99_999_999).to_string(),
        "dataApp": {"slug": format!("cenik-{}", market.code), "type": "streamlit",
            "secrets": {"#KBC_TOKEN": token, "#APP_KEY": protected, "KBC_URL": "https://connection.example.com"}}, "size": "tiny"}});
    b.add(market, "plant-app", draft);
}
