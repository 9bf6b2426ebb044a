//! Three workers that share a lane, through hours of trouble, by seed. Log, store, leases and remote are models; cuts, lanes, retries,
//! outages and notices are the product's. Clocks jump by up to an hour, processes are killed or suspended in whatever they do, so that two
//! believe to hold the lane and both push; pushes arrive late, or after their sender's death; the remote is away for hours.
//!
//! `KBC_MIRROR_SEEDS=10000` plays so many (the long run), `KBC_MIRROR_SEED=<seed>` one again, exactly.

#[path = "../random/mod.rs"]
mod random;
mod world;

use world::{Seen, Without, play};

/// In the tests that run always; the long run has more.
const SEEDS: u64 = 60;

fn fails(seed: u64, without: Without) -> bool {
    std::panic::catch_unwind(|| play(seed, without)).is_err()
}

#[test]
fn whoever_works_for_it_nothing_is_lost_or_done_twice() {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse().expect("a number"))
    };
    if let Some(seed) = number("KBC_MIRROR_SEED") {
        play(seed, Without::Nothing);
        return;
    }
    let mut seen = Seen::default();
    for seed in 0..number("KBC_MIRROR_SEEDS").unwrap_or(SEEDS) {
        let played = std::panic::catch_unwind(|| play(seed, Without::Nothing));
        seen.add(played.unwrap_or_else(|_| panic!("play it again with KBC_MIRROR_SEED={seed}")));
    }
    println!("{seen:?}");
    // It would prove nothing if nothing happened in it.
    assert!(
        seen.takeovers > 1_000 && seen.stale_pushes > 20 && seen.refused_pushes > 5 && seen.notices > 10,
        "{seen:?}"
    );
}

#[test]
fn a_seed_plays_the_same_each_time() {
    for seed in 0..5 {
        let played = [(); 2].map(|()| format!("{:?}", play(seed, Without::Nothing)));
        assert_eq!(played[0], played[1]);
    }
}

#[test]
fn what_holds_it_together_is_missed_when_it_is_gone() {
    let found = [Without::RefFence, Without::CursorAfterPush, Without::SharedLedger]
        .map(|without| (0..60).any(|seed| fails(seed, without)));
    assert_eq!(found, [true; 3]);
}
