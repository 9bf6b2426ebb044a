//! Golden cases of the components whose configurations become more than three files.

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
fn code_of_transformations_becomes_files() {
    check(
        &[(
            "keboola.snowflake-transformation/1",
            r##"{"name": "T", "configuration": {"parameters": {"blocks": [
                {"name": "Block One", "x/y": 1, "#token": "t", "codes": [
                    {"name": "Code", "script": ["SELECT 1; \n", "SELECT 2;"]},
                    {"name": "", "script": "SELECT 3; SELECT 4;", "extra": {"k": null}},
                    {"name": "None", "script": []}]},
                "odd",
                {"name": "Empty"}], "p": 1}}}"##,
        )],
        &["/transformation/", "configs-extra"],
        &expect![[r##"
            === configs-extra/keboola.snowflake-transformation/1.json
            {
              "componentId": "keboola.snowflake-transformation",
              "configId": "1",
              "version": null,
              "versionIdentifier": null,
              "author": null,
              "created": null,
              "changeDescription": null,
              "lost": {
                "/parameters/blocks": {
                  "1": "odd"
                },
                "/parameters/blocks/0": {
                  "x/y": 1,
                  "#token": "t"
                },
                "/parameters/blocks/0/codes/1": {
                  "name": "",
                  "extra": {
                    "k": null
                  }
                }
              },
              "scripts": {
                "/parameters/blocks/0/codes/0/script": [
                  {
                    "lines": 1,
                    "end": " \n"
                  },
                  {
                    "lines": 1
                  }
                ],
                "/parameters/blocks/0/codes/1/script": {
                  "lines": 1
                }
              }
            }
            === configs/main/transformation/keboola.snowflake-transformation/t/blocks/.gitkeep
            === configs/main/transformation/keboola.snowflake-transformation/t/blocks/001-block-one/001-code/code.sql
            SELECT 1;

            SELECT 2;
            === configs/main/transformation/keboola.snowflake-transformation/t/blocks/001-block-one/001-code/meta.json
            {
              "name": "Code"
            }
            === configs/main/transformation/keboola.snowflake-transformation/t/blocks/001-block-one/002-code/code.sql
            SELECT 3; SELECT 4;
            === configs/main/transformation/keboola.snowflake-transformation/t/blocks/001-block-one/002-code/meta.json
            {
              "name": "code"
            }
            === configs/main/transformation/keboola.snowflake-transformation/t/blocks/001-block-one/003-none/code.sql

            === configs/main/transformation/keboola.snowflake-transformation/t/blocks/001-block-one/003-none/meta.json
            {
              "name": "None"
            }
            === configs/main/transformation/keboola.snowflake-transformation/t/blocks/001-block-one/meta.json
            {
              "name": "Block One"
            }
            === configs/main/transformation/keboola.snowflake-transformation/t/blocks/002-empty/meta.json
            {
              "name": "Empty"
            }
            === configs/main/transformation/keboola.snowflake-transformation/t/config.json
            {
              "parameters": {
                "p": 1
              }
            }
            === configs/main/transformation/keboola.snowflake-transformation/t/description.md

            === configs/main/transformation/keboola.snowflake-transformation/t/meta.json
            {
              "name": "T",
              "isDisabled": false
            }
        "##]],
    );
}

