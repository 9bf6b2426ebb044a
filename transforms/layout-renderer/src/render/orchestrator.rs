//! Flows of `keboola.orchestrator`: phases and tasks become directories.

use super::config::Work;
use crate::{
    api::DocumentKind,
    json::{Json, Object, write},
    name::numbered,
    source,
};

struct Phase {
    id: String,
    depends_on: Vec<String>,
    name: String,
    rest: Object,
    tasks: Vec<Task>,
}

struct Task {
    name: String,
    enabled: bool,
    rest: Object,
}

/// Takes the phases and tasks out of a flow.
pub(super) fn extract(work: &mut Work<'_>) {
    let mut phases: Vec<Phase> = Vec::new();
    for (position, raw) in take(work, "phases").into_iter().enumerate() {
        let pointer = format!("/phases/{position}");
        match phase(&raw) {
            // The number that the directory has says the order, not the id.
            Some(phase) => {
                work.lost.add(
                    format!("{pointer}/id"),
                    raw.as_object().and_then(|raw| raw.get("id")).cloned().into(),
                );
                match phases.iter_mut().find(|other| other.id == phase.id) {
                    Some(other) => *other = phase,
                    None => phases.push(phase),
                }
            }
            None => work.lost.add(pointer, raw),
        }
    }
    for (position, raw) in take(work, "tasks").into_iter().enumerate() {
        let pointer = format!("/tasks/{position}");
        let home = raw.as_object().and_then(|raw| raw.get("phase")).and_then(id_text);
        let home = home.and_then(|id| phases.iter_mut().find(|phase| phase.id == id));
        match (home, task(work, &raw)) {
            (Some(phase), Some(task)) => {
                phase.tasks.push(task);
                work.lost.add(
                    format!("{pointer}/id"),
                    raw.as_object().and_then(|raw| raw.get("id")).cloned().into(),
                );
            }
            _ => work.lost.add(pointer, raw),
        }
    }
    let order = order(&phases);
    let directory = format!("{}/phases", work.directory);
    work.files.keep(&directory);
    let directories: Vec<(&str, String)> = order
        .iter()
        .enumerate()
        .map(|(index, at)| (phases[*at].id.as_str(), numbered(index, &phases[*at].name)))
        .collect();
    for (at, (_, own)) in order.iter().zip(&directories) {
        let phase = &phases[*at];
        let needed = directories
            .iter()
            .filter(|(id, _)| phase.depends_on.iter().any(|needed| needed == id));
        let mut content = Object::new();
        content.set("name", phase.name.as_str());
        content.set(
            "dependsOn",
            needed
                .map(|(_, directory)| Json::from(directory.as_str()))
                .collect::<Vec<_>>(),
        );
        append(&mut content, &phase.rest);
        work.files.json(
            format!("{directory}/{own}/phase.json"),
            DocumentKind::Config,
            &content,
        );
        for (index, task) in phase.tasks.iter().enumerate() {
            let mut content = Object::new();
            content.set("name", task.name.as_str());
            content.set("enabled", task.enabled);
            append(&mut content, &task.rest);
            let path = format!("{directory}/{own}/{}/task.json", numbered(index, &task.name));
            work.files.json(path, DocumentKind::Config, &content);
        }
    }
}

fn append(content: &mut Object, rest: &Object) {
    for (key, value) in rest.iter() {
        content.set(key, value.clone());
    }
}

/// Takes a list out of the configuration; what is no list is lost.
fn take(work: &mut Work<'_>, key: &str) -> Vec<Json> {
    match work.configuration.remove(key) {
        Some(Json::Array(items)) => items,
        None => Vec::new(),
        Some(other) => {
            work.lost.add(format!("/{key}"), other);
            Vec::new()
        }
    }
}

/// An id of a phase or task, which may be a number: `1` and `1.0` are the same.
fn id_text(id: &Json) -> Option<String> {
    match id {
        Json::String(text) => Some(text.clone()),
        Json::Number(token) => Some(write::cli_number(token)),
        _ => None,
    }
}

fn name_of(item: &mut Object) -> Option<String> {
    let name = item.remove("name")?;
    name.as_str().filter(|name| !name.is_empty()).map(str::to_owned)
}

fn phase(raw: &Json) -> Option<Phase> {
    let mut rest = raw.as_object()?.clone();
    let id = id_text(&rest.remove("id")?)?;
    let name = name_of(&mut rest)?;
    let depends_on = match rest.remove("dependsOn") {
        None | Some(Json::Null) => Vec::new(),
        Some(Json::Array(ids)) => ids.iter().filter_map(id_text).collect(),
        Some(_) => return None,
    };
    Some(Phase {
        id,
        depends_on,
        name,
        rest,
        tasks: Vec::new(),
    })
}

/// Reads a task; none where the CLI would leave it out, as when its target does not exist.
fn task(work: &Work<'_>, raw: &Json) -> Option<Task> {
    let object = raw.as_object()?;
    let mut rest = object.clone();
    rest.remove("id").as_ref().and_then(id_text)?;
    rest.remove("phase");
    let name = name_of(&mut rest)?;
    let enabled = rest
        .remove("enabled")
        .as_ref()
        .and_then(Json::as_bool)
        .unwrap_or(true);
    let target = rest.get_mut("task")?.as_object_mut()?;
    let component = target
        .remove("componentId")
        .filter(|id| id.as_str().is_some_and(|id| !id.is_empty()))?;
    if let Some(key) = source::task_target(object) {
        let path = work.resolved.object(key)?.path.clone();
        target.remove("configId");
        target.set_last("configPath", path);
    } else if let Some(data) = target.remove("configData") {
        target.set_last("configData", data);
        target.set_last("componentId", component);
    } else if enabled {
        return None;
    } else {
        target.set_last("componentId", component);
    }
    Some(Task { name, enabled, rest })
}

/// Returns the order in which phases run: each after those it depends on, else as given.
fn order(phases: &[Phase]) -> Vec<usize> {
    let mut order = Vec::new();
    let mut seen = vec![false; phases.len()];
    for first in 0..phases.len() {
        // Each frame is a phase and the number of its dependencies that were visited.
        let mut stack = Vec::new();
        if !std::mem::replace(&mut seen[first], true) {
            stack.push((first, 0));
        }
        while let Some((at, next)) = stack.last_mut() {
            let Some(needed) = phases[*at].depends_on.get(*next) else {
                order.push(*at);
                stack.pop();
                continue;
            };
            *next += 1;
            if let Some(needed) = phases.iter().position(|phase| phase.id == *needed)
                && !std::mem::replace(&mut seen[needed], true)
            {
                stack.push((needed, 0));
            }
        }
    }
    order
}
