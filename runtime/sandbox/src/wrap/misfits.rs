//! What is wrong with a core module, all at once: imports, and exports that lack or have other types.

use crate::{fit, text, world};
use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
};
use wasmparser::{CompositeInnerType, ExternalKind, FuncType, Parser, Payload, TypeRef, ValType};
use wit_parser::{
    Resolve, WorldId, WorldItem,
    abi::{AbiVariant, WasmType},
};

/// Names of one kind that are listed.
const NAMES_MAX: usize = 20;

/// What a core module has at its border.
#[derive(Default)]
struct Border {
    types: Vec<Option<FuncType>>,
    /// Module, name, and whether it is a function.
    imports: Vec<(String, String, bool)>,
    /// Types of all functions, imported ones first.
    functions: Vec<u32>,
    exports: HashMap<String, (ExternalKind, u32)>,
}

/// Returns what is wrong with a module that was built for one of our worlds; nothing where it fits. One that cannot be parsed
/// has no misfits.
pub(super) fn of(module: &[u8]) -> Vec<String> {
    let Ok(border) = Border::of(module) else {
        return Vec::new();
    };
    let mut problems = border.foreign();
    problems.extend(border.lacking());
    problems
}

impl Border {
    fn of(module: &[u8]) -> wasmparser::Result<Self> {
        let mut border = Self::default();
        for payload in Parser::new(0).parse_all(module) {
            match payload? {
                Payload::TypeSection(section) => {
                    for group in section {
                        let types = group?.into_types().map(|ty| match ty.composite_type.inner {
                            CompositeInnerType::Func(function) => Some(function),
                            _ => None,
                        });
                        border.types.extend(types);
                    }
                }
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        let import = import?;
                        let function = match import.ty {
                            TypeRef::Func(ty) | TypeRef::FuncExact(ty) => Some(ty),
                            _ => None,
                        };
                        border.functions.extend(function);
                        border.imports.push((
                            import.module.to_owned(),
                            import.name.to_owned(),
                            function.is_some(),
                        ));
                    }
                }
                Payload::FunctionSection(section) => {
                    for ty in section {
                        border.functions.push(ty?);
                    }
                }
                Payload::ExportSection(section) => {
                    for export in section {
                        let export = export?;
                        border
                            .exports
                            .insert(export.name.to_owned(), (export.kind, export.index));
                    }
                }
                _ => {}
            }
        }
        Ok(border)
    }

    /// Names each import, those that the same mends together.
    fn foreign(&self) -> Vec<String> {
        let mut by_advice: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
        for (module, name, is_function) in &self.imports {
            let name_shown = text::printable(&format!("{module}::{name}"));
            by_advice
                .entry(advice(module, name, *is_function))
                .or_default()
                .push(name_shown);
        }
        let problem = |(advice, names): (&str, Vec<String>)| {
            format!(
                "it imports {}, and guests get nothing from outside; {advice}",
                listed(&names)
            )
        };
        by_advice.into_iter().map(problem).collect()
    }

    /// Names what it must export and does not, or with other types.
    fn lacking(&self) -> Vec<String> {
        // Functions of an interface are exported as `interface#function`.
        let has = |interface: &str| {
            let prefix = format!("{interface}#");
            self.exports.keys().any(|name| name.starts_with(&prefix))
        };
        let fits = [fit::REDACTION, fit::LAYOUT, fit::SAMPLING];
        let is_packed = has(fit::PACKED_REDACTION);
        let Some(fit) = fits
            .into_iter()
            .find(|fit| has(fit.interface))
            .or_else(|| is_packed.then_some(fit::REDACTION))
        else {
            return vec![self.nothing_of(&fit::REDACTION)];
        };
        let world = if is_packed {
            fit::PACKED_REDACTION_WORLD
        } else {
            fit.world
        };
        let (resolve, world) = world::resolved(world);
        let mut problems: Vec<String> = functions(&resolve, world)
            .into_iter()
            .filter_map(|(name, expected)| self.function(&name, &expected))
            .collect();
        problems.sort();
        let is = |name: &str, kind| self.exports.get(name).is_some_and(|(found, _)| *found == kind);
        if !is("memory", ExternalKind::Memory) {
            problems.push(
                "it does not export its memory as `memory`; leave out what keeps the linker from it, such as `--import-memory`"
                    .to_owned(),
            );
        }
        if !is("cabi_realloc", ExternalKind::Func) {
            problems.push(
                "it does not export `cabi_realloc`, by which the host allocates what it hands over; wit-bindgen has it, as do the projects that `kbc-mirror policy new` makes"
                    .to_owned(),
            );
        }
        problems
    }

    fn function(&self, name: &str, expected: &Signature) -> Option<String> {
        let Some((ExternalKind::Func, index)) = self.exports.get(name) else {
            return Some(format!(
                "it does not export the function `{name}`; in Rust, is there `export!(…)` of wit-bindgen's?"
            ));
        };
        let ty = self.functions.get(*index as usize);
        let found = ty.and_then(|ty| self.types.get(*ty as usize)?.as_ref())?;
        let found = Signature {
            params: found.params().iter().map(|ty| value(*ty)).collect(),
            results: found.results().iter().map(|ty| value(*ty)).collect(),
        };
        (found != *expected).then(|| {
            format!("its function `{name}` has the type {found} and not {expected}; build it against the WIT package of `keboola:mirror@0.1`")
        })
    }

    fn nothing_of(&self, fit: &fit::Fit) -> String {
        let mut others: Vec<String> = self
            .exports
            .keys()
            .filter_map(|name| name.split_once('#'))
            .map(|(interface, _)| text::printable(interface))
            .collect();
        others.sort();
        others.dedup();
        let exported = if others.is_empty() {
            "no function of an interface".to_owned()
        } else {
            format!("functions of {}", listed(&others))
        };
        format!(
            "it exports {exported} and none of `{}`; build it for the world `{}` of `keboola:mirror@0.1`",
            fit.interface, fit.world
        )
    }
}

