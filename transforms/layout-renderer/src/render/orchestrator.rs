//! Flows of `keboola.orchestrator`: phases and tasks become directories.
//!
//! The directories are numbered in the order in which phases run, ids are not written, and what the
//! CLI takes for invalid has no directory. So the list of phases and that of tasks, in the order of
//! the source, are kept as `flow` in `configs-extra/`: directory and id of what is written, the whole
//! of what is not.

use super::lost::Lost;
use super::{Resolved, config::Work};
use crate::{
    api::{DocumentKind, ObjectKey},
    json::{Json, Object},
    name::numbered,
    settings::Settings,
};

struct Phase<'s> {
    id: String,
    source: Object<'s>,
    depends_on: Vec<String>,
    name: String,
    rest: Object<'s>,
    tasks: Vec<Task<'s>>,
}

struct Task<'s> {
    name: String,
    enabled: bool,
    rest: Object<'s>,
    source: Object<'s>,
}

/// What tasks run.
struct Targets<'r, 's> {
    resolved: &'r Resolved<'s>,
    settings: &'r Settings,
}

enum Target<'s> {
    At(&'s str),
    /// Variables that nothing uses, or a schedule of nothing: the CLI leaves them out only after it has read flows, so
    /// that the task stays and says no more what it runs.
    LeftOut,
}

impl<'s> Targets<'_, 's> {
    /// Returns a configuration that the CLI has read; none of another.
    fn find(&self, component: &str, config: &str) -> Option<Target<'s>> {
        let key = || ObjectKey::new_config(component, config);
        match self.resolved.object(key()) {
            Some(found) => Some(Target::At(&found.path)),
            None if self.settings.is_ignored(component) => None,
            None => self.resolved.is_without_place(key()).then_some(Target::LeftOut),
        }
    }
}

/// What became of an item of the source.
enum Fate<'s, K> {
    Written(K),
    /// The CLI leaves it out.
    Dropped(Json<'s>),
}

/// Takes the phases and tasks out of a flow.
pub(super) fn extract(work: &mut Work<'_>, settings: &Settings) {
    let (phases, mut phase_fates) = phases(take(work, "phases"));
    let mut phases = phases;
    let mut task_fates = Vec::new();
    for (position, raw) in take(work, "tasks").into_iter().enumerate() {
        let pointer = format!("/tasks/{position}");
        let home = raw.as_object().and_then(|raw| raw.get("phase")).and_then(id_text);
        let home = home.and_then(|id| phases.iter().position(|phase| phase.id == id));
        let targets = Targets {
            resolved: &work.resolved,
            settings,
        };
        match (home, task(&targets, &mut work.lost, &pointer, &raw)) {
            (Some(home), Some(task)) => {
                let tasks = &mut phases[home].tasks;
                tasks.push(task);
                task_fates.push(Fate::Written((home, tasks.len() - 1)));
            }
            _ => task_fates.push(Fate::Dropped(raw)),
        }
    }
    let order = order(&phases);
    let mut numbers = vec![0; phases.len()];
    for (number, at) in order.iter().enumerate() {
        numbers[*at] = number;
    }
    let directory = |at: usize| numbered(numbers[at], &phases[at].name);

    let root = format!("{}/phases", work.directory);
    work.files.keep(&root);
    for at in &order {
        let phase = &phases[*at];
        let own = format!("{root}/{}", directory(*at));
        let needed = needed(&phases, &numbers, phase);
        let needed = needed.into_iter().map(|at| Json::from(directory(at)));
        let mut content = Object::new();
        content.set("name", phase.name.as_str());
        content.set("dependsOn", needed.collect::<Vec<_>>());
        append(&mut content, &phase.rest);
        work.files
            .json(format!("{own}/phase.json"), DocumentKind::Config, &content);
        for (index, task) in phase.tasks.iter().enumerate() {
            let mut content = Object::new();
            content.set("name", task.name.as_str());
            content.set("enabled", task.enabled);
            append(&mut content, &task.rest);
            let path = format!("{own}/{}/task.json", numbered(index, &task.name));
            work.files.json(path, DocumentKind::Config, &content);
        }
    }

    let phase_line = |at: &usize| {
        let phase = &phases[*at];
        let mut line = Object::from_iter([("directory", directory(*at))]);
        line.set("id", phase.source.get("id").cloned());
        let needed = needed(&phases, &numbers, phase);
        let needed: Vec<Option<&Json<'_>>> =
            needed.into_iter().map(|at| phases[at].source.get("id")).collect();
        let listed = phase.source.get("dependsOn");
        let restored = match listed {
            None => true,
            Some(Json::Array(ids)) => ids.iter().map(Some).eq(needed),
            Some(_) => false,
        };
        if !restored {
            line.set("dependsOn", listed.cloned());
        }
        line
    };
    let task_line = |(home, index): &(usize, usize)| {
        let (phase, task) = (&phases[*home], &phases[*home].tasks[*index]);
        let path = format!("{}/{}", directory(*home), numbered(*index, &task.name));
        let mut line = Object::from_iter([("directory", path)]);
        line.set("id", task.source.get("id").cloned());
        if task.source.get("phase") != phase.source.get("id") {
            line.set("phase", task.source.get("phase").cloned());
        }
        line
    };
    let phase_lines = lines(
        &mut work.lost,
        "/phases",
        std::mem::take(&mut phase_fates),
        phase_line,
    );
    let task_lines = lines(&mut work.lost, "/tasks", task_fates, task_line);
    work.lost.flow(phase_lines, task_lines);
}

