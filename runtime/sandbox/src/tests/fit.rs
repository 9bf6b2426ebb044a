//! Components that do not fit.

use super::support::{POLICY, component, limits, sandbox};
use crate::{Limits, SandboxError};
use expect_test::{Expect, expect};

#[track_caller]
fn check_bytes(limits: Limits, bytes: &[u8], expected: &Expect) {
    let error = sandbox(limits)
        .customer_policy("X", bytes, "{}")
        .expect_err("the component must be refused");
    match error {
        SandboxError::Misfit { problems, .. } => expected.assert_eq(&(problems.join("\n") + "\n")),
        other => expected.assert_eq(&format!("not a misfit: {other}\n")),
    }
}

#[track_caller]
fn check(text: &str, expected: &Expect) {
    check_bytes(
        limits(),
        &wat::parse_str(text).expect("the text parses"),
        expected,
    );
}

#[test]
fn every_import_is_named_with_what_mends_it() {
    check(
        r#"(component
            (import "wasi:cli/environment@0.2.0" (instance (export "get-environment" (func))))
            (import "wasi:io/poll@0.2.0" (instance (export "pollable" (type (sub resource)))))
            (import "keboola:mirror/log@0.2.0" (instance (export "write" (func (param "text" string)))))
            (import "keboola:mirror/types@0.1.0" (instance (type $u u8) (export "t" (type (eq $u)))))
            (import "now" (func (result u64))))"#,
        &expect![[r#"
            it imports `now`, and guests get no functions
            it imports `keboola:mirror/log@0.2.0`, and guests get no functions; this host offers `keboola:mirror@0.1`, of which guests import types only; build against its WIT package
            it imports `wasi:cli/environment@0.2.0`, `wasi:io/poll@0.2.0`, and guests get no functions; to build without WASI: in Rust, target `wasm32-unknown-unknown`; in Python, `componentize-py … componentize --stub-wasi`; in JavaScript, `jco componentize --backend quickjs --backend-qjs-stub-wasi --backend-qjs-disable-async`, or disable `random`, `stdio`, `clocks`, `http` and `fetch-event`
            it exports nothing and not `keboola:mirror/redaction@0.1.0`; build it for the world `redaction-policy` of `keboola:mirror@0.1`
        "#]],
    );
}

#[test]
fn types_may_be_imported() {
    check(
        r#"(component (import "keboola:mirror/types@0.1.0" (instance (type $u u8) (export "t" (type (eq $u))))))"#,
        &expect![[r#"
            it exports nothing and not `keboola:mirror/redaction@0.1.0`; build it for the world `redaction-policy` of `keboola:mirror@0.1`
        "#]],
    );
}

#[test]
fn a_component_of_another_world_is_told_which_to_build_for() {
    check(
        r#"(component (component $c) (instance $i (instantiate $c)) (export "keboola:mirror/sampling@0.1.0" (instance $i)))"#,
        &expect![[r#"
        it exports `keboola:mirror/sampling@0.1.0` and not `keboola:mirror/redaction@0.1.0`; build it for the world `redaction-policy` of `keboola:mirror@0.1`
    "#]],
    );
    check(
        r#"(component (component $c) (instance $i (instantiate $c)) (export "keboola:mirror/redaction@0.2.0" (instance $i)))"#,
        &expect![[r#"
        it exports `keboola:mirror/redaction@0.2.0` and not `keboola:mirror/redaction@0.1.0`; build it for the world `redaction-policy` of `keboola:mirror@0.1`
    "#]],
    );
}

#[test]
fn functions_that_lack_or_have_other_types_are_named() {
    check(
        r#"(component
            (core module $m (func (export "f")))
            (core instance $i (instantiate $m))
            (func $f (canon lift (core func $i "f")))
            (instance $e (export "describe" (func $f)))
            (export "keboola:mirror/redaction@0.1.0" (instance $e)))"#,
        &expect![[r#"
            its interface `keboola:mirror/redaction@0.1.0` lacks the function `configure`
            its interface `keboola:mirror/redaction@0.1.0` lacks the function `redact`
        "#]],
    );
    check(
        r#"(component
            (core module $m (func (export "f")))
            (core instance $i (instantiate $m))
            (func $f (canon lift (core func $i "f")))
            (instance $e (export "describe" (func $f)) (export "configure" (func $f)) (export "redact" (func $f)))
            (export "keboola:mirror/redaction@0.1.0" (instance $e)))"#,
        &expect![[r#"
            its function `describe` of `keboola:mirror/redaction@0.1.0` is not of `keboola:mirror@0.1`: failed to convert function to given type: type mismatch with results: expected 1-tuple, found 0-tuple
            its function `configure` of `keboola:mirror/redaction@0.1.0` is not of `keboola:mirror@0.1`: failed to convert function to given type: type mismatch with parameters: expected 1-tuple, found 0-tuple
            its function `redact` of `keboola:mirror/redaction@0.1.0` is not of `keboola:mirror@0.1`: failed to convert function to given type: type mismatch with parameters: expected 2-tuple, found 0-tuple
        "#]],
    );
}

#[test]
fn what_is_no_component_is_refused_in_plain_words() {
    check(
        "(module)",
        &expect![[r#"
        it is a core module, not a component; make one of it with `kbc-mirror policy wrap` or `wasm-tools component new`
    "#]],
    );
    check_bytes(
        limits(),
        b"",
        &expect![[r#"
        it is not a WebAssembly component in binary form
    "#]],
    );
    check_bytes(
        limits(),
        b"(component)",
        &expect![[r#"
        it is not a WebAssembly component in binary form
    "#]],
    );
    check_bytes(
        limits(),
        b"MZ\x90\x00 not WebAssembly at all",
        &expect![[r#"
        it is not a WebAssembly component in binary form
    "#]],
    );
    let whole = component(POLICY, "redaction-policy");
    check_bytes(
        limits(),
        &whole[..whole.len() / 2],
        &expect![[r#"
            it is malformed at byte 2651
        "#]],
    );
    let mut damaged = whole;
    // Behind the header, so that it is the same damage whatever the component is made of.
    damaged[8..48].fill(0xff);
    check_bytes(
        limits(),
        &damaged,
        &expect![[r#"
            it is malformed at byte 8
        "#]],
    );
}

#[test]
fn what_would_keep_the_compiler_busy_is_refused_before_it() {
    let small = Limits {
        component_bytes_max: 100,
        ..limits()
    };
    check_bytes(
        small,
        &component(POLICY, "redaction-policy"),
        &expect![[r#"
            it has 5362 bytes and 100 are allowed (component_bytes_max)
        "#]],
    );
    let small = Limits {
        functions_max: 3,
        body_bytes_max: 50,
        ..limits()
    };
    check_bytes(
        small,
        &component(POLICY, "redaction-policy"),
        &expect![[r#"
            it has 10 functions and 3 are allowed (functions_max)
            one function has 565 bytes and 50 are allowed (body_bytes_max)
        "#]],
    );
    let locals = "i64 ".repeat(40_000);
    check(
        &format!("(component (component (core module (func (local {locals})))))"),
        &expect![[r#"
        one function has 40000 locals and 4096 are allowed (locals_max)
    "#]],
    );
}

#[test]
fn what_is_beyond_a_limit_tells_its_imports_too() {
    // Types alone are none, also where they come from elsewhere.
    let imports = r#"(import "wasi:io/poll@0.2.0" (instance (export "pollable" (type (sub resource)))))
        (import "keboola:mirror/types@0.1.0" (instance $types (type $u u8) (export "t" (type (eq $u)))))
        (alias export $types "t" (type $t))
        (import "acme:types/all" (instance (type $u u8) (export "t" (type (eq $u)))))
        (import "log" (instance (export "write" (func (param "text" string)))))
        (import "now" (func (result u64)))"#;
    let text = format!("(component {imports} (core module (func) (func) (func) (func)))");
    let small = Limits {
        functions_max: 3,
        ..limits()
    };
    let bytes = wat::parse_str(&text).expect("the text parses");
    check_bytes(
        small,
        &bytes,
        &expect![[r#"
            it has 4 functions and 3 are allowed (functions_max)
            it imports `log`, `now`, and guests get no functions
            it imports `wasi:io/poll@0.2.0`, and guests get no functions; to build without WASI: in Rust, target `wasm32-unknown-unknown`; in Python, `componentize-py … componentize --stub-wasi`; in JavaScript, `jco componentize --backend quickjs --backend-qjs-stub-wasi --backend-qjs-disable-async`, or disable `random`, `stdio`, `clocks`, `http` and `fetch-event`
        "#]],
    );
    let smaller = Limits {
        component_bytes_max: 100,
        ..limits()
    };
    let error = sandbox(smaller).customer_policy("X", &bytes, "{}");
    let Err(SandboxError::Misfit { problems, .. }) = error else {
        panic!("the component is too large");
    };
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert!(problems[0].contains("component_bytes_max"), "{problems:?}");
    assert!(problems[1].contains("`log`, `now`"), "{problems:?}");
    assert!(problems[2].contains("`wasi:io/poll@0.2.0`"), "{problems:?}");
}
