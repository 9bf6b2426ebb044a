//! The product's binary with crash points switched on, for the tests beside it.

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    mirror_runtime::crash::arm_from_environment();
    mirror_runtime::app::run(mirror_runtime::cli::Cli::parse())
}
