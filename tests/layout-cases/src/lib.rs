//! Cases of the layout.
//!
//! A case is a directory: `options.json` (the head of the CLI's manifest) and `api/` (answers of the
//! Storage API) make a tree, which `expected/` holds. Here the renderer runs natively, with the host's
//! own placement between its two steps, so that a case takes milliseconds and values reach it as they
//! stand in the file. The product's binary renders the same directories in `cargo xtask conformance`.

pub mod host;
pub mod leaves;
pub mod odd;
pub mod restore;
pub mod tree;
pub mod vectors;

pub use sample_project::json;
