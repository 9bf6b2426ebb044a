//! `policy inspect`: what is this component?

use super::{component, name, sandbox};
use crate::{app::Failure, output::outln};
use clap::Args;
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct Inspect {
    /// The component, or a core module.
    policy: PathBuf,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(inspect: &Inspect) -> Result<(), Failure> {
    let bytes = component(&inspect.policy)?;
    let file = inspect.policy.display().to_string();
    let found = mirror_sandbox::inspect(&bytes)
        .map_err(|problem| Failure::message(format!("`{file}`: {problem}")))?;
    let described = sandbox()?.describe_policy(&name(&inspect.policy), &bytes);
    if inspect.json {
        let described = match &described {
            Ok(info) => json!({
                "name": info.name,
                "version": info.version,
                "rules": info.rules.iter().map(|rule| json!({ "id": rule.id.as_str(), "title": rule.title })).collect::<Vec<_>>(),
                "settings_schema": schema(&info.settings_schema),
            }),
            Err(error) => json!({ "problem": error.to_string() }),
        };
        outln!(
            "{}",
            json!({
                "file": file,
                "sha256": found.digest,
                "bytes": found.bytes,
                "functions": found.functions,
                "locals_most": found.locals_most,
                "body_bytes_most": found.body_bytes_most,
                "imports": found.imports,
                "exports": found.exports,
                "toolchain": found.toolchain,
                "wit": found.wit,
                "policy": described,
            })
        );
        return Ok(());
    }
    outln!("file       {file}");
    outln!("sha256     {}", found.digest);
    outln!("size       {} bytes, {} functions", found.bytes, found.functions);
    outln!(
        "largest    {} locals and {} bytes in one function",
        found.locals_most,
        found.body_bytes_most
    );
    outln!("imports    {}", list(&found.imports));
    outln!("exports    {}", list(&found.exports));
    outln!("made by    {}", list(&found.toolchain));
    match &described {
        Ok(info) => {
            outln!("policy     {} {}", info.name, info.version);
            for rule in &info.rules {
                outln!("rule       {}: {}", rule.id.as_str(), rule.title);
            }
            match info.settings_schema.as_str() {
                "" => outln!("settings   it says nothing of them"),
                text => outln!("settings   {:#}", schema(text)),
            }
        }
        Err(error) => outln!("policy     {error}"),
    }
    if let Some(wit) = &found.wit {
        outln!("\n{wit}");
    }
    Ok(())
}

/// A schema is JSON; where it is not, it is shown as the text that it is, by its debug form.
fn schema(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        return "nothing".to_owned();
    }
    names.join(", ")
}
