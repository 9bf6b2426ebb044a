//! The naming templates of the CLI.

use crate::{
    json::Object,
    name::{id_segment, normalize},
};

/// The templates, in the order of the manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Naming {
    pub(crate) branch: String,
    pub(crate) config: String,
    pub(crate) config_row: String,
    pub(crate) scheduler_config: String,
    pub(crate) shared_code_config: String,
    pub(crate) shared_code_config_row: String,
    pub(crate) variables_config: String,
    pub(crate) variables_values_row: String,
    pub(crate) data_app_config: String,
    /// The templates as the manifest has them: those that were given, or else all.
    pub(crate) written: Object<'static>,
}

impl Naming {
    /// Reads the templates; one that is missing is the CLI's own without ids.
    pub(crate) fn read(source: Option<&Object<'_>>) -> Self {
        let template = |key, default: &str| {
            source
                .and_then(|source| source.str(key))
                .unwrap_or(default)
                .to_owned()
        };
        let mut naming = Self {
            branch: template("branch", "{branch_name}"),
            config: template("config", "{component_type}/{component_id}/{config_name}"),
            config_row: template("configRow", "rows/{config_row_name}"),
            scheduler_config: template("schedulerConfig", "schedules/{config_name}"),
            shared_code_config: template("sharedCodeConfig", "_shared/{target_component_id}"),
            shared_code_config_row: template("sharedCodeConfigRow", "codes/{config_row_name}"),
            variables_config: template("variablesConfig", "variables"),
            variables_values_row: template("variablesValuesRow", "values/{config_row_name}"),
            data_app_config: template("dataAppConfig", "app/{component_id}/{config_name}"),
            written: Object::new(),
        };
        naming.written = source.cloned().unwrap_or_else(|| naming.all()).into_owned();
        naming
    }

    fn all(&self) -> Object<'_> {
        Object::from_iter([
            ("branch", self.branch.as_str()),
            ("config", &self.config),
            ("configRow", &self.config_row),
            ("schedulerConfig", &self.scheduler_config),
            ("sharedCodeConfig", &self.shared_code_config),
            ("sharedCodeConfigRow", &self.shared_code_config_row),
            ("variablesConfig", &self.variables_config),
            ("variablesValuesRow", &self.variables_values_row),
            ("dataAppConfig", &self.data_app_config),
        ])
    }
}

/// What a placeholder stands for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part<'a> {
    /// An id or a type: written as it is, where a path allows it.
    Id(&'a str),
    /// A name, and what stands in where nothing of the name is left, as the id.
    Name(&'a str, &'a str),
}

/// Stands in where nothing is left of the id either.
const UNNAMED: &str = "unnamed";

/// Fills a template; empty segments collapse.
///
/// A name of which nothing is left gives nothing, as in the CLI; but where it was all that its
/// segment would have had, so that the path would be that of the directory above, the id takes its
/// place.
pub(crate) fn fill(template: &str, parts: &[(&str, Part<'_>)]) -> String {
    let mut nothing_is_left = false;
    let as_in_the_cli = fill_with(template, parts, |part| match part {
        Part::Id(id) => id_segment(id),
        Part::Name(name, _) => {
            let name = normalize(name);
            nothing_is_left |= name.is_empty();
            name
        }
    });
    if !nothing_is_left {
        return as_in_the_cli;
    }
    let with_ids = fill_with(template, parts, |part| match part {
        Part::Id(id) => id_segment(id),
        Part::Name(name, id) => match normalize(name) {
            name if !name.is_empty() => name,
            _ => Some(normalize(id))
                .filter(|id| !id.is_empty())
                .unwrap_or_else(|| UNNAMED.to_owned()),
        },
    });
    if with_ids.split('/').count() > as_in_the_cli.split('/').count() || as_in_the_cli.is_empty() {
        with_ids
    } else {
        as_in_the_cli
    }
}

fn fill_with(template: &str, parts: &[(&str, Part<'_>)], mut text: impl FnMut(Part<'_>) -> String) -> String {
    let mut path = String::new();
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        path.push_str(&rest[..open]);
        rest = &rest[open..];
        let found = parts.iter().find(|(name, _)| {
            rest[1..]
                .strip_prefix(name)
                .is_some_and(|after| after.starts_with('}'))
        });
        if let Some((name, part)) = found {
            path.push_str(&text(*part));
            rest = &rest[name.len() + 2..];
        } else {
            path.push('{');
            rest = &rest[1..];
        }
    }
    path.push_str(rest);
    path.split('/')
        .filter(|segment| !segment.is_empty())
        .collect::<Vec<_>>()
        .join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(template: &str, expected: &str) {
        let parts = [
            ("config_id", Part::Id("A/1")),
            ("config_name", Part::Name("日本", "A/1")),
            ("type", Part::Id("")),
        ];
        assert_eq!(fill(template, &parts), expected);
    }

    #[test]
    fn templates_are_filled_and_empty_segments_collapse() {
        check("x/{config_id}-{config_name}", "x/A-1-");
        check("x/{config_name}", "x/a-1");
        check("{config_name}/x", "a-1/x");
        check("{config_name}", "a-1");
        check("_shared/{type}", "_shared");
        check("{unknown}/{config_id", "{unknown}/{config_id");
        let nothing = [("config_name", Part::Name("!!!", "---"))];
        assert_eq!(fill("x/{config_name}", &nothing), "x/unnamed");
    }
}
