//! Finished jobs, and changes of storage.

use super::{
    Change, ConfigAt, FakeError, JobSpec, State, Told, event_time, queue_time, set_metadata, storage_time,
    text,
};
use crate::change::JobTable;
use serde_json::{Value, json};

impl State {
    pub(super) fn finish_job(&mut self, job: &JobSpec) -> Result<(), FakeError> {
        let status = match &*job.status {
            "success" | "warning" => "SUCCESS",
            "error" => "FAILED",
            "cancelled" | "terminated" => "CANCELLED",
            other => return Err(FakeError::UnknownStatus { status: other.into() }),
        };
        let config_version = self.configuration(&job.at)?.version();
        let unknown = || FakeError::UnknownBranch {
            branch: job.at.branch.clone(),
        };
        let (branch, is_default) = {
            let branch = self.branch(&job.at.branch).ok_or_else(unknown)?;
            (branch.id(), branch.branch.is_default())
        };
        let id = self.next_job.to_string();
        self.next_job += 1;
        let detail = self.job_detail(job, &id, &branch, is_default, config_version);
        self.jobs.push(detail);
        let done = Change {
            author: job.author.clone(),
            description: None,
            now: job.ended,
        };
        if job.status == "success" || job.status == "warning" {
            for output in &job.outputs {
                self.imported(&output.table, Some(&job.at), &done);
            }
        }
        let [high, low] = self.chances();
        let tables = |tables: &[JobTable]| -> Vec<Value> {
            tables
                .iter()
                .map(|table| json!({"table": table.table, "columns": table.columns}))
                .collect()
        };
        self.publish(&json!({
            "type": "job_finished", "projectId": self.project_id.to_string(), "branchId": branch,
            "componentId": job.at.component, "configId": job.at.config, "configVersion": config_version,
            "runId": id, "status": status, "startedAt": event_time(job.started), "finishedAt": event_time(job.ended),
            "inputs": tables(&job.inputs), "outputs": tables(&job.outputs),
            "stateDigest": format!("{high:016x}{low:016x}{:016x}{:016x}", high ^ low, high.wrapping_add(low)),
            "artifactLinks": job.artifact_links,
        }));
        Ok(())
    }

    fn job_detail(
        &self,
        job: &JobSpec,
        id: &str,
        branch: &str,
        is_default: bool,
        config_version: u64,
    ) -> Value {
        let tables = |tables: &[JobTable]| -> Vec<Value> {
            let listed = tables.iter().map(|table| {
                let columns: Vec<Value> = table
                    .columns
                    .iter()
                    .map(|column| json!({"name": column}))
                    .collect();
                let name = table.table.rsplit('.').next().unwrap_or_default();
                json!({"id": table.table, "name": name, "displayName": name, "columns": columns})
            });
            listed.collect()
        };
        let seconds = job.ended.duration_since(job.started).as_secs().max(0);
        json!({
            "id": id, "runId": id, "parentRunId": "",
            "project": {"id": self.project_id.to_string(), "name": self.token_verify["owner"]["name"]},
            "token": {"id": job.author.token_id.to_string(), "description": job.author.name},
            "status": job.status, "desiredStatus": "processing", "mode": "run",
            "component": job.at.component, "config": job.at.config, "configData": [], "configRowIds": [], "tag": "1.0.0",
            "createdTime": queue_time(job.started), "startTime": queue_time(job.started),
            "endTime": queue_time(job.ended), "durationSeconds": seconds, "delayedStartTime": null,
            "result": {
                "message": job.message, "configVersion": config_version.to_string(), "images": [],
                "input": {"tables": tables(&job.inputs)}, "output": {"tables": tables(&job.outputs)},
            },
            "usageData": [], "isFinished": true, "url": "", "branchId": branch,
            "branchType": if is_default { "default" } else { "dev" },
            "variableValuesId": null, "variableValuesData": {"values": []}, "backend": {}, "metrics": [],
            "behavior": {"onError": null}, "parallelism": null, "type": "standard",
            "orchestrationJobId": null, "orchestrationTaskId": null, "previousJobId": null,
        })
    }

