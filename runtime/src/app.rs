//! From the command line to an exit code.

use crate::{
    cli::{self, Cli, Command},
    output::{self, errln},
    telemetry,
};
use std::{error::Error, process::ExitCode};

/// Why a command did not do what was asked, sorted by who must act.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// Something went wrong on the way (exit code 1).
    #[must_use]
    pub fn failed(error: &dyn Error) -> Self {
        Self {
            code: 1,
            message: chain(error),
        }
    }

    /// The caller or the configuration must change (exit code 2).
    #[must_use]
    pub fn usage(message: impl Into<String>) -> Self {
        Self {
            code: 2,
            message: message.into(),
        }
    }

    /// Returns whether it is the caller or the configuration that must change.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        self.code == 2
    }

    /// What was compared differs (exit code 3).
    #[must_use]
    pub fn differs(message: impl Into<String>) -> Self {
        Self {
            code: 3,
            message: message.into(),
        }
    }

    /// Exit code 1 with a text.
    #[must_use]
    pub fn message(message: impl Into<String>) -> Self {
        Self {
            code: 1,
            message: message.into(),
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

/// Joins an error and its sources; a source that its error repeats is not said twice.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let inner = source.to_string();
        if !text.contains(&inner) {
            text = format!("{text}: {inner}");
        }
        next = source.source();
    }
    text
}

/// Runs a command and reports how it ended.
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    let Cli {
        log_format,
        log_level,
        command,
    } = cli;
    let default = match command {
        Command::Demo(_) => "warn",
        // What a first sync finds is told by a mirror; here it happens again and again.
        Command::Bench(_) => "error",
        _ => "info",
    };
    telemetry::start(log_format, log_level.as_deref().unwrap_or(default));
    let outcome = match command {
        Command::Demo(demo) => cli::demo::run(&demo),
        Command::Serve(serve) => cli::serve::run(&serve),
        Command::Once(once) => cli::once::run(&once),
        Command::Render(render) => cli::render::run(&render),
        Command::Verify(of) => cli::verify::run(of),
        Command::Events(command) => cli::events::run(command),
        Command::Mirror(command) => cli::mirror::run(command),
        Command::Notify(command) => cli::notify::run(command),
        Command::Config(command) => cli::config::run(command),
        Command::Policy(command) => cli::policy::run(command),
        Command::Bench(command) => cli::bench::run(&command),
        Command::CompileComponent => {
            mirror_sandbox::run_compiler().map_err(|error| Failure::usage(error.to_string()))
        }
    };
    let mut code = 0;
    if let Err(failure) = outcome {
        errln!("error: {}", failure.message);
        code = failure.code;
    }
    if let Some(error) = output::failure() {
        errln!("error: cannot write to standard output: {error}");
        code = code.max(1);
    }
    ExitCode::from(code)
}
