//! A redaction policy of a customer's own: it takes out customer numbers of the forms that its settings name, and
//! e-mail addresses outside of the customer's own domains.
//!
//! The judgement is in plain modules with ordinary tests. The glue to the mirror's interface exists only where the
//! target is WebAssembly.

pub mod judge;
pub mod settings;

#[cfg(target_family = "wasm")]
mod glue;
