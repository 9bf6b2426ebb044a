//! Samples: what the filter chose, and what the bounds cut.

use super::*;

const CSV: &str = "id,\"na\"\"me\",city\r\n1,\"A, B\",x\r\n2,C,y\r\n3,D,z";
const TWIN: &str = r#"{
  "columns": ["id", {"name": "na\"me", "baseType": "STRING"}, "city"],
  "rows": [
    ["1", "A, B", "x"],
    ["2", "C", "y"],
    ["3", "D", "z"]
  ]
}
"#;

#[track_caller]
fn check_choice(files_of_sample: &[(&str, &str)], choice: Option<(&[usize], &[usize])>, expected: &Expect) {
    let batch = redacted(vec![
        (sample(), files(files_of_sample)),
        (config("1"), files(&[("configs/1", "stays")])),
    ]);
    let choice = choice.map(|(columns, rows)| {
        (
            sample(),
            Ok(Choice {
                columns: columns.to_vec(),
                rows: rows.to_vec(),
            }),
        )
    });
    let (batch, withheld) = batch.choose(choice.into_iter().collect());
    let mut drawn = draw_withheld(&withheld);
    for item in batch.items.iter().filter(|item| item.subject == sample()) {
        drawn += &format!("{} files\n", item.files.len());
        for file in &item.files {
            drawn += &file.content.replace('\r', "\\r");
            drawn += "\n--\n";
        }
    }
    assert!(
        batch.items.iter().any(|item| item.subject == config("1")),
        "objects that are no samples pass"
    );
    expected.assert_eq(&drawn);
}

const SAMPLE: [(&str, &str); 2] = [("storage/samples/a.csv", CSV), ("storage/samples/a.json", TWIN)];

#[track_caller]
fn check_bound(limits: SampleLimits, expected: &Expect) {
    let batch = redacted(vec![(sample(), files(&SAMPLE))]);
    let all = Choice {
        columns: vec![0, 1, 2],
        rows: vec![0, 1, 2],
    };
    let (batch, _) = batch.choose(vec![(sample(), Ok(all))]);
    let (batch, withheld) = batch.within(&limits);
    assert!(withheld.is_empty(), "{}", draw_withheld(&withheld));
    let mut drawn = String::new();
    for file in &batch.items[0].files {
        drawn += &file.content.replace('\r', "\\r");
        drawn += "\n--\n";
    }
    expected.assert_eq(&drawn);
}

