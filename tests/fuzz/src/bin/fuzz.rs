//! The program that libFuzzer drives. Which target it runs is told by `KBC_MIRROR_FUZZ_TARGET`; `cargo xtask fuzz` is
//! the way to call it.

#![no_main]
#![expect(unsafe_code, reason = "the entry points of libFuzzer, which its macro makes")]

use fuzz_targets::Target;
use std::sync::LazyLock;

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("KBC_MIRROR_FUZZ_TARGET").unwrap_or_default();
    Target::named(&name).expect("KBC_MIRROR_FUZZ_TARGET names a target")
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| (TARGET.run)(data));
