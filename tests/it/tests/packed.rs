//! `policy check` of policies that take their batches packed as well: do both interfaces find the same?

use crate::support::policy::{path, policy};
use serde_json::Value;

/// Finds the first leaf of each document, whole.
const HOSTILE: &str = include_str!("../../../runtime/sandbox/src/hostile/policy.wat");

/// Finds nothing, whatever it is given.
const BLIND: &str = r#"
  (func (export "keboola:mirror/packed-redaction@0.1.0#redact")
    (param i32 i32 i32 i32 i32 i32) (param i32) (param $count i32) (param i32 i32)
    (param i32 i32 i32 i32)
    (result i32)
    (local $lists i32) (local $answer i32)
    (local.set $lists (call $alloc (i32.const 4) (i32.mul (local.get $count) (i32.const 8))))
    (local.set $answer (call $alloc (i32.const 4) (i32.const 20)))
    (i32.store offset=4 (local.get $answer) (local.get $lists))
    (i32.store offset=8 (local.get $answer) (local.get $count))
    (local.get $answer))"#;

/// Checks a policy that is blind where it is asked packed and does this at each document otherwise, and gives the exit code
/// and what is told.
fn checked(each: &str, data: Option<&str>) -> (Option<i32>, Value) {
    let directory = tempfile::tempdir().expect("temporary directories can be made");
    let module = HOSTILE.replace(";;EACH;;", each);
    let body = module.trim_end().strip_suffix(')').expect("it is a module");
    let module = wat::parse_str(format!("{body}{BLIND})")).expect("the text is a module");
    let file = directory.path().join("policy.wasm");
    std::fs::write(&file, module).expect("the directory can be written");
    let mut arguments = vec!["check", path(&file), "--json"];
    let given = directory.path().join("given.json");
    if let Some(data) = data {
        std::fs::write(&given, data).expect("the directory can be written");
        arguments.extend(["--data", path(&given)]);
    }
    let output = policy(&arguments);
    let told = serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    (output.status.code(), told)
}

fn problems(told: &Value) -> Vec<&str> {
    let problems = told["problems"].as_array().expect("they are listed");
    problems.iter().filter_map(Value::as_str).collect()
}

#[test]
fn a_policy_that_finds_something_else_packed_does_not_fit_and_is_told_how_to_mend_it() {
    let (code, told) = checked("", Some(r#"{"parameters": {"note": "of the test"}}"#));
    assert_eq!(code, Some(1), "{told}");
    let problems = problems(&told);
    let given = problems.iter().find(|problem| problem.contains("given.json"));
    let given = given.unwrap_or_else(|| panic!("the given document differs too: {told}"));
    assert!(
        given.contains("`redaction` finds `test-rule` in the whole value of leaf 0")
            && given.contains("`packed-redaction` does not (0 findings packed, 1 otherwise)")
            && given.contains("call one function for each document"),
        "{given}"
    );
    assert!(!told.to_string().contains("of the test"), "no content is told");
    assert!(problems.len() > 1, "the built-in documents are tried too: {told}");
}

#[test]
fn a_policy_that_fails_by_one_interface_only_does_not_fit() {
    let (code, told) = checked("unreachable", None);
    assert_eq!(code, Some(1), "{told}");
    let is_told = |problem: &&str| problem.contains("`redaction` fails and `packed-redaction` does not");
    assert!(problems(&told).iter().all(is_told), "{told}");
}

#[test]
fn a_policy_with_both_interfaces_that_finds_the_same_fits() {
    let (code, told) = checked("(br $next)", None);
    assert_eq!((code, problems(&told).len()), (Some(0), 0), "{told}");
    assert_eq!(
        told["interfaces"],
        serde_json::json!(["redaction", "packed-redaction"])
    );
}