#[test]
fn every_language_has_its_extension_and_its_way_to_join_scripts() {
    let source = r#"{"name": "T", "configuration": {"parameters": {"blocks": [
        {"name": "B", "codes": [{"name": "C", "script": ["1", "2\n"]}]}]}}}"#;
    let components = [
        "keboola.oracle-transformation",
        "keboola.google-bigquery-transformation",
        "keboola.python-transformation-v2",
        "keboola.r-transformation",
        "keboola.r-transformation-v2",
        "keboola.julia-transformation",
    ];
    let keys = components.map(|component| format!("{component}/1"));
    let objects: Vec<_> = keys.iter().map(|key| (key.as_str(), source)).collect();
    check(
        &objects,
        &["/code."],
        &expect![[r#"
        === configs/main/transformation/keboola.google-bigquery-transformation/t/blocks/001-b/001-c/code.sql
        1
        2
        === configs/main/transformation/keboola.julia-transformation/t/blocks/001-b/001-c/code.jl
        1
        2
        === configs/main/transformation/keboola.oracle-transformation/t/blocks/001-b/001-c/code.sql
        1

        2
        === configs/main/transformation/keboola.python-transformation-v2/t/blocks/001-b/001-c/code.py
        1
        2
        === configs/main/transformation/keboola.r-transformation-v2/t/blocks/001-b/001-c/code.txt
        1
        2
        === configs/main/transformation/keboola.r-transformation/t/blocks/001-b/001-c/code.r
        1
        2
    "#]],
    );
}

#[test]
fn shared_code_is_named_by_its_path() {
    check(
        &[
            (
                "keboola.shared-code/s",
                r#"{"name": "S", "configuration": {"componentId": "keboola.snowflake-transformation", "x": 1}}"#,
            ),
            (
                "keboola.shared-code/s/r1",
                r#"{"name": "My Code", "configuration": {"code_content": "A; B;", "variables_id": "v"}}"#,
            ),
            (
                "keboola.shared-code/s/r2",
                r#"{"name": "Off", "isDisabled": true, "configuration": {"code_content": ["A", "B"]}}"#,
            ),
            (
                "keboola.variables/v",
                r#"{"name": "V", "configuration": {"variables": []}}"#,
            ),
            (
                "keboola.snowflake-transformation/t",
                r#"{"name": "T", "configuration": {"shared_code_id": "s", "shared_code_row_ids": ["r1"], "parameters": {
                    "blocks": [{"name": "B", "codes": [{"name": "C", "script": ["{{r1}}", "{{ r1 }}", "{{r9}}"]}]}]}, "z": 1}}"#,
            ),
            (
                "keboola.r-transformation/t",
                r#"{"name": "T", "configuration": {"shared_code_id": "s", "shared_code_row_ids": ["r1"]}}"#,
            ),
        ],
        &[
            "_shared",
            "/t/config.json",
            "/t/blocks/001-b/001-c/code",
            "configs-extra/keboola.r-",
            "manifest",
        ],
        &expect![[r#"
            === configs-extra/keboola.r-transformation/t.json
            {
              "componentId": "keboola.r-transformation",
              "configId": "t",
              "version": null,
              "versionIdentifier": null,
              "author": null,
              "created": null,
              "changeDescription": null,
              "lost": {
                "": {
                  "shared_code_id": "s",
                  "shared_code_row_ids": [
                    "r1"
                  ]
                }
              }
            }
            === configs/.keboola/manifest.json
              "branches": [],
              "configurations": [
                {
                  "branchId": 11,
                  "componentId": "keboola.r-transformation",
                  "id": "t",
                  "path": "transformation/keboola.r-transformation/t",
                  "rows": []
                },
                {
                  "branchId": 11,
                  "componentId": "keboola.shared-code",
                  "id": "s",
                  "path": "_shared/keboola.snowflake-transformation",
                  "rows": [
                    {
                      "id": "r1",
                      "path": "codes/my-code"
                    },
                    {
                      "id": "r2",
                      "path": "codes/off"
                    }
                  ]
                },
                {
                  "branchId": 11,
                  "componentId": "keboola.snowflake-transformation",
                  "id": "t",
                  "path": "transformation/keboola.snowflake-transformation/t",
                  "rows": []
                },
                {
                  "branchId": 11,
                  "componentId": "keboola.variables",
                  "id": "v",
                  "path": "variables",
                  "relations": [
                    {
                      "configId": "s",
                      "rowId": "r1",
                      "type": "sharedCodeVariablesFor"
                    }
                  ],
                  "rows": []
                }
              ]
            }
            === configs/main/_shared/keboola.snowflake-transformation/codes/my-code/code.sql
            A;

            B;
            === configs/main/_shared/keboola.snowflake-transformation/codes/my-code/config.json
            {}
            === configs/main/_shared/keboola.snowflake-transformation/codes/my-code/description.md

            === configs/main/_shared/keboola.snowflake-transformation/codes/my-code/meta.json
            {
              "name": "My Code"
            }
            === configs/main/_shared/keboola.snowflake-transformation/codes/my-code/variables/config.json
            {
              "variables": []
            }
            === configs/main/_shared/keboola.snowflake-transformation/codes/my-code/variables/description.md

            === configs/main/_shared/keboola.snowflake-transformation/codes/my-code/variables/meta.json
            {
              "name": "V",
              "isDisabled": false
            }
            === configs/main/_shared/keboola.snowflake-transformation/codes/off/code.sql
            A

            B
            === configs/main/_shared/keboola.snowflake-transformation/codes/off/config.json
            {}
            === configs/main/_shared/keboola.snowflake-transformation/codes/off/description.md

            === configs/main/_shared/keboola.snowflake-transformation/codes/off/meta.json
            {
              "name": "Off",
              "isDisabled": true
            }
            === configs/main/_shared/keboola.snowflake-transformation/config.json
            {
              "x": 1,
              "componentId": "keboola.snowflake-transformation"
            }
            === configs/main/_shared/keboola.snowflake-transformation/description.md

            === configs/main/_shared/keboola.snowflake-transformation/meta.json
            {
              "name": "S",
              "isDisabled": false
            }
            === configs/main/transformation/keboola.r-transformation/t/config.json
            {
              "parameters": {}
            }
            === configs/main/transformation/keboola.snowflake-transformation/t/blocks/001-b/001-c/code.sql
            -- {{:codes/my-code}}

            {{ r1 }}

            {{r9}}
            === configs/main/transformation/keboola.snowflake-transformation/t/config.json
            {
              "parameters": {},
              "z": 1,
              "shared_code_path": "_shared/keboola.snowflake-transformation"
            }
        "#]],
    );
}

