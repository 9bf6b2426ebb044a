//! What people leave where it does not belong.

use super::scanner::Secret;
use crate::support::{JANE, Keboola, PETR};
use fake_keboola::{Author, Change, ConfigAt, JobSpec, JobTable};
use sample_project::{Shape, generate};
use serde_json::{Value, json};

/// Well-formed secrets that occur nowhere yet, by kind.
pub(super) struct Fresh(Vec<(String, String)>);

impl Fresh {
    pub(super) fn new() -> Self {
        let planted = [901, 902, 903].map(|seed| {
            let shape = Shape {
                seed,
                configurations: 40,
                dev_branches: 0,
                jobs: 1,
                ..Shape::default()
            };
            generate(&shape).planted_secrets().to_vec()
        });
        Self(
            planted
                .into_iter()
                .flatten()
                .map(|one| (one.kind, one.value))
                .collect(),
        )
    }

    /// Takes one of a kind, and notes where it goes.
    pub(super) fn take(&mut self, kind: &str, place: &str, left: &mut Vec<Secret>) -> String {
        let at = self.0.iter().position(|(found, _)| found == kind);
        let (_, value) = self.0.remove(at.unwrap_or_else(|| panic!("no {kind} is left")));
        left.push(Secret {
            place: place.to_owned(),
            value: value.clone(),
        });
        value
    }
}

/// Where the changes of a test go.
pub(super) struct Places {
    branch: String,
    pub(super) sql: ConfigAt,
    /// Another transformation, of which parts are named after secrets.
    python: ConfigAt,
    shared: ConfigAt,
    extractors: Vec<ConfigAt>,
    table: String,
}

impl Places {
    pub(super) fn of(keboola: &Keboola) -> Self {
        let project = keboola.project();
        let default = project.default_branch();
        let at = |one: &sample_project::Configuration| keboola.at(&one.component_id, one.id());
        let of = |component: &str| {
            let found = default
                .configurations
                .iter()
                .find(|one| one.component_id == component);
            at(found.unwrap_or_else(|| panic!("the project has no {component}")))
        };
        let is_extractor = |id: &str| {
            project
                .component(id)
                .is_some_and(|one| one["type"] == "extractor")
        };
        let plain = |one: &&sample_project::Configuration| {
            is_extractor(&one.component_id) && one.detail["configuration"]["parameters"].is_object()
        };
        Self {
            branch: default.id().to_string(),
            sql: of("keboola.snowflake-transformation"),
            python: of("keboola.python-transformation-v2"),
            shared: of("keboola.shared-code"),
            extractors: default.configurations.iter().filter(plain).map(at).collect(),
            table: project
                .previews
                .keys()
                .next()
                .expect("the project has previews")
                .clone(),
        }
    }
}

pub(super) fn script(configuration: &mut Value) -> &mut Vec<Value> {
    let script = configuration.pointer_mut("/parameters/blocks/0/codes/0/script");
    script
        .and_then(Value::as_array_mut)
        .expect("a transformation has a script")
}

/// Texts that look like secrets and are none.
pub(super) const HARMLESS: [&str; 12] = [
    "SELECT password_hash, token_count FROM users WHERE reset_token IS NULL;",
    "-- e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "SELECT '123e4567-e89b-42d3-a456-426614174000' AS batch_id;",
    "CREATE USER reader PASSWORD = '{{ vault.reader_password }}';",
    "CREATE USER writer PASSWORD = '<your-password>';",
    "-- commit 8f14e45fceea167a5a36dedd4bea2543e2f0b1a9 of the model",
    "SET token_url = 'https://login.example.com/oauth/token';",
    "-- every key id of that vendor begins with AKIA",
    "SELECT \"api_key_name\", \"primary_key\" FROM \"keys\";",
    "-- 01J9ZZZZZZZZZZZZZZZZZZZZZZ is the version",
    "SELECT * FROM \"in.c-main.passwords\" LIMIT 10;",
    "ALTER USER x SET PASSWORD = $new_password;",
];

