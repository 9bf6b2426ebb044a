//! The components that are part of the program.

/// A component that `build.rs` made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Builtin {
    /// How reasons and messages call it.
    pub(crate) name: &'static str,
    pub(crate) component: &'static [u8],
}

pub(crate) const LAYOUT_RENDERER: Builtin = Builtin {
    name: "layout renderer",
    component: include_bytes!(concat!(env!("OUT_DIR"), "/layout-renderer.wasm")),
};

pub(crate) const SAMPLE_FILTER: Builtin = Builtin {
    name: "sample filter",
    component: include_bytes!(concat!(env!("OUT_DIR"), "/sample-filter.wasm")),
};

pub(crate) const SECRET_REDACTION: Builtin = Builtin {
    name: "secret redaction policy",
    component: include_bytes!(concat!(env!("OUT_DIR"), "/secret-redaction.wasm")),
};
