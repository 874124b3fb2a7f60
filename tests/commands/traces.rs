//! What logs are told: names, and nothing that anybody wrote.

use annalist::{Metadata, Store};

use crate::bank::{Deposited, Withdraw, open, rename, renamed, send};
use crate::heard::heard;
use crate::stage::{Staged, Told};
use crate::{account, write};

const CANARY: &str = "canary-4711";

/// Every field of a command, its metadata, its events and of what refuses it holds the
/// canary.
async fn tell_all(store: Store) {
    let staged = Staged::over(store);
    let secret = || {
        let metadata = Metadata::by(CANARY).with_correlation_id(CANARY);
        let metadata = metadata.with_causation_id(CANARY);
        metadata.with_extra(CANARY, CANARY.into())
    };
    let bus = staged.bus();
    let opened = bus.dispatch(1, open(CANARY)).metadata(secret());
    opened.command_id("k").await.expect("an outcome");
    let again = bus.dispatch(1, open(CANARY)).command_id("k");
    again.await.expect("an outcome");
    // A merge that refuses in words of its own, after an attempt that was lost.
    let conflict = |events: &'static [&'static str]| {
        for owner in events {
            staged.meanwhile(async move |inner| write(&inner, &[renamed(owner)]).await);
        }
    };
    conflict(&[CANARY]);
    let refused = bus
        .dispatch(crate::KEY, rename("x"))
        .metadata(secret())
        .await;
    let refused = refused.expect_err("refused");
    assert!(refused.to_string().contains(CANARY), "the caller is told");
    conflict(&[CANARY, CANARY]);
    let withdrawn = bus.dispatch(crate::KEY, Withdraw { cents: 0 });
    withdrawn.metadata(secret()).await.expect("an outcome");
    conflict(&[CANARY]);
    bus.dispatch(crate::KEY, send(0)).await.expect_err("lost");
    staged.answers([Told::Busy, Told::UnknownLanded]);
    bus.dispatch(crate::KEY, rename(CANARY))
        .await
        .expect("an outcome");
    let rejected = bus.decide(crate::KEY, "reject", |_: &crate::bank::Account| {
        Err::<Vec<_>, _>(std::io::Error::other(CANARY))
    });
    rejected.await.expect_err("rejected");
    let fallen = bus.decide(crate::KEY, "fall", |_: &crate::bank::Account| {
        if crate::KEY == "42" {
            panic!("{CANARY}");
        }
        Err::<Vec<_>, _>(std::fmt::Error)
    });
    fallen.await.expect_err("panicked");
    let event = annalist::NewEvent::json("Deposited", &CANARY).expect("an event");
    let stream = account(crate::KEY);
    let written = staged
        .inner
        .append(&stream, annalist::ExpectedVersion::Any, [event]);
    written.await.expect("an append");
    bus.dispatch(crate::KEY, rename("x"))
        .await
        .expect_err("undecodable");
    write(&staged.inner, &[Deposited { cents: 1 }]).await;
}

#[test]
fn no_log_ever_learns_what_is_in_a_command_or_an_event() {
    let text = heard(tell_all(Store::memory()));
    for named in [
        "command=\"open\"",
        "command=\"rename\"",
        "stream=account-42",
        "stream=account-1",
    ] {
        assert!(text.contains(named), "{named} is not in {text}");
    }
    for told in [
        "lost a race",
        "conflict",
        "refused",
        "busy",
        "unknown_outcome",
    ] {
        assert!(text.contains(told), "{told} is not in {text}");
    }
    assert!(!text.contains(CANARY), "{text}");
}

#[cfg(feature = "sqlite")]
#[test]
fn no_log_of_the_durable_store_learns_it_either() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = heard(async {
        let store = Store::open(folder.path().join("bank.db")).await;
        let store = store.expect("a store");
        tell_all(store.clone()).await;
        store.close().await.expect("a clean close");
    });
    assert!(text.contains("stream=account-42"));
    assert!(!text.contains(CANARY), "{text}");
}
