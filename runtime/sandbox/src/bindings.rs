//! The WIT package as Rust types and calls. Generated, and nothing else.
//!
//! One world with all interfaces, so that they share the types of `keboola:mirror/types`. No
//! guest has this world: each interface is looked up by itself in the guest that should, or may, export it.

wasmtime::component::bindgen!({
    inline: "
        package keboola:mirror-host;

        world guests {
            export keboola:mirror/layout@0.1.0;
            export keboola:mirror/redaction@0.1.0;
            export keboola:mirror/packed-redaction@0.1.0;
            export keboola:mirror/builtin-redaction@0.1.0;
            export keboola:mirror/sampling@0.1.0;
        }
    ",
    path: "../../wit",
    ownership: Borrowing { duplicate_if_necessary: true },
});
