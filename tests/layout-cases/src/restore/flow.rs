//! Directories of phases and tasks become lists again.

use super::Work;
use crate::json::Node;
use anyhow::{Context, Result};
use std::collections::BTreeMap;

impl Work<'_> {
    pub(super) fn flow(&self, configuration: &mut Node) -> Result<()> {
        let directory = format!("{}/phases", self.directory);
        if !self.restored.tree.contains_key(&format!("{directory}/.gitkeep")) {
            return Ok(());
        }
        let lines = |key: &str| -> &[Node] {
            let flow = self.extra.get("flow").and_then(|flow| flow.get(key));
            flow.map(Node::items).unwrap_or_default()
        };
        let none = || Node::Null;
        let ids: BTreeMap<&str, Node> = lines("phases")
            .iter()
            .map(|line| {
                (
                    line.str("directory"),
                    line.get("id").cloned().unwrap_or_else(none),
                )
            })
            .collect();
        let mut phases = Vec::new();
        for line in lines("phases") {
            if let Some(dropped) = line.get("dropped") {
                phases.push(dropped.clone());
                continue;
            }
            let mut phase = self
                .restored
                .json(&format!("{directory}/{}/phase.json", line.str("directory")))?;
            let needed = phase.get("dependsOn").map(Node::items).unwrap_or_default();
            let needed: Option<Vec<Node>> = needed
                .iter()
                .map(|name| ids.get(name.text().unwrap_or_default()).cloned())
                .collect();
            let needed = needed.context("a phase depends on one that is not listed")?;
            let listed = line.get("dependsOn").cloned();
            phase.set("dependsOn", listed.unwrap_or(Node::Array(needed)));
            phase.set("id", ids[line.str("directory")].clone());
            phases.push(phase);
        }
        let mut tasks = Vec::new();
        for line in lines("tasks") {
            if let Some(dropped) = line.get("dropped") {
                tasks.push(dropped.clone());
                continue;
            }
            let path = line.str("directory");
            let mut task = self.restored.json(&format!("{directory}/{path}/task.json"))?;
            let (phase, _) = path.split_once('/').context("a task lies in no phase")?;
            let phase = line.get("phase").unwrap_or(&ids[phase]);
            task.set("phase", phase.clone());
            task.set("id", line.get("id").cloned().unwrap_or_else(none));
            if let Some(target) = task.get_mut("task")
                && let Some(path) = target.remove("configPath")
            {
                let key = self.restored.keys.get(path.text().unwrap_or_default());
                let key = key.context("a task runs what is not listed")?;
                target.set("componentId", Node::from(key.component.as_str()));
                target.set("configId", Node::from(key.config.as_str()));
            }
            tasks.push(task);
        }
        for (key, items) in [("phases", phases), ("tasks", tasks)] {
            if !items.is_empty() {
                configuration.set(key, Node::Array(items));
            }
        }
        Ok(())
    }
}
