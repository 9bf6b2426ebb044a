//! Comparing texts, as the compiler calls it by name.
//!
//! What comes with the compiler for WebAssembly looks at one byte after the other. Guests compare names and pointers above all.

const EIGHT: usize = 8;

/// Compares as `memcmp` of C does: below, at or above 0 where the first byte that differs is less, there is none, or it is greater.
///
/// # Safety
///
/// Both texts have `length` bytes.
#[inline]
pub(crate) unsafe fn compare(left: *const u8, right: *const u8, length: usize) -> i32 {
    // SAFETY: all that is read is within `length` bytes.
    unsafe {
        let eight = |at: usize| {
            let [left, right] = [left, right].map(|text| {
                let bytes = text.add(at).cast::<[u8; EIGHT]>().read();
                u64::from_le_bytes(bytes)
            });
            left ^ right
        };
        let differ = |at: usize| i32::from(left.add(at).read()) - i32::from(right.add(at).read());
        let first = |differing: u64| (differing.trailing_zeros() / 8) as usize;
        let mut at = 0;
        while at + EIGHT <= length {
            match eight(at) {
                0 => at += EIGHT,
                differing => return differ(at + first(differing)),
            }
        }
        if length >= EIGHT {
            // The last eight, of which some were looked at before.
            let at = length - EIGHT;
            return match eight(at) {
                0 => 0,
                differing => differ(at + first(differing)),
            };
        }
        while at < length {
            match differ(at) {
                0 => at += 1,
                difference => return difference,
            }
        }
        0
    }
}

/// `memcmp` of C.
#[cfg(target_family = "wasm")]
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, length: usize) -> i32 {
    // SAFETY: the caller's.
    unsafe { compare(left, right, length) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_compare_as_slices_do() {
        let text: Vec<u8> = (0..40_u8).map(|at| at.wrapping_mul(67)).collect();
        for length in 0..=text.len() {
            let left = &text[..length];
            assert_eq!(unsafe { compare(left.as_ptr(), left.as_ptr(), length) }, 0);
            for place in 0..length {
                for byte in [0, 1, 0x7f, 0x80, 0xff] {
                    let mut right = left.to_vec();
                    right[place] = byte;
                    // SAFETY: both have this length.
                    let found = unsafe { compare(left.as_ptr(), right.as_ptr(), length) };
                    assert_eq!(found.signum(), left.cmp(&right) as i32, "{left:?} {right:?}");
                }
            }
        }
    }
}
