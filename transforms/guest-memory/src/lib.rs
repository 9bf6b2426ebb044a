//! The allocator of the built-in guests, whose instances live for one batch, and a comparison of texts.
//!
//! What is freed is kept by its size and handed out again; nothing is joined, and nothing is given back, since the host
//! drops the whole memory soon. So both ways are a few instructions. A guest has it by
//! `use guest_memory as _;`. In native builds this crate has nothing but what its tests need.
#![expect(
    unsafe_code,
    reason = "memory is handed out here; the unsafe operations are all in this crate"
)]

#[cfg(any(target_family = "wasm", test))]
mod compare;
mod heap;

pub use heap::{Heap, Source};

#[cfg(target_family = "wasm")]
mod global;
