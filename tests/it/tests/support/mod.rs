//! What whole-system tests share: a fake Keboola that outlives the process under test, that process
//! itself, the repository it writes, and an oracle over all three.
//!
//! Everything here panics with a sentence when something is not as it must be: a test that fails
//! shows the sentence and the log of every process it had started. Nothing here sleeps for luck;
//! [`until`] polls a condition and gives up after [`PATIENCE`]. Tests need a multi-threaded runtime:
//! `#[tokio::test(flavor = "multi_thread")]`.
//!
//! ```ignore
//! let keboola = Keboola::small();
//! let site = Installation::new(&keboola, Options::default());
//! let mut server = site.start().await;
//! keboola.edit(&keboola.orders(), JANE, "Why", |configuration| configuration["parameters"]["z"] = 2.into());
//! site.settle(&mut server).await;          // delivers the event, waits until the remote has it
//! site.check(&[]);                         // the oracle
//! server.stop().await;
//! ```

mod installation;
mod keboola;
mod log;
mod mail;
mod nats;
mod oracle;
mod over_http;
pub(crate) mod policy;
mod receiver;
mod repository;
mod served;
mod server;

pub(crate) use installation::{INGEST_TOKEN, Installation, MIRROR, Options, TAG_ROOT};
pub(crate) use keboola::{BOT, JANE, Keboola, PETR, Person};
pub(crate) use log::LogBook;
pub(crate) use mail::MailServer;
pub(crate) use nats::Broker;
pub(crate) use over_http::first_snapshot_over_http;
pub(crate) use receiver::{Posted, Receiver};
pub(crate) use repository::{Commit, Repository};
pub(crate) use served::GIT_TOKEN;
pub(crate) use server::{Output, Server, binary, command, run, suspend};

use std::time::{Duration, Instant};

/// How long a condition is waited for. Far more than anything takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(240);

/// How often each case of kills is played: once, unless the long run asks for more.
///
/// # Panics
/// Where `KBC_MIRROR_CRASH_ROUNDS` is no number.
pub(crate) fn rounds() -> usize {
    let rounds = std::env::var("KBC_MIRROR_CRASH_ROUNDS");
    rounds.map_or(1, |rounds| {
        rounds.parse().expect("KBC_MIRROR_CRASH_ROUNDS is a number")
    })
}

/// Plays cases of kills one after the other, each as often as [`rounds`] says.
pub(crate) async fn each_round(mut play: impl AsyncFnMut()) {
    for _ in 0..rounds() {
        play().await;
    }
}

/// Time between two looks at a condition.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Polls until `look` finds something and returns it.
///
/// # Panics
/// After [`PATIENCE`], naming what was waited for.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(
            Instant::now() < deadline,
            "waited {} s in vain: {what}",
            PATIENCE.as_secs()
        );
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