/// Reads the phases; of several with one id the last counts, at the place of the first.
fn phases(items: Vec<Json<'_>>) -> (Vec<Phase<'_>>, Vec<Fate<'_, usize>>) {
    let mut phases: Vec<Phase<'_>> = Vec::new();
    let mut fates: Vec<Fate<'_, usize>> = Vec::new();
    for raw in items {
        let Some(phase) = phase(&raw) else {
            fates.push(Fate::Dropped(raw));
            continue;
        };
        let at = phases.iter().position(|other| other.id == phase.id);
        match at {
            Some(at) => {
                let earlier = std::mem::replace(&mut phases[at], phase);
                let written =
                    |fate: &&mut Fate<'_, usize>| matches!(fate, Fate::Written(other) if *other == at);
                if let Some(fate) = fates.iter_mut().find(written) {
                    *fate = Fate::Dropped(Json::Object(earlier.source));
                }
                fates.push(Fate::Written(at));
            }
            None => {
                fates.push(Fate::Written(phases.len()));
                phases.push(phase);
            }
        }
    }
    (phases, fates)
}

fn lines<'s, K>(
    lost: &mut Lost<'s>,
    pointer: &str,
    fates: Vec<Fate<'s, K>>,
    line: impl Fn(&K) -> Object<'s>,
) -> Vec<Json<'s>> {
    let mut lines = Vec::with_capacity(fates.len());
    for (position, fate) in fates.into_iter().enumerate() {
        let pointer = format!("{pointer}/{position}");
        lines.push(Json::Object(match fate {
            Fate::Written(key) => {
                for step in ["id", "phase", "dependsOn"] {
                    lost.cover(format!("{pointer}/{step}"));
                }
                line(&key)
            }
            Fate::Dropped(raw) => {
                lost.cover(pointer);
                Object::from_iter([("dropped", raw)])
            }
        }));
    }
    lines
}

/// Returns the phases that one depends on, in the order in which they run.
fn needed(phases: &[Phase<'_>], numbers: &[usize], phase: &Phase<'_>) -> Vec<usize> {
    let found = |id: &String| phases.iter().position(|other| other.id == *id);
    let mut needed: Vec<usize> = phase.depends_on.iter().filter_map(found).collect();
    needed.sort_by_key(|at| numbers[*at]);
    needed
}

fn append<'s>(content: &mut Object<'s>, rest: &'s Object<'_>) {
    for (key, value) in rest.iter() {
        content.set(key, value.clone());
    }
}

