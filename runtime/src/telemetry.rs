//! Logs: JSON lines on standard error, one event per outcome, values as fields, never content.

use clap::ValueEnum;
use std::io::IsTerminal;
use tracing_subscriber::{EnvFilter, fmt, prelude::*};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For reading on a terminal.
    Text,
}

/// Checks what `--log-level` is given: levels, and levels of our own parts, with commas between them.
///
/// The filter itself takes any word for the name of a part, of which nothing would be written.
pub(crate) fn level(raw: &str) -> Result<String, String> {
    const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
    let is_level = |text: &str| LEVELS.iter().any(|level| text.eq_ignore_ascii_case(level));
    let is_part = |text: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '-');
        !text.is_empty() && text.chars().all(fits)
    };
    let is_directive = |text: &str| match text.split_once('=') {
        Some((part, level)) => is_part(part) && is_level(level),
        None => is_level(text),
    };
    if raw.split(',').all(is_directive) && EnvFilter::try_new(raw).is_ok() {
        return Ok(raw.to_owned());
    }
    Err(
        "must be error, warn, info, debug or trace, also of single parts, such as `info,mirror_git=debug`"
            .to_owned(),
    )
}

/// Starts logging for the process; a second call is ignored, so that tests may run in one process.
///
/// The filter comes from `level`; the HTTP stack below the clients is quiet whatever it says.
pub fn start(format: LogFormat, level: &str) {
    let filter = EnvFilter::try_new(format!(
        "{level},hyper=warn,reqwest=warn,h2=warn,rustls=warn,async_nats=error"
    ))
    .unwrap_or_else(|_| EnvFilter::new("info"));
    let registry = tracing_subscriber::registry().with(filter);
    let installed = match format {
        LogFormat::Json => registry
            .with(
                fmt::layer()
                    .json()
                    .flatten_event(true)
                    .with_current_span(false)
                    .with_span_list(false)
                    .with_writer(std::io::stderr),
            )
            .try_init(),
        LogFormat::Text => registry
            .with(
                fmt::layer()
                    .compact()
                    .with_target(false)
                    .with_ansi(std::io::stderr().is_terminal())
                    .with_writer(std::io::stderr),
            )
            .try_init(),
    };
    // Already started: the first one stays.
    drop(installed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_that_would_silence_the_log_is_refused() {
        for good in [
            "error",
            "warn",
            "info",
            "DEBUG",
            "trace",
            "info,mirror_git=debug",
            "mirror_git=debug",
            "warn,mirror_runtime::runner=trace",
        ] {
            assert!(level(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "warning",
            "x",
            "bogus=",
            "=debug",
            "bogus=,x",
            "info,",
            "info,x",
            "mirror_git=loud",
            "3=3",
            "[x]=info",
        ] {
            let told = level(bad).expect_err(bad);
            assert!(told.contains("error, warn, info, debug or trace"), "{told}");
        }
    }
}
