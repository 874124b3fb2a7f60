//! Commands that are sent without their type, and an account with two deposits.

use annalist::{AnyDispatch, AnyDispatchError, CommandBus, Store};

use crate::bank::domain;

pub(crate) fn asked(bus: &CommandBus, key: &str, name: &str, json: &str) -> AnyDispatch {
    let command = domain().decode(name, json).expect("a command");
    bus.dispatch_any(key, command)
}

pub(crate) async fn refused(
    bus: &CommandBus,
    key: &str,
    name: &str,
    json: &str,
) -> AnyDispatchError {
    asked(bus, key, name, json).await.expect_err("a refusal")
}

/// A bus with 500 cents on account 1, in two deposits.
pub(crate) async fn rich() -> CommandBus {
    let bus = CommandBus::new(Store::memory());
    for json in [r#"{"cents":200}"#, r#"{"cents":300}"#] {
        asked(&bus, "1", "deposit", json).await.expect("a deposit");
    }
    bus
}
