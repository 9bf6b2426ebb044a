//! The attacks that operators can try, each held to what it must come to.

use super::support::sandbox;
use crate::hostile::{BUSY_COMPILER, attacks, limits};
use std::collections::HashSet;

#[test]
fn every_attack_is_contained_and_harms_nobody_else() {
    let sandbox = sandbox(limits());
    let attacks = attacks();
    // Here is no process that could be killed; the whole-system tests have one.
    let here = attacks.iter().filter(|attack| attack.name != BUSY_COMPILER);
    let failed: Vec<String> = here
        .filter_map(|attack| {
            let outcome = attack.run(&sandbox);
            (!outcome.contained).then(|| format!("{}: {}", attack.name, outcome.told))
        })
        .collect();
    assert_eq!(failed, Vec::<String>::new());
    let names: HashSet<&str> = attacks.iter().map(|attack| attack.name).collect();
    assert_eq!(names.len(), attacks.len(), "names are unique");
    assert!(attacks.len() >= 60, "{} attacks", attacks.len());
}
