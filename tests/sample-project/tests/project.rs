//! What every generated project promises, checked over the whole of it.

use std::collections::{BTreeMap, BTreeSet};

use expect_test::{Expect, expect};
use sample_project::{
    Branch, Configuration, DANGLING_ID, Project, ReadError, Shape, VersionEntry, generate, planted_secrets,
    read_directory, write_directory,
};
use serde_json::Value;

fn shape(configurations: usize) -> Shape {
    Shape {
        configurations,
        jobs: 40,
        previews: 10,
        preview_rows: 20,
        ..Shape::default()
    }
}

/// Visits every string, and every number as its digits.
fn leaves(value: &Value, visit: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => visit(text),
        Value::Number(number) => visit(&number.to_string()),
        Value::Array(items) => items.iter().for_each(|item| leaves(item, visit)),
        Value::Object(members) => members.values().for_each(|member| leaves(member, visit)),
        Value::Null | Value::Bool(_) => {}
    }
}

/// Every JSON value of the project except the list of what was planted.
fn everything(project: &Project) -> Vec<&Value> {
    let mut all = vec![&project.options, &project.token_verify, &project.index];
    for list in [
        &project.components,
        &project.buckets,
        &project.tables,
        &project.jobs,
        &project.events,
    ] {
        all.extend(list);
    }
    for branch in &project.branches {
        all.push(&branch.detail);
        all.extend(&branch.metadata);
        for configuration in &branch.configurations {
            all.push(&configuration.detail);
            all.extend(&configuration.metadata);
            for version in &configuration.versions {
                all.push(&version.item);
                all.extend(version.content.as_deref());
            }
        }
    }
    all
}

fn configurations(project: &Project) -> impl Iterator<Item = (&Branch, &Configuration)> {
    project.branches.iter().flat_map(|branch| {
        branch
            .configurations
            .iter()
            .map(move |configuration| (branch, configuration))
    })
}

#[test]
fn the_same_shape_gives_the_same_bytes_and_another_seed_gives_others() {
    let (one, two) = (
        format!("{:?}", generate(&shape(140))),
        format!("{:?}", generate(&shape(140))),
    );
    assert!(one == two);
    let other = generate(&Shape {
        seed: 43,
        ..shape(140)
    });
    let first = generate(&shape(140));
    assert_ne!(other.project_id, first.project_id);
    let ids = |project: &Project| -> BTreeSet<String> {
        configurations(project)
            .map(|(_, configuration)| configuration.id().to_owned())
            .collect()
    };
    assert!(ids(&other).is_disjoint(&ids(&first)));
}

#[track_caller]
fn check_counts(shape: &Shape, expected: &Expect) {
    let project = generate(shape);
    let per_branch: Vec<usize> = project
        .branches
        .iter()
        .map(|branch| branch.configurations.len())
        .collect();
    let types: BTreeSet<&str> = configurations(&project)
        .map(|(_, c)| c.component_id.as_str())
        .collect();
    let rows: usize = configurations(&project)
        .map(|(_, c)| c.detail["rows"].as_array().map_or(0, Vec::len))
        .sum();
    let versions: usize = configurations(&project).map(|(_, c)| c.versions.len()).sum();
    expected.assert_eq(&format!(
        "configurations {per_branch:?}\ncomponent types {}\nrows {rows}\nversions {versions}\nbuckets {}\ntables {}\npreviews {}\njobs {}\nevents {}\nplanted {}\n",
        types.len(),
        project.buckets.len(),
        project.tables.len(),
        project.previews.len(),
        project.jobs.len(),
        project.events.len(),
        project.planted.len(),
    ));
}