    /// A load leaves its time and, where a configuration made it, whose it was.
    fn imported(&mut self, table: &str, by: Option<&ConfigAt>, change: &Change) {
        let at = storage_time(change.now);
        let Some(found) = self.tables.iter_mut().find(|found| found["id"] == *table) else {
            return;
        };
        found["lastImportDate"] = json!(at);
        found["lastChangeDate"] = json!(at);
        if !found["metadata"].is_array() {
            found["metadata"] = json!([]);
        }
        if let (Some(by), Some(metadata)) = (by, found["metadata"].as_array_mut()) {
            metadata.retain(|entry| entry["key"] != "KBC.lastUpdatedBy.configurationRow.id");
            let entries = [
                ("KBC.lastUpdatedBy.component.id".to_owned(), by.component.clone()),
                ("KBC.lastUpdatedBy.configuration.id".to_owned(), by.config.clone()),
            ];
            set_metadata(metadata, &mut self.next_metadata, change, "system", &entries);
        }
        self.tell_table("storage.tableImportDone", table, change);
    }

    pub(super) fn put_table(&mut self, detail: Value, change: &Change) -> Result<(), FakeError> {
        let id = detail["id"]
            .as_str()
            .filter(|id| !id.is_empty())
            .ok_or(FakeError::TableWithoutId)?
            .to_owned();
        match self.tables.iter_mut().find(|found| found["id"] == *id) {
            Some(found) => *found = detail,
            None => {
                self.tables.push(detail);
                self.tell_table("storage.tableCreated", &id, change);
            }
        }
        Ok(())
    }

    pub(super) fn drop_table(&mut self, table: String, change: &Change) -> Result<(), FakeError> {
        if !self.tables.iter().any(|found| found["id"] == *table) {
            return Err(FakeError::UnknownTable { table });
        }
        self.tell_table("storage.tableDeleted", &table, change);
        self.tables.retain(|found| found["id"] != *table);
        self.previews.remove(&table);
        Ok(())
    }

    pub(super) fn put_bucket(&mut self, detail: Value) -> Result<(), FakeError> {
        let id = detail["id"]
            .as_str()
            .filter(|id| !id.is_empty())
            .ok_or(FakeError::BucketWithoutId)?;
        match self.buckets.iter_mut().find(|found| found["id"] == *id) {
            Some(found) => *found = detail,
            None => self.buckets.push(detail),
        }
        Ok(())
    }

    pub(super) fn drop_bucket(&mut self, bucket: String) -> Result<(), FakeError> {
        if !self.buckets.iter().any(|found| found["id"] == *bucket) {
            return Err(FakeError::UnknownBucket { bucket });
        }
        let inside = format!("{bucket}.");
        let is_inside = |table: &Value| text(&table["id"]).starts_with(&inside);
        if self.tables.iter().any(is_inside) {
            return Err(FakeError::BucketWithTables { bucket });
        }
        self.buckets.retain(|found| found["id"] != *bucket);
        Ok(())
    }

    pub(super) fn change_preview(
        &mut self,
        table: String,
        csv: String,
        change: &Change,
    ) -> Result<(), FakeError> {
        if !self.tables.iter().any(|found| found["id"] == *table) {
            return Err(FakeError::UnknownTable { table });
        }
        self.imported(&table, None, change);
        self.previews.insert(table, csv);
        Ok(())
    }

    fn tell_table(&mut self, name: &'static str, table: &str, change: &Change) {
        let default = self.branches.iter().find(|branch| branch.branch.is_default());
        let branch = default.map_or(Value::Null, |branch| branch.branch.detail["id"].clone());
        let label = self
            .tables
            .iter()
            .find(|found| found["id"] == *table)
            .map(|found| text(&found["name"]));
        let told = Told {
            name,
            kind: "table",
            id: table.into(),
            label: label.unwrap_or_default(),
        };
        self.record(told, change, &branch, &json!({}));
    }
}
