//! Blocks by size class, and a frontier that new ones are cut from.

use std::{alloc::Layout, ptr, ptr::NonNull};

/// Blocks start at multiples of this, and have sizes that are.
const GRAIN: usize = 16;
/// Up to here there is a class for each multiple of the grain; above, four for each doubling.
const FINE_MAX: usize = 1024;
const FINE: usize = FINE_MAX / GRAIN;
/// Nothing larger is handed out.
const SIZE_MAX: usize = 1 << 30;
const CLASSES: usize = FINE + 4 * (SIZE_MAX.trailing_zeros() - FINE_MAX.trailing_zeros()) as usize + 1;

/// Where a heap gets memory from.
pub trait Source {
    /// Returns the start and length of memory that nobody else has, at least `bytes` long and aligned to 16; none where there is
    /// no more.
    fn grow(&mut self, bytes: usize) -> Option<(NonNull<u8>, usize)>;
}

/// A heap whose free blocks are lists by size.
#[derive(Debug)]
pub struct Heap<S> {
    source: S,
    /// The first free block of each class, which holds the address of the next one.
    free: [*mut u8; CLASSES],
    /// Memory from `next` to `end` was never handed out.
    next: *mut u8,
    end: *mut u8,
}

/// The class of a size, and the size of its blocks.
fn class(size: usize) -> (usize, usize) {
    if size <= FINE_MAX {
        let number = size.div_ceil(GRAIN);
        return (number, number * GRAIN);
    }
    // The quarter of its doubling that a size is in: two bits below the highest one of what precedes it.
    let below = size - 1;
    let doubling = usize::BITS - 1 - below.leading_zeros();
    let quarter = (below >> (doubling - 2)) & 3;
    let rounded = (4 + quarter + 1) << (doubling - 2);
    let doublings = (doubling - FINE_MAX.trailing_zeros()) as usize;
    (FINE + 4 * doublings + quarter + 1, rounded)
}

impl<S: Source> Heap<S> {
    /// Returns a heap that asks its source when it is first used.
    pub const fn new(source: S) -> Self {
        Self {
            source,
            free: [ptr::null_mut(); CLASSES],
            next: ptr::null_mut(),
            end: ptr::null_mut(),
        }
    }

    /// Returns memory for the layout; null where there is none.
    ///
    /// # Safety
    ///
    /// As for [`std::alloc::GlobalAlloc::alloc`]: the size is not 0.
    #[inline]
    pub unsafe fn alloc(&mut self, layout: Layout) -> *mut u8 {
        if layout.size() > SIZE_MAX {
            return ptr::null_mut();
        }
        let (class, size) = class(layout.size());
        let block = self.free[class];
        if block.is_null() || layout.align() > GRAIN {
            return self.cut(class, size, layout.align());
        }
        // SAFETY: a block in a list is free, and begins with the address of the next one (`dealloc`).
        self.free[class] = unsafe { block.cast::<*mut u8>().read() };
        block
    }

    /// Takes memory back.
    ///
    /// # Safety
    ///
    /// `block` comes from this heap with this layout, and nobody uses it any more.
    #[inline]
    pub unsafe fn dealloc(&mut self, block: *mut u8, layout: Layout) {
        let (class, _) = class(layout.size());
        // SAFETY: the block is free, aligned to the grain, and has at least one grain.
        unsafe { block.cast::<*mut u8>().write(self.free[class]) };
        self.free[class] = block;
    }

    /// Changes the size of a block, where it is if possible; null where there is no memory, and the block stays.
    ///
    /// # Safety
    ///
    /// `block` comes from this heap with this layout; `size` is not 0.
    #[inline]
    pub unsafe fn realloc(&mut self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if size > SIZE_MAX {
            return ptr::null_mut();
        }
        let (old, new) = (class(layout.size()).1, class(size).1);
        let (start, frontier, end) = (block as usize, self.next as usize, self.end as usize);
        if start + old == frontier && start + new <= end {
            self.next = block.wrapping_add(new);
            return block;
        }
        // Of a block that shrinks the rest is lost: it costs less than a copy, and the instance does not live long.
        if new <= old {
            return block;
        }
        // SAFETY: alignment was valid before, and the size is within bounds; both blocks have what is copied.
        unsafe {
            let moved = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !moved.is_null() {
                ptr::copy_nonoverlapping(block, moved, layout.size().min(size));
                self.dealloc(block, layout);
            }
            moved
        }
    }

    /// Returns a block that was never handed out; one that is larger than needed where the source has no more.
    #[cold]
    #[inline(never)]
    fn cut(&mut self, class: usize, size: usize, align: usize) -> *mut u8 {
        let padding = |at: *mut u8| (at as usize).wrapping_neg() & (align - 1);
        let fits = |at: *mut u8, end: *mut u8| end as usize - at as usize >= padding(at) + size;
        if !fits(self.next, self.end) {
            let Some((start, length)) = self.source.grow(size + align.max(GRAIN)) else {
                return self.larger(class, align);
            };
            if start.as_ptr() != self.end {
                self.next = start.as_ptr();
            }
            self.end = start.as_ptr().wrapping_add(length);
        }
        let block = self.next.wrapping_add(padding(self.next));
        self.next = block.wrapping_add(size);
        block
    }

    fn larger(&mut self, class: usize, align: usize) -> *mut u8 {
        let aligned = |block: *mut u8| !block.is_null() && (block as usize).is_multiple_of(align);
        let Some(list) = self.free[class..].iter_mut().find(|list| aligned(**list)) else {
            return ptr::null_mut();
        };
        let block = *list;
        // SAFETY: as in `alloc`.
        *list = unsafe { block.cast::<*mut u8>().read() };
        block
    }
}

#[cfg(test)]
mod tests;
