//! The renderer of the repository's layout.

use crate::{
    batch::pieces,
    bindings::{
        exports::keboola::mirror::layout::{Guest as Calls, GuestIndices},
        keboola::mirror::types::GuestError,
    },
    builtin::Builtin,
    convert::{
        self, Wrong,
        layout::{ObjectParts, PlacedParts},
    },
    error::SandboxError,
    fit,
    guest::{Guest, Host, Origin},
    meter::{AnswerLimit, Failure, Meter},
    text::{self, Issue},
};
use mirror_core::{
    document::Context,
    finding::WithholdReason,
    layout::{
        Entry, Gathered, IndexKind, Inspection, PlacedObject, RawFile, Recovered, Rendered, SourceObject,
    },
};
use std::sync::Arc;
use wasmtime::Store;

/// So much of objects it is asked about at a time: the answers are some times as large.
const PIECE_BYTES: usize = 16 << 10;

/// A shard of an index and its entries, sorted by key.
pub type FilledShard = (IndexKind, String, Vec<Entry>);

/// The renderer. Cheap to clone; calls block and may run in parallel.
///
/// `settings` is the mirror's render options everywhere, a JSON text. All functions are pure: the
/// same arguments give the same answer.
#[derive(Debug, Clone)]
pub struct LayoutRenderer(Arc<Guest<GuestIndices>>);

impl LayoutRenderer {
    pub(crate) fn prepare(host: Arc<Host>, builtin: Builtin) -> Result<Self, SandboxError> {
        let name = builtin.name.to_owned();
        let guest = Guest::prepare(
            host,
            name,
            Origin::Builtin,
            builtin.component,
            &fit::LAYOUT,
            GuestIndices::new,
        )?;
        guest.check_types(
            |indices, store, instance| indices.load(store, instance).map(drop),
            |_, _| Vec::new(),
        )?;
        Ok(Self(Arc::new(guest)))
    }