/// Leaves secrets everywhere that people can write to, and returns them.
pub(super) fn leave_secrets(keboola: &Keboola, places: &Places, fresh: &mut Fresh) -> Vec<Secret> {
    let mut left = Vec::new();
    let left = &mut left;
    let [first, second, third, ..] = &places.extractors[..] else {
        panic!("too few extractors")
    };
    // Made before anything is borrowed by the closures below.
    let value = fresh.take("sql-password", "SQL", left);
    keboola.edit(&places.sql, JANE, "Reporting gets a user", |configuration| {
        script(configuration).push(json!(format!("CREATE USER reporting PASSWORD = '{value}';")));
    });
    let (id, key) = (
        fresh.take("aws-access-key-id", "SQL stage", left),
        fresh.take("aws-secret-access-key", "SQL stage", left),
    );
    keboola.edit(&places.sql, JANE, "Unload to S3", |configuration| {
        let stage =
            format!("CREATE STAGE s URL='s3://x' CREDENTIALS=(AWS_KEY_ID='{id}' AWS_SECRET_KEY='{key}');");
        script(configuration).push(json!(stage));
    });
    let value = fresh.take("slack-token", "name of a block", left);
    let other = fresh.take("npm-token", "name of a code", left);
    keboola.edit(&places.python, PETR, "Name the steps", |configuration| {
        configuration["parameters"]["blocks"][0]["name"] = json!(format!("Notify {value}"));
        configuration["parameters"]["blocks"][0]["codes"][0]["name"] = json!(format!("Publish with {other}"));
    });
    let value = fresh.take("hash-key", "plaintext #password", left);
    keboola.set(first, PETR, "#password", value);
    let value = fresh.take("hash-key-array", "nested plaintext", left);
    keboola.set(first, PETR, "#keys", json!([{"deep": [value]}]));
    let value = fresh.take("gitlab-token", "change description", left);
    keboola.edit(
        second,
        JANE,
        &format!("Deploy with {value} from now on"),
        |configuration| {
            configuration["parameters"]["deploy"] = json!(1);
        },
    );
    let value = fresh.take("prose-password", "change description, in prose", left);
    keboola.edit(
        second,
        JANE,
        &format!("The new password is: {value}"),
        |configuration| {
            configuration["parameters"]["deploy"] = json!(2);
        },
    );
    leave_in_names(keboola, places, fresh, left, third);
    let value = fresh.take("stripe-key", "row", left);
    let name = fresh.take("sendgrid-key", "name of a row", left);
    let change = keboola.by(PETR, "Add a row");
    let row = json!({"parameters": {"note": format!("pay with {value}")}});
    keboola
        .create_row(third, "9001", &change, &format!("Mail {name}"), row)
        .expect("the id is free");
    let value = fresh.take("jwt", "description", left);
    let change = keboola.by(PETR, "Describe");
    let described = keboola.revise_configuration(third, &change, |members| {
        members["description"] = json!(format!("Call it with\n\n`Authorization: Bearer {value}`\n"));
    });
    described
        .expect("there is such a configuration")
        .expect("it differs");
    let value = fresh.take("python-api-key", "shared code", left);
    let rows = keboola
        .project()
        .default_branch()
        .configuration(&places.shared.component, &places.shared.config)
        .map(|one| one.detail["rows"].clone());
    let row = rows
        .as_ref()
        .and_then(|rows| rows[0]["id"].as_str())
        .expect("shared code has rows")
        .to_owned();
    keboola.edit_row(&places.shared, &row, JANE, |members| {
        members["configuration"]["code_content"] = json!([format!("SET api_key = '{value}';")]);
    });
    let value = fresh.take("google-api-key", "metadata of a configuration", left);
    let change = keboola.by(JANE, "");
    keboola
        .set_configuration_metadata(second, &change, &[("note", &format!("maps key {value}"))])
        .expect("it is there");
    let value = fresh.take("prose-password", "metadata of the branch", left);
    let text = format!("# Shop\n\nVPN password: {value}\n");
    keboola
        .set_branch_metadata(&places.branch, &change, &[("KBC.projectDescription", &text)])
        .expect("it is there");
    leave_in_storage(keboola, places, fresh, left, first);
    std::mem::take(left)
}

