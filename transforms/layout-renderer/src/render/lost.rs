//! What `configs/` does not hold of a configuration, or holds in another form.

use crate::json::{Json, Object, Text, write};

/// Collects what the layout drops while a configuration is taken apart.
#[derive(Default)]
pub(super) struct Lost<'s> {
    /// Values by their pointer in the configuration.
    values: Vec<(String, Json<'s>)>,
    /// Pointers below which everything is kept elsewhere.
    covered: Vec<String>,
    /// How scripts stand in their files, by their pointer.
    scripts: Object<'s>,
    flow: Object<'s>,
    /// Numbers that the CLI writes in another way.
    numbers: Vec<(String, Text<'s>)>,
}

impl<'s> Lost<'s> {
    /// Begins with the numbers of a configuration that a double changes: beyond 2^53, or just
    /// written in another way.
    pub(super) fn of(configuration: &Object<'s>) -> Self {
        let mut numbers = Vec::new();
        find_in(configuration, &mut Vec::new(), &mut numbers);
        Self {
            numbers,
            ..Self::default()
        }
    }

    pub(super) fn add(&mut self, pointer: impl Into<String>, value: Json<'s>) {
        self.values.push((pointer.into(), value));
    }

    /// Says that what is at a pointer is kept in another form.
    pub(super) fn cover(&mut self, pointer: String) {
        self.covered.push(pointer);
    }

    /// Keeps how the scripts at a pointer stand in their file.
    pub(super) fn script(&mut self, pointer: &str, shape: Json<'s>) {
        self.scripts.set(pointer.to_owned(), shape);
    }

    /// Keeps the phases and tasks of a flow in the order of the source.
    pub(super) fn flow(&mut self, phases: Vec<Json<'s>>, tasks: Vec<Json<'s>>) {
        for (key, lines) in [("phases", phases), ("tasks", tasks)] {
            if !lines.is_empty() {
                self.flow.set(key, lines);
            }
        }
    }

    /// Adds all that was collected to the content of a file.
    pub(super) fn write(self, content: &mut Object<'s>) {
        let Self {
            mut values,
            covered,
            scripts,
            flow,
            numbers,
        } = self;
        let is_below = |pointer: &str, above: &str| {
            pointer
                .strip_prefix(above)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        for (pointer, token) in numbers {
            let kept = values.iter().map(|(above, _)| above).chain(&covered);
            if !kept.into_iter().any(|above| is_below(&pointer, above)) {
                values.push((pointer, Json::Number(token)));
            }
        }
        for (key, found) in [("lost", by_parent(values)), ("scripts", scripts), ("flow", flow)] {
            if !found.is_empty() {
                content.set(key, found);
            }
        }
    }
}

/// One step on the way to a value.
#[derive(Clone, Copy)]
enum Step<'j> {
    Key(&'j str),
    At(usize),
}

fn find_in<'j, 's>(object: &'j Object<'s>, way: &mut Vec<Step<'j>>, found: &mut Vec<(String, Text<'s>)>) {
    for (key, member) in object.iter() {
        way.push(Step::Key(key));
        find_numbers(member, way, found);
        way.pop();
    }
}

/// Finds the numbers that the CLI writes in another way. Pointers are only made for those, which are few.
fn find_numbers<'j, 's>(value: &'j Json<'s>, way: &mut Vec<Step<'j>>, found: &mut Vec<(String, Text<'s>)>) {
    match value {
        Json::Number(token) if write::cli_number(token) != *token => {
            let step = |step: &Step<'_>| match step {
                Step::Key(key) => format!("/{}", pointer_step(key)),
                Step::At(index) => format!("/{index}"),
            };
            found.push((way.iter().map(step).collect(), token.clone()));
        }
        Json::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                way.push(Step::At(index));
                find_numbers(item, way, found);
                way.pop();
            }
        }
        Json::Object(members) => find_in(members, way, found),
        _ => {}
    }
}

/// Returns values by the pointer of what they were in, each under its own key: a key that begins
/// with `#` must stay one, for that is how a secret is known.
fn by_parent(values: Vec<(String, Json<'_>)>) -> Object<'_> {
    let mut lost = Object::new();
    for (pointer, value) in values {
        let (parent, step) = pointer.rsplit_once('/').unwrap_or(("", &pointer));
        if lost.get(parent).is_none() {
            lost.set(parent.to_owned(), Object::new());
        }
        if let Some(members) = lost.get_mut(parent).and_then(Json::as_object_mut) {
            members.set(step.replace("~1", "/").replace("~0", "~"), value);
        }
    }
    lost
}

/// One step of a JSON pointer.
pub(super) fn pointer_step(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
