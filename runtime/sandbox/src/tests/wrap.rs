//! Core modules as compilers write them.

use super::support::{POLICY, limits, sandbox};
use crate::{WrapError, fit, world, wrap_module};
use wit_component::{StringEncoding, embed_component_metadata};

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
