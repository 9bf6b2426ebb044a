//! Whether a component fits: that it imports nothing, and exports what its kind must.
//!
//! It lists all misfits with what mends them, where the linker would name the first one.

use wasmtime::component::{Component, types::ComponentItem};

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

fn imports(component: &Component) -> Vec<String> {
    let engine = component.engine();
    let component_type = component.component_type();
    let foreign: Vec<String> = component_type
        .imports(engine)
        .filter(|(_, import)| !is_type_only(component, &import.ty))
        .map(|(name, _)| name.to_owned())
        .collect();
    let mut problems: Vec<String> = foreign
        .iter()
        .map(|name| {
            format!(
                "it imports `{}`, and guests get no functions",
                crate::text::printable(name)
            )
        })
        .collect();
    problems.extend(advice(&foreign).into_iter().map(str::to_owned));
    problems
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

/// Returns what is known to bring such imports about, once each.
fn advice(foreign: &[String]) -> Vec<&'static str> {
    let mut advice = Vec::new();
    if foreign.iter().any(|name| name.starts_with("wasi:")) {
        advice.push(
            "to build without WASI: in Rust, target `wasm32-unknown-unknown`; in Python, `componentize-py … \
             componentize --stub-wasi`; in JavaScript, `jco componentize --backend quickjs --backend-qjs-stub-wasi \
             --backend-qjs-disable-async`, or disable `random`, `stdio`, `clocks`, `http` and `fetch-event`",
        );
    }
    if foreign.iter().any(|name| name.starts_with("keboola:mirror/")) {
        advice.push("this host offers `keboola:mirror@0.1`, of which guests import types only; build against its WIT package");
    }
    advice
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
