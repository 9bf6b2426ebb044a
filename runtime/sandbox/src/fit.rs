//! Whether a component fits: that it imports nothing, and exports what its kind must.
//!
//! It lists all misfits with what mends them, where the linker would name the first one.

use crate::meter::Meter;
use std::collections::BTreeMap;
use wasmtime::{
    Store,
    component::{Component, ComponentNamedList, Instance, Lift, Lower, types::ComponentItem},
};

/// What one kind of guest must export.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fit {
    /// Interface with its version, as the WIT package names it.
    pub(crate) interface: &'static str,
    pub(crate) functions: &'static [&'static str],
    /// World that authors build for.
    pub(crate) world: &'static str,
}

pub(crate) const LAYOUT: Fit = Fit {
    interface: "keboola:mirror/layout@0.1.0",
    functions: &["inspect", "render", "gather", "recoverable", "recover"],
    world: "layout-renderer",
};

pub(crate) const REDACTION: Fit = Fit {
    interface: "keboola:mirror/redaction@0.1.0",
    functions: &["describe", "configure", "redact"],
    world: "redaction-policy",
};

/// What a redaction policy may export as well.
pub(crate) const PACKED_REDACTION: &str = "keboola:mirror/packed-redaction@0.1.0";

/// World of those that do.
pub(crate) const PACKED_REDACTION_WORLD: &str = "packed-redaction-policy";

pub(crate) const SAMPLING: Fit = Fit {
    interface: "keboola:mirror/sampling@0.1.0",
    functions: &["configure", "choose"],
    world: "sample-filter",
};

const PROBLEMS_MAX: usize = 50;
/// Of what is said of a type that nests.
const TYPES_CHARS_MAX: usize = 500;

/// Returns what is wrong with the component; nothing where it fits.
pub(crate) fn problems(component: &Component, fit: &Fit) -> Vec<String> {
    let mut problems = imports(component);
    problems.extend(exports(component, fit));
    if let Some(more) = problems.len().checked_sub(PROBLEMS_MAX).filter(|more| *more > 0) {
        problems.truncate(PROBLEMS_MAX);
        problems.push(format!("and {more} more"));
    }
    problems
}

/// Says what is wrong with the type of one function of an interface, if anything is.
pub(crate) fn mistyped<P, R>(
    store: &mut Store<Meter>,
    instance: &Instance,
    interface: &str,
    function: &str,
) -> Option<String>
where
    P: ComponentNamedList + Lower,
    R: ComponentNamedList + Lift,
{
    let found = instance.get_export_index(&mut *store, None, interface);
    let found =
        found.and_then(|interface| instance.get_export_index(&mut *store, Some(&interface), function))?;
    let error = instance.get_typed_func::<P, R>(store, found).err()?;
    Some(format!(
        "its function `{function}` of `{interface}` is not of `keboola:mirror@0.1`: {}",
        crate::text::shortened(&format!("{error:#}"), TYPES_CHARS_MAX)
    ))
}

fn imports(component: &Component) -> Vec<String> {
    let engine = component.engine();
    let component_type = component.component_type();
    let foreign: Vec<String> = component_type
        .imports(engine)
        .filter(|(_, import)| !is_type_only(component, &import.ty))
        .map(|(name, _)| name.to_owned())
        .collect();
    self::foreign(foreign)
}

/// Says what is wrong with imports that are not of types alone, with what mends it.
pub(crate) fn foreign(names: Vec<String>) -> Vec<String> {
    let mut by_advice: BTreeMap<Option<&'static str>, Vec<String>> = BTreeMap::new();
    for name in names {
        by_advice
            .entry(advice(&name))
            .or_default()
            .push(format!("`{}`", crate::text::printable(&name)));
    }
    let problem = |(advice, names): (Option<&str>, Vec<String>)| {
        let advice = advice.map_or_else(String::new, |advice| format!("; {advice}"));
        format!(
            "it imports {}, and guests get no functions{advice}",
            names.join(", ")
        )
    };
    by_advice.into_iter().map(problem).collect()
}

/// Types alone do not let a guest reach anything; a resource would.
fn is_type_only(component: &Component, item: &ComponentItem) -> bool {
    match item {
        ComponentItem::Type(_) => true,
        ComponentItem::ComponentInstance(instance) => instance
            .exports(component.engine())
            .all(|(_, export)| is_type_only(component, &export.ty)),
        ComponentItem::ComponentFunc(_)
        | ComponentItem::CoreFunc(_)
        | ComponentItem::Module(_)
        | ComponentItem::Component(_)
        | ComponentItem::Resource(_) => false,
    }
}

/// Returns what is known to bring such an import about.
fn advice(foreign: &str) -> Option<&'static str> {
    if foreign.starts_with("wasi:") {
        return Some(
            "to build without WASI: in Rust, target `wasm32-unknown-unknown`; in Python, `componentize-py … \
             componentize --stub-wasi`; in JavaScript, `jco componentize --backend quickjs --backend-qjs-stub-wasi \
             --backend-qjs-disable-async`, or disable `random`, `stdio`, `clocks`, `http` and `fetch-event`",
        );
    }
    foreign.starts_with("keboola:mirror/").then_some(
        "this host offers `keboola:mirror@0.1`, of which guests import types only; build against its WIT package",
    )
}

fn exports(component: &Component, fit: &Fit) -> Vec<String> {
    let Some(instance) = component.get_export_index(None, fit.interface) else {
        return vec![missing_interface(component, fit)];
    };
    fit.functions
        .iter()
        .filter(|name| component.get_export_index(Some(&instance), name).is_none())
        .map(|name| format!("its interface `{}` lacks the function `{name}`", fit.interface))
        .collect()
}

fn missing_interface(component: &Component, fit: &Fit) -> String {
    let component_type = component.component_type();
    let exported: Vec<String> = component_type
        .exports(component.engine())
        .map(|(name, _)| format!("`{}`", crate::text::printable(name)))
        .take(PROBLEMS_MAX)
        .collect();
    let exported = if exported.is_empty() {
        "nothing".to_owned()
    } else {
        exported.join(", ")
    };
    format!(
        "it exports {exported} and not `{}`; build it for the world `{}` of `keboola:mirror@0.1`",
        fit.interface, fit.world
    )
}