#[test]
fn flows_become_directories_in_the_order_they_run() {
    check(
        &[
            ("keboola.ex-db/1", r#"{"name": "Load", "configuration": {}}"#),
            (
                "keboola.orchestrator/1",
                r#"{"name": "Nightly", "configuration": {"phases": [
                        {"id": 3, "name": "Last", "dependsOn": [2, 1.0], "behavior": {"onError": "stop"}},
                        {"id": 1, "name": "First"}, {"id": "2", "name": "Second", "dependsOn": [1]}, {"id": 4, "name": ""}],
                    "tasks": [
                        {"id": 1, "name": "Load it", "phase": 1, "continueOnFailure": false,
                         "task": {"componentId": "keboola.ex-db", "configId": "1", "mode": "run"}},
                        {"id": 2, "name": "Gone", "phase": 1, "task": {"componentId": "keboola.ex-db", "configId": "9"}},
                        {"id": 3, "name": "Inline", "phase": 3, "task": {"componentId": "x", "configData": {"a": 1}, "mode": "run"}},
                        {"id": 4, "name": "Off", "phase": 3, "enabled": false, "task": {"componentId": "x", "configId": ""}},
                        {"id": 5, "name": "Lost", "phase": 9, "task": {"componentId": "keboola.ex-db", "configId": "1"}}],
                    "rest": true}}"#,
            ),
        ],
        &["nightly", "configs-extra/keboola.orch"],
        &expect![[r#"
            === configs-extra/keboola.orchestrator/1.json
            {
              "componentId": "keboola.orchestrator",
              "configId": "1",
              "version": null,
              "versionIdentifier": null,
              "author": null,
              "created": null,
              "changeDescription": null,
              "flow": {
                "phases": [
                  {
                    "directory": "003-last",
                    "id": 3,
                    "dependsOn": [
                      2,
                      1.0
                    ]
                  },
                  {
                    "directory": "001-first",
                    "id": 1
                  },
                  {
                    "directory": "002-second",
                    "id": "2"
                  },
                  {
                    "dropped": {
                      "id": 4,
                      "name": ""
                    }
                  }
                ],
                "tasks": [
                  {
                    "directory": "001-first/001-load-it",
                    "id": 1
                  },
                  {
                    "dropped": {
                      "id": 2,
                      "name": "Gone",
                      "phase": 1,
                      "task": {
                        "componentId": "keboola.ex-db",
                        "configId": "9"
                      }
                    }
                  },
                  {
                    "directory": "003-last/001-inline",
                    "id": 3
                  },
                  {
                    "directory": "003-last/002-off",
                    "id": 4
                  },
                  {
                    "dropped": {
                      "id": 5,
                      "name": "Lost",
                      "phase": 9,
                      "task": {
                        "componentId": "keboola.ex-db",
                        "configId": "1"
                      }
                    }
                  }
                ]
              }
            }
            === configs/main/other/keboola.orchestrator/nightly/config.json
            {
              "rest": true
            }
            === configs/main/other/keboola.orchestrator/nightly/description.md

            === configs/main/other/keboola.orchestrator/nightly/meta.json
            {
              "name": "Nightly",
              "isDisabled": false
            }
            === configs/main/other/keboola.orchestrator/nightly/phases/.gitkeep
            === configs/main/other/keboola.orchestrator/nightly/phases/001-first/001-load-it/task.json
            {
              "name": "Load it",
              "enabled": true,
              "continueOnFailure": false,
              "task": {
                "mode": "run",
                "configPath": "extractor/keboola.ex-db/load"
              }
            }
            === configs/main/other/keboola.orchestrator/nightly/phases/001-first/phase.json
            {
              "name": "First",
              "dependsOn": []
            }
            === configs/main/other/keboola.orchestrator/nightly/phases/002-second/phase.json
            {
              "name": "Second",
              "dependsOn": [
                "001-first"
              ]
            }
            === configs/main/other/keboola.orchestrator/nightly/phases/003-last/001-inline/task.json
            {
              "name": "Inline",
              "enabled": true,
              "task": {
                "mode": "run",
                "configData": {
                  "a": 1
                },
                "componentId": "x"
              }
            }
            === configs/main/other/keboola.orchestrator/nightly/phases/003-last/002-off/task.json
            {
              "name": "Off",
              "enabled": false,
              "task": {
                "configId": "",
                "componentId": "x"
              }
            }
            === configs/main/other/keboola.orchestrator/nightly/phases/003-last/phase.json
            {
              "name": "Last",
              "dependsOn": [
                "001-first",
                "002-second"
              ],
              "behavior": {
                "onError": "stop"
              }
            }
        "#]],
    );
}

