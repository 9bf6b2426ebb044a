//! Every kept input once more through its target, and a fixed number of inputs made of them.

use fuzz_targets::{
    TARGETS, Target, compile,
    mutation::{Sequence, words},
};
use std::{fs, panic};

fn seeds(target: &Target) -> Vec<(String, Vec<u8>)> {
    let files = fs::read_dir(target.seeds()).expect("every target has seeds");
    let mut seeds: Vec<_> = files
        .map(|file| {
            let path = file.expect("a directory that can be read").path();
            (path.display().to_string(), fs::read(&path).expect("a seed"))
        })
        .collect();
    seeds.sort();
    assert!(!seeds.is_empty(), "{} has no seeds", target.name);
    seeds
}

/// Says which input it was, where it fails.
fn give(target: &Target, input: &[u8], name: &str) {
    let outcome = panic::catch_unwind(|| (target.run)(input));
    assert!(
        outcome.is_ok(),
        "{} fails on {name}: {}",
        target.name,
        input.escape_ascii()
    );
}

fn run(name: &str) {
    compile::set_program(env!("CARGO_BIN_EXE_compiler").into(), Vec::new());
    let target = Target::named(name).expect("a target");
    let seeds = seeds(target);
    for (path, seed) in &seeds {
        give(target, seed, path);
    }
    let dictionary = fs::read_to_string(target.dictionary()).expect("every target has a dictionary");
    let words = words(&dictionary);
    let seeds: Vec<Vec<u8>> = seeds.into_iter().map(|(_, seed)| seed).collect();
    for number in 0..target.mutations {
        let mut sequence = Sequence(number as u64);
        let mut input = seeds[sequence.below(seeds.len())].clone();
        sequence.mutate(&mut input, &words, &seeds, target.bytes_max);
        give(target, &input, &format!("input {number}"));
    }
}

macro_rules! replayed {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            run(stringify!($name));
        })*

        #[test]
        fn every_target_is_run() {
            assert_eq!([$(stringify!($name)),*], TARGETS.map(|target| target.name));
        }
    };
}

replayed! { json_walker findings rule_engine csv component compile git_protocol }