/// Names of configurations, of authors and of branches.
fn leave_in_names(
    keboola: &Keboola,
    places: &Places,
    fresh: &mut Fresh,
    left: &mut Vec<Secret>,
    at: &ConfigAt,
) {
    let value = fresh.take("github-token", "name of a configuration", left);
    keboola.rename(at, JANE, &format!("Repos ({value})"));
    let value = fresh.take(
        "hash-key-array",
        "name of a configuration, a key of small letters",
        left,
    );
    let change = keboola.by(JANE, "Make");
    let named = keboola.at("keboola.ex-http", "named-by-its-key");
    let content = json!({"parameters": {"baseUrl": "https://x.example.com"}});
    keboola
        .create_configuration(&named, &change, &format!("Import api_key={value}"), content)
        .expect("the id is free");
    let value = fresh.take("github-token", "name of an author", left);
    let author = Author {
        token_id: 9101,
        name: format!("ci {value}"),
    };
    let change = Change {
        author,
        description: Some("By a machine".into()),
        now: keboola.now(),
    };
    let edit = |number: i32| {
        move |configuration: &mut Value| configuration["parameters"]["by_machine"] = json!(number)
    };
    keboola
        .update_configuration(at, &change, edit(1))
        .expect("it is there");
    let value = fresh.take("gitlab-token", "address of an author", left);
    let author = Author {
        token_id: 9102,
        name: format!("{value}@example.com"),
    };
    let change = Change {
        author,
        description: Some("By another machine".into()),
        now: keboola.now(),
    };
    keboola
        .update_configuration(at, &change, edit(2))
        .expect("it is there");

    let (name, text) = (
        fresh.take("npm-token", "name of a branch", left),
        fresh.take("prose-password", "description of a branch", left),
    );
    let by = keboola.by(JANE, "");
    let branch = keboola
        .create_branch(&format!("Use {name}"), &format!("Staging password: {text}"), &by)
        .expect("it can be made");
    let key = fresh.take("hash-key-array", "name of a branch, a key of small letters", left);
    let other = keboola
        .create_branch(&format!("api_key={key}"), "", &by)
        .expect("it can be made");
    for branch in [branch, other] {
        let at = ConfigAt::new(&branch, &places.sql.component, &places.sql.config);
        keboola.edit(&at, PETR, "Try it", |configuration| {
            script(configuration).push(json!("SELECT 2;"));
        });
    }
}

/// Cells, descriptions of tables, and runs.
fn leave_in_storage(
    keboola: &Keboola,
    places: &Places,
    fresh: &mut Fresh,
    left: &mut Vec<Secret>,
    at: &ConfigAt,
) {
    let project = keboola.project();
    let preview = &project.previews[&places.table];
    let columns = preview.lines().next().map_or(1, |head| head.split(',').count());
    let cell = fresh.take("stripe-key", "cell of a table", left);
    let mut rows: Vec<String> = preview.lines().map(str::to_owned).collect();
    let mut line = vec![format!("\"{cell}\"")];
    line.resize(columns, "\"1\"".to_owned());
    rows.insert(1, line.join(","));
    let by = keboola.by(JANE, "");
    keboola
        .change_preview(&places.table, &format!("{}\n", rows.join("\n")), &by)
        .expect("there is such a table");
    let detail = project
        .tables
        .iter()
        .find(|table| table["id"] == places.table.as_str());
    let mut detail = detail.expect("there is such a table").clone();
    // This one has a dot in it, as passwords may.
    let text = fresh.take("prose-password", "description of a table", left);
    assert!(text.contains('.'), "the seeds make other passwords now: {text}");
    let described = json!({"id": 999_001, "key": "KBC.description", "value": format!("Read with password: {text}"), "provider": "user", "timestamp": "2026-11-02T08:00:00+0100"});
    detail["metadata"]
        .as_array_mut()
        .expect("tables have metadata")
        .push(described);
    keboola.put_table(detail, &by).expect("it has an id");

    let (message, link) = (
        fresh.take("url-user-info", "message of a run", left),
        fresh.take("url-user-info", "artifact link of a run", left),
    );
    let ended = keboola.now();
    let run = |status: &str| JobSpec {
        at: at.clone(),
        status: status.into(),
        author: Author {
            token_id: 9004,
            name: "ci-bot".into(),
        },
        started: ended,
        ended,
        message: format!("cannot connect to postgres://exports:{message}@db.example.com:5432/shop"),
        inputs: Vec::new(),
        outputs: vec![JobTable {
            table: places.table.clone(),
            columns: vec!["id".into()],
        }],
        artifact_links: vec![format!("https://exports:{link}@files.example.com/run.zip")],
    };
    for status in ["error", "success"] {
        keboola.finish_job(run(status)).expect("it is there");
    }
}