/// A core function's type, by the names of its values' types.
#[derive(Debug, PartialEq, Eq)]
struct Signature {
    params: Vec<String>,
    results: Vec<String>,
}

impl std::fmt::Display for Signature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "({}) -> ({})", self.params.join(", "), self.results.join(", "))
    }
}

/// Returns the core functions that a module must export for a world, by their names.
fn functions(resolve: &Resolve, world: WorldId) -> Vec<(String, Signature)> {
    let mut functions = Vec::new();
    for (key, item) in &resolve.worlds[world].exports {
        let WorldItem::Interface { id, .. } = item else {
            continue;
        };
        let interface = resolve.name_world_key(key);
        for (name, function) in &resolve.interfaces[*id].functions {
            let signature = resolve.wasm_signature(AbiVariant::GuestExport, function);
            functions.push((
                format!("{interface}#{name}"),
                Signature {
                    params: signature.params.iter().map(core).collect(),
                    results: signature.results.iter().map(core).collect(),
                },
            ));
        }
    }
    functions
}

fn core(ty: &WasmType) -> String {
    match ty {
        WasmType::I32 | WasmType::Pointer | WasmType::Length => "i32",
        WasmType::I64 | WasmType::PointerOrI64 => "i64",
        WasmType::F32 => "f32",
        WasmType::F64 => "f64",
    }
    .to_owned()
}

fn value(ty: ValType) -> String {
    ty.to_string()
}

/// Returns some names for people.
fn listed(names: &[String]) -> String {
    let shown: Vec<String> = names
        .iter()
        .take(NAMES_MAX)
        .map(|name| format!("`{name}`"))
        .collect();
    let mut listed = shown.join(", ");
    if let Some(more) = names.len().checked_sub(NAMES_MAX).filter(|more| *more > 0) {
        // Writing to a string cannot fail.
        let _ = write!(listed, " and {more} more");
    }
    listed
}

/// Returns what brings such an import about, and what mends it.
fn advice(module: &str, name: &str, is_function: bool) -> &'static str {
    let of_wasi = module.starts_with("wasi_") || module.starts_with("wasi:");
    match (module, name) {
        _ if of_wasi => {
            "it is of WASI: build without it, in Rust for the target `wasm32-unknown-unknown`, in C with `-target wasm32 -nostdlib` or Zig's `-target wasm32-freestanding`"
        }
        _ if module.starts_with("__wbindgen") || module == "wbg" => {
            "it is of wasm-bindgen, which is for browsers: leave out crates and features that need it, such as `js` of getrandom, `wasmbind` of chrono, `web-sys`"
        }
        _ if module.starts_with("keboola:mirror/") => {
            "this host offers `keboola:mirror@0.1`, of which guests import types only: build against its WIT package"
        }
        ("env", "abort" | "seed" | "trace") => {
            "in AssemblyScript, `asc --use abort= --use seed= --use trace=` builds without it; otherwise define it"
        }
        ("env", "memory") => "its memory must be its own: leave `--import-memory` out of the linker's flags",
        ("env", "__indirect_function_table") => {
            "its table must be its own: leave `--import-table` out of the linker's flags"
        }
        ("env" | "GOT.mem" | "GOT.func", _) if !is_function => {
            "it is linked as a shared library: leave `-shared` and `-fPIC` out of the flags"
        }
        ("env", _) => {
            "nothing defines it: write it, or do not call it. In C, the linker says who does if `--allow-undefined` is left out; in Rust, look for an `extern` block, also in crates"
        }
        _ => "nothing here has that name: do not import it",
    }
}
