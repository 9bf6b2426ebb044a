use super::*;
use proptest::{collection::vec, prelude::*};
use std::mem;

/// Regions of memory, some next to the one before, until there is no more.
struct Regions {
    left: Vec<NonNull<u8>>,
    region_bytes: usize,
    whole: Layout,
    start: NonNull<u8>,
}

impl Regions {
    /// `apart` leaves a gap after each region, so that the next one does not go on from it.
    fn new(count: usize, region_bytes: usize, apart: bool) -> Self {
        let step = region_bytes + if apart { GRAIN } else { 0 };
        let whole = Layout::from_size_align(count * step, 4096).expect("a layout");
        // SAFETY: the size is not 0.
        let start = NonNull::new(unsafe { std::alloc::alloc(whole) }).expect("memory");
        let at = |number: usize| NonNull::new(start.as_ptr().wrapping_add(number * step));
        Self {
            left: (0..count).rev().filter_map(at).collect(),
            region_bytes,
            whole,
            start,
        }
    }
}

impl Drop for Regions {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout.
        unsafe { std::alloc::dealloc(self.start.as_ptr(), self.whole) };
    }
}

impl Source for Regions {
    fn grow(&mut self, bytes: usize) -> Option<(NonNull<u8>, usize)> {
        if bytes > self.region_bytes {
            return None;
        }
        self.left.pop().map(|start| (start, self.region_bytes))
    }
}

/// A block in use: filled with a byte of its own.
struct Used {
    block: *mut u8,
    layout: Layout,
    byte: u8,
}

impl Used {
    fn fill(&self) {
        // SAFETY: the block is the caller's, of this size.
        unsafe { self.block.write_bytes(self.byte, self.layout.size()) };
    }

    fn holds(&self, bytes: usize) -> bool {
        // SAFETY: as in `fill`.
        let content = unsafe { std::slice::from_raw_parts(self.block, bytes) };
        content.iter().all(|byte| *byte == self.byte)
    }
}

#[derive(Clone, Debug)]
enum Step {
    Alloc { size: usize, align: usize },
    Realloc { which: usize, size: usize },
    Dealloc { which: usize },
}

fn sizes() -> impl Strategy<Value = usize> {
    prop_oneof![1..100_usize, 1..5_000_usize, 1..20_000_usize]
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (sizes(), 0..7_u32).prop_map(|(size, power)| Step::Alloc { size, align: 1 << power }),
        2 => (any::<usize>(), sizes()).prop_map(|(which, size)| Step::Realloc { which, size }),
        2 => any::<usize>().prop_map(|which| Step::Dealloc { which }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn blocks_keep_what_is_in_them_whatever_is_done_with_others(
        steps in vec(steps(), 1..200),
        apart in any::<bool>(),
        count in 1..8_usize,
    ) {
        let mut heap = Heap::new(Regions::new(count, 64 << 10, apart));
        let mut used: Vec<Used> = Vec::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Alloc { size, align } => {
                    let layout = Layout::from_size_align(size, align).expect("a layout");
                    // SAFETY: the size is not 0.
                    let block = unsafe { heap.alloc(layout) };
                    if !block.is_null() {
                        prop_assert!((block as usize).is_multiple_of(align));
                        let new = Used { block, layout, byte: u8::try_from(number % 251).expect("it is less") };
                        new.fill();
                        used.push(new);
                    }
                }
                Step::Realloc { which, size } if !used.is_empty() => {
                    let which = which % used.len();
                    let before = &mut used[which];
                    // SAFETY: the block comes from the heap with this layout, and the size is not 0.
                    let block = unsafe { heap.realloc(before.block, before.layout, size) };
                    if !block.is_null() {
                        prop_assert!((block as usize).is_multiple_of(before.layout.align()));
                        let old = mem::replace(&mut before.block, block);
                        let kept = before.layout.size().min(size);
                        before.layout = Layout::from_size_align(size, before.layout.align()).expect("a layout");
                        prop_assert!(before.holds(kept), "moved from {old:?} to {block:?}");
                        before.fill();
                    }
                }
                Step::Dealloc { which } if !used.is_empty() => {
                    let gone = used.swap_remove(which % used.len());
                    prop_assert!(gone.holds(gone.layout.size()));
                    // SAFETY: the block comes from the heap with this layout, and is used no more.
                    unsafe { heap.dealloc(gone.block, gone.layout) };
                }
                Step::Realloc { .. } | Step::Dealloc { .. } => {}
            }
            for one in &used {
                prop_assert!(one.holds(one.layout.size()), "after step {number}");
            }
        }
    }

    #[test]
    fn a_class_has_blocks_of_one_size_that_are_at_most_a_quarter_larger_than_needed(size in 1..=SIZE_MAX) {
        let (number, rounded) = class(size);
        prop_assert!(number < CLASSES);
        prop_assert!(rounded >= size && rounded.is_multiple_of(GRAIN));
        prop_assert!(rounded - size < GRAIN.max(size.div_ceil(4)), "{size} becomes {rounded}");
        prop_assert_eq!(class(rounded), (number, rounded));
        if rounded < SIZE_MAX {
            prop_assert_eq!(class(rounded + 1).0, number + 1);
        }
    }
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).expect("a layout")
}

#[test]
fn what_was_freed_is_handed_out_again_and_the_last_block_grows_where_it_is() {
    let mut heap = Heap::new(Regions::new(1, 64 << 10, false));
    // SAFETY: sizes are not 0, and each block is given back with the layout that it has.
    unsafe {
        let first = heap.alloc(layout(100));
        let second = heap.alloc(layout(1));
        assert_eq!(heap.realloc(first, layout(100), 112), first, "of the same class");
        assert_eq!(heap.realloc(second, layout(1), 30_000), second, "the last one");
        heap.dealloc(first, layout(112));
        assert_eq!(heap.alloc(layout(97)), first);
    }
}

#[test]
fn without_more_memory_a_larger_free_block_is_taken_and_then_there_is_none() {
    let mut heap = Heap::new(Regions::new(1, 4096, false));
    // SAFETY: as above.
    unsafe {
        let only = heap.alloc(layout(3000));
        assert!(!only.is_null());
        assert!(heap.alloc(layout(2000)).is_null());
        assert!(heap.realloc(only, layout(3000), 5000).is_null());
        heap.dealloc(only, layout(3000));
        assert_eq!(heap.alloc(layout(2000)), only);
        assert!(heap.alloc(layout(SIZE_MAX + 1)).is_null());
    }
}
