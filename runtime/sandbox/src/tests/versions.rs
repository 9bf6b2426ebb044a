//! Components of other versions of the WIT package than the present one.

use super::support::{POLICY, limits, sandbox};
use crate::{SandboxError, hostile::component_of, world};
use mirror_core::{
    document::{Context, DocumentKind},
    finding::Verdict,
    redaction::document_of_text,
};

/// The package as it was recorded when components were first built against it.
const RECORDED: [(&str, &str); 2] = [
    ("types.wit", include_str!("../../../../tests/wit/0.1.0/types.wit")),
    (
        "redaction.wit",
        include_str!("../../../../tests/wit/0.1.0/redaction.wit"),
    ),
];

/// Builds a policy against the recorded package after `change`, which is made in the package and the policy.
fn built(change: impl Fn(&str) -> String) -> Vec<u8> {
    let files = RECORDED.map(|(path, text)| (path, change(text)));
    component_of(&change(POLICY), world::of(files, "redaction-policy"))
}

#[track_caller]
fn works(component: &[u8]) {
    let policy = sandbox(limits()).customer_policy("X", component, "{}");
    let policy = policy.expect("it is taken");
    let context = Context {
        stack: "connection.example.com".parse().expect("a stack"),
        project: "1".parse().expect("a project"),
        branch: "1".parse().expect("a branch"),
    };
    let verdicts = policy.redact(&context, &[document_of_text(DocumentKind::Config, "hello")]);
    let verdicts = verdicts.expect("it answers");
    assert!(
        matches!(verdicts.as_slice(), [Verdict::Findings(_)]),
        "{verdicts:?}"
    );
}

#[test]
fn a_component_that_was_built_against_the_recorded_package_works() {
    works(&built(str::to_owned));
}

/// Later versions of one line only add interfaces, so what they share is the same.
#[test]
fn a_component_of_a_later_version_of_the_same_line_works() {
    works(&built(|text| text.replace("@0.1.0", "@0.1.7")));
}

#[test]
fn a_component_of_another_line_is_refused_with_what_to_build_for() {
    let component = built(|text| text.replace("@0.1.0", "@0.2.0"));
    let refused = sandbox(limits()).customer_policy("X", &component, "{}");
    let Err(SandboxError::Misfit { problems, .. }) = refused else {
        panic!("{refused:?}");
    };
    let told = problems.join("\n");
    for part in [
        "it exports `keboola:mirror/redaction@0.2.0` and not `keboola:mirror/redaction@0.1.0`",
        "build it for the world `redaction-policy` of `keboola:mirror@0.1`",
    ] {
        assert!(told.contains(part), "{told}");
    }
}

/// The same names with other types: what a line promises was broken by whoever built it.
#[test]
fn a_component_whose_types_are_others_is_refused() {
    let component = built(|text| text.replace("leaf: u32,", "leaf: s32,"));
    let refused = sandbox(limits()).customer_policy("X", &component, "{}");
    assert!(
        matches!(
            &refused,
            Err(SandboxError::Misfit { .. } | SandboxError::Unusable { .. })
        ),
        "{refused:?}"
    );
    let told = refused.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(told.contains("type mismatch for field leaf"), "{told}");
}
