//! What the kernel tells of this process.

use std::fs;

/// Ticks in a second, in which the kernel tells CPU time.
const TICKS: f64 = 100.0;

/// Returns the CPU time of this process so far, in user and kernel, in milliseconds.
///
/// # Panics
/// Anywhere but on Linux.
#[must_use]
pub fn cpu_ms() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").expect("Linux tells of processes");
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = after_name.split_whitespace().skip(11).take(2);
    let ticks: f64 = ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
    ticks * 1000.0 / TICKS
}

/// Returns the most memory that this process has had at a time, in kilobytes.
///
/// # Panics
/// Anywhere but on Linux.
#[must_use]
pub fn peak_kb() -> u64 {
    status("VmHWM:")
}

/// Returns the memory that this process has, in kilobytes.
///
/// # Panics
/// Anywhere but on Linux.
#[must_use]
pub fn memory_kb() -> u64 {
    status("VmRSS:")
}

fn status(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux tells of processes");
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let value = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok());
    value.expect("the kernel tells how much memory there is")
}
