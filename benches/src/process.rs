//! What the kernel tells of this process, and of others.

use nix::time::{ClockId, clock_gettime};
use std::{fs, time::Duration};

/// Ticks in a second, in which the kernel tells CPU time.
const TICKS: f64 = 100.0;

/// Returns the CPU time of this process so far, in user and kernel, in milliseconds.
///
/// # Panics
/// A system without such a clock.
#[must_use]
pub fn cpu_ms() -> f64 {
    let time = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).expect("the kernel counts");
    Duration::from(time).as_secs_f64() * 1000.0
}

/// Returns the cores that this process may run on, by their numbers.
///
/// # Panics
/// Anywhere but on Linux.
#[must_use]
pub fn cores() -> Vec<usize> {
    let status = fs::read_to_string("/proc/self/status").expect("Linux tells of processes");
    let list = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    let ranges = list
        .expect("the kernel tells where a process may run")
        .trim()
        .split(',');
    let number = |text: &str| text.parse::<usize>().expect("cores have numbers");
    let cores = ranges.flat_map(|range| match range.split_once('-') {
        Some((first, last)) => number(first)..=number(last),
        None => number(range)..=number(range),
    });
    cores.collect()
}

/// The same of another process, in hundredths of a second; none if there is no such process.
#[must_use]
pub fn cpu_ms_of(process: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = after_name.split_whitespace().skip(11).take(2);
    let ticks: f64 = ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
    Some(ticks * 1000.0 / TICKS)
}

/// Returns the most memory that this process has had at a time, in kilobytes.
///
/// # Panics
/// Anywhere but on Linux.
#[must_use]
pub fn peak_kb() -> u64 {
    status(std::process::id(), "VmHWM:").expect("the kernel tells how much memory there is")
}

/// Returns the memory that this process has, in kilobytes.
///
/// # Panics
/// Anywhere but on Linux.
#[must_use]
pub fn memory_kb() -> u64 {
    memory_kb_of(std::process::id()).expect("the kernel tells how much memory there is")
}

/// The same of another process; none if there is no such process.
#[must_use]
pub fn memory_kb_of(process: u32) -> Option<u64> {
    status(process, "VmRSS:")
}

fn status(process: u32, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok())
}
