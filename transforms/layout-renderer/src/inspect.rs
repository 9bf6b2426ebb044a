//! Says where each object wants to live and which others its files depend on.

use crate::{
    api::{Claim, Context, Inspection, LayoutError, Object as ApiObject, ObjectKey, Place},
    component,
    json::{Object, write},
    naming::{Part, fill},
    settings::Settings,
    source,
};

/// Inspects objects of one branch.
///
/// # Errors
/// Unusable settings, or an object whose source is no JSON.
pub fn inspect(
    _context: &Context,
    settings: &str,
    objects: &[ApiObject],
) -> Result<Vec<Inspection>, LayoutError> {
    let settings = Settings::parse(settings)?;
    let one = |(item, object): (usize, &ApiObject)| {
        let problem = |problem| LayoutError::Source {
            item: u32::try_from(item).unwrap_or(u32::MAX),
            object: object.key.to_string(),
            problem,
        };
        inspect_one(&settings, object).map_err(problem)
    };
    objects.iter().enumerate().map(one).collect()
}

fn nowhere() -> Inspection {
    Inspection {
        place: Place::None,
        segment: String::new(),
        sort_name: String::new(),
        claims: Vec::new(),
        references: Vec::new(),
        aliases: Vec::new(),
        facts: String::new(),
    }
}

fn inspect_one(settings: &Settings, object: &ApiObject) -> Result<Inspection, &'static str> {
    match &object.key {
        ObjectKey::Bucket(_) | ObjectKey::Table(_) | ObjectKey::Sample(_) | ObjectKey::Job(_) => {
            Ok(nowhere())
        }
        ObjectKey::Branch => {
            let source = source::parse(object)?;
            Ok(Inspection {
                place: Place::Container,
                segment: branch_segment(settings, &source),
                ..nowhere()
            })
        }
        ObjectKey::Config { component, .. } | ObjectKey::Row { component, .. }
            if settings.is_ignored(component) =>
        {
            // Its source is read all the same: what cannot be read cannot be rendered either.
            source::parse(object).map(|_| Inspection {
                aliases: default_buckets(object).into_iter().collect(),
                ..nowhere()
            })
        }
        ObjectKey::Config { component, config } => {
            let mut source = source::parse(object)?;
            let configuration = source::take_configuration(&mut source);
            Ok(config_inspection(
                settings,
                object,
                &source,
                &configuration,
                component,
                config,
            ))
        }
        ObjectKey::Row { component, row, .. } => {
            let mut source = source::parse(object)?;
            let configuration = source::take_configuration(&mut source);
            Ok(Inspection {
                place: Place::Container,
                segment: row_segment(settings, &source, &configuration, component, row, false),
                sort_name: source.str("name").unwrap_or_default().to_owned(),
                claims: claims(settings, &object.key, &configuration),
                references: source::references(object, &configuration),
                facts: String::new(),
                aliases: Vec::new(),
            })
        }
    }
}

/// Returns the directory of a branch below `configs/`.
fn branch_segment(settings: &Settings, source: &Object<'_>) -> String {
    let id = source.text("id").unwrap_or_default();
    let is_default = source.is_true("isDefault") || settings.default_branch_id.as_deref() == Some(id);
    if is_default {
        return "main".to_owned();
    }
    // Of a path of which nothing is left the CLI makes the name of the kind.
    let name = Part::Name(source.str("name").unwrap_or_default(), "branch");
    fill(
        &settings.naming.branch,
        &[("branch_id", Part::Id(id)), ("branch_name", name)],
    )
}

fn config_inspection(
    settings: &Settings,
    object: &ApiObject,
    source: &Object<'_>,
    configuration: &Object<'_>,
    component: &str,
    config: &str,
) -> Inspection {
    let naming = &settings.naming;
    let mut facts = String::new();
    let (place, template) = match component {
        component::SCHEDULER => match source::schedule_target(configuration) {
            Some(ObjectKey::Config { component, .. }) if settings.is_ignored(&component) => return nowhere(),
            Some(target) => (Place::Below(target), &naming.scheduler_config),
            None => return nowhere(),
        },
        component::VARIABLES => (Place::Claimed, &naming.variables_config),
        component::SHARED_CODE => {
            facts = shared_code_facts(configuration);
            (Place::Container, &naming.shared_code_config)
        }
        component::DATA_APPS => (Place::Container, &naming.data_app_config),
        _ => (Place::Container, &naming.config),
    };
    // The CLI reads the configuration's id after the last dash, so one with a dash has no such name.
    let buckets = default_buckets(object);
    let own = buckets
        .as_ref()
        .filter(|_| !config.contains('-'))
        .map(|prefix| [prefix, config].concat());
    Inspection {
        place,
        segment: config_segment(template, object, source, configuration),
        sort_name: String::new(),
        claims: claims(settings, &object.key, configuration),
        references: source::references(object, configuration),
        aliases: own.into_iter().chain(buckets).collect(),
        facts,
    }
}

