//! A batch in the form of `packed-redaction`, written into a guest's memory straight from its documents.
//!
//! The generated types would have all of it put together here first, to copy that, and write a list of roles one role at a
//! time, which took a twelfth of judging small documents. So the lists and the text are values of their own, which are
//! written as the canonical ABI says; all else is left to what is generated.

use super::{kind_in, redact::role};
use crate::bindings::{
    exports::keboola::mirror::packed_redaction::PackedDocument, keboola::mirror::types as wit,
};
use mirror_core::document::Document;
use std::mem::MaybeUninit;
use wasmtime::{
    ValRaw,
    component::{
        __internal::{CanonicalAbiInfo, InstanceType, InterfaceType, LowerContext, wasmtime_environ},
        ComponentType, Lower,
    },
};
use wasmtime_environ::component::StringEncoding;

/// The record `batch`.
#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct Batch<'a> {
    documents: Vec<PackedDocument<'a>>,
    roles: Pair<Roles<'a>>,
    text: Pair<Text<'a>>,
    ends: Pair<Ends<'a>>,
}

impl<'a> Batch<'a> {
    /// Packs a batch; none where its texts have 2 GiB together, which is more than a string may have.
    pub(crate) fn new(batch: &'a [Document]) -> Option<Self> {
        let bytes = batch.iter().map(|document| document.leaves.text().len()).sum();
        i32::try_from(bytes).ok()?;
        let leaves = batch.iter().map(|document| document.leaves.len()).sum();
        let packed = |document: &'a Document| {
            Some(PackedDocument {
                path: document.path.as_ref().map_or("", |path| path.as_str()),
                kind: kind_in(document.kind),
                component_id: &document.component_id,
                config_id: &document.config_id,
                leaves: u32::try_from(document.leaves.len()).ok()?,
            })
        };
        Some(Self {
            documents: batch.iter().map(packed).collect::<Option<_>>()?,
            roles: Pair(Roles { batch, leaves }),
            text: Pair(Text { batch, bytes }),
            ends: Pair(Ends { batch, leaves }),
        })
    }
}

/// What is given as a place in the guest's memory and a length.
pub(crate) trait Store: Send + Sync {
    /// Of which type it is.
    type As: ComponentType<Lower = [ValRaw; 2]> + ?Sized;

    /// Puts it into memory that the guest gives, where that takes no more than copying.
    fn store<T>(&self, cx: &mut LowerContext<'_, T>) -> wasmtime::Result<Stored>;
}

/// What has become of a value.
pub(crate) enum Stored {
    /// It is there, and so long.
    At(usize, usize),
    /// It is this text, which has to be encoded.
    ToEncode(String),
}

pub(crate) struct Pair<S>(S);

// SAFETY: it is what `S::As` is, in all that is said of a type.
#[expect(unsafe_code, reason = "a value that the generated code has no type for")]
unsafe impl<S: Store> ComponentType for Pair<S> {
    type Lower = [ValRaw; 2];

    const ABI: CanonicalAbiInfo = S::As::ABI;

    fn typecheck(ty: &InterfaceType, types: &InstanceType<'_>) -> wasmtime::Result<()> {
        S::As::typecheck(ty, types)
    }
}

// SAFETY: all of `dst` is written, as a pair of a place and a length is.
#[expect(unsafe_code, reason = "a value that the generated code has no type for")]
unsafe impl<S: Store> Lower for Pair<S> {
    fn linear_lower_to_flat<T>(
        &self,
        cx: &mut LowerContext<'_, T>,
        ty: InterfaceType,
        dst: &mut MaybeUninit<Self::Lower>,
    ) -> wasmtime::Result<()> {
        match self.0.store(cx)? {
            // In 64 bits whatever the memory has, as wasmtime itself does.
            Stored::At(at, length) => {
                dst.write([ValRaw::u64(at as u64), ValRaw::u64(length as u64)]);
                Ok(())
            }
            Stored::ToEncode(text) => text.linear_lower_to_flat(cx, ty, dst),
        }
    }