#[test]
fn what_is_too_large_in_a_sample_is_cut_in_both_files() {
    let limits = SampleLimits::default();
    let tight = SampleLimits {
        cell_bytes_max: 3,
        ..limits
    };
    check_bound(
        tight,
        &expect![[r#"
            id,"na""me",city\r
            1,"A, …[CUT: 4 bytes]",x\r
            2,C,y\r
            3,D,z
            --
            {
              "columns": ["id", {"name": "na\"me", "baseType": "STRING"}, "city"],
              "rows": [
                ["1", "A, …[CUT: 4 bytes]", "x"],
                ["2", "C", "y"],
                ["3", "D", "z"]
              ], "cut": {"cells": 1, "rows": 0}
            }

            --
        "#]],
    );
    let short = SampleLimits {
        file_bytes_max: 122,
        ..limits
    };
    check_bound(
        short,
        &expect![[r#"
            id,"na""me",city\r
            1,"A, B",x\r

            --
            {
              "columns": ["id", {"name": "na\"me", "baseType": "STRING"}, "city"],
              "rows": [
                ["1", "A, B", "x"]
              ], "cut": {"cells": 0, "rows": 2}
            }

            --
        "#]],
    );
    let few = SampleLimits {
        rows_max: 3,
        ..limits
    };
    check_bound(
        few,
        &expect![[r#"
        id,"na""me",city\r
        1,"A, B",x\r
        2,C,y\r
        3,D,z
        --
        {
          "columns": ["id", {"name": "na\"me", "baseType": "STRING"}, "city"],
          "rows": [
            ["1", "A, B", "x"],
            ["2", "C", "y"],
            ["3", "D", "z"]
          ]
        }

        --
    "#]],
    );
}

#[test]
fn the_filter_gets_samples_as_cells() {
    let batch = redacted(vec![
        (sample(), files(&SAMPLE)),
        (config("1"), files(&[("configs/1.csv", "a")])),
    ]);
    let samples = batch.samples();
    let [(subject, sample_read)] = samples.as_slice() else {
        panic!("one sample")
    };
    assert_eq!(
        (subject, sample_read.table_id.as_str()),
        (&sample(), "in.c-main.orders")
    );
    let columns: Vec<_> = sample_read
        .columns
        .iter()
        .map(|column| (column.name.as_str(), column.base_type.as_str()))
        .collect();
    assert_eq!(columns, [("id", ""), ("na\"me", "STRING"), ("city", "")]);
    assert_eq!(
        sample_read.rows,
        [["1", "A, B", "x"], ["2", "C", "y"], ["3", "D", "z"]]
    );
}

#[test]
fn rows_and_columns_that_were_not_chosen_go_from_both_files() {
    check_choice(
        &SAMPLE,
        Some((&[0, 2], &[1, 2])),
        &expect![[r#"
            2 files
            id,city\r
            2,y\r
            3,z
            --
            {
              "columns": ["id", "city"],
              "rows": [
                ["2", "y"],
                ["3", "z"]
              ]
            }

            --
        "#]],
    );
    check_choice(
        &SAMPLE,
        Some((&[1], &[0])),
        &expect![[r#"
            2 files
            "na""me"\r
            "A, B"\r

            --
            {
              "columns": [{"name": "na\"me", "baseType": "STRING"}],
              "rows": [
                ["A, B"]
              ]
            }

            --
        "#]],
    );
}

#[test]
fn an_empty_cell_that_is_alone_in_its_row_is_quoted() {
    check_choice(
        &[("storage/samples/a.csv", "a,b\n1,\n2,")],
        Some((&[1], &[0, 1])),
        &expect![[r#"
            1 files
            b
            ""
            ""
            --
        "#]],
    );
}

#[test]
fn a_sample_with_all_chosen_is_unchanged() {
    check_choice(
        &SAMPLE[..1],
        Some((&[0, 1, 2], &[0, 1, 2])),
        &expect![[r#"
            1 files
            id,"na""me",city\r
            1,"A, B",x\r
            2,C,y\r
            3,D,z
            --
        "#]],
    );
}

#[test]
fn a_sample_of_which_nothing_stays_has_no_files() {
    check_choice(
        &SAMPLE,
        Some((&[], &[0])),
        &expect![[r#"
        0 files
    "#]],
    );
    check_choice(
        &SAMPLE,
        Some((&[0], &[])),
        &expect![[r#"
        0 files
    "#]],
    );
}

#[test]
fn a_sample_without_a_fitting_choice_is_withheld() {
    check_choice(
        &SAMPLE,
        None,
        &expect![[r#"
        sample in.c-main.orders: the sample filter answered with something malformed: no choice was made for this sample
    "#]],
    );
    check_choice(
        &SAMPLE,
        Some((&[3], &[0])),
        &expect![[r#"
        sample in.c-main.orders: the sample filter answered with something malformed: a choice is not ascending or not in range
    "#]],
    );
    check_choice(
        &SAMPLE,
        Some((&[1, 0], &[0])),
        &expect![[r#"
        sample in.c-main.orders: the sample filter answered with something malformed: a choice is not ascending or not in range
    "#]],
    );
}

#[test]
fn a_sample_whose_files_are_no_sample_is_withheld() {
    let csv = |content| ("storage/samples/a.csv", content);
    check_choice(
        &[csv("a,b\n1\n")],
        Some((&[0], &[0])),
        &expect![[r#"
        sample in.c-main.orders: the layout renderer answered with something malformed: a sample has rows of different lengths
    "#]],
    );
    check_choice(
        &[("storage/samples/a.json", TWIN)],
        Some((&[0], &[0])),
        &expect![[r#"
        sample in.c-main.orders: the layout renderer answered with something malformed: a sample has no CSV file
    "#]],
    );
    check_choice(
        &[csv(CSV), ("storage/samples/a.md", "")],
        Some((&[0], &[0])),
        &expect![[r#"
        sample in.c-main.orders: the layout renderer answered with something malformed: a sample has a file that is neither CSV nor JSON
    "#]],
    );
    let twin = (
        "storage/samples/a.json",
        r#"{"columns":["id"],"rows":[["1","secret"]]}"#,
    );
    check_choice(
        &[csv("id\n1\n"), twin],
        Some((&[0], &[0])),
        &expect![[r#"
        sample in.c-main.orders: the layout renderer answered with something malformed: the JSON file of a sample does not have the rows and columns of its CSV file
    "#]],
    );
}

/// Redacts the sample by findings in its CSV and its JSON file, and draws what becomes of it.
#[track_caller]
fn check_found(files_of_sample: &[(&str, &str)], csv: &[Finding], twin: &[Finding], expected: &Expect) {
    let (batch, _) = batch(vec![
        (sample(), files(files_of_sample)),
        (config("1"), files(&[("configs/1", "stays")])),
    ]);
    let verdicts = [csv, twin, &[]].map(|findings| Verdict::Findings(findings.to_vec()));
    let (batch, withheld) = batch.redact(verdicts.to_vec(), &redaction(SecretsMode::Encrypted));
    let all = Choice {
        columns: vec![0, 1],
        rows: vec![0, 1],
    };
    let (batch, refused) = batch.choose(vec![(sample(), Ok(all))]);
    let mut drawn = draw_withheld(&withheld) + &draw_withheld(&refused);
    for item in batch.items.iter().filter(|item| item.subject == sample()) {
        for file in &item.files {
            drawn += &file.content;
            drawn += "\n--\n";
        }
    }
    expected.assert_eq(&drawn);
}

fn found(leaf: usize, target: Target) -> Finding {
    let rule = RuleId::parse("own").expect("a rule");
    Finding { leaf, target, rule }
}

#[test]
fn what_is_found_in_one_file_of_a_sample_goes_from_both() {
    let csv = (
        "storage/samples/a.csv",
        "key,value\npassword,\"ab\"\"cd\"\nhost,x\n",
    );
    let json = r#"{"columns": ["key", {"name": "value"}], "rows": [["password", "ab\"cd"], ["host", "x"]]}"#;
    let sample = [csv, ("storage/samples/a.json", json)];
    let whole = expect![[r#"
        key,value
        password,"[REDACTED:own:0]"
        host,x

        --
        {"columns": ["key", {"name": "value"}], "rows": [["password", "[REDACTED:own:0]"], ["host", "x"]]}
        --
    "#]];
    check_found(&sample, &[found(3, Target::Whole)], &[], &whole);
    // Leaves of JSON: `columns`, its `key`, `name`, its `value`, `rows`, and then the cells.
    check_found(&sample, &[], &[found(6, Target::Whole)], &whole);
    check_found(
        &sample,
        &[found(3, Target::Whole)],
        &[found(6, Target::Whole)],
        &whole,
    );
    // By another rule in each: both get the marker of one.
    let by = |leaf, rule: &str| Finding {
        rule: RuleId::parse(rule).expect("a rule"),
        ..found(leaf, Target::Whole)
    };
    for (csv, twin) in [("own", "zzz"), ("zzz", "own")] {
        check_found(&sample, &[by(3, csv)], &[by(6, twin)], &whole);
    }
    let part = expect![[r#"
        key,value
        password,"ab""[REDACTED:own:0]"
        host,[REDACTED:own:0]

        --
        {"columns": ["key", {"name": "value"}], "rows": [["password", "ab\"[REDACTED:own:0]"], ["host", "[REDACTED:own:0]"]]}
        --
    "#]];
    let in_csv = [found(3, Target::Bytes { start: 3, end: 5 })];
    let in_twin = [found(8, Target::Literal("x".to_owned()))];
    check_found(&sample, &in_csv, &in_twin, &part);
    check_found(
        &sample,
        &[found(1, Target::Whole)],
        &[found(1, Target::Whole)],
        &expect![[r#"
            [REDACTED:own:0],[REDACTED:own:0]
            password,"ab""cd"
            host,x

            --
            {"columns": ["[REDACTED:own:0]", {"name": "[REDACTED:own:0]"}], "rows": [["password", "ab\"cd"], ["host", "x"]]}
            --
        "#]],
    );
}

#[test]
fn a_sample_whose_files_would_show_different_cells_is_withheld() {
    let csv = ("storage/samples/a.csv", "id,pin\n1,4711\n2,\n");
    let numbers = r#"{"columns": ["id", "pin"], "rows": [[1, 4711], [2, null]]}"#;
    check_found(
        &[csv, ("storage/samples/a.json", numbers)],
        &[],
        &[],
        &expect![[r#"
            id,pin
            1,4711
            2,

            --
            {"columns": ["id", "pin"], "rows": [[1, 4711], [2, null]]}
            --
        "#]],
    );
    check_found(
        &[csv, ("storage/samples/a.json", numbers)],
        &[found(3, Target::Whole)],
        &[],
        &expect![[r#"
            sample in.c-main.orders: the layout renderer answered with something malformed: a cell of a sample is a text in one file only
        "#]],
    );
    let others = r#"{"columns": ["id", "pin"], "rows": [[1, 4712], [2, null]]}"#;
    check_found(
        &[csv, ("storage/samples/a.json", others)],
        &[],
        &[],
        &expect![[r#"
            sample in.c-main.orders: the layout renderer answered with something malformed: the JSON file of a sample does not have the rows and columns of its CSV file
        "#]],
    );
}
