//! Storage events of the configurations' history, as `GET /v2/storage/events` lists them.
//!
//! One event a version; the real log has many more kinds, which no reader of ours needs.

use serde_json::{Value, json};

use crate::encode::{Moment, uuid7};
use crate::project::{Branch, Configuration, VersionEntry};
use crate::random::Random;

/// The newest events of all branches, newest first.
pub(crate) fn build(branches: &[Branch], host: &str, most: usize, mut random: Random) -> Vec<Value> {
    let mut versions: Vec<(&str, &Branch, &Configuration, &VersionEntry)> = Vec::new();
    for branch in branches {
        for configuration in &branch.configurations {
            for version in &configuration.versions {
                versions.push((
                    version.item["created"].as_str().unwrap_or(""),
                    branch,
                    configuration,
                    version,
                ));
            }
        }
    }
    // All times have the same form and offset, so that text order is time order.
    versions.sort_by(|one, two| two.0.cmp(one.0).then_with(|| one.2.id().cmp(two.2.id())));
    versions.truncate(most);
    let total = versions.len();
    let mut number = 900_000;
    versions
        .iter()
        .enumerate()
        .map(|(place, (created, branch, configuration, version))| {
            number = 900_000 + total - place;
            event(number, created, branch, configuration, version, host, &mut random)
        })
        .collect()
}

fn event(
    number: usize,
    created: &str,
    branch: &Branch,
    configuration: &Configuration,
    version: &VersionEntry,
    host: &str,
    random: &mut Random,
) -> Value {
    let (name, component) = (
        version.item["name"].as_str().unwrap_or(""),
        configuration.component_id.as_str(),
    );
    let (kind, verb) = if version.number() == 1 {
        ("storage.componentConfigurationCreated", "Created")
    } else {
        ("storage.componentConfigurationChanged", "Changed")
    };
    let token = &version.item["creatorToken"];
    json!({
        "id": number, "uuid": uuid7(moment(created), random), "event": kind, "component": "storage",
        "message": format!("{verb} component configuration \"{name}\" ({component})"), "description": "", "type": "info",
        "runId": null, "created": created, "configurationId": null, "objectId": configuration.id(), "objectName": name,
        "objectType": "componentConfiguration",
        "context": {"remoteAddr": "192.0.2.10", "httpReferer": null, "httpUserAgent": "browser", "apiVersion": "v2", "async": false},
        "params": {"component": component, "configurationId": configuration.id(), "name": name, "version": version.number()},
        "results": [], "performance": [], "token": {"id": token["id"], "name": token["description"]},
        "idBranch": branch.id(), "uri": format!("https://{host}/v2/storage/events/{number}"), "attachments": []})
}

/// The moment of a time in the Storage API's form.
fn moment(created: &str) -> Moment {
    let parsed =
        jiff::fmt::strtime::parse("%Y-%m-%dT%H:%M:%S%z", created).and_then(|parsed| parsed.to_timestamp());
    Moment(parsed.map_or(0, jiff::Timestamp::as_second))
}