    fn linear_lower_to_memory<T>(
        &self,
        cx: &mut LowerContext<'_, T>,
        ty: InterfaceType,
        offset: usize,
    ) -> wasmtime::Result<()> {
        match self.0.store(cx)? {
            Stored::At(at, length) => {
                *cx.get(offset) = u32::try_from(at)?.to_le_bytes();
                *cx.get(offset + 4) = u32::try_from(length)?.to_le_bytes();
                Ok(())
            }
            Stored::ToEncode(text) => text.linear_lower_to_memory(cx, ty, offset),
        }
    }
}

/// Allocates in the guest.
fn allocated<'m, T>(
    cx: &'m mut LowerContext<'_, T>,
    align: u32,
    bytes: usize,
) -> wasmtime::Result<(usize, &'m mut [u8])> {
    let at = cx.realloc(0, 0, align, bytes)?;
    Ok((at, &mut cx.as_slice_mut()[at..][..bytes]))
}

pub(crate) struct Roles<'a> {
    batch: &'a [Document],
    leaves: usize,
}

impl Store for Roles<'_> {
    type As = [wit::LeafRole];

    fn store<T>(&self, cx: &mut LowerContext<'_, T>) -> wasmtime::Result<Stored> {
        let (at, mut room) = allocated(cx, 1, self.leaves)?;
        for Document { leaves, .. } in self.batch {
            let (own, rest) = room.split_at_mut(leaves.len());
            for (to, of) in own.iter_mut().zip(leaves.roles()) {
                *to = role(*of) as u8;
            }
            room = rest;
        }
        Ok(Stored::At(at, self.leaves))
    }
}

pub(crate) struct Text<'a> {
    batch: &'a [Document],
    bytes: usize,
}

impl Text<'_> {
    fn texts(&self) -> impl Iterator<Item = &str> {
        self.batch.iter().map(|document| document.leaves.text())
    }
}

impl Store for Text<'_> {
    type As = str;

    fn store<T>(&self, cx: &mut LowerContext<'_, T>) -> wasmtime::Result<Stored> {
        if cx.options().string_encoding != StringEncoding::Utf8 {
            return Ok(Stored::ToEncode(self.texts().collect()));
        }
        let (at, mut room) = allocated(cx, 1, self.bytes)?;
        for text in self.texts() {
            let (own, rest) = room.split_at_mut(text.len());
            own.copy_from_slice(text.as_bytes());
            room = rest;
        }
        Ok(Stored::At(at, self.bytes))
    }
}

pub(crate) struct Ends<'a> {
    batch: &'a [Document],
    leaves: usize,
}

impl Store for Ends<'_> {
    type As = [u32];

    fn store<T>(&self, cx: &mut LowerContext<'_, T>) -> wasmtime::Result<Stored> {
        const BYTES: usize = size_of::<u32>();
        let count = 2 * self.leaves;
        let (at, room) = allocated(cx, 4, count * BYTES)?;
        let (mut room, _) = room.as_chunks_mut::<BYTES>();
        let mut start = 0;
        for Document { leaves, .. } in self.batch {
            let (own, rest) = room.split_at_mut(leaves.ends().len());
            for (to, end) in own.iter_mut().zip(leaves.ends()) {
                *to = in_32_bits(start + end).to_le_bytes();
            }
            start += leaves.text().len();
            room = rest;
        }
        Ok(Stored::At(at, count))
    }
}

