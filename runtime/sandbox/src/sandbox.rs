//! The sandbox: where guests come from.

use crate::{
    Limits, SandboxConfig, builtin,
    error::SandboxError,
    guest::{Host, Origin},
    layout::LayoutRenderer,
    redact::{self, PolicyInfo, RedactionPolicy},
    sample::SampleFilter,
    text,
};
use std::{sync::Arc, time::Instant};

/// Prepares guests. Cheap to clone; all clones and all guests share two engines and one clock.
#[derive(Debug, Clone)]
pub struct Sandbox {
    host: Arc<Host>,
}

impl Sandbox {
    /// Starts the engines and the thread that ticks the deadlines.
    ///
    /// # Errors
    /// [`SandboxError::Engine`], [`SandboxError::Ticker`] and [`SandboxError::CacheDir`].
    pub fn new(config: SandboxConfig) -> Result<Self, SandboxError> {
        let host = Host::new(config)?;
        Ok(Self { host: Arc::new(host) })
    }

    /// Prepares the built-in layout renderer.
    ///
    /// # Errors
    /// Those of preparing a guest: [`SandboxError::Compile`] and [`SandboxError::Misfit`].
    pub fn layout_renderer(&self) -> Result<LayoutRenderer, SandboxError> {
        LayoutRenderer::prepare(Arc::clone(&self.host), builtin::LAYOUT_RENDERER)
    }

    /// Prepares the built-in sample filter. `settings` is a JSON text, `{}` for the defaults.
    ///
    /// # Errors
    /// Those of preparing a guest, and [`SandboxError::Settings`].
    pub fn sample_filter(&self, settings: &str) -> Result<SampleFilter, SandboxError> {
        SampleFilter::prepare(Arc::clone(&self.host), builtin::SAMPLE_FILTER, settings)
    }

    /// Prepares the built-in redaction policy, with its default settings.
    ///
    /// # Errors
    /// Those of preparing a guest.
    pub fn secret_redaction(&self) -> Result<RedactionPolicy, SandboxError> {
        let builtin = builtin::SECRET_REDACTION;
        let name = builtin.name.to_owned();
        RedactionPolicy::prepare(
            Arc::clone(&self.host),
            name,
            Origin::Builtin,
            builtin.component,
            "{}",
            self.host.limits(Origin::Builtin),
        )
    }

    /// Prepares a customer's redaction policy from the bytes of its component.
    ///
    /// `name` is how reasons and messages call it, after the word "policy"; it should be a word of the operator's.
    /// The component is scanned before it is compiled, must import no function or resource, is asked
    /// to describe itself and is given its settings (a JSON text), all before any content is in reach.
    ///
    /// # Errors
    /// [`SandboxError::Misfit`] lists all that does not fit and what mends it; [`SandboxError::Settings`]
    /// lists what the policy finds wrong with its settings; [`SandboxError::Unusable`] where it fails at
    /// describing itself; [`SandboxError::Deadline`] is temporary.
    pub fn customer_policy(
        &self,
        name: &str,
        bytes: &[u8],
        settings: &str,
    ) -> Result<RedactionPolicy, SandboxError> {
        let limits = self.host.limits(Origin::Customer).clone();
        self.customer_policy_within(name, bytes, settings, &limits)
    }

    /// The same of a policy that is held to limits of its own. What its component and its stack may have is as with all others.
    ///
    /// # Errors
    /// As for [`Self::customer_policy`]; a policy that cannot even say what it is within its limits is unusable.
    pub fn customer_policy_within(
        &self,
        name: &str,
        bytes: &[u8],
        settings: &str,
        limits: &Limits,
    ) -> Result<RedactionPolicy, SandboxError> {
        let name = format!("policy {}", text::printable(name));
        let host = Arc::clone(&self.host);
        RedactionPolicy::prepare(host, name, Origin::Customer, bytes, settings, limits)
    }

    /// Returns which of our own guests has been running for longer than the limits' `deadline_ms`
    /// ([`SandboxError::NoEnd`]). Nothing interrupts them; a process in which one does not end has to be started again.
    #[must_use]
    pub fn overdue(&self, now: Instant) -> Option<SandboxError> {
        self.host.overdue(now)
    }

    /// Asks a customer's policy what it is, without giving it settings.
    ///
    /// # Errors
    /// As for [`Self::customer_policy`], but for settings.
    pub fn describe_policy(&self, name: &str, bytes: &[u8]) -> Result<PolicyInfo, SandboxError> {
        let name = format!("policy {}", text::printable(name));
        redact::describe_only(Arc::clone(&self.host), name, bytes)
    }
}
