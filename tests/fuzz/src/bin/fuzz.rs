//! The program that libFuzzer drives. Which target it runs is told by `KBC_MIRROR_FUZZ_TARGET`; `cargo xtask fuzz` is
//! the way to call it.

#![no_main]
#![expect(unsafe_code, reason = "the entry points of libFuzzer, which its macro makes")]

use fuzz_targets::Target;
use std::{env, panic, sync::LazyLock};

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    // libFuzzer's own hook ends the process. What the product catches itself is no failure; what comes through to the
    // macro is one all the same.
    drop(panic::take_hook());
    let name = env::var("KBC_MIRROR_FUZZ_TARGET").unwrap_or_default();
    Target::named(&name).expect("KBC_MIRROR_FUZZ_TARGET names a target")
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| (TARGET.run)(data));
