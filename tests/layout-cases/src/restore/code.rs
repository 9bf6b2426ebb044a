//! Code files become scripts again.

use super::{Work, join};
use crate::json::Node;
use anyhow::{Context, Result};

impl Work<'_> {
    pub(super) fn code(&self, configuration: &mut Node) -> Result<()> {
        if self.key.component == "keboola.shared-code" && !self.key.row.is_empty() {
            if let Some(path) = self.code_file(self.directory) {
                let component = self.target_of_shared_code()?;
                let content = self.scripts(&path, "/code_content", &component, "")?;
                configuration.set("code_content", content);
            }
            return Ok(());
        }
        let directory = format!("{}/blocks", self.directory);
        if !self.restored.tree.contains_key(&format!("{directory}/.gitkeep")) {
            return Ok(());
        }
        let shared = configuration.str("shared_code_path").to_owned();
        let mut used = Vec::new();
        let pointer = "/parameters/blocks";
        let blocks = self.list(&directory, pointer, |path, pointer| {
            let mut block = self.restored.json(&format!("{path}/meta.json"))?;
            let pointer = format!("{pointer}/codes");
            let codes = self.list(path, &pointer, |path, pointer| {
                let mut code = self.restored.json(&format!("{path}/meta.json"))?;
                let file = self
                    .code_file(path)
                    .with_context(|| format!("{path} has no code"))?;
                let pointer = format!("{pointer}/script");
                let script = self.scripts(&file, &pointer, &self.key.component, &shared)?;
                code.set("script", script);
                Ok(code)
            })?;
            block.set("codes", Node::Array(codes));
            Ok(block)
        })?;
        for code in blocks
            .iter()
            .flat_map(|block| block.get("codes").map(Node::items).unwrap_or_default())
        {
            let scripts = code.get("script").cloned().unwrap_or(Node::Null);
            let scripts = if let Node::Array(scripts) = scripts {
                scripts
            } else {
                vec![scripts]
            };
            for script in &scripts {
                let id = script
                    .text()
                    .map(str::trim)
                    .and_then(|text| text.strip_prefix("{{"));
                let id = id.and_then(|id| id.strip_suffix("}}")).map(Node::from);
                used.extend(id.filter(|id| !used.contains(id)));
            }
        }
        configuration.put(pointer, Node::Array(blocks));
        if let Some(code) = self.restored.keys.get(&shared).filter(|_| !shared.is_empty()) {
            configuration.remove("shared_code_path");
            configuration.set("shared_code_id", Node::from(code.config.as_str()));
            let rows = |id: &Node| {
                let row = code.row(id.text().unwrap_or_default());
                self.restored.paths.contains_key(&row)
            };
            configuration.set(
                "shared_code_row_ids",
                Node::Array(used.into_iter().filter(rows).collect()),
            );
        }
        Ok(())
    }

    /// Puts a list together from numbered directories and the items that have none.
    fn list(
        &self,
        directory: &str,
        pointer: &str,
        item: impl Fn(&str, &str) -> Result<Node>,
    ) -> Result<Vec<Node>> {
        let lost = self.extra.get("lost").and_then(|lost| lost.get(pointer));
        let mut names = self.restored.numbered(directory).into_iter();
        let mut items = Vec::new();
        loop {
            let position = items.len();
            if let Some(item) = lost.and_then(|lost| lost.get(&position.to_string())) {
                items.push(item.clone());
                continue;
            }
            let Some(name) = names.next() else {
                return Ok(items);
            };
            items.push(item(&join(directory, &name), &format!("{pointer}/{position}"))?);
        }
    }

    fn code_file(&self, directory: &str) -> Option<String> {
        let start = format!("{directory}/code.");
        let found = self.restored.tree.range(start.clone()..).next()?.0;
        found.starts_with(&start).then(|| found.clone())
    }

    fn target_of_shared_code(&self) -> Result<String> {
        let config = super::Key::config(&self.key.component, &self.key.config);
        let path = self
            .restored
            .paths
            .get(&config)
            .context("a row without its configuration")?;
        let path = format!("{}/config.json", join(&self.restored.directory, path));
        Ok(self.restored.json(&path)?.str("componentId").to_owned())
    }

    fn scripts(&self, path: &str, pointer: &str, component: &str, shared: &str) -> Result<Node> {
        let text = self.restored.text(path)?;
        let text = text.strip_suffix('\n').unwrap_or(text);
        let shape = self.extra.get("scripts").and_then(|scripts| scripts.get(pointer));
        let Some(shape) = shape else {
            let scripts = layout_renderer::scripts(component, text);
            let scripts = scripts
                .iter()
                .map(|script| Node::Text(self.unlinked(script, shared)));
            return Ok(Node::Array(scripts.collect()));
        };
        let mut lines = text.split('\n');
        let between = layout_renderer::lines_between_scripts(component);
        let mut script = |shape: &Node| {
            let count: usize = shape.id("lines").parse().unwrap_or(0);
            let own: Vec<&str> = lines.by_ref().take(count).collect();
            lines.by_ref().take(between).for_each(drop);
            let own = self.unlinked(&own.join("\n"), shared);
            Node::Text(format!("{}{own}{}", shape.str("start"), shape.str("end")))
        };
        Ok(match shape {
            Node::Array(shapes) => Node::Array(shapes.iter().map(script).collect()),
            shape => script(shape),
        })
    }

    /// Turns what stands for a shared code into its id.
    fn unlinked(&self, script: &str, shared: &str) -> String {
        let link = script
            .split_once("{{:")
            .and_then(|(_, rest)| rest.strip_suffix("}}"));
        let key = link.and_then(|link| self.restored.keys.get(&join(shared, link)));
        match key {
            Some(key) if !shared.is_empty() => format!("{{{{{}}}}}", key.row),
            _ => script.to_owned(),
        }
    }
}
