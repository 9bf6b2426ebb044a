//! The client against the fake: every call, and every way to fail.

mod calls;
mod failures;
mod listings;

use crate::{ClientConfig, KeboolaClient};
use fake_keboola::{Change, ConfigAt, Fake, FakeConfig, small_project};
use mirror_core::ids::{BranchId, ComponentId, ConfigId};
use secrecy::SecretString;

fn start() -> Fake {
    Fake::start(small_project(), FakeConfig::default()).unwrap()
}

/// A configuration of a client that does not wait long.
fn config(fake: &Fake) -> ClientConfig {
    ClientConfig {
        backoff_ms_min: 1,
        backoff_ms_max: 4,
        retry_after_ms_max: 2_000,
        ..ClientConfig::new(fake.url(), SecretString::from(fake.token()))
    }
}

fn client(fake: &Fake) -> KeboolaClient {
    KeboolaClient::new(config(fake)).unwrap()
}

fn main_branch() -> BranchId {
    BranchId::parse("5").unwrap()
}

fn shop() -> ComponentId {
    ComponentId::parse("keboola.ex-shop").unwrap()
}

fn orders() -> ConfigId {
    ConfigId::parse("orders").unwrap()
}

fn orders_at() -> ConfigAt {
    ConfigAt::new("5", "keboola.ex-shop", "orders")
}

fn change(second: i64) -> Change {
    Change::by(
        7,
        "jane@example.com",
        "Tried",
        jiff::Timestamp::from_second(1_780_000_000 + second).unwrap(),
    )
}
