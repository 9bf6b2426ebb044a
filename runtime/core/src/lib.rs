//! The mirror's values and decisions.
//!
//! Everything here is pure: no clock (times are arguments), no I/O, no environment, no async. What
//! it deliberately does not know: wasmtime, gix, HTTP, SQLite, tokio.

pub mod document;
pub mod finding;
pub mod ids;
pub mod layout;
pub mod path;
pub mod sample;