#[test]
fn the_default_shape_is_a_retailer_with_about_250_configurations_over_two_branches() {
    let project = generate(&Shape::default());
    let total = configurations(&project).count();
    assert!((230..=270).contains(&total), "{total}");
    check_counts(
        &Shape::default(),
        &expect![[r#"
            configurations [126, 126]
            component types 54
            rows 240
            versions 603
            buckets 75
            tables 137
            previews 60
            jobs 180
            events 603
            planted 38
        "#]],
    );
}

#[test]
fn any_size_is_met_exactly_in_the_default_branch() {
    for size in [0, 1, 7, 60, 300] {
        let project = generate(&shape(size));
        assert_eq!(project.default_branch().configurations.len(), size);
    }
}

#[test]
fn every_planted_secret_occurs_in_the_project() {
    let project = generate(&shape(300));
    let mut missing: BTreeMap<&str, &str> = planted_secrets(&project)
        .iter()
        .map(|planted| (planted.value.as_str(), planted.place.as_str()))
        .collect();
    assert!(missing.len() >= 30);
    assert_eq!(missing.len(), project.planted.len(), "planted values are unique");
    let mut visit = |text: &str| missing.retain(|value, _| !text.contains(value));
    everything(&project)
        .into_iter()
        .for_each(|value| leaves(value, &mut visit));
    project.previews.values().for_each(|text| visit(text));
    assert!(missing.is_empty(), "{:?}", missing.values());
}

#[test]
fn no_seed_loses_a_planted_secret() {
    for seed in 0..12 {
        let project = generate(&Shape {
            seed,
            dev_branches: 0,
            versions_max: 1,
            previews: 2,
            jobs: 8,
            ..shape(25)
        });
        let mut missing: BTreeSet<&str> = project
            .planted
            .iter()
            .map(|planted| planted.value.as_str())
            .collect();
        let mut visit = |text: &str| missing.retain(|value| !text.contains(value));
        everything(&project)
            .into_iter()
            .for_each(|value| leaves(value, &mut visit));
        project.previews.values().for_each(|text| visit(text));
        assert_eq!(missing.len(), 0, "seed {seed}");
    }
}

#[test]
fn every_plaintext_under_a_hash_key_was_planted() {
    fn walk(value: &Value, under: bool, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                members
                    .iter()
                    .for_each(|(key, member)| walk(member, under || key.starts_with('#'), found));
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, under, found)),
            Value::String(text) if under => found.push(text.clone()),
            Value::Number(number) if under => found.push(number.to_string()),
            _ => {}
        }
    }
    let project = generate(&shape(300));
    let planted: BTreeSet<&str> = project
        .planted
        .iter()
        .map(|planted| planted.value.as_str())
        .collect();
    let mut found = Vec::new();
    everything(&project)
        .into_iter()
        .for_each(|value| walk(value, false, &mut found));
    let protected = |text: &str| text.starts_with("KBC::") || text.starts_with("{{") || text.is_empty();
    let open: BTreeSet<&String> = found.iter().filter(|text| !protected(text)).collect();
    assert!(open.len() >= 5);
    assert!(open.iter().all(|text| planted.contains(text.as_str())));
}

#[test]
fn ids_and_version_identifiers_are_unique_and_versions_count_down_to_one() {
    let project = generate(&Shape {
        dev_branches: 2,
        ..shape(300)
    });
    let mut identifiers = BTreeSet::new();
    let mut places = BTreeSet::new();
    for (branch, configuration) in configurations(&project) {
        let id = configuration.id();
        assert!(
            places.insert((branch.id(), configuration.component_id.as_str(), id)),
            "{id}"
        );
        let rows: Vec<&str> = configuration.detail["rows"]
            .as_array()
            .expect("rows")
            .iter()
            .map(|row| row["id"].as_str().expect("a row id"))
            .collect();
        assert_eq!(rows.iter().collect::<BTreeSet<_>>().len(), rows.len(), "{id}");
        let numbers: Vec<u64> = configuration.versions.iter().map(VersionEntry::number).collect();
        let expected: Vec<u64> = (1..=configuration.version()).rev().collect();
        assert_eq!(numbers, expected, "{} {id}", configuration.component_id);
        let newest = &configuration.versions[0];
        assert_eq!(
            newest.item["versionIdentifier"],
            configuration.detail["currentVersion"]["versionIdentifier"]
        );
        assert_eq!(newest.item["name"], configuration.detail["name"]);
        let content = newest.detail().expect("known content");
        for key in ["configuration", "rows", "rowsSortOrder", "isDisabled"] {
            assert_eq!(content[key], configuration.detail[key], "{id} {key}");
        }
        for pair in configuration.versions.windows(2) {
            let time = |place: usize| pair[place].item["created"].as_str().expect("a time");
            assert!(time(0) > time(1), "{id}");
        }
        for version in &configuration.versions {
            let identifier = version.item["versionIdentifier"].as_str().expect("an identifier");
            assert_eq!(identifier.len(), 26);
            assert!(identifiers.insert(identifier), "{identifier}");
        }
    }
    let tables: BTreeSet<&str> = project
        .tables
        .iter()
        .map(|table| table["id"].as_str().expect("an id"))
        .collect();
    assert_eq!(tables.len(), project.tables.len());
    let jobs: BTreeSet<&str> = project
        .jobs
        .iter()
        .map(|job| job["id"].as_str().expect("an id"))
        .collect();
    assert_eq!(jobs.len(), project.jobs.len());
}

