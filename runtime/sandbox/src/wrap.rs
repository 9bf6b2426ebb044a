//! From a core module, as compilers write it, to a component.

mod misfits;

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
    /// One that imports something, lacks exports, or has functions of other types. Lists everything that is wrong, with what
    /// mends it.
    #[error("no component can be made of it: {}", problems.join("; "))]
    Unfit { problems: Vec<String> },
}

impl WrapError {
    /// Returns everything that is wrong with the module, each with what mends it.
    #[must_use]
    pub fn into_problems(self) -> Vec<String> {
        match self {
            Self::NoModule | Self::Malformed { .. } => vec![self.to_string()],
            Self::Unfit { problems } => problems,
        }
    }
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
    if !is_core_module(bytes) {
        return Err(WrapError::NoModule);
    }
    // The encoder takes the sections that a header announces for those that are there.
    let broken = Parser::new(0).parse_all(bytes).find_map(Result::err);
    if let Some(error) = broken {
        return Err(WrapError::Malformed {
            at: error.offset() as u64,
        });
    }
    // The encoder names the first thing that it stumbles over.
    let problems = misfits::of(bytes);
    if !problems.is_empty() {
        return Err(WrapError::Unfit { problems });
    }
    let module = described(bytes);
    let encoded = ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .and_then(ComponentEncoder::encode);
    encoded.map_err(|error| WrapError::Unfit {
        problems: vec![text::shortened(&format!("{error:#}"), 1_000)],
    })
}

/// Says whether the bytes are a core module, of which a component can be made, by how they begin.
#[must_use]
pub fn is_core_module(bytes: &[u8]) -> bool {
    Parser::is_core_wasm(bytes)
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
