//! The pipeline: one attempt, from the log to the remote. A file a stage.

pub mod attempt;
pub mod backfill;
mod blobs;
mod breaker;
pub mod build;
pub mod cache;
pub mod cause;
pub mod error;
pub mod fetch;
pub mod former;
mod job_days;
pub mod memories;
pub mod memory;
pub(crate) mod months;
pub mod observed;
mod parallel;
pub mod progress;
pub mod reconcile;
pub mod recover;
pub mod render;
pub mod rendering;
pub mod spool;
pub mod stages;
pub mod survey;
pub mod transform;
pub mod unusable;
pub mod work;
