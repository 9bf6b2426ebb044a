//! Puts the parts together: configurations with histories, branches, storage, jobs, and the answers about the project.
//!
//! The order of the steps is part of the result: each draws from the one seeded stream.

use serde_json::{Value, json};

use crate::builder::{Builder, Draft};
use crate::catalog::COMPONENTS;
use crate::encode::Moment;
use crate::history::{AUTHORS, CI, Teller, token};
use crate::jobs::Runnable;
use crate::project::{Branch, Configuration, Project, Shape};
use crate::{events, jobs, plan, storage};

const STACK_HOST: &str = "connection.keboola.local";
const PROJECT_NAME: &str = "Zahradníkův košík – e-shop";

/// Generates a project. Equal shapes give equal projects; time and memory grow linearly with the shape.
pub fn generate(shape: &Shape) -> Project {
    let mut b = Builder::new(shape);
    plan::carry_out(&mut b);
    let main_id = 10_000 + shape.seed % 50_000;
    let storage = storage::build(&mut b, STACK_HOST, main_id);
    let mut teller = Teller::new(b.random.fork(), shape.versions_max, b.present());

    let drafts = std::mem::take(&mut b.drafts);
    let mut runnables = Vec::with_capacity(drafts.len());
    let mut configurations = Vec::with_capacity(drafts.len());
    for mut draft in drafts {
        let tasks = task_targets(&draft);
        let (inputs, outputs) = (
            std::mem::take(&mut draft.inputs),
            std::mem::take(&mut draft.outputs),
        );
        let (component, id) = (draft.component, draft.id.clone());
        let configuration = teller.tell(draft);
        runnables.push(Runnable {
            component,
            id,
            version: configuration.version(),
            inputs,
            outputs,
            tasks,
        });
        configurations.push(configuration);
    }
    let dev_id = (shape.dev_branches > 0).then(|| dev_branch_id(main_id, 0));
    let jobs = jobs::build(
        &mut b,
        &runnables,
        &storage.tables,
        (main_id, dev_id),
        PROJECT_NAME,
    );

    let mut branches = vec![main_branch(&mut teller, main_id, b.base, configurations)];
    for number in 0..shape.dev_branches {
        let branch = dev_branch(&mut teller, number, &branches[0], b.present());
        branches.push(branch);
    }
    for branch in &mut branches {
        branch.configurations.sort_by_cached_key(|configuration| {
            let name = configuration.detail["name"].as_str().unwrap_or("").to_lowercase();
            (
                configuration.component_id.clone(),
                name,
                configuration.id().to_owned(),
            )
        });
    }
    let events = events::build(&branches, STACK_HOST, shape.events_max, b.random.fork());
    let components: Vec<Value> = COMPONENTS
        .iter()
        .map(crate::catalog::Component::definition)
        .collect();
    Project {
        project_id: b.project_id,
        stack_host: STACK_HOST.to_owned(),
        options: options(b.project_id),
        token_verify: token_verify(&b, &storage.buckets),
        index: index(&components),
        components,
        branches,
        buckets: storage.buckets,
        tables: storage.tables,
        previews: storage.previews,
        jobs,
        events,
        planted: b.planted,
    }
}

/// Configuration ids that a flow runs.
fn task_targets(draft: &Draft) -> Vec<String> {
    let tasks = draft.configuration["tasks"].as_array().into_iter().flatten();
    tasks
        .filter_map(|task| task["task"]["configId"].as_str())
        .filter(|id| !id.is_empty())
        .map(str::to_owned)
        .collect()
}

fn main_branch(teller: &mut Teller, id: u64, base: Moment, configurations: Vec<Configuration>) -> Branch {
    let about = format!(
        "# {PROJECT_NAME}\n\nDatová platforma internetového obchodu: objednávky, sklad, zákazníci a **marketing**.\n\n\
         - produkční větev, změny jen přes *dev branch*\n- kontakt: data@example.com\n"
    );
    let metadata = vec![
        teller.metadata("KBC.projectDescription", &about, base.plus(3600)),
        teller.metadata("KBC.KAC.templates.instances", "[]", base.plus(7200)),
    ];
    let detail = json!({"id": id, "name": "Main", "description": "Production", "created": base.storage(), "isDefault": true,
        // PHP writes an empty object as an array.
        "creatorToken": []});
    Branch {
        detail,
        configurations,
        metadata,
    }
}

const BRANCH_NAMES: &[&str] = &[
    "Nový model atribuce",
    "Feature: Stock v2 (WMS)",
    "main",
    "hotfix_DPH-2026",
    "Nový model atribuce",
];

fn dev_branch_id(main_id: u64, number: usize) -> u64 {
    main_id + 177 * (u64::try_from(number).unwrap_or(0) + 1)
}

