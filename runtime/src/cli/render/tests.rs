use super::*;
use std::io;

#[test]
fn a_part_of_the_tree_becomes_its_root() {
    assert_eq!(
        placed_below("configs/main/meta.json", Some("configs")),
        Some("main/meta.json")
    );
    assert_eq!(placed_below("configs-extra/x", Some("configs")), None);
    assert_eq!(placed_below("jobs/x", None), Some("jobs/x"));
}

/// Renders what is in a directory of the layout of a project whose one configuration reads this table, and returns how often
/// the index was asked for. The stack has no service for runs.
fn asked_for_the_index(source: &str, only: &str) -> io::Result<u64> {
    let directory = tempfile::tempdir()?;
    let project = directory.path().join("project");
    let branch = project.join("api/branch/11");
    fs::create_dir_all(&branch)?;
    let component = json!({
        "id": "acme.app-reader", "type": "application", "name": "Reader", "flags": [], "data": {},
        "configurations": [{
            "id": "1", "name": "Reads", "version": 1, "rows": [],
            "configuration": { "storage": { "input": { "tables": [
                { "source": source, "destination": "a" },
                { "source": "in.c-main.orders", "destination": "b" },
            ] } } },
        }],
    });
    let main = json!([{ "id": 11, "name": "Main", "isDefault": true }]);
    let owner = json!({
        "id": "acme.ex-shop", "type": "extractor", "name": "Shop", "flags": [],
        "data": { "default_bucket": true, "default_bucket_stage": "in" },
        "configurations": [{ "id": "10", "name": "Owner", "version": 1, "configuration": {}, "rows": [] }],
    });
    fs::write(
        branch.join("components.json"),
        json!([component, owner]).to_string(),
    )?;
    fs::write(project.join("api/dev-branches.json"), main.to_string())?;
    fs::write(
        project.join("api/index.json"),
        json!({ "components": [component, owner] }).to_string(),
    )?;
    fs::write(project.join("options.json"), "{}")?;

    let read = sample_project::read_directory(&project).expect("it is a project");
    let executor = runtime().expect("a runtime can be made");
    let inside = executor.enter();
    let fake = Fake::start(read, FakeConfig::default()).expect("the fake Keboola starts");
    let out = directory.path().join("out");
    fs::create_dir_all(&out)?;
    let render = Render {
        project: vec![project.clone()],
        out: vec![out.clone()],
        only: Some(only.to_owned()),
        no_redact: true,
        samples: false,
        json: false,
    };
    let wanted = Wanted {
        render: &render,
        project: &project,
        out: &out,
    };
    let of = Described {
        options: Map::new(),
        project_id: "1".to_owned(),
        host: "localhost".to_owned(),
    };
    drop(inside);
    let tree = executor.block_on(served(wanted, &fake, of, &mut None));
    assert_eq!(tree.map(|tree| tree.objects).ok(), Some(3));
    Ok(fake.requests_by_path().get("/v2/storage").copied().unwrap_or(0))
}

#[test]
fn the_index_is_asked_for_where_a_mapping_reads_what_may_be_a_default_bucket() -> io::Result<()> {
    let asked = |source| asked_for_the_index(source, "configs");
    assert_eq!(asked("in.c-crm.orders")?, 0, "no default bucket");
    assert_eq!(asked("in.c-acme-ex-shop-10.orders")?, 1, "one of the branch");
    assert_eq!(
        asked("in.c-acme-ex-till-10.orders")?,
        0,
        "nobody's, and nothing follows it"
    );
    Ok(())
}

#[test]
fn what_lies_beside_the_layout_is_rendered_without_storage_and_runs_too() -> io::Result<()> {
    asked_for_the_index("in.c-crm.orders", "configs-extra").map(drop)
}