/// What references may name.
struct Known<'a> {
    tables: BTreeSet<&'a str>,
    configurations: BTreeSet<(&'a str, &'a str)>,
}

impl<'a> Known<'a> {
    fn of(project: &'a Project, branch: &'a Branch) -> Self {
        let tables = project
            .tables
            .iter()
            .filter_map(|table| table["id"].as_str())
            .collect();
        let key = |c: &'a Configuration| (c.component_id.as_str(), c.id());
        Self {
            tables,
            configurations: branch.configurations.iter().map(key).collect(),
        }
    }
}

/// References of a configuration that do not resolve in its branch.
fn unresolved(known: &Known, branch: &Branch, configuration: &Configuration) -> Vec<String> {
    let detail = &configuration.detail;
    let Known {
        tables,
        configurations: ids,
    } = known;
    let mut wanted: Vec<(&str, &str)> = Vec::new();
    let mut sources: Vec<&str> = Vec::new();
    let mut rows_of: Vec<(&str, &str, &str)> = Vec::new();
    let contents = detail["rows"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| &row["configuration"]);
    for content in contents.chain([&detail["configuration"]]) {
        for task in content["tasks"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|task| &task["task"])
        {
            if let (Some(component), Some(id)) = (task["componentId"].as_str(), task["configId"].as_str()) {
                wanted.extend((!id.is_empty()).then_some((component, id)));
            }
        }
        let target = &content["target"];
        if let (Some(component), Some(id)) =
            (target["componentId"].as_str(), target["configurationId"].as_str())
        {
            wanted.push((component, id));
        }
        if let Some(id) = content["variables_id"].as_str() {
            wanted.push(("keboola.variables", id));
            if let Some(row) = content["variables_values_id"].as_str() {
                rows_of.push(("keboola.variables", id, row));
            }
        }
        if let Some(id) = content["shared_code_id"].as_str() {
            wanted.push(("keboola.shared-code", id));
            for row in content["shared_code_row_ids"].as_array().into_iter().flatten() {
                rows_of.push(("keboola.shared-code", id, row.as_str().expect("a row id")));
            }
        }
        let inputs = content
            .pointer("/storage/input/tables")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        sources.extend(inputs.filter_map(|input| input["source"].as_str()));
    }
    let mut open: Vec<String> = Vec::new();
    open.extend(
        wanted
            .iter()
            .filter(|key| !ids.contains(*key))
            .map(|(_, id)| (*id).to_owned()),
    );
    open.extend(
        sources
            .iter()
            .filter(|id| !tables.contains(*id))
            .map(|id| (*id).to_owned()),
    );
    for (component, id, row) in rows_of {
        let rows = branch
            .configuration(component, id)
            .map(|found| &found.detail["rows"]);
        let known = rows
            .and_then(Value::as_array)
            .is_some_and(|rows| rows.iter().any(|found| found["id"] == row));
        open.extend((!known).then(|| row.to_owned()));
    }
    open
}

