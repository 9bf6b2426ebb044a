//! A look at a customer's component before the compiler sees it.
//!
//! Compiling is where a small file can cost minutes, and wasmtime does not count that as a fault of
//! its own. So what makes compiling expensive is counted first, by the parser that wasmtime uses.
//! Whether the component is valid is left to wasmtime.

use crate::{config::Limits, fit};
use wasmparser::{
    ComponentAlias, ComponentExternalKind, ComponentOuterAliasKind, ComponentType, ComponentTypeRef,
    InstanceTypeDeclaration, Parser, Payload, TypeBounds,
};

const CORE_MODULE: &str = "it is a core module, not a component; make one of it with `kbc-mirror policy wrap` or `wasm-tools component new`";

/// Returns what is wrong with the bytes; nothing where they may be compiled.
pub(crate) fn problems(bytes: &[u8], limits: &Limits) -> Vec<String> {
    if bytes.len() > limits.component_bytes_max {
        let too_large = format!(
            "it has {} bytes and {} are allowed (component_bytes_max)",
            bytes.len(),
            limits.component_bytes_max
        );
        return [vec![too_large], foreign_imports(bytes)].concat();
    }
    if Parser::is_core_wasm(bytes) {
        return vec![CORE_MODULE.to_owned()];
    }
    if !Parser::is_component(bytes) {
        return vec!["it is not a WebAssembly component in binary form".to_owned()];
    }
    match count(bytes) {
        Ok(counted) => match counted.problems(limits) {
            fitting if fitting.is_empty() => fitting,
            // It will not be compiled, so nobody else tells.
            beyond => [beyond, foreign_imports(bytes)].concat(),
        },
        Err(error) => vec![format!("it is malformed at byte {}", error.offset())],
    }
}

/// Says what is wrong with the imports of a component, as far as they can be read, in one pass and without validating.
fn foreign_imports(bytes: &[u8]) -> Vec<String> {
    let mut foreign = Vec::new();
    // For each of its types, whether it is an instance that has only types.
    let mut types: Vec<bool> = Vec::new();
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(bytes).map_while(Result::ok) {
        match payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            _ if depth > 0 => {}
            Payload::ComponentTypeSection(section) => {
                types.extend(
                    section
                        .into_iter()
                        .map_while(Result::ok)
                        .map(|ty| has_only_types(&ty)),
                );
            }
            Payload::ComponentAliasSection(section) => {
                let aliases = section.into_iter().map_while(Result::ok);
                let of_types = aliases.filter(|alias| {
                    matches!(
                        alias,
                        ComponentAlias::InstanceExport {
                            kind: ComponentExternalKind::Type,
                            ..
                        } | ComponentAlias::Outer {
                            kind: ComponentOuterAliasKind::Type,
                            ..
                        }
                    )
                });
                types.extend(of_types.map(|_| false));
            }
            Payload::ComponentExportSection(section) => {
                let exports = section.into_iter().map_while(Result::ok);
                let of_types = exports.filter(|export| export.kind == ComponentExternalKind::Type);
                types.extend(of_types.map(|_| false));
            }
            Payload::ComponentImportSection(section) => {
                for import in section.into_iter().map_while(Result::ok) {
                    let reaches_nothing = match import.ty {
                        ComponentTypeRef::Type(bounds) => {
                            types.push(false);
                            matches!(bounds, TypeBounds::Eq(_))
                        }
                        ComponentTypeRef::Instance(index) => {
                            usize::try_from(index).is_ok_and(|index| types.get(index) == Some(&true))
                        }
                        _ => false,
                    };
                    if !reaches_nothing {
                        foreign.push(import.name.name.to_owned());
                    }
                }
            }
            _ => {}
        }
    }
    fit::foreign(foreign)
}

/// Says whether a type is that of instances without anything that could be called or held.
fn has_only_types(ty: &ComponentType<'_>) -> bool {
    let ComponentType::Instance(declarations) = ty else {
        return false;
    };
    declarations.iter().all(|declaration| match declaration {
        InstanceTypeDeclaration::Export { ty, .. } => {
            matches!(ty, ComponentTypeRef::Type(TypeBounds::Eq(_)))
        }
        InstanceTypeDeclaration::CoreType(_)
        | InstanceTypeDeclaration::Type(_)
        | InstanceTypeDeclaration::Alias(_) => true,
    })
}

#[derive(Default)]
pub(crate) struct Counted {
    pub(crate) functions: u64,
    pub(crate) locals_most: u64,
    pub(crate) body_bytes_most: usize,
}

impl Counted {
    fn problems(&self, limits: &Limits) -> Vec<String> {
        let mut problems = Vec::new();
        if self.functions > u64::from(limits.functions_max) {
            let (most, max) = (self.functions, limits.functions_max);
            problems.push(format!(
                "it has {most} functions and {max} are allowed (functions_max)"
            ));
        }
        if self.locals_most > u64::from(limits.locals_max) {
            let (most, max) = (self.locals_most, limits.locals_max);
            problems.push(format!(
                "one function has {most} locals and {max} are allowed (locals_max)"
            ));
        }
        if self.body_bytes_most > limits.body_bytes_max {
            let (most, max) = (self.body_bytes_most, limits.body_bytes_max);
            problems.push(format!(
                "one function has {most} bytes and {max} are allowed (body_bytes_max)"
            ));
        }
        problems
    }
}

/// Counts over the component and everything nested in it.
pub(crate) fn count(bytes: &[u8]) -> wasmparser::Result<Counted> {
    let mut counted = Counted::default();
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::FunctionSection(section) => counted.functions += u64::from(section.count()),
            Payload::CodeSectionEntry(body) => {
                counted.body_bytes_most = counted.body_bytes_most.max(body.range().len());
                let mut locals = 0_u64;
                for group in body.get_locals_reader()? {
                    locals += u64::from(group?.0);
                }
                counted.locals_most = counted.locals_most.max(locals);
            }
            _ => {}
        }
    }
    Ok(counted)
}
