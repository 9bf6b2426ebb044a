//! Policies that take their batches packed.

use super::support::{POLICY, component, context, limits, sandbox};
use crate::{SandboxError, hostile::component_of, world, wrap_module};
use mirror_core::{
    document::{Document, DocumentKind, Leaf, LeafRole, Leaves},
    finding::{Target, Verdict},
};

const PACKED: &str = include_str!("../../tests/packed.wat");

/// The hostile policy, which traps where it is asked unpacked, with a function more.
fn policy(function: &str) -> String {
    let traps = POLICY.replace(";;EACH;;", "unreachable");
    let body = traps.trim_end().strip_suffix(')').expect("it is a module");
    format!("{body}{function})")
}

fn document(values: &[&str]) -> Document {
    let mut leaves = Leaves::default();
    for value in values {
        leaves.push(Leaf {
            pointer: &format!("/č/{}", value.len()),
            role: LeafRole::Text,
            value,
        });
    }
    Document {
        path: None,
        kind: DocumentKind::Config,
        component_id: "keboola.ex-db-mysql".to_owned(),
        config_id: "1".to_owned(),
        leaves,
    }
}

#[test]
fn leaves_are_told_apart_and_those_of_no_document_too() {
    let component = component(&policy(PACKED), "packed-redaction-policy");
    let policy = sandbox(limits()).customer_policy("X", &component, "{}");
    let policy = policy.expect("it fits");
    let batch: [&[&str]; 4] = [
        &["heslo", "žluťoučký kůň"],
        &[],
        &["x"],
        &["first", "x", "zweiter"],
    ];
    let verdicts = policy.redact(&context(), &batch.map(document));
    let verdicts = verdicts.expect("no deadline is hit");
    let found = verdicts.iter().map(|verdict| match verdict {
        Verdict::Findings(findings) => findings
            .iter()
            .map(|finding| (finding.leaf, &finding.target))
            .collect(),
        Verdict::Withhold(reason) => panic!("{reason}"),
    });
    let found: Vec<Vec<(usize, &Target)>> = found.collect();
    let wanted = batch.map(|values| {
        values
            .iter()
            .map(|value| Target::Literal((*value).to_owned()))
            .collect()
    });
    let wanted: [Vec<Target>; 4] = wanted;
    let wanted: Vec<Vec<(usize, &Target)>> = wanted
        .iter()
        .map(|targets| targets.iter().enumerate().collect())
        .collect();
    assert_eq!(found, wanted);
}

#[test]
fn a_module_without_a_description_gets_that_of_both_interfaces() {
    let module = wat::parse_str(policy(PACKED)).expect("the text is a module");
    let component = wrap_module(&module).expect("it fits the world");
    let policy = sandbox(limits()).customer_policy("X", &component, "{}");
    let verdicts = policy.expect("it fits").redact(&context(), &[document(&["x"])]);
    assert!(
        matches!(verdicts.as_deref(), Ok([Verdict::Findings(found)]) if found.len() == 1),
        "{verdicts:?}"
    );
}

#[test]
fn an_interface_of_this_name_with_other_types_does_not_fit() {
    let files = crate::WIT.map(|(path, text)| (path, text.replace("ends: list<u32>", "ends: list<s32>")));
    let world = world::of(files, "packed-redaction-policy");
    let component = component_of(&policy(PACKED), world);
    let refused = sandbox(limits()).customer_policy("X", &component, "{}");
    assert!(matches!(refused, Err(SandboxError::Misfit { .. })), "{refused:?}");
    let told = refused.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(told.contains("type mismatch for field ends"), "{told}");
}
