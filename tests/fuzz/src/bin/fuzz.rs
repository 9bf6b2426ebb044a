//! The program that libFuzzer drives. Which target it runs is told by `KBC_MIRROR_FUZZ_TARGET`; `cargo xtask fuzz` is
//! the way to call it.

#![no_main]
#![expect(
    unsafe_code,
    reason = "the entry points of libFuzzer, which its macro makes, and a signal"
)]

use fuzz_targets::{Target, compile};
use nix::sys::signal::{SigHandler, Signal, signal};
use std::{env, panic, process, sync::LazyLock};

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    // libFuzzer's own hook ends the process. What the product catches itself is no failure; what comes through to the
    // macro is one all the same.
    drop(panic::take_hook());
    let name = env::var("KBC_MIRROR_FUZZ_TARGET").unwrap_or_default();
    Target::named(&name).expect("KBC_MIRROR_FUZZ_TARGET names a target")
});

/// What the start of a Rust program does, which this is not; and this program is its own compiler.
fn initialize() {
    // SAFETY: no other thread runs yet, and nothing here is called by a signal.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigIgn) }.expect("a signal can be ignored");
    if env::args().nth(1).as_deref() == Some(compile::COMMAND) {
        process::exit(i32::from(mirror_sandbox::run_compiler().is_err()));
    }
    compile::set_program("/proc/self/exe".into(), vec![compile::COMMAND.into()]);
}

libfuzzer_sys::fuzz_target!(init: initialize(), |data: &[u8]| (TARGET.run)(data));
