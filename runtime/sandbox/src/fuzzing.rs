//! What must hold of the way to the compiler's process and back, for the fuzzer in `tests/fuzz`.
//!
//! Nothing is loaded here: whether code is good cannot be told from it, so only a child of this program may be believed.

use crate::{
    compile::{self, ChildCompiler, CompileLimits},
    config::Limits,
};
use std::{os::unix::process::ExitStatusExt, process::ExitStatus};

/// What an answer begins with.
pub const HEAD_BYTES: usize = compile::HEAD_BYTES;

/// An order, read from any bytes: what is taken for one is the same after it was written and read again.
///
/// # Panics
/// Where it is not.
pub fn order(mut bytes: &[u8]) {
    let Ok(order) = compile::read_order(&mut bytes) else {
        return;
    };
    let settings = order.settings.as_deref();
    let written = compile::request(order.compile, &order.limits, bytes, settings).expect("it is one");
    let mut rest = written.as_slice();
    let again = compile::read_order(&mut rest).expect("it was one");
    assert_eq!((again.compile, &again.limits), (order.compile, &order.limits));
    assert_eq!(again.settings, order.settings);
    assert_eq!(rest, bytes, "the component is what stands behind the order");
}

/// Any bytes as the answer of a process that ended so (a status as `wait` tells it): the code in it, or what is said of it.
///
/// # Errors
/// Anything but the whole answer of a process that ended well.
pub fn answer(bytes: &[u8], wait_status: i32) -> Result<Vec<u8>, String> {
    let child = ChildCompiler {
        program: "/nowhere".into(),
        arguments: Vec::new(),
        limits: CompileLimits::default(),
    };
    let code = child.code(bytes.to_vec(), ExitStatus::from_raw(wait_status));
    code.map(|code| code.bytes().to_vec())
        .map_err(|error| error.to_string())
}

/// Gives a child a component and returns the bytes that it answers with as code.
///
/// # Errors
/// As for a customer's policy, in the words of its reason.
pub fn compiled(child: &ChildCompiler, limits: &Limits, component: &[u8]) -> Result<Vec<u8>, String> {
    let code = child.compile(limits, component, None);
    code.map(|code| code.bytes().to_vec())
        .map_err(|error| error.to_string())
}
