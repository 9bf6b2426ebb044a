//! The mirror's values and decisions.
//!
//! Everything here is pure: no clock (times are arguments), no I/O, no environment, no async. What
//! it deliberately does not know: wasmtime, gix, HTTP, SQLite, tokio.

pub mod allowed_branches;
pub mod batch;
pub mod cause;
pub mod commit;
pub mod cut;
pub mod deletions;
pub mod digest;
pub mod document;
pub mod event;
pub mod fair;
pub mod finding;
pub mod guard;
pub mod ids;
pub mod incident;
pub mod inventory;
pub mod jobs;
pub mod key;
pub mod lane;
pub mod layout;
pub mod marker;
pub mod path;
pub mod placement;
pub mod quarantine;
pub mod reconcile;
pub mod redaction;
pub mod retry;
pub mod sample;
pub mod shard;
pub mod spelling;
pub mod trailer;
pub mod trial;
pub mod walk;
pub mod week;
pub mod window;
