use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    mirror_runtime::app::run(mirror_runtime::cli::Cli::parse())
}