#[test]
fn custom_python_has_its_code_beside_it() {
    check(
        &[
            (
                "kds-team.app-custom-python/1",
                r#"{"name": "P", "configuration": {"parameters": {"code": "print(1)\n\n"}}}"#,
            ),
            (
                "kds-team.app-custom-python/2",
                r#"{"name": "Q", "configuration": {"parameters": {"code": ""}}}"#,
            ),
            (
                "kds-team.app-custom-python/3",
                r#"{"name": "R", "configuration": []}"#,
            ),
        ],
        &["/p/", "code.py"],
        &expect![[r#"
            === configs/main/application/kds-team.app-custom-python/p/code.py
            print(1)

            === configs/main/application/kds-team.app-custom-python/p/config.json
            {
              "parameters": {
                "code": "print(1)\n\n"
              }
            }
            === configs/main/application/kds-team.app-custom-python/p/description.md

            === configs/main/application/kds-team.app-custom-python/p/meta.json
            {
              "name": "P",
              "isDisabled": false
            }
            === configs/main/application/kds-team.app-custom-python/q/code.py
            === configs/main/application/kds-team.app-custom-python/r/code.py
        "#]],
    );
}

#[test]
fn the_id_of_a_gateways_workspace_is_a_number() {
    check(
        &[
            (
                "keboola.app-data-gateway/1",
                r#"{"name": "G", "configuration": {"parameters": {"db": {"workspaceId": " 123 ", "user": "u"}}}}"#,
            ),
            (
                "keboola.app-data-gateway/1/r",
                r#"{"name": "R", "configuration": {"parameters": {"db": {"workspaceId": "123"}}}}"#,
            ),
            (
                "keboola.app-data-gateway/2",
                r#"{"name": "H", "configuration": {"parameters": {"db": {"workspaceId": "one"}}}}"#,
            ),
        ],
        &["config.json", "data-gateway/1.json"],
        &expect![[r#"
            === configs-extra/keboola.app-data-gateway/1.json
            {
              "componentId": "keboola.app-data-gateway",
              "configId": "1",
              "version": null,
              "versionIdentifier": null,
              "author": null,
              "created": null,
              "changeDescription": null,
              "lost": {
                "/parameters/db": {
                  "workspaceId": " 123 "
                }
              }
            }
            === configs/main/other/keboola.app-data-gateway/g/config.json
            {
              "parameters": {
                "db": {
                  "workspaceId": 123,
                  "user": "u"
                }
              }
            }
            === configs/main/other/keboola.app-data-gateway/g/rows/r/config.json
            {
              "parameters": {
                "db": {
                  "workspaceId": "123"
                }
              }
            }
            === configs/main/other/keboola.app-data-gateway/h/config.json
            {
              "parameters": {
                "db": {
                  "workspaceId": "one"
                }
              }
            }
        "#]],
    );
}
