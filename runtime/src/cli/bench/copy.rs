//! A mirror's project in memory, so that it can be changed without changing it in Keboola.

use crate::app::{Failure, chain};
use mirror_keboola::KeboolaClient;
use sample_project::{Branch, Project};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Reads the default branch of a project, as far as a commit of a configuration needs it: no runs, no samples.
pub(super) async fn project(client: &KeboolaClient) -> Result<Project, Failure> {
    let token = client.verify_token().await.map_err(|error| unread(&error))?;
    let project_id: u64 = token.project_id.as_str().parse().unwrap_or(1);
    let ask = async |path: &[&str], query: &[(&str, &str)]| {
        let text = client.answer(path, query).await.map_err(|error| unread(&error))?;
        // A number keeps its digits, a member its place.
        serde_json::from_str::<Value>(&text).map_err(|error| {
            Failure::message(format!(
                "cannot copy the project: `{}` is not JSON: {error}",
                path.join("/")
            ))
        })
    };
    let list = async |path: &[&str], query: &[(&str, &str)]| match ask(path, query).await? {
        Value::Array(items) => Ok(items),
        Value::Object(members) if members.is_empty() => Ok(Vec::new()),
        _ => Err(Failure::message(format!(
            "cannot copy the project: `{}` is no list",
            path.join("/")
        ))),
    };
    let index = ask(&[], &[]).await?;
    let branches = list(&["dev-branches"], &[]).await?;
    let default = branches.into_iter().find(|branch| branch["isDefault"] == true);
    let default = default.ok_or_else(|| Failure::message("the project has no default branch"))?;
    let id = default["id"].to_string();
    let of = |rest: &'static [&'static str]| [&["branch", id.as_str()][..], rest].concat();
    let components = list(&of(&["components"]), &[("include", "configuration,rows")]).await?;
    let metadata = list(&of(&["metadata"]), &[]).await?;
    let described = list(
        &of(&["search", "component-configurations"]),
        &[("include", "filteredMetadata")],
    )
    .await?;
    let buckets = list(&of(&["buckets"]), &[("include", "metadata,linkedBuckets")]).await?;
    let tables = list(
        &of(&["tables"]),
        &[("include", "buckets,columns,metadata,columnMetadata")],
    )
    .await?;
    let branch = Branch::of_answers(default, components, metadata, described);
    let branch = branch.map_err(|expected| {
        Failure::message(format!("cannot copy the project: an answer has no {expected}"))
    })?;
    Ok(Project {
        project_id,
        stack_host: String::new(),
        options: json!({}),
        token_verify: Value::Null,
        components: index["components"].as_array().cloned().unwrap_or_default(),
        index,
        branches: vec![branch],
        buckets,
        tables,
        previews: BTreeMap::new(),
        jobs: Vec::new(),
        events: Vec::new(),
        planted: Vec::new(),
    })
}

fn unread(error: &mirror_keboola::KeboolaError) -> Failure {
    Failure::message(format!("cannot copy the project: {}", chain(error)))
}