    /// Calls a guest under this one's name that does not end, as one with a fault may not.
    ///
    /// # Panics
    /// It never returns otherwise.
    #[cfg(feature = "failpoints")]
    pub fn endless(&self) -> ! {
        let _running = self.0.host.begin(&self.0.name);
        let engine = self.0.host.engine(Origin::Builtin);
        let component = r#"(component
            (core module $loop (func (export "run") (loop (br 0))))
            (core instance $loop (instantiate $loop))
            (func (export "run") (canon lift (core func $loop "run"))))"#;
        let component = wasmtime::component::Component::new(engine, component).expect("it is well-formed");
        let mut store = self.0.host.store(Origin::Builtin, AnswerLimit::Output);
        let linker = wasmtime::component::Linker::new(engine);
        let instance = linker.instantiate(&mut store, &component);
        let instance = instance.expect("it imports nothing");
        let run = instance.get_typed_func::<(), ()>(&mut store, "run");
        let ended = run.expect("it exports it").call(&mut store, ());
        unreachable!("it loops: {ended:?}")
    }

    /// Returns the SHA-256 of the component, in hexadecimal digits.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.0.digest
    }

    /// Makes sure that the renderer takes the settings.
    ///
    /// To be called before anything is rendered with them: they would fail every object by itself.
    ///
    /// # Errors
    /// [`SandboxError::Settings`], [`SandboxError::Unusable`] and [`SandboxError::Deadline`].
    pub fn check_settings(&self, context: &Context, settings: &str) -> Result<(), SandboxError> {
        let answer = self.0.run(AnswerLimit::Output, |indices, store, instance| {
            let calls = indices.load(&mut *store, instance)?;
            calls.call_inspect(store, convert::context(context), settings, &[])
        });
        match answer.map_err(|failure| self.0.unusable(failure))? {
            Ok(_) => Ok(()),
            Err(error) => {
                let issue = Issue {
                    pointer: String::new(),
                    message: text::printable(&error.message),
                };
                Err(SandboxError::Settings {
                    guest: self.0.name.clone(),
                    issues: vec![issue],
                })
            }
        }
    }

    /// Says where each object belongs and what it depends on, in order.
    ///
    /// # Errors
    /// [`SandboxError::Deadline`] of a guest that is interrupted; ours is not.
    pub fn inspect(
        &self,
        context: &Context,
        settings: &str,
        objects: &[SourceObject],
    ) -> Result<Vec<Result<Inspection, WithholdReason>>, SandboxError> {
        self.0.judge(
            &scope("inspect", context, settings),
            objects,
            &source_bytes,
            |batch| {
                let answers = self.call_in_pieces(batch, &source_bytes, |calls, store, piece| {
                    let parts: Vec<_> = piece.iter().map(ObjectParts::of).collect();
                    let lent: Vec<_> = piece
                        .iter()
                        .zip(&parts)
                        .map(|(object, parts)| parts.object(object))
                        .collect();
                    calls.call_inspect(store, convert::context(context), settings, &lent)
                })?;
                self.check_all(answers, |raw| convert::layout::inspection(self.0.limits(), raw))
            },
        )
    }

    /// Renders each object's files and entries, in order. The files' paths are not checked.
    ///
    /// # Errors
    /// [`SandboxError::Deadline`] of a guest that is interrupted; ours is not.
    pub fn render(
        &self,
        context: &Context,
        settings: &str,
        objects: &[PlacedObject],
    ) -> Result<Vec<Result<Rendered, WithholdReason>>, SandboxError> {
        self.0.judge(
            &scope("render", context, settings),
            objects,
            &placed_bytes,
            |batch| {
                let answers = self.call_in_pieces(batch, &placed_bytes, |calls, store, piece| {
                    let parts: Vec<_> = piece.iter().map(PlacedParts::of).collect();
                    let lent: Vec<_> = piece
                        .iter()
                        .zip(&parts)
                        .map(|(placed, parts)| parts.placed(placed))
                        .collect();
                    calls.call_render(store, convert::context(context), settings, &lent)
                })?;
                self.check_all(answers, |raw| convert::layout::rendered(self.0.limits(), raw))
            },
        )
    }

    /// Makes the files of shards, each from its entries, which are sorted by key; in order.
    ///
    /// Shards are small and many, so that an instance for each would take longer than what it is asked:
    /// those of a batch are asked for one after the other in the same one.
    ///
    /// # Errors
    /// [`SandboxError::Deadline`] of a guest that is interrupted; ours is not.
    pub fn gather(
        &self,
        context: &Context,
        settings: &str,
        shards: &[FilledShard],
    ) -> Result<Vec<Result<Gathered, WithholdReason>>, SandboxError> {
        let weigh = |(_, _, entries): &FilledShard| {
            let entries = entries.iter();
            entries.map(|entry| entry.key.len() + entry.value.len()).sum()
        };
        self.0
            .judge(&scope("gather", context, settings), shards, &weigh, |batch| {
                let answers = self.0.run(AnswerLimit::Output, |indices, store, instance| {
                    let calls = indices.load(&mut *store, instance)?;
                    let mut answers = Vec::with_capacity(batch.len());
                    for (kind, shard, entries) in batch {
                        let lent: Vec<_> = entries.iter().map(convert::layout::entry_in).collect();
                        let kind = convert::layout::index_kind_in(*kind);
                        let context = convert::context(context);
                        answers.push(calls.call_gather(
                            &mut *store,
                            context,
                            settings,
                            kind,
                            shard,
                            &lent,
                        )?);
                    }
                    Ok(answers)
                })?;
                let limits = self.0.limits();
                let each = answers.into_iter().enumerate().map(|(index, answer)| {
                    let item = |reason| Failure::Item { index, reason };
                    let raw = answer.map_err(|error| item(self.0.refusal(&error)))?;
                    convert::layout::gathered(limits, raw).map_err(|wrong| item(self.0.wrong(wrong)))
                });
                each.collect()
            })
    }

    /// Says of each path whether [`recover`](Self::recover) wants to read its file.
    ///
    /// # Errors
    /// [`SandboxError::Unusable`], and [`SandboxError::Deadline`], which is temporary.
    pub fn recoverable(&self, settings: &str, paths: &[String]) -> Result<Vec<bool>, SandboxError> {
        let lent: Vec<&str> = paths.iter().map(String::as_str).collect();
        let answers = self.call(|calls, store| calls.call_recoverable(store, settings, &lent).map(Ok));
        let answers = answers.map_err(|failure| self.0.unusable(failure))?;
        if answers.len() != paths.len() {
            let reason = self
                .0
                .malformed(format!("{} answers for {} paths", answers.len(), paths.len()));
            return Err(self.0.unusable(Failure::Batch(reason)));
        }
        Ok(answers)
    }

    /// Reads the manifest, indices and versions back from files of the repository, as far as they go.
    ///
    /// # Errors
    /// [`SandboxError::Unusable`], and [`SandboxError::Deadline`], which is temporary.
    pub fn recover(
        &self,
        context: &Context,
        settings: &str,
        files: &[RawFile],
    ) -> Result<Recovered, SandboxError> {
        let lent: Vec<_> = files.iter().map(convert::layout::file_in).collect();
        let answer =
            self.call(|calls, store| calls.call_recover(store, convert::context(context), settings, &lent));
        let answer = answer.map_err(|failure| self.0.unusable(failure))?;
        let wrong = |wrong: Wrong| self.0.unusable(Failure::Batch(self.0.wrong(wrong)));
        convert::layout::recovered(answer).map_err(wrong)
    }

    fn call<R>(
        &self,
        call: impl FnOnce(&Calls, &mut Store<Meter>) -> wasmtime::Result<Result<R, GuestError>>,
    ) -> Result<R, Failure> {
        let answer = self.0.run(AnswerLimit::Output, |indices, store, instance| {
            let calls = indices.load(&mut *store, instance)?;
            call(&calls, store)
        })?;
        answer.map_err(|error| self.0.refused(&error))
    }

    /// Asks one fresh instance about a batch, a piece after the other, so that it works in memory that it has touched before.
    fn call_in_pieces<I, R>(
        &self,
        batch: &[I],
        weigh: &dyn Fn(&I) -> usize,
        mut call: impl FnMut(&Calls, &mut Store<Meter>, &[I]) -> wasmtime::Result<Result<Vec<R>, GuestError>>,
    ) -> Result<Vec<R>, Failure> {
        self.call(|calls, store| {
            let mut answers = Vec::with_capacity(batch.len());
            for piece in pieces(batch, PIECE_BYTES, weigh) {
                let before = answers.len();
                match call(calls, store, piece)? {
                    Ok(more) if more.len() == piece.len() => answers.extend(more),
                    Ok(more) => {
                        let (answers, items) = (more.len(), piece.len());
                        let detail = format!("{answers} answers for {items} items");
                        return Err(wasmtime::Error::msg(detail));
                    }
                    Err(error) => return Ok(Err(convert::after(before, error))),
                }
            }
            Ok(Ok(answers))
        })
    }

    fn check_all<R, O>(&self, raw: Vec<R>, check: impl Fn(R) -> Result<O, Wrong>) -> Result<Vec<O>, Failure> {
        let checked = raw.into_iter().enumerate().map(|(index, raw)| {
            check(raw).map_err(|wrong| Failure::Item {
                index,
                reason: self.0.wrong(wrong),
            })
        });
        checked.collect()
    }
}

fn scope<'a>(function: &'a str, context: &'a Context, settings: &'a str) -> [&'a str; 5] {
    [
        function,
        settings,
        context.stack.as_str(),
        context.project.as_str(),
        context.branch.as_str(),
    ]
}

fn source_bytes(object: &SourceObject) -> usize {
    object.source.len()
        + object
            .metadata
            .iter()
            .map(|(key, value)| key.len() + value.len())
            .sum::<usize>()
}

fn placed_bytes(placed: &PlacedObject) -> usize {
    source_bytes(&placed.object) + facts_bytes(placed)
}

/// What resolved references bring along can outweigh the object itself.
fn facts_bytes(placed: &PlacedObject) -> usize {
    placed
        .references
        .iter()
        .flatten()
        .map(|found| found.facts.len() + found.path.len())
        .sum()
}