#[test]
fn every_reference_resolves_in_its_branch_except_the_dangling_ones() {
    for size in [9, 40, 126, 420] {
        let project = generate(&shape(size));
        let mut dangling = 0;
        for branch in &project.branches {
            let known = Known::of(&project, branch);
            for configuration in &branch.configurations {
                for open in unresolved(&known, branch, configuration) {
                    assert!(
                        open.contains(DANGLING_ID),
                        "{}: {open}",
                        configuration.component_id
                    );
                    dangling += 1;
                }
            }
        }
        assert!(size < 100 || dangling >= 3, "{size}: {dangling}");
    }
}

#[test]
fn a_dev_branch_has_the_same_ids_and_some_other_contents() {
    let project = generate(&Shape::default());
    let (main, dev) = (&project.branches[0], &project.branches[1]);
    let (mut same, mut changed) = (0, 0);
    for copy in &dev.configurations {
        let Some(source) = main.configuration(&copy.component_id, copy.id()) else {
            continue;
        };
        if source.detail["configuration"] == copy.detail["configuration"] {
            same += 1;
        } else {
            changed += 1;
        }
    }
    assert!(same > 80 && changed > 8, "{same} {changed}");
    assert!(main.is_default() && !dev.is_default());
}

#[test]
fn the_project_shows_the_things_a_renderer_stumbles_over() {
    let project = generate(&Shape::default());
    let main = project.default_branch();
    let of = |component: &str| {
        main.configurations
            .iter()
            .filter(move |c| c.component_id == component)
            .collect::<Vec<_>>()
    };
    let name =
        |configuration: &Configuration| configuration.detail["name"].as_str().expect("a name").to_owned();
    let folded: Vec<String> = of("keboola.ex-db-mysql")
        .into_iter()
        .map(|c| name(c).to_lowercase())
        .collect();
    assert!(
        folded
            .iter()
            .any(|one| folded.iter().filter(|other| *other == one).count() == 2),
        "colliding names"
    );
    assert!(
        main.metadata
            .iter()
            .any(|entry| entry["key"] == "KBC.projectDescription")
    );
    assert!(main.configurations.iter().any(|c| c.detail["isDisabled"] == true));
    assert!(
        main.configurations
            .iter()
            .any(|c| !c.detail["rowsSortOrder"].as_array().expect("an array").is_empty())
    );
    let rows = || {
        main.configurations
            .iter()
            .flat_map(|c| c.detail["rows"].as_array().expect("rows"))
    };
    assert!(rows().any(|row| row["isDisabled"] == true));
    assert!(
        rows().any(|row| row["configuration"]["variables_id"].is_string()),
        "variables of a shared code"
    );
    let changes: BTreeSet<String> = configurations(&project)
        .flat_map(|(_, c)| {
            c.versions
                .iter()
                .map(|version| version.item["changeDescription"].to_string())
        })
        .collect();
    assert!(changes.contains("null") && changes.contains("\"\""));
    assert!(changes.iter().any(|text| text.contains("\\n")));
    let statuses: BTreeSet<&str> = project
        .jobs
        .iter()
        .filter_map(|job| job["status"].as_str())
        .collect();
    let expected = BTreeSet::from([
        "cancelled",
        "error",
        "processing",
        "success",
        "terminated",
        "warning",
    ]);
    assert_eq!(statuses, expected);
    assert!(
        project
            .jobs
            .iter()
            .any(|job| job.pointer("/result/input/tables/0/columns/0/name").is_some())
    );
    assert!(project.tables.iter().any(|table| table["isAlias"] == true));
    assert!(
        project
            .tables
            .iter()
            .any(|table| table["isTyped"] == true && table["definition"].is_object())
    );
    assert!(
        project
            .buckets
            .iter()
            .any(|bucket| bucket["isLinkedBucket"] == true)
    );
}