/// A branch with copies of the default one's configurations, of which some were changed, removed or added.
fn dev_branch(teller: &mut Teller, number: usize, main: &Branch, present: Moment) -> Branch {
    let branched = Moment(present.0 - 20 * 86_400).plus(3600 * u64::try_from(number).unwrap_or(0));
    let author = teller.author();
    let mut configurations = Vec::with_capacity(main.configurations.len());
    for source in &main.configurations {
        // Only a source that nothing refers to may go; the count stays near the default branch's.
        if source.component_id == "keboola.sandboxes" {
            continue;
        }
        let mut copy = teller.copied(source, branched, author);
        if teller.random.chance(15) {
            let mut at = branched;
            for _ in 0..=teller.random.below(2) {
                at = at.plus(teller.random.between(600, 86_400 * 8));
                teller.advance(&mut copy, at);
            }
        }
        configurations.push(copy);
    }
    if let Some(pattern) = main
        .configurations
        .iter()
        .find(|configuration| configuration.component_id == "keboola.ex-http")
    {
        let mut added = teller.copied(pattern, branched.plus(86_400), author);
        let id = crate::encode::ulid(branched.plus(86_400), &mut teller.random).to_lowercase();
        added.detail["id"] = json!(id);
        added.detail["name"] = json!("Nový zdroj jen ve větvi");
        added.detail["changeDescription"] = json!("Configuration created");
        added.versions.clear();
        added.metadata.clear();
        added.detail["version"] = json!(0);
        added.detail["rows"] = json!([]);
        added.detail["rowsSortOrder"] = json!([]);
        added.detail["configuration"] =
            json!({"parameters": {"baseUrl": "https://new.example.com/", "maxRedirects": 2}});
        teller.advance(&mut added, branched.plus(86_400));
        configurations.push(added);
    }
    let id = dev_branch_id(main.id(), number);
    let name = BRANCH_NAMES[number % BRANCH_NAMES.len()];
    let detail = json!({"id": id, "name": name, "description": format!("Práce na změně č. {}", number + 1),
        "created": branched.storage(), "isDefault": false, "creatorToken": {"id": author.0, "name": author.1}});
    let metadata = vec![teller.metadata("KBC.review.state", "in progress", branched.plus(60))];
    Branch {
        detail,
        configurations,
        metadata,
    }
}

fn options(project_id: u64) -> Value {
    json!({
        "project": {"id": project_id, "apiHost": STACK_HOST}, "allowTargetEnv": false, "sortBy": "id",
        "naming": {
            "branch": "{branch_name}", "config": "{component_type}/{component_id}/{config_name}",
            "configRow": "rows/{config_row_name}", "schedulerConfig": "schedules/{config_name}",
            "sharedCodeConfig": "_shared/{target_component_id}", "sharedCodeConfigRow": "codes/{config_row_name}",
            "variablesConfig": "variables", "variablesValuesRow": "values/{config_row_name}",
            "dataAppConfig": "app/{component_id}/{config_name}"},
        "allowedBranches": ["*"], "ignoredComponents": [], "templates": {"repositories": []}})
}

fn index(components: &[Value]) -> Value {
    let services: Vec<Value> = [
        "queue",
        "encryption",
        "scheduler",
        "sync-actions",
        "notification",
        "vault",
        "import",
    ]
    .iter()
    .map(|id| json!({"id": id, "url": format!("https://{id}.keboola.local")}))
    .collect();
    json!({"host": "generated", "api": "storage", "version": "v2", "revision": "generated",
        "documentation": "https://docs.example.com/storage", "components": components, "services": services,
        "features": ["conditional-flows", "queuev2"], "urlTemplates": {}})
}

fn token_verify(b: &Builder, buckets: &[Value]) -> Value {
    let (id, description) = CI;
    let permissions: Value = buckets
        .iter()
        .filter_map(|bucket| Some((bucket["id"].as_str()?.to_owned(), json!("manage"))))
        .collect();
    json!({
        "id": id.to_string(), "created": b.base.storage(), "refreshed": b.base.storage(), "description": description,
        "uri": format!("https://{STACK_HOST}/v2/storage/tokens/{id}"), "isMasterToken": true, "canManageBuckets": true,
        "canManageTokens": true, "canReadAllFileUploads": true, "canPurgeTrash": false, "expires": null, "isExpired": false,
        "isDisabled": false, "dailyCapacity": 0, "bucketPermissions": permissions, "componentAccess": [],
        "creatorToken": token(AUTHORS[0]), "admin": {"id": 118, "name": "Jana Nováková", "role": "admin", "features": []},
        "organization": {"id": "12"},
        "owner": {"id": b.project_id, "name": PROJECT_NAME, "type": "production", "region": "eu-central-1", "created": b.base.storage(),
            "expires": null, "features": ["queuev2", "new-table-delete", "conditional-flows"], "dataSizeBytes": 9_139_541_727_u64,
            "rowsCount": 50_906_099, "hasMysql": false, "hasSynapse": false, "hasRedshift": false, "hasSnowflake": true,
            "hasExasol": false, "hasTeradata": false, "hasBigquery": true, "defaultBackend": "snowflake", "hasTryModeOn": "0",
            "isDisabled": false, "dataRetentionTimeInDays": 7, "fileStorageProvider": "aws", "limits": {}, "metrics": {}}})
}