/// Takes a list out of the configuration; what is no list stays there.
fn take<'s>(work: &mut Work<'s>, key: &str) -> Vec<Json<'s>> {
    if work.configuration.get(key).and_then(Json::as_array).is_none() {
        return Vec::new();
    }
    match work.configuration.remove(key) {
        Some(Json::Array(items)) => items,
        _ => Vec::new(),
    }
}

/// An id of a phase or task, which may be a number: `1` and `1.0` are the same.
fn id_text(id: &Json<'_>) -> Option<String> {
    match id {
        Json::String(text) => Some(text.clone().into_owned()).filter(|text| !text.is_empty()),
        Json::Number(token) => {
            let number = token.parse::<f64>().ok().filter(|number| number.is_finite())?;
            Some(format!("{number:.0}"))
        }
        _ => None,
    }
}

fn name_of(item: &mut Object<'_>) -> Option<String> {
    let name = item.remove("name")?;
    name.as_str().filter(|name| !name.is_empty()).map(str::to_owned)
}

/// Reads a phase; none where the CLI would leave it out.
fn phase<'s>(raw: &Json<'s>) -> Option<Phase<'s>> {
    let source = raw.as_object()?.clone();
    let mut rest = source.clone();
    let id = id_text(&rest.remove("id")?)?;
    let name = name_of(&mut rest)?;
    let depends_on = match rest.remove("dependsOn") {
        Some(Json::Array(ids)) => ids.iter().map(id_text).collect::<Option<_>>()?,
        _ => Vec::new(),
    };
    Some(Phase {
        id,
        source,
        depends_on,
        name,
        rest,
        tasks: Vec::new(),
    })
}

/// Reads a task; none where the CLI would leave it out, as when its target does not exist.
fn task<'s>(
    targets: &Targets<'_, 's>,
    lost: &mut Lost<'s>,
    pointer: &str,
    raw: &Json<'s>,
) -> Option<Task<'s>> {
    let source = raw.as_object()?.clone();
    let mut rest = source.clone();
    id_text(&rest.remove("id")?)?;
    id_text(&rest.remove("phase")?)?;
    let name = name_of(&mut rest)?;
    // One that is no boolean counts as true, and stays as it is.
    let enabled = match rest.get("enabled").and_then(Json::as_bool) {
        Some(enabled) => {
            rest.remove("enabled");
            enabled
        }
        None => true,
    };
    let target = rest.get_mut("task")?.as_object_mut()?;
    let component = target.remove("componentId")?;
    let component = component.as_str().filter(|id| !id.is_empty())?.to_owned();
    match target.get("configId") {
        Some(Json::String(config)) if !config.is_empty() => {
            let found = targets.find(&component, config)?;
            let config = target.remove("configId");
            if let Some(other) = target.get("configPath") {
                lost.add(format!("{pointer}/task/configPath"), other.clone());
            }
            match found {
                Target::At(path) => target.set("configPath", path),
                Target::LeftOut => {
                    lost.add(format!("{pointer}/task/componentId"), Json::from(component));
                    lost.add(format!("{pointer}/task/configId"), config.unwrap_or(Json::Null));
                }
            }
        }
        None | Some(Json::String(_)) => {
            match target.remove("configData") {
                Some(data @ Json::Object(_)) => target.set("configData", data),
                Some(_) => return None,
                None if enabled => return None,
                None => {}
            }
            target.set("componentId", component);
        }
        Some(_) => return None,
    }
    Some(Task {
        name,
        enabled,
        rest,
        source,
    })
}

/// Returns the order in which phases run: each after those it depends on, else as given.
fn order(phases: &[Phase<'_>]) -> Vec<usize> {
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
