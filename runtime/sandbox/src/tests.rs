//! Guests in the real engine: hostile ones in the text format, and our own.

mod builtins;
mod cache;
mod fit;
mod hostile;
mod layout;
mod packed;
mod policy;
mod support;
mod versions;
mod wrap;