/// A place in the text of a batch.
#[expect(
    clippy::cast_possible_truncation,
    reason = "no batch is made of a text that 32 bits do not count"
)]
fn in_32_bits(place: usize) -> u32 {
    place as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use mirror_core::document::{DocumentKind, Leaf, LeafRole, Leaves};
    use wasmtime::{
        Engine, Store,
        component::{Component, Linker},
    };

    /// What a guest sees of a value: a digest of its memory and of what the function is given.
    fn seen<V: Lower + 'static>(of_type: &str, encoding: &str, value: V) -> u32 {
        let text = format!(
            r#"(component
                (type $role' (enum "key" "text" "scalar"))
                (export $role "role" (type $role'))
                (core module $m
                    (memory (export "memory") 1)
                    (global $free (mut i32) (i32.const 64))
                    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
                        (local $at i32)
                        (local.set $at (i32.and
                            (i32.add (global.get $free) (i32.sub (local.get 2) (i32.const 1)))
                            (i32.sub (i32.const 0) (local.get 2))))
                        (memory.copy (local.get $at) (local.get 0) (local.get 1))
                        (global.set $free (i32.add (local.get $at) (local.get 3)))
                        (local.get $at))
                    (func (export "digest") (param i32 i32) (result i32)
                        (local $at i32) (local $digest i32)
                        (loop $next
                            (local.set $digest (i32.mul (i32.const 16777619)
                                (i32.xor (local.get $digest) (i32.load8_u (local.get $at)))))
                            (local.set $at (i32.add (local.get $at) (i32.const 1)))
                            (br_if $next (i32.lt_u (local.get $at) (global.get $free))))
                        (i32.add (local.get $digest)
                            (i32.add (local.get 0) (i32.mul (i32.const 31) (local.get 1))))))
                (core instance $i (instantiate $m))
                (func (export "digest") (param "value" {of_type}) (result u32)
                    (canon lift (core func $i "digest") (memory (core memory $i "memory"))
                        (realloc (core func $i "realloc")) string-encoding={encoding})))"#
        );
        let engine = Engine::default();
        let component = Component::new(&engine, text).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Linker::new(&engine).instantiate(&mut store, &component).unwrap();
        let digest = instance
            .get_typed_func::<(V,), (u32,)>(&mut store, "digest")
            .unwrap();
        digest.call(&mut store, (value,)).unwrap().0
    }

    fn document(values: &[(LeafRole, &str)]) -> Document {
        let leaf = |&(role, value)| Leaf {
            pointer: "/č/a",
            role,
            value,
        };
        Document {
            path: None,
            kind: DocumentKind::Config,
            component_id: String::new(),
            config_id: String::new(),
            leaves: values.iter().map(leaf).collect::<Leaves>(),
        }
    }

    #[test]
    fn a_guest_sees_what_it_would_if_all_was_put_together_first() {
        use LeafRole::{Key, Scalar, Text as Word};
        let several = [
            document(&[(Key, "heslo"), (Word, "žluťoučký kůň"), (Scalar, "1")]),
            document(&[]),
            document(&[(Word, "😀"), (Scalar, "")]),
        ];
        for batch in [several.as_slice(), &several[..1], &several[1..2], &[]] {
            let batch: &'static [Document] = batch.to_vec().leak();
            let Batch {
                roles, text, ends, ..
            } = Batch::new(batch).unwrap();
            let leaves = || batch.iter().flat_map(|document| document.leaves.iter());

            let together: Vec<wit::LeafRole> = leaves().map(|leaf| role(leaf.role)).collect();
            assert_eq!(
                seen("(list $role)", "utf8", roles),
                seen("(list $role)", "utf8", together)
            );

            let mut end = 0;
            let lengths = leaves().flat_map(|leaf| [leaf.pointer.len(), leaf.value.len()]);
            let together: Vec<u32> = lengths
                .map(|length| {
                    end += u32::try_from(length).unwrap();
                    end
                })
                .collect();
            assert_eq!(
                seen("(list u32)", "utf8", ends),
                seen("(list u32)", "utf8", together)
            );

            let together: String = leaves().flat_map(|leaf| [leaf.pointer, leaf.value]).collect();
            assert_eq!(
                seen("string", "utf8", text),
                seen("string", "utf8", together.clone())
            );
            for encoding in ["utf16", "latin1+utf16"] {
                let text = Batch::new(batch).unwrap().text;
                assert_eq!(
                    seen("string", encoding, text),
                    seen("string", encoding, together.clone()),
                    "{encoding}"
                );
            }
        }
    }
}
