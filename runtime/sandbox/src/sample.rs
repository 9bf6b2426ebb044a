//! The filter of table samples.

use crate::{
    bindings::exports::keboola::mirror::sampling::GuestIndices,
    builtin::Builtin,
    convert::{self, sample::SampleParts},
    error::SandboxError,
    fit,
    guest::{Guest, Host, Origin},
    meter::{AnswerLimit, Failure},
    text,
};
use mirror_core::{
    document::Context,
    finding::WithholdReason,
    sample::{Choice, Sample},
};
use std::sync::Arc;

/// The filter with its settings. Cheap to clone; calls may run in parallel.
#[derive(Debug, Clone)]
pub struct SampleFilter(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    guest: Guest<GuestIndices>,
    settings: String,
}

impl SampleFilter {
    pub(crate) fn prepare(host: Arc<Host>, builtin: Builtin, settings: &str) -> Result<Self, SandboxError> {
        let name = builtin.name.to_owned();
        let guest = Guest::prepare(
            host,
            name,
            Origin::Builtin,
            builtin.component,
            &fit::SAMPLING,
            GuestIndices::new,
        )?;
        guest.check_types(
            |indices, store, instance| indices.load(store, instance).map(drop),
            |_, _| Vec::new(),
        )?;
        let configured = guest.run(AnswerLimit::HostcallFuel, |indices, store, instance| {
            indices
                .load(&mut *store, instance)?
                .call_configure(store, settings)
        });
        match configured.map_err(|failure| guest.unusable(failure))? {
            Ok(()) => Ok(Self(Arc::new(Inner {
                guest,
                settings: settings.to_owned(),
            }))),
            Err(issues) => Err(SandboxError::Settings {
                guest: guest.name,
                issues: text::issues(issues),
            }),
        }
    }

    /// Returns the SHA-256 of the component, in hexadecimal digits.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.0.guest.digest
    }

    /// Chooses what stays of each sample, in order: ascending indices in range. Blocks.
    ///
    /// # Errors
    /// [`SandboxError::Deadline`] of a guest that is interrupted; ours is not.
    pub fn choose(
        &self,
        context: &Context,
        samples: &[Sample],
    ) -> Result<Vec<Result<Choice, WithholdReason>>, SandboxError> {
        let Inner { guest, settings } = &*self.0;
        let scope = [
            "choose",
            settings,
            context.stack.as_str(),
            context.project.as_str(),
            context.branch.as_str(),
        ];
        guest.judge(&scope, samples, &weight, |batch| {
            self.choose_batch(context, batch)
        })
    }

    fn choose_batch(&self, context: &Context, batch: &[Sample]) -> Result<Vec<Choice>, Failure> {
        let Inner { guest, settings } = &*self.0;
        let parts: Vec<_> = batch.iter().map(SampleParts::of).collect();
        let rows: Vec<_> = parts.iter().map(SampleParts::rows).collect();
        let samples: Vec<_> = batch
            .iter()
            .zip(parts.iter().zip(&rows))
            .map(|(sample, (parts, rows))| parts.sample(sample, rows))
            .collect();
        let called = guest.run(AnswerLimit::HostcallFuel, |indices, store, instance| {
            let filter = indices.load(&mut *store, instance)?;
            if filter.call_configure(&mut *store, settings)?.is_err() {
                return Ok(None);
            }
            filter
                .call_choose(store, convert::context(context), &samples)
                .map(Some)
        })?;
        let answers = match called {
            Some(Ok(answers)) => answers,
            Some(Err(error)) => return Err(guest.refused(&error)),
            None => {
                return Err(Failure::Batch(
                    guest.malformed("it refused settings that it took before"),
                ));
            }
        };
        if answers.len() != batch.len() {
            let detail = format!("{} choices for {} samples", answers.len(), batch.len());
            return Err(Failure::Batch(guest.malformed(detail)));
        }
        let checked = batch
            .iter()
            .zip(answers)
            .enumerate()
            .map(|(index, (sample, choice))| {
                convert::sample::choice(sample, &choice).map_err(|wrong| Failure::Item {
                    index,
                    reason: guest.wrong(wrong),
                })
            });
        checked.collect()
    }
}

fn weight(sample: &Sample) -> usize {
    sample.rows.iter().flatten().map(String::len).sum()
}