#[test]
fn kinds_of_planted_secrets_cover_what_people_leave_behind() {
    let kinds: BTreeSet<String> = generate(&Shape::default())
        .planted
        .into_iter()
        .map(|planted| planted.kind)
        .collect();
    expect![[r#"
        api-key
        aws-access-key-id
        aws-secret-access-key
        bearer
        github-token
        gitlab-token
        google-api-key
        hash-key
        hash-key-array
        hash-key-history
        hash-key-number
        hash-key-object
        jdbc
        jwt
        npm-token
        odbc
        password-key
        private-key
        private-key-escaped
        prose-password
        python-api-key
        sendgrid-key
        sibling-value
        slack-token
        sql-password
        storage-token
        stripe-key
        url-user-info
    "#]]
    .assert_eq(&kinds.into_iter().map(|kind| kind + "\n").collect::<String>());
}

#[test]
fn a_project_survives_being_written_and_read() {
    let dir = tempfile::tempdir().expect("a directory");
    let project = generate(&Shape {
        previews: 8,
        ..shape(130)
    });
    write_directory(&project, dir.path()).expect("written");
    let read = read_directory(dir.path()).expect("read");
    assert!(read == project, "the project differs after a round trip");
}

#[test]
fn a_directory_with_the_needed_files_only_is_read_with_one_version_each() {
    let dir = tempfile::tempdir().expect("a directory");
    let project = generate(&Shape {
        dev_branches: 0,
        ..shape(20)
    });
    write_directory(&project, dir.path()).expect("written");
    let api = dir.path().join("api");
    for name in [
        "tokens-verify",
        "versions",
        "events",
        "buckets",
        "tables",
        "search-jobs",
    ] {
        std::fs::remove_file(api.join(format!("{name}.json"))).expect("removed");
    }
    std::fs::remove_dir_all(api.join("data-preview")).expect("removed");
    std::fs::remove_file(dir.path().join("planted.json")).expect("removed");
    let read = read_directory(dir.path()).expect("read");
    assert!(
        read.tables.is_empty()
            && read.jobs.is_empty()
            && read.planted.is_empty()
            && read.token_verify.is_null()
    );
    for (one, other) in read.branches[0]
        .configurations
        .iter()
        .zip(&project.branches[0].configurations)
    {
        assert_eq!(one.detail, other.detail);
        assert_eq!(one.versions.len(), 1);
        assert_eq!(one.versions[0], other.versions[0]);
    }
}

#[track_caller]
fn check_refused(file: &str, content: Option<&str>, expected: &Expect) {
    let dir = tempfile::tempdir().expect("a directory");
    write_directory(
        &generate(&Shape {
            dev_branches: 0,
            ..shape(3)
        }),
        dir.path(),
    )
    .expect("written");
    let path = dir.path().join(file);
    match content {
        Some(text) => std::fs::write(&path, text).expect("written"),
        None => std::fs::remove_file(&path).expect("removed"),
    }
    let error: ReadError = read_directory(dir.path()).expect_err("refused");
    expected.assert_eq(&error.to_string().replace(&*dir.path().to_string_lossy(), "DIR"));
}

#[test]
fn a_broken_directory_is_refused_with_the_file_named() {
    check_refused(
        "options.json",
        None,
        &expect![[r#"cannot read `DIR/options.json`; a project directory has `options.json` and `api/`"#]],
    );
    check_refused(
        "api/index.json",
        Some("{"),
        &expect![[r#"`DIR/api/index.json` is not valid JSON"#]],
    );
    check_refused(
        "api/dev-branches.json",
        Some("[]"),
        &expect![[r#"`DIR/api/dev-branches.json` has no branch; it must be the endpoint's answer as it is"#]],
    );
    check_refused(
        "api/dev-branches.json",
        Some("[{\"name\": \"x\"}]"),
        &expect![[
            r#"`DIR/api/dev-branches.json` has no number `id` in every branch; it must be the endpoint's answer as it is"#
        ]],
    );
    check_refused(
        "api/tables.json",
        Some("\"x\""),
        &expect![[r#"`DIR/api/tables.json` has no array; it must be the endpoint's answer as it is"#]],
    );
}