/// Returns the directory of a configuration below what it lives in. That of a shared code without a target ends in `/`, as in
/// the CLI: others that wish for the same go below it.
fn config_segment(
    template: &str,
    object: &ApiObject,
    source: &Object<'_>,
    configuration: &Object<'_>,
) -> String {
    let ObjectKey::Config { component, config } = &object.key else {
        return String::new();
    };
    let described = object.component.as_ref();
    let name = source.str("name").unwrap_or_default();
    let target = configuration.str("componentId").unwrap_or_default();
    let parts = [
        (
            "component_type",
            Part::Id(described.map_or("other", |component| &component.component_type)),
        ),
        ("component_id", Part::Id(component)),
        ("config_id", Part::Id(config)),
        ("config_name", Part::Name(name, config)),
        ("target_component_id", Part::Id(target)),
    ];
    let mut segment = fill(template, &parts);
    let has_no_target = component == component::SHARED_CODE && target.is_empty();
    if has_no_target && template.ends_with("/{target_component_id}") && !segment.is_empty() {
        segment.push('/');
    }
    segment
}

/// Returns whether the CLI's manifest has a slash behind the path of a configuration.
pub(crate) fn ends_in_slash(
    settings: &Settings,
    object: &ApiObject,
    source: &Object<'_>,
    configuration: &Object<'_>,
    path: &str,
) -> bool {
    let is_shared_code =
        matches!(&object.key, ObjectKey::Config { component, .. } if component == component::SHARED_CODE);
    let template = &settings.naming.shared_code_config;
    is_shared_code && config_segment(template, object, source, configuration).strip_suffix('/') == Some(path)
}

/// Returns what the default buckets of a configuration's component begin with: a second name of each of its
/// configurations, which tells that there are such buckets. That of rows is their configuration's.
fn default_buckets(object: &ApiObject) -> Option<String> {
    let component = object.component.as_ref()?;
    let stage = component.default_bucket_stage.as_deref()?;
    matches!(object.key, ObjectKey::Config { .. })
        .then(|| format!("{stage}.c-{}-", component::bucket_name_of(&component.id)))
}

/// Tells the rows of a shared code, and the transformations that use it, its target component.
fn shared_code_facts(configuration: &Object<'_>) -> String {
    configuration
        .str("componentId")
        .map(|target| write::object_line(&Object::from_iter([("target", target)])))
        .unwrap_or_default()
}

/// Returns the directory of a row below its configuration; `default` is for the default values of
/// variables.
fn row_segment(
    settings: &Settings,
    source: &Object<'_>,
    configuration: &Object<'_>,
    component: &str,
    row: &str,
    default: bool,
) -> String {
    let template = match component {
        component::SHARED_CODE => &settings.naming.shared_code_config_row,
        component::VARIABLES => &settings.naming.variables_values_row,
        _ => &settings.naming.config_row,
    };
    let own = source.str("name").filter(|name| !name.is_empty());
    let name = if default {
        "default"
    } else {
        own.or_else(|| configuration.str("name")).unwrap_or("row")
    };
    fill(
        template,
        &[
            ("config_row_id", Part::Id(row)),
            ("config_row_name", Part::Name(name, row)),
        ],
    )
}

/// Returns the claims on a variables configuration and on its row of default values.
fn claims(settings: &Settings, key: &ObjectKey, configuration: &Object<'_>) -> Vec<Claim> {
    let used = source::variables(key, configuration).filter(|(variables, _)| source::is_id(variables));
    let Some((variables, values)) = used else {
        return Vec::new();
    };
    let mut claims = vec![Claim {
        target: ObjectKey::new_config(component::VARIABLES, &variables),
        segment: None,
    }];
    if let Some(values) = values.filter(|values| source::is_id(values)) {
        let nothing = Object::new();
        let segment = row_segment(settings, &nothing, &nothing, component::VARIABLES, &values, true);
        let target = ObjectKey::new_row(component::VARIABLES, &variables, &values);
        claims.push(Claim {
            target,
            segment: Some(segment),
        });
    }
    claims
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Json;

    #[test]
    fn branches_are_called_as_the_cli_calls_them() {
        let settings = Settings::parse(r#"{"defaultBranchId":"1"}"#).unwrap();
        for (branch, expected) in [
            (r#"{"id":1,"name":"Main","isDefault":true}"#, "main"),
            (r#"{"id":2,"name":"Nový sklad","isDefault":false}"#, "novy-sklad"),
            (r#"{"id":3,"name":"日本","isDefault":false}"#, "branch"),
        ] {
            let source = Json::parse(branch).unwrap().into_object();
            assert_eq!(branch_segment(&settings, &source), expected);
        }
    }
}
