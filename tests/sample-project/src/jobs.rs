//! Jobs of the Queue API: runs of flows with their children, and runs of single configurations.
//!
//! Every status occurs in a project with at least twenty jobs, and one error message holds a planted secret.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::builder::Builder;
use crate::catalog::component_of;
use crate::encode::Moment;
use crate::history::{AUTHORS, CI};
use crate::random::Random;
use crate::secrets;

/// What a job needs to know of a configuration.
#[derive(Debug)]
pub(crate) struct Runnable {
    pub(crate) component: &'static str,
    pub(crate) id: String,
    pub(crate) version: u64,
    pub(crate) inputs: Vec<String>,
    pub(crate) outputs: Vec<String>,
    /// Configuration ids of the tasks of a flow.
    pub(crate) tasks: Vec<String>,
}

/// One in so many jobs fails, and so on; the rest succeed.
fn status(number: usize, random: &mut Random) -> &'static str {
    // The first ones show every status, whatever chance says.
    let draw = match number {
        1 => 0,
        2 => 10,
        3 => 16,
        4 => 19,
        _ => random.below(100),
    };
    match draw {
        0..=8 => "error",
        9..=14 => "warning",
        15..=17 => "terminated",
        18..=20 => "cancelled",
        _ => "success",
    }
}

const ERRORS: &[&str] = &[
    "SQL compilation error: invalid identifier '\"o\".\"updated_at\"' at line 14",
    "Source table \"in.c-missing.orders\" not found in the Storage",
    "Connection refused: erp-db.cz.retail.example.com:3306 (timed out after 30 s)",
    "Query exceeded the limit of 7200 seconds and was cancelled",
    "KeyError: 'customer_id'\nTraceback (most recent call last):\n  File \"/data/script.py\", line 41, in <module>",
    "Převod měny selhal: chybí kurz pro den 2026-01-01 <EUR>",
];
const WARNINGS: &[&str] = &[
    "3 tables were empty and were skipped",
    "Flow finished with a failed task that may fail",
];

struct Maker<'a> {
    project: Value,
    branch: u64,
    dev_branch: Option<u64>,
    host: String,
    columns: BTreeMap<&'a str, &'a Value>,
    random: Random,
    next: u64,
}

/// Makes the jobs, newest first; a few single runs are in the first development branch, where there is one.
pub(crate) fn build(
    b: &mut Builder,
    runnables: &[Runnable],
    tables: &[Value],
    (branch, dev_branch): (u64, Option<u64>),
    name: &str,
) -> Vec<Value> {
    let host = "queue.keboola.local".to_owned();
    let columns = tables
        .iter()
        .filter_map(|table| Some((table["id"].as_str()?, &table["columns"])))
        .collect();
    let random = b.random.fork();
    let project = json!({"id": b.project_id.to_string(), "name": name});
    let mut maker = Maker {
        project,
        branch,
        dev_branch,
        host,
        columns,
        random,
        next: 900_000_000 + b.project_id,
    };
    let by_id: BTreeMap<&str, &Runnable> = runnables
        .iter()
        .map(|runnable| (runnable.id.as_str(), runnable))
        .collect();
    let able: Vec<&Runnable> = runnables
        .iter()
        .filter(|runnable| component_of(runnable.component).runs())
        .collect();
    let flows: Vec<&Runnable> = able
        .iter()
        .copied()
        .filter(|runnable| !runnable.tasks.is_empty())
        .collect();
    let mut jobs = Vec::with_capacity(b.shape.jobs);
    if able.is_empty() {
        return jobs;
    }
    let span = 30 * 86_400;
    let start = Moment(b.present().0 - i64::try_from(span).unwrap_or(0));
    let mut number = 0;
    while jobs.len() < b.shape.jobs {
        let progress =
            span * u64::try_from(jobs.len()).unwrap_or(0) / u64::try_from(b.shape.jobs).unwrap_or(1);
        let at = start.plus(progress + maker.random.below(600));
        number += 1;
        let flow = !flows.is_empty() && number % 5 == 0;
        let runnable = *maker.random.pick(if flow { &flows } else { &able });
        let outcome = status(number, &mut maker.random);
        let parent = maker.job(runnable, at, outcome, None);
        let run = parent["runId"].as_str().unwrap_or("").to_owned();
        jobs.push(parent);
        let mut at = at.plus(5);
        for task in runnable.tasks.iter().filter_map(|id| by_id.get(id.as_str())) {
            if jobs.len() >= b.shape.jobs {
                break;
            }
            at = at.plus(maker.random.between(5, 90));
            jobs.push(maker.job(task, at, "success", Some(&run)));
        }
    }
    if jobs.len() >= 20 {
        maker.still_running(&mut jobs);
    }
    plant(b, &mut maker.random, &mut jobs);
    jobs.reverse();
    jobs
}

