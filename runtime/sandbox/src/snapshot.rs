//! A policy as it is once it has its settings: what `configure` built is part of the component's own memory.
//!
//! Every batch runs in a fresh instance, and setting a policy up may cost more than judging a batch. So it is
//! set up once; what its memories and globals are then becomes what they are at instantiation. Nothing else
//! changes, and no content was in reach. Where a component cannot be treated so (it changes a table, say), it
//! is set up in every instance, as before.

use crate::{
    bindings::exports::keboola::mirror::redaction::GuestIndices,
    compile::CompileError,
    guest::{Host, Origin},
    meter::{AnswerLimit, Meter},
};
use sha2::{Digest, Sha256};
use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::{Context, Poll, Waker},
};
use wasmtime::{
    Store,
    component::{Component, ComponentType, Instance, Lift, Linker, WasmList},
};
use wasmtime_wizer::{ComponentInstanceState, Wizer};

/// Changes when a snapshot is taken in another way.
const FORMAT: &str = "kbc-mirror configured policy 1";

/// Names a policy with its settings in the cache of compiled guests, in hexadecimal digits.
pub(crate) fn digest(component: &str, settings: &str) -> String {
    let mut digest = Sha256::new();
    // The first two have a fixed length.
    digest.update(FORMAT);
    digest.update(component);
    digest.update(settings);
    data_encoding::HEXLOWER.encode(&digest.finalize())
}

/// Returns the component as it is after `configure(settings)`.
///
/// # Errors
/// A component that cannot be treated so, does not fit, fails, or refuses the settings.
pub(crate) fn configured(
    host: &Host,
    origin: Origin,
    bytes: &[u8],
    settings: &str,
) -> Result<Vec<u8>, CompileError> {
    // A parser of a customer's bytes that takes some form for impossible must not end the process.
    let taken = catch_unwind(AssertUnwindSafe(|| take(host, origin, bytes, settings)));
    taken.unwrap_or_else(|_| Err(CompileError::new("the snapshot failed")))
}

fn take(host: &Host, origin: Origin, bytes: &[u8], settings: &str) -> Result<Vec<u8>, CompileError> {
    let wizer = Wizer::new();
    let (parsed, instrumented) = wizer.instrument_component(bytes)?;
    let engine = host.engine(origin);
    let component = Component::from_binary(engine, &instrumented)?;
    let pre = Linker::new(engine).instantiate_pre(&component)?;
    let indices = GuestIndices::new(&pre)?;
    let mut store = host.store(origin, AnswerLimit::HostcallFuel);
    let instance = pre.instantiate(&mut store)?;
    let policy = indices.load(&mut store, &instance)?;
    if policy.call_configure(&mut store, settings)?.is_err() {
        return Err(CompileError::new("it refuses its settings"));
    }
    let mut state = State {
        store: &mut store,
        instance,
        failure: None,
    };
    let snapshot = at_once(wizer.snapshot_component(&parsed, &mut state))?;
    match state.failure {
        None => Ok(snapshot?),
        Some(failure) => Err(failure.into()),
    }
}

/// Runs a future that never waits.
fn at_once<T>(future: impl Future<Output = T>) -> Result<T, CompileError> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => Ok(done),
        Poll::Pending => Err(CompileError::new("reading the state waits for something")),
    }
}

/// The state of an instance, read through what the instrumentation exports.
struct State<'s> {
    store: &'s mut Store<Meter>,
    instance: Instance,
    /// What went wrong first. All that is read after it is without meaning.
    failure: Option<wasmtime::Error>,
}

impl State<'_> {
    fn read<R, U>(
        &mut self,
        interface: &str,
        name: &str,
        then: impl FnOnce(&mut Store<Meter>, R) -> U,
    ) -> Option<U>
    where
        R: Lift + ComponentType + 'static,
    {
        match self.try_read(interface, name) {
            Ok(value) => Some(then(self.store, value)),
            Err(error) => {
                self.failure.get_or_insert(error);
                None
            }
        }
    }

    fn try_read<R>(&mut self, interface: &str, name: &str) -> wasmtime::Result<R>
    where
        R: Lift + ComponentType + 'static,
    {
        let missing = || wasmtime::Error::msg("the instrumented component lacks an export");
        let interface = self.instance.get_export_index(&mut *self.store, None, interface);
        let interface = interface.ok_or_else(missing)?;
        let function = self
            .instance
            .get_export_index(&mut *self.store, Some(&interface), name);
        let function = function.ok_or_else(missing)?;
        let function = self
            .instance
            .get_typed_func::<(), (R,)>(&mut *self.store, function)?;
        let (value,) = function.call(&mut *self.store, ())?;
        Ok(value)
    }
}

impl ComponentInstanceState for State<'_> {
    async fn call_func_ret_list_u8(
        &mut self,
        instance: &str,
        func: &str,
        contents: impl FnOnce(&[u8]) + Send,
    ) {
        self.read(instance, func, |store, bytes: WasmList<u8>| {
            contents(bytes.as_le_slice(&*store));
        });
    }

    async fn call_func_ret_s32(&mut self, instance: &str, func: &str) -> i32 {
        self.read(instance, func, |_, value| value).unwrap_or_default()
    }

    async fn call_func_ret_s64(&mut self, instance: &str, func: &str) -> i64 {
        self.read(instance, func, |_, value| value).unwrap_or_default()
    }

    async fn call_func_ret_f32(&mut self, instance: &str, func: &str) -> u32 {
        let bits = self.read(instance, func, |_, value: f32| value.to_bits());
        bits.unwrap_or_default()
    }

    async fn call_func_ret_f64(&mut self, instance: &str, func: &str) -> u64 {
        let bits = self.read(instance, func, |_, value: f64| value.to_bits());
        bits.unwrap_or_default()
    }
}
