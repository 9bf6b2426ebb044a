//! Golden cases of `configs/`: one rule each.

mod project;

use expect_test::{Expect, expect};
use project::{object, show, tree};

const SETTINGS: &str = r#"{"branchPath": "main", "defaultBranchId": "11"}"#;

/// Renders objects, given as key and source, and shows the files whose paths contain a text.
#[track_caller]
fn check(objects: &[(&str, &str)], wanted: &[&str], expected: &Expect) {
    let objects: Vec<_> = objects.iter().map(|(key, source)| object(key, source)).collect();
    expected.assert_eq(&show(&tree(SETTINGS, &objects), wanted));
}

#[test]
fn a_configuration_and_its_rows_have_three_files_each() {
    check(
        &[
            (
                "keboola.ex-db/1",
                r#"{"name": "My <DB>", "description": "Line\n\n", "isDisabled": true,
                    "configuration": {"b": {"n": 1.0}, "a": []}}"#,
            ),
            (
                "keboola.ex-db/1/r",
                r#"{"name": "", "configuration": {"name": "Legacy Name"}}"#,
            ),
            ("keboola.ex-db/1/s", r#"{"name": "日本", "configuration": []}"#),
        ],
        &["configs/main/ex"],
        &expect![[r#"
            === configs/main/extractor/keboola.ex-db/my-db/config.json
            {
              "b": {
                "n": 1
              },
              "a": []
            }
            === configs/main/extractor/keboola.ex-db/my-db/description.md
            Line
            === configs/main/extractor/keboola.ex-db/my-db/meta.json
            {
              "name": "My \u003cDB\u003e",
              "isDisabled": true
            }
            === configs/main/extractor/keboola.ex-db/my-db/rows/legacy-name/config.json
            {
              "name": "Legacy Name"
            }
            === configs/main/extractor/keboola.ex-db/my-db/rows/legacy-name/description.md

            === configs/main/extractor/keboola.ex-db/my-db/rows/legacy-name/meta.json
            {
              "name": "",
              "isDisabled": false
            }
            === configs/main/extractor/keboola.ex-db/my-db/rows/s/config.json
            {}
            === configs/main/extractor/keboola.ex-db/my-db/rows/s/description.md

            === configs/main/extractor/keboola.ex-db/my-db/rows/s/meta.json
            {
              "name": "日本",
              "isDisabled": false
            }
        "#]],
    );
}

#[test]
fn a_branch_has_its_names_and_the_projects_description() {
    let mut branch = object(
        "-",
        r#"{"id": 11, "name": "Main", "description": "", "isDefault": true}"#,
    );
    branch.metadata = [
        ("KBC.projectDescription", "About \n"),
        ("z", "1"),
        ("a", "<2>"),
        ("z", "3"),
    ]
    .map(|(key, value)| (key.into(), value.into()))
    .into();
    expect![[r#"
        === configs/.keboola/manifest.json
        {
          "version": 2,
          "project": {
            "id": 7,
            "apiHost": "connection.example.com"
          },
          "allowTargetEnv": false,
          "sortBy": "id",
          "naming": {
            "branch": "{branch_name}",
            "config": "{component_type}/{component_id}/{config_name}",
            "configRow": "rows/{config_row_name}",
            "schedulerConfig": "schedules/{config_name}",
            "sharedCodeConfig": "_shared/{target_component_id}",
            "sharedCodeConfigRow": "codes/{config_row_name}",
            "variablesConfig": "variables",
            "variablesValuesRow": "values/{config_row_name}",
            "dataAppConfig": "app/{component_id}/{config_name}"
          },
          "allowedBranches": [
            "11"
          ],
          "ignoredComponents": [],
          "templates": {
            "repositories": [
              {
                "type": "git",
                "name": "keboola",
                "url": "https://github.com/keboola/keboola-as-code-templates.git",
                "ref": "main"
              },
              {
                "type": "git",
                "name": "keboola-components",
                "url": "https://github.com/keboola/keboola-as-code-templates-components.git",
                "ref": "main"
              }
            ]
          },
          "branches": [
            {
              "id": 11,
              "path": "main",
              "metadata": {
                "a": "\u003c2\u003e",
                "z": "3"
              }
            }
          ],
          "configurations": []
        }
        === configs/description.md
        About
        === configs/main/description.md

        === configs/main/meta.json
        {
          "name": "Main",
          "isDefault": true
        }
    "#]]
    .assert_eq(&show(&tree(SETTINGS, &[branch]), &["configs/"]));
}

#[test]
fn variables_live_in_the_one_configuration_that_uses_them() {
    check(
        &[
            (
                "keboola.ex-db/1",
                r#"{"name": "A", "configuration": {"variables_id": "v", "variables_values_id": "d", "x": 1}}"#,
            ),
            (
                "keboola.ex-db/2",
                r#"{"name": "B", "configuration": {"variables_id": "w"}}"#,
            ),
            (
                "keboola.ex-db/3",
                r#"{"name": "C", "configuration": {"variables_id": "w", "variables_values_id": "gone"}}"#,
            ),
            (
                "keboola.variables/v",
                r#"{"name": "V", "configuration": {"variables": []}}"#,
            ),
            (
                "keboola.variables/v/d",
                r#"{"name": "Any Name", "configuration": {"values": []}}"#,
            ),
            (
                "keboola.variables/v/e",
                r#"{"name": "Other", "configuration": {"values": []}}"#,
            ),
            (
                "keboola.variables/w",
                r#"{"name": "W", "configuration": {"variables": [1]}}"#,
            ),
            (
                "keboola.variables/w/d",
                r#"{"name": "D", "configuration": {"values": [1]}}"#,
            ),
        ],
        &[
            "extractor/",
            "configs-extra/keboola.variables/w",
            "configs-extra/keboola.ex-db/3",
            "manifest",
        ],
        &expect![[r#"
            === configs-extra/keboola.ex-db/3.json
            {
              "componentId": "keboola.ex-db",
              "configId": "3",
              "version": null,
              "versionIdentifier": null,
              "author": null,
              "created": null,
              "changeDescription": null,
              "lost": {
                "": {
                  "variables_id": "w",
                  "variables_values_id": "gone"
                }
              }
            }
            === configs-extra/keboola.variables/w.json
            {
              "componentId": "keboola.variables",
              "configId": "w",
              "version": null,
              "versionIdentifier": null,
              "author": null,
              "created": null,
              "changeDescription": null,
              "name": "W",
              "description": null,
              "isDisabled": false,
              "configuration": {
                "variables": [
                  1
                ]
              }
            }
            === configs-extra/keboola.variables/w/rows/d.json
            {
              "componentId": "keboola.variables",
              "configId": "w",
              "rowId": "d",
              "version": null,
              "versionIdentifier": null,
              "author": null,
              "created": null,
              "changeDescription": null,
              "name": "D",
              "description": null,
              "isDisabled": false,
              "configuration": {
                "values": [
                  1
                ]
              }
            }
            === configs/.keboola/manifest.json
              "branches": [],
              "configurations": [
                {
                  "branchId": 11,
                  "componentId": "keboola.ex-db",
                  "id": "1",
                  "path": "extractor/keboola.ex-db/a",
                  "rows": []
                },
                {
                  "branchId": 11,
                  "componentId": "keboola.ex-db",
                  "id": "2",
                  "path": "extractor/keboola.ex-db/b",
                  "rows": []
                },
                {
                  "branchId": 11,
                  "componentId": "keboola.ex-db",
                  "id": "3",
                  "path": "extractor/keboola.ex-db/c",
                  "rows": []
                },
                {
                  "branchId": 11,
                  "componentId": "keboola.variables",
                  "id": "v",
                  "path": "variables",
                  "relations": [
                    {
                      "componentId": "keboola.ex-db",
                      "configId": "1",
                      "type": "variablesFor"
                    }
                  ],
                  "rows": [
                    {
                      "id": "d",
                      "path": "values/default",
                      "relations": [
                        {
                          "type": "variablesValuesFor"
                        }
                      ]
                    },
                    {
                      "id": "e",
                      "path": "values/other"
                    }
                  ]
                }
              ]
            }
            === configs/main/extractor/keboola.ex-db/a/config.json
            {
              "x": 1
            }
            === configs/main/extractor/keboola.ex-db/a/description.md

            === configs/main/extractor/keboola.ex-db/a/meta.json
            {
              "name": "A",
              "isDisabled": false
            }
            === configs/main/extractor/keboola.ex-db/a/variables/config.json
            {
              "variables": []
            }
            === configs/main/extractor/keboola.ex-db/a/variables/description.md

            === configs/main/extractor/keboola.ex-db/a/variables/meta.json
            {
              "name": "V",
              "isDisabled": false
            }
            === configs/main/extractor/keboola.ex-db/a/variables/values/default/config.json
            {
              "values": []
            }
            === configs/main/extractor/keboola.ex-db/a/variables/values/default/description.md

            === configs/main/extractor/keboola.ex-db/a/variables/values/default/meta.json
            {
              "name": "Any Name",
              "isDisabled": false
            }
            === configs/main/extractor/keboola.ex-db/a/variables/values/other/config.json
            {
              "values": []
            }
            === configs/main/extractor/keboola.ex-db/a/variables/values/other/description.md

            === configs/main/extractor/keboola.ex-db/a/variables/values/other/meta.json
            {
              "name": "Other",
              "isDisabled": false
            }
            === configs/main/extractor/keboola.ex-db/b/config.json
            {}
            === configs/main/extractor/keboola.ex-db/b/description.md

            === configs/main/extractor/keboola.ex-db/b/meta.json
            {
              "name": "B",
              "isDisabled": false
            }
            === configs/main/extractor/keboola.ex-db/c/config.json
            {}
            === configs/main/extractor/keboola.ex-db/c/description.md

            === configs/main/extractor/keboola.ex-db/c/meta.json
            {
              "name": "C",
              "isDisabled": false
            }
        "#]],
    );
}

#[test]
fn schedules_live_in_what_they_run() {
    check(
        &[
            (
                "keboola.flow/1",
                r#"{"name": "F", "configuration": {"phases": [{"id": 1}], "tasks": []}}"#,
            ),
            (
                "keboola.scheduler/1",
                r#"{"name": "Every Day", "configuration": {"schedule": {"cronTab": "* * * * *"}, "target":
                    {"componentId": "keboola.flow", "configurationId": "1", "mode": "run"}}}"#,
            ),
            (
                "keboola.scheduler/2",
                r#"{"name": "Orphan", "configuration": {"target": {"componentId": "keboola.flow", "configurationId": "9"}}}"#,
            ),
            (
                "keboola.scheduler/3",
                r#"{"name": "Broken", "configuration": {"target": {"componentId": 5}}}"#,
            ),
        ],
        &["other/", "configs-extra/keboola.scheduler/2", "manifest"],
        &expect![[r#"
            === configs-extra/keboola.scheduler/2.json
            {
              "componentId": "keboola.scheduler",
              "configId": "2",
              "version": null,
              "versionIdentifier": null,
              "author": null,
              "created": null,
              "changeDescription": null,
              "name": "Orphan",
              "description": null,
              "isDisabled": false,
              "configuration": {
                "target": {
                  "componentId": "keboola.flow",
                  "configurationId": "9"
                }
              }
            }
            === configs/.keboola/manifest.json
              "branches": [],
              "configurations": [
                {
                  "branchId": 11,
                  "componentId": "keboola.flow",
                  "id": "1",
                  "path": "other/keboola.flow/f",
                  "rows": []
                },
                {
                  "branchId": 11,
                  "componentId": "keboola.scheduler",
                  "id": "1",
                  "path": "schedules/every-day",
                  "relations": [
                    {
                      "componentId": "keboola.flow",
                      "configId": "1",
                      "type": "schedulerFor"
                    }
                  ],
                  "rows": []
                }
              ]
            }
            === configs/main/other/keboola.flow/f/config.json
            {
              "phases": [
                {
                  "id": 1
                }
              ],
              "tasks": []
            }
            === configs/main/other/keboola.flow/f/description.md

            === configs/main/other/keboola.flow/f/meta.json
            {
              "name": "F",
              "isDisabled": false
            }
            === configs/main/other/keboola.flow/f/schedules/every-day/config.json
            {
              "schedule": {
                "cronTab": "* * * * *"
              },
              "target": {
                "mode": "run"
              }
            }
            === configs/main/other/keboola.flow/f/schedules/every-day/description.md

            === configs/main/other/keboola.flow/f/schedules/every-day/meta.json
            {
              "name": "Every Day",
              "isDisabled": false
            }
        "#]],
    );
}

#[test]
fn default_buckets_are_named_by_their_owner_up_to_one_without() {
    let mapping = r#"{"storage": {"input": {"tables": [
        {}, {"source": "in.c-main-1.x"}, {"source": "in.c-keboola-ex-db-1.orders"}, {"source": "in.c-keboola-ex-db-9.orders"},
        {"source": "in.c-keboola-ex-db-1.orders"}]}}}"#;
    let source = format!(r#"{{"name": "W", "configuration": {mapping}}}"#);
    check(
        &[
            ("keboola.ex-db/1", r#"{"name": "Source", "configuration": {}}"#),
            ("keboola.wr-db/1", &source),
            ("keboola.wr-db/1/r", &source),
        ],
        &["wr-db/w/config.json", "rows/w/config.json"],
        &expect![[r#"
            === configs/main/other/keboola.wr-db/w/config.json
            {
              "storage": {
                "input": {
                  "tables": [
                    {},
                    {
                      "source": "in.c-main-1.x"
                    },
                    {
                      "source": "{{:default-bucket:extractor/keboola.ex-db/source}}.orders"
                    },
                    {
                      "source": "in.c-keboola-ex-db-9.orders"
                    },
                    {
                      "source": "in.c-keboola-ex-db-1.orders"
                    }
                  ]
                }
              }
            }
            === configs/main/other/keboola.wr-db/w/rows/w/config.json
            {
              "storage": {
                "input": {
                  "tables": [
                    {},
                    {
                      "source": "in.c-main-1.x"
                    },
                    {
                      "source": "{{:default-bucket:extractor/keboola.ex-db/source}}.orders"
                    },
                    {
                      "source": "in.c-keboola-ex-db-9.orders"
                    },
                    {
                      "source": "in.c-keboola-ex-db-1.orders"
                    }
                  ]
                }
              }
            }
        "#]],
    );
}

#[test]
fn data_apps_and_ignored_components_have_places_of_their_own() {
    let objects = [
        "keboola.data-apps/1",
        "keboola.sandboxes/1",
        "keboola.ex-db/1",
        "keboola.ex-db/1/r",
    ]
    .map(|key| {
        object(
            key,
            r#"{"name": "My App", "configuration": {"big": 12345678901234567890}}"#,
        )
    });
    let settings = r#"{"branchPath": "main", "ignoredComponents": ["keboola.ex-db"]}"#;
    expect![[r#"
        === configs-extra/keboola.ex-db/1/rows/r.json
        {
          "componentId": "keboola.ex-db",
          "configId": "1",
          "rowId": "r",
          "version": null,
          "versionIdentifier": null,
          "author": null,
          "created": null,
          "changeDescription": null,
          "name": "My App",
          "description": null,
          "isDisabled": false,
          "configuration": {
            "big": 12345678901234567890
          }
        }
        === configs-extra/keboola.sandboxes/1.json
        {
          "componentId": "keboola.sandboxes",
          "configId": "1",
          "version": null,
          "versionIdentifier": null,
          "author": null,
          "created": null,
          "changeDescription": null,
          "name": "My App",
          "description": null,
          "isDisabled": false,
          "configuration": {
            "big": 12345678901234567890
          }
        }
        === configs/.keboola/manifest.json
          "branches": [],
          "configurations": [
            {
              "branchId": 11,
              "componentId": "keboola.data-apps",
              "id": "1",
              "path": "app/keboola.data-apps/my-app",
              "rows": []
            }
          ]
        }
        === configs/main/app/keboola.data-apps/my-app/config.json
        {
          "big": 12345678901234567000
        }
    "#]]
    .assert_eq(&show(
        &tree(settings, &objects),
        &["config.json", "sandboxes/1", "1/rows", "manifest"],
    ));
}

#[test]
fn templates_with_ids_and_sorting_by_path_are_followed() {
    let settings = r#"{"branchPath": "main", "tree": "project", "sortBy": "path", "project": {"id": 5, "apiHost": "h"},
        "naming": {"config": "{component_id}/{config_id}-{config_name}", "configRow": "rows/{config_row_id}-{config_row_name}",
                   "variablesValuesRow": "values/{config_row_id}-{config_row_name}"},
        "allowedBranches": ["*"], "templates": {"repositories": []}}"#;
    let objects = [
        ("-", r#"{"id": 11, "name": "Dev"}"#),
        (
            "c/2",
            r#"{"name": "A", "configuration": {"variables_id": "v", "variables_values_id": "7"}}"#,
        ),
        ("c/1", r#"{"name": "B"}"#),
        ("c/1/9", r#"{"name": "Row"}"#),
        ("keboola.variables/v", r#"{"name": "V"}"#),
        ("keboola.variables/v/7", r#"{"name": "Z"}"#),
    ]
    .map(|(key, source)| object(key, source));
    expect![[r#"
        === configs/.keboola/manifest.json
          "branches": [
            {
              "id": 11,
              "path": "main"
            }
          ],
          "configurations": [
            {
              "branchId": 11,
              "componentId": "c",
              "id": "1",
              "path": "c/1-b",
              "rows": [
                {
                  "id": "9",
                  "path": "rows/9-row"
                }
              ]
            },
            {
              "branchId": 11,
              "componentId": "c",
              "id": "2",
              "path": "c/2-a",
              "rows": []
            },
            {
              "branchId": 11,
              "componentId": "keboola.variables",
              "id": "v",
              "path": "variables",
              "relations": [
                {
                  "componentId": "c",
                  "configId": "2",
                  "type": "variablesFor"
                }
              ],
              "rows": [
                {
                  "id": "7",
                  "path": "values/7-default",
                  "relations": [
                    {
                      "type": "variablesValuesFor"
                    }
                  ]
                }
              ]
            }
          ]
        }
    "#]]
    .assert_eq(&show(
        &tree(settings, &objects),
        &["manifest", "configs/description"],
    ));
}
