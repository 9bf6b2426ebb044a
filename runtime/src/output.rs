//! What commands print: the only place that writes to standard output and, beside the log, to standard error.
//!
//! Whoever reads it may have gone, or its disk may be full. A command ends its work all the same: after the first write
//! that fails nothing more is written, and [`failure`] says so when all is done.

use std::{
    fmt,
    io::{self, ErrorKind, Write},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Prints to standard output, as `print!` does, and never panics.
macro_rules! out {
    ($($argument:tt)*) => { $crate::output::print(format_args!($($argument)*)) };
}

/// Prints a line to standard output, as `println!` does, and never panics.
macro_rules! outln {
    () => { $crate::output::print(format_args!("\n")) };
    ($($argument:tt)*) => { $crate::output::print_line(format_args!($($argument)*)) };
}

/// Prints a line to standard error, as `eprintln!` does, and never panics.
macro_rules! errln {
    ($($argument:tt)*) => { $crate::output::print_error(format_args!($($argument)*)) };
}

pub(crate) use {errln, out, outln};

/// Says a number with what it counts, in the singular where it is one.
pub(crate) fn counted(count: u64, what: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {what}{ending}")
}

/// The first write to standard output that failed.
static FAILED: Mutex<Option<io::Error>> = Mutex::new(None);

fn failed() -> MutexGuard<'static, Option<io::Error>> {
    FAILED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn attempt(write: impl FnOnce(&mut io::StdoutLock<'static>) -> io::Result<()>) {
    let mut failed = failed();
    if failed.is_none() {
        *failed = write(&mut io::stdout().lock()).err();
    }
}

/// Prints what [`out`] is given.
pub(crate) fn print(text: fmt::Arguments<'_>) {
    attempt(|stdout| stdout.write_fmt(text));
}

/// Prints what [`outln`] is given.
pub(crate) fn print_line(text: fmt::Arguments<'_>) {
    attempt(|stdout| {
        stdout.write_fmt(text)?;
        stdout.write_all(b"\n")
    });
}

/// Prints what [`errln`] is given; where that cannot be written there is nobody to tell.
pub(crate) fn print_error(text: fmt::Arguments<'_>) {
    let mut stderr = io::stderr().lock();
    drop(stderr.write_fmt(text).and_then(|()| stderr.write_all(b"\n")));
}

/// Returns whether what is printed still goes somewhere; a command that does nothing else may end where it does not.
pub(crate) fn is_read() -> bool {
    attempt(Write::flush);
    failed().is_none()
}

/// Writes what is left, and returns why not all could be written. Whoever closed a pipe has seen enough, which is no failure.
pub(crate) fn failure() -> Option<io::Error> {
    attempt(Write::flush);
    failed()
        .take()
        .filter(|error| error.kind() != ErrorKind::BrokenPipe)
}
