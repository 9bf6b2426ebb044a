//! Core modules as compilers write them.

use super::support::{POLICY, limits, sandbox};
use crate::{WrapError, wrap_module};

#[test]
fn a_module_without_a_description_gets_that_of_the_interface_that_it_exports() {
    let module = wat::parse_str(POLICY).expect("the text is a module");
    let component = wrap_module(&module).expect("it fits the world");
    assert_eq!(wrap_module(&component).expect("it is one already"), component);
    let policy = sandbox(limits()).customer_policy("X", &component, "{}");
    assert!(policy.is_ok(), "{policy:?}");
}

#[test]
fn a_module_that_does_not_fit_is_told_why() {
    let described =
        "(module (memory (export \"memory\") 1) (func (export \"keboola:mirror/redaction@0.1.0#describe\")))";
    for text in [described, "(module (import \"env\" \"now\" (func)))"] {
        let module = wat::parse_str(text).expect("the text is a module");
        let told = wrap_module(&module);
        assert!(matches!(told, Err(WrapError::Unfit { .. })), "{text}: {told:?}");
    }
    assert!(matches!(wrap_module(b"\x7fELF"), Err(WrapError::NoModule)));
}
