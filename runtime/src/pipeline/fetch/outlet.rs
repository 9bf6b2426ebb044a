//! Where a listing's objects go: to whoever looks at them, a bounded batch at a time, while the rest is fetched.

use crate::pipeline::spool::weight;
use mirror_core::{cut::ConfigKey, layout::SourceObject};
use tokio::sync::mpsc;

/// Objects of one batch, and their bytes unless one alone has more.
const BATCH_MAX: usize = 512;
const BATCH_BYTES_MAX: usize = 2 << 20;

/// What comes out of a listing.
#[derive(Debug)]
pub enum Listed {
    Objects(Vec<SourceObject>),
    /// What came of this configuration is out of date; what holds comes after.
    TakenBack(ConfigKey),
}

/// The fetching end.
#[derive(Debug)]
pub struct Outlet {
    to: mpsc::Sender<Listed>,
    batch: Vec<SourceObject>,
    weight: usize,
}

impl Outlet {
    /// Makes an outlet, and what comes out of it. One batch waits at most.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<Listed>) {
        let (to, out) = mpsc::channel(1);
        let outlet = Self {
            to,
            batch: Vec::new(),
            weight: 0,
        };
        (outlet, out)
    }

    pub(super) async fn put(&mut self, object: SourceObject) {
        self.weight += weight(&object);
        self.batch.push(object);
        if self.batch.len() >= BATCH_MAX || self.weight >= BATCH_BYTES_MAX {
            self.flush().await;
        }
    }

    pub(super) async fn put_all(&mut self, objects: &mut Vec<SourceObject>) {
        for object in objects.drain(..) {
            self.put(object).await;
        }
    }

    pub(super) async fn take_back(&mut self, key: &ConfigKey) {
        self.flush().await;
        self.send(Listed::TakenBack(key.clone())).await;
    }

    pub(super) async fn flush(&mut self) {
        self.weight = 0;
        if !self.batch.is_empty() {
            let batch = std::mem::take(&mut self.batch);
            self.send(Listed::Objects(batch)).await;
        }
    }

    async fn send(&self, listed: Listed) {
        // Who stopped listening has failed, and says so.
        let _ = self.to.send(listed).await;
    }
}
