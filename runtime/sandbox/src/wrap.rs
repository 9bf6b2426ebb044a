//! From a core module, as compilers write it, to a component.

use crate::{fit, text, world};
use std::{borrow::Cow, collections::HashSet};
use thiserror::Error;
use wasmparser::{Parser, Payload};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

/// A module of which no component can be made.
#[derive(Debug, Error)]
pub enum WrapError {
    /// Neither a module nor a component in binary form.
    #[error("it is not a WebAssembly module in binary form")]
    NoModule,
    /// A module that was cut off or damaged.
    #[error("it is no whole WebAssembly module: it is malformed at byte {at}; build or copy it anew")]
    Malformed { at: u64 },
    #[error("no component can be made of it: {detail}{}", advice(detail))]
    Unfit { detail: String },
}

/// Makes a component of a core module that was built for one of our worlds. Bindings that wit-bindgen made put the world's
/// description into it; a module without one, as other compilers write it, gets that of the world whose interface it
/// exports. What is a component already is returned as it is. The module must be the caller's own:
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
    // The encoder takes the sections that a header announces for those that are there.
    let broken = Parser::new(0).parse_all(bytes).find_map(Result::err);
    if let Some(error) = broken {
        return Err(WrapError::Malformed {
            at: error.offset() as u64,
        });
    }
    let module = described(bytes);
    let encoded = ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .and_then(ComponentEncoder::encode);
    encoded.map_err(|error| WrapError::Unfit {
        detail: text::shortened(&format!("{error:#}"), 1_000),
    })
}

/// Returns the module with the description of its world, where that lacks and can be told.
fn described(module: &[u8]) -> Cow<'_, [u8]> {
    let mut exported = HashSet::new();
    for payload in Parser::new(0).parse_all(module) {
        match payload {
            Ok(Payload::CustomSection(section)) if section.name().starts_with("component-type") => {
                return Cow::Borrowed(module);
            }
            Ok(Payload::ExportSection(exports)) => {
                // Functions of an interface are exported as `interface#function`.
                let interfaces = exports.into_iter().flatten();
                exported.extend(interfaces.filter_map(|export| export.name.split('#').next()));
            }
            Ok(_) => {}
            // The encoder has the words for it.
            Err(_) => return Cow::Borrowed(module),
        }
    }
    // Who exports more is of the larger world.
    let worlds = [
        (fit::PACKED_REDACTION, fit::PACKED_REDACTION_WORLD),
        (fit::REDACTION.interface, fit::REDACTION.world),
        (fit::LAYOUT.interface, fit::LAYOUT.world),
        (fit::SAMPLING.interface, fit::SAMPLING.world),
    ];
    let Some((_, world)) = worlds
        .into_iter()
        .find(|(interface, _)| exported.contains(interface))
    else {
        return Cow::Borrowed(module);
    };
    let (resolve, world) = world::resolved(world);
    let mut described = module.to_vec();
    match embed_component_metadata(&mut described, &resolve, world, StringEncoding::UTF8, false) {
        Ok(()) => Cow::Owned(described),
        Err(_) => Cow::Borrowed(module),
    }
}

fn advice(detail: &str) -> &'static str {
    if detail.contains("wasi_snapshot_preview1") || detail.contains("wasi:") {
        "; build it without WASI, in Rust for the target `wasm32-unknown-unknown`"
    } else {
        ""
    }
}
