//! Core modules as compilers write them.

use super::support::{POLICY, limits, sandbox};
use crate::{WrapError, fit, world, wrap_module};
use expect_test::{Expect, expect};
use wit_component::{StringEncoding, embed_component_metadata};

#[test]
fn a_module_without_a_description_gets_that_of_the_interface_that_it_exports() {
    let module = wat::parse_str(POLICY).expect("the text is a module");
    let component = wrap_module(&module).expect("it fits the world");
    assert_eq!(wrap_module(&component).expect("it is one already"), component);
    let policy = sandbox(limits()).customer_policy("X", &component, "{}");
    assert!(policy.is_ok(), "{policy:?}");
}

#[track_caller]
fn check(text: &str, expected: &Expect) {
    let module = wat::parse_str(text).expect("the text is a module");
    let problems = wrap_module(&module).map_err(WrapError::into_problems);
    let problems = problems.expect_err("no component can be made of it");
    expected.assert_eq(&(problems.join("\n") + "\n"));
}

#[test]
fn everything_that_a_module_imports_is_named_with_what_mends_it() {
    check(
        r#"(module
            (import "env" "now" (func))
            (import "env" "memory" (memory 1))
            (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "proc_exit" (func (param i32)))
            (import "__wbindgen_placeholder__" "__wbindgen_describe" (func (param i32)))
            (import "keboola:mirror/log@0.2.0" "write" (func (param i32 i32)))
            (import "x" "y\1b[2J" (global i32)))"#,
        &expect![[r#"
            it imports `wasi_snapshot_preview1::fd_write`, `wasi_snapshot_preview1::proc_exit`, and guests get nothing from outside; it is of WASI: build without it, in Rust for the target `wasm32-unknown-unknown`, in C with `-target wasm32 -nostdlib` or Zig's `-target wasm32-freestanding`
            it imports `__wbindgen_placeholder__::__wbindgen_describe`, and guests get nothing from outside; it is of wasm-bindgen, which is for browsers: leave out crates and features that need it, such as `js` of getrandom, `wasmbind` of chrono, `web-sys`
            it imports `env::memory`, and guests get nothing from outside; its memory must be its own: leave `--import-memory` out of the linker's flags
            it imports `env::now`, and guests get nothing from outside; nothing defines it: write it, or do not call it. In C, the linker says who does if `--allow-undefined` is left out; in Rust, look for an `extern` block, also in crates
            it imports `x::y�[2J`, and guests get nothing from outside; nothing here has that name: do not import it
            it imports `keboola:mirror/log@0.2.0::write`, and guests get nothing from outside; this host offers `keboola:mirror@0.1`, of which guests import types only: build against its WIT package
            it exports no function of an interface and none of `keboola:mirror/redaction@0.1.0`; build it for the world `redaction-policy` of `keboola:mirror@0.1`
        "#]],
    );
}

#[test]
fn everything_that_a_module_should_export_and_does_not_is_named() {
    check(
        "(module)",
        &expect![[r#"
        it exports no function of an interface and none of `keboola:mirror/redaction@0.1.0`; build it for the world `redaction-policy` of `keboola:mirror@0.1`
    "#]],
    );
    check(
        r#"(module (func (export "keboola:mirror/redaction@0.2.0#describe") (result i32) i32.const 0))"#,
        &expect![[r#"
            it exports functions of `keboola:mirror/redaction@0.2.0` and none of `keboola:mirror/redaction@0.1.0`; build it for the world `redaction-policy` of `keboola:mirror@0.1`
        "#]],
    );
    check(
        r#"(module
            (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (func (export "keboola:mirror/redaction@0.1.0#describe"))
            (func (export "keboola:mirror/redaction@0.1.0#redact") (param i64) (result f32) f32.const 0))"#,
        &expect![[r#"
            it imports `wasi_snapshot_preview1::fd_write`, and guests get nothing from outside; it is of WASI: build without it, in Rust for the target `wasm32-unknown-unknown`, in C with `-target wasm32 -nostdlib` or Zig's `-target wasm32-freestanding`
            it does not export the function `keboola:mirror/redaction@0.1.0#configure`; in Rust, is there `export!(…)` of wit-bindgen's?
            its function `keboola:mirror/redaction@0.1.0#describe` has the type () -> () and not () -> (i32); build it against the WIT package of `keboola:mirror@0.1`
            its function `keboola:mirror/redaction@0.1.0#redact` has the type (i64) -> (f32) and not (i32, i32, i32, i32, i32, i32, i32, i32) -> (i32); build it against the WIT package of `keboola:mirror@0.1`
            it does not export `cabi_realloc`, by which the host allocates what it hands over; wit-bindgen has it, as do the projects that `kbc-mirror policy new` makes
        "#]],
    );
    check(
        r#"(module (func (export "keboola:mirror/packed-redaction@0.1.0#redact") (result i32) i32.const 0))"#,
        &expect![[r#"
            it does not export the function `keboola:mirror/redaction@0.1.0#configure`; in Rust, is there `export!(…)` of wit-bindgen's?
            it does not export the function `keboola:mirror/redaction@0.1.0#describe`; in Rust, is there `export!(…)` of wit-bindgen's?
            it does not export the function `keboola:mirror/redaction@0.1.0#redact`; in Rust, is there `export!(…)` of wit-bindgen's?
            its function `keboola:mirror/packed-redaction@0.1.0#redact` has the type () -> (i32) and not (i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, i32) -> (i32); build it against the WIT package of `keboola:mirror@0.1`
            it does not export its memory as `memory`; leave out what keeps the linker from it, such as `--import-memory`
            it does not export `cabi_realloc`, by which the host allocates what it hands over; wit-bindgen has it, as do the projects that `kbc-mirror policy new` makes
        "#]],
    );
    assert!(matches!(wrap_module(b"\x7fELF"), Err(WrapError::NoModule)));
}

#[test]
fn a_module_that_was_cut_off_anywhere_is_told_so() {
    let mut module = wat::parse_str(POLICY).expect("the text is a module");
    let (resolve, world) = world::resolved(fit::REDACTION.world);
    // As a compiler writes it, with the description of its world.
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false)
        .expect("a module takes a description");
    assert!(wrap_module(&module).is_ok());
    let (mut malformed, mut whole) = (0, 0);
    for length in 0..module.len() {
        match wrap_module(&module[..length]) {
            Err(WrapError::Malformed { at }) => {
                assert!(at <= length as u64, "{at} of {length}");
                malformed += 1;
            }
            Err(WrapError::NoModule | WrapError::Unfit { .. }) => {}
            // Between two sections it is a module that has less.
            Ok(_) => whole += 1,
        }
    }
    assert!(malformed > module.len() / 2, "{malformed} of {}", module.len());
    assert!(whole < 10, "{whole} of {}", module.len());
}
