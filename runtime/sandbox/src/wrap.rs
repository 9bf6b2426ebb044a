//! From a core module, as compilers write it, to a component.

use crate::text;
use thiserror::Error;
use wasmparser::Parser;
use wit_component::ComponentEncoder;

/// A module of which no component can be made.
#[derive(Debug, Error)]
pub enum WrapError {
    /// Neither a module nor a component in binary form.
    #[error("it is not a WebAssembly module in binary form")]
    NoModule,
    #[error("no component can be made of it: {detail}{}", advice(detail))]
    Unfit { detail: String },
}

/// Makes a component of a core module that was built with the bindings of a world (wit-bindgen puts the world's
/// description into it). What is a component already is returned as it is. The module must be the caller's own:
/// nothing bounds what this costs.
///
/// # Errors
/// See [`WrapError`].
pub fn wrap_module(bytes: &[u8]) -> Result<Vec<u8>, WrapError> {
    if Parser::is_component(bytes) {
        return Ok(bytes.to_vec());
    }
    if !Parser::is_core_wasm(bytes) {
        return Err(WrapError::NoModule);
    }
    let encoded = ComponentEncoder::default()
        .validate(true)
        .module(bytes)
        .and_then(ComponentEncoder::encode);
    encoded.map_err(|error| WrapError::Unfit {
        detail: text::shortened(&format!("{error:#}"), 1_000),
    })
}

fn advice(detail: &str) -> &'static str {
    if detail.contains("wasi_snapshot_preview1") || detail.contains("wasi:") {
        "; build it without WASI, in Rust for the target `wasm32-unknown-unknown`"
    } else {
        ""
    }
}
