//! The heap of a WebAssembly instance, which grows by whole pages.

use crate::{Heap, Source};
use std::{
    alloc::{GlobalAlloc, Layout},
    arch::wasm32,
    cell::UnsafeCell,
    ptr::NonNull,
};

/// Size of a page of WebAssembly.
const PAGE: usize = 64 << 10;
/// Memory grows by as much as there is, within these bounds, so that the host is asked seldom.
const GROWTH: (usize, usize) = (PAGE, 1 << 20);

#[derive(Debug)]
struct Memory;

impl Source for Memory {
    fn grow(&mut self, bytes: usize) -> Option<(NonNull<u8>, usize)> {
        let now = wasm32::memory_size::<0>() * PAGE;
        let wanted = bytes.max(now.clamp(GROWTH.0, GROWTH.1));
        let grown = |bytes: usize| {
            let pages = bytes.div_ceil(PAGE);
            let before = wasm32::memory_grow::<0>(pages);
            (before != usize::MAX).then(|| (NonNull::new((before * PAGE) as *mut u8), pages * PAGE))
        };
        let (start, length) = grown(wanted).or_else(|| grown(bytes))?;
        Some((start?, length))
    }
}

struct Global(UnsafeCell<Heap<Memory>>);

// SAFETY: an instance has one thread.
unsafe impl Sync for Global {}

#[global_allocator]
static GLOBAL: Global = Global(UnsafeCell::new(Heap::new(Memory)));

// SAFETY: the heap keeps what the trait asks for. It is never entered twice: it calls nothing that allocates.
unsafe impl GlobalAlloc for Global {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        unsafe { (*self.0.get()).alloc(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        unsafe { (*self.0.get()).dealloc(block, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        unsafe { (*self.0.get()).realloc(block, layout, size) }
    }
}