fn plant(b: &mut Builder, random: &mut Random, jobs: &mut [Value]) {
    let Some(failed) = jobs.iter_mut().find(|job| job["status"] == "error") else {
        return;
    };
    let password = secrets::password(random);
    failed["result"]["message"] = json!(format!(
        "Cannot connect to postgresql://writer:{password}@reports.example.com:5432/bi: password authentication failed"
    ));
    let place = format!("message of job {}", failed["id"].as_str().unwrap_or(""));
    b.plant("url-user-info", password, place);
}

impl Maker<'_> {
    fn tables(&self, ids: &[String]) -> Vec<Value> {
        let table = |id: &String| {
            let name = id.rsplit('.').next().unwrap_or(id);
            let columns = self
                .columns
                .get(id.as_str())
                .and_then(|columns| columns.as_array());
            let columns: Vec<Value> = columns
                .into_iter()
                .flatten()
                .map(|name| json!({"name": name}))
                .collect();
            json!({"id": id, "name": name, "displayName": name, "columns": columns})
        };
        ids.iter().map(table).collect()
    }

    fn job(&mut self, of: &Runnable, at: Moment, status: &str, parent: Option<&str>) -> Value {
        self.next += self.random.between(1, 9);
        let id = self.next.to_string();
        let run = parent.map_or_else(|| id.clone(), |parent| format!("{parent}.{id}"));
        let author = if self.random.chance(70) {
            CI
        } else {
            *self.random.pick(AUTHORS)
        };
        let (started, seconds) = (at.plus(self.random.between(1, 20)), self.random.between(4, 1500));
        let ran = status != "cancelled";
        let good = matches!(status, "success" | "warning");
        let message = match status {
            "error" => *self.random.pick(ERRORS),
            "warning" => *self.random.pick(WARNINGS),
            "terminated" => "Job has been terminated by user",
            _ => "Component processing finished.",
        };
        let mut result = json!({
            "message": message, "configVersion": of.version.to_string(),
            "images": [[{"id": format!("registry.example.com/components/{}:2.14.0", of.component), "digests": []}]],
            "input": {"tables": self.tables(&of.inputs)},
            "output": {"tables": if good { self.tables(&of.outputs) } else { Vec::new() }},
            "artifacts": {"uploaded": [], "downloaded": []}});
        if good && self.random.chance(8) {
            let file = self.random.between(1_000_000, 9_999_999);
            result["artifacts"]["uploaded"] = json!([{"storageFileId": file.to_string()}]);
        }
        if status == "error" {
            result["error"] = json!({"type": if self.random.chance(80) { "user" } else { "application" }});
        }
        let flow = !of.tasks.is_empty();
        let in_dev = self
            .dev_branch
            .filter(|_| parent.is_none() && !flow && self.random.chance(8));
        let (branch, branch_type) = in_dev.map_or((self.branch, "default"), |id| (id, "dev"));
        if in_dev.is_some() {
            result["configVersion"] = json!("1");
        }
        json!({
            "id": id, "runId": run, "parentRunId": parent.unwrap_or(""), "project": self.project,
            "token": {"id": author.0.to_string(), "description": author.1}, "status": status,
            "desiredStatus": if status == "terminated" || !ran { "terminating" } else { "processing" }, "mode": "run",
            "component": of.component, "config": of.id, "configData": [], "configRowIds": [], "tag": "2.14.0",
            "createdTime": at.queue(), "startTime": if ran { json!(started.queue()) } else { Value::Null },
            "endTime": if ran { started.plus(seconds).queue() } else { at.plus(3).queue() },
            "durationSeconds": if ran { seconds } else { 0 }, "delayedStartTime": null,
            // PHP writes an empty object as an array.
            "result": if ran { result } else { json!([]) },
            "usageData": [], "isFinished": true, "url": format!("https://{}/jobs/{id}", self.host),
            "branchId": branch.to_string(), "branchType": branch_type, "variableValuesId": null,
            "variableValuesData": {"values": []}, "backend": {"context": format!("{branch}-{}", of.component)},
            "executor": "dind",
            "metrics": {"storage": {"inputTablesBytesSum": self.random.below(90_000_000), "outputTablesBytesSum": if good { self.random.below(9_000_000) } else { 0 }},
                "backend": {"size": "small"}},
            "behavior": {"onError": null}, "parallelism": null, "type": if flow { "orchestrationContainer" } else { "standard" },
            "orchestrationJobId": parent, "orchestrationTaskId": null, "onlyOrchestrationTaskIds": null, "previousJobId": null})
    }

    /// The newest job has not ended yet.
    fn still_running(&mut self, jobs: &mut [Value]) {
        let Some(last) = jobs.last_mut() else { return };
        last["status"] = json!("processing");
        last["isFinished"] = json!(false);
        last["endTime"] = Value::Null;
        last["durationSeconds"] = json!(self.random.between(1, 60));
        last["result"] = json!([]);
    }
}
