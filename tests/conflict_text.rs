//! What a refusal says: which stream, what was expected, what is there, and what to
//! do next. The texts are part of the interface, so they are written down.

use annalist::{
    AppendError, Commit, EventId, ExpectedVersion, Fingerprint, NewEvent, Store, StreamId, Version,
};

fn stream(name: &str) -> StreamId {
    name.parse().expect("a stream id")
}

fn event(letter: &str) -> NewEvent {
    let event = NewEvent::json("Noted", letter).expect("an event");
    event.with_id(EventId::derived("conflict-text", letter))
}

/// A store in which `order-1` holds three events and `order-2` one.
async fn store() -> Store {
    let store = Store::memory();
    let three = [event("a"), event("b"), event("c")];
    store
        .append(&stream("order-1"), ExpectedVersion::Any, three)
        .await
        .expect("three events");
    store
        .append(&stream("order-2"), ExpectedVersion::Any, [event("a")])
        .await
        .expect("one event");
    store
}

async fn refused(commit: Commit) -> AppendError {
    store().await.commit(commit).await.expect_err("a refusal")
}

fn append(name: &str, expected: impl Into<ExpectedVersion>) -> Commit {
    Commit::new().append(stream(name), expected, [event("new")])
}

#[tokio::test]
async fn a_conflict_names_stream_expected_actual_and_the_next_step() {
    let error = refused(append("order-1", Version::new(2))).await;
    insta::assert_snapshot!(error, @"conflict: stream order-1: expected version 2, but it is at version 3; load the event at version 3 and decide again");
    let error = refused(append("order-1", Version::new(1))).await;
    insta::assert_snapshot!(error, @"conflict: stream order-1: expected version 1, but it is at version 3; load the 2 events from version 2 on and decide again");
    let error = refused(append("order-1", Version::new(7))).await;
    insta::assert_snapshot!(error, @"conflict: stream order-1: expected version 7, but it is only at version 3; load it again, the version was not read from it");
    let error = refused(append("order-1", ExpectedVersion::NoStream)).await;
    insta::assert_snapshot!(error, @"conflict: stream order-1: expected no stream, but it is at version 3; load the 3 events from version 1 on and decide again");
    let error = refused(append("order-9", ExpectedVersion::StreamExists)).await;
    insta::assert_snapshot!(error, @"conflict: stream order-9: expected an existing stream, but it was never written; append with no stream expected to create it");
    let error = refused(append("order-9", Version::new(3))).await;
    insta::assert_snapshot!(error, @"conflict: stream order-9: expected version 3, but it was never written; append with no stream expected to create it");
}

#[tokio::test]
async fn a_conflict_over_several_streams_lists_each() {
    let commit = append("order-1", Version::new(2))
        .append(stream("order-2"), Version::new(1), [event("new")])
        .check(stream("order-9"), ExpectedVersion::StreamExists);
    insta::assert_snapshot!(refused(commit).await, @"conflict: 2 of 3 expectations did not hold: stream order-1: expected version 2, but it is at version 3; load the event at version 3 and decide again; stream order-9: expected an existing stream, but it was never written; append with no stream expected to create it");
}

#[tokio::test]
async fn a_duplicate_names_the_event_and_where_it_stands() {
    let twice = Commit::new().append(
        stream("order-1"),
        ExpectedVersion::Any,
        [event("x"), event("x")],
    );
    insta::assert_snapshot!(refused(twice).await, @"event 13140951-4659-509c-b50b-853e69952230 of stream order-1 was sent twice in one append; give each event an id of its own");
    let stale = Commit::new().append(stream("order-1"), Version::new(3), [event("c")]);
    insta::assert_snapshot!(refused(stale).await, @"event c0d7402d-bd46-5201-a8f5-1486b06dced7 of stream order-1 is stored already at version 3; send the first commit unchanged, or give a new event a new id");
    let other = NewEvent::json("Noted", "other").expect("an event");
    let other = other.with_id(EventId::derived("conflict-text", "b"));
    let other = Commit::new().append(stream("order-1"), Version::new(1), [other]);
    insta::assert_snapshot!(refused(other).await, @"event 5b8327e0-be6e-5001-9437-0e22f85ff442 of stream order-1 is stored already at version 2 with another payload, compared to the byte; send what was sent first, or give a new event a new id");
}

#[tokio::test]
async fn a_key_that_took_effect_says_so() {
    let store = store().await;
    let keyed = |what| append("order-3", ExpectedVersion::Any).key("pay-7", Fingerprint::of(what));
    store.commit(keyed("pay 5")).await.expect("the first time");
    let error = store.commit(keyed("pay 5")).await.expect_err("the second");
    insta::assert_snapshot!(error, @r#"the commit key "pay-7" took effect before in stream order-3; nothing was written again, the receipt is the first one's"#);
    let error = store.commit(keyed("pay 6")).await.expect_err("another");
    insta::assert_snapshot!(error, @r#"the commit key "pay-7" was used before in stream order-3 for something else; use a new key for a new commit"#);
}

#[tokio::test]
async fn a_limit_names_itself_the_place_and_the_value() {
    let long = NewEvent::json(&"T".repeat(257), "x").expect("an event");
    let long = long.with_id(EventId::derived("conflict-text", "long"));
    let commit = Commit::new().append(stream("order-1"), ExpectedVersion::Any, [long]);
    insta::assert_snapshot!(refused(commit).await, @"bytes of the type of event 2de3f6f4-9805-5988-b770-2a2c3ed510c8 of stream order-1: 257 is more than the limit event_type_bytes_max of 256");
    let commit = append("order-1", Version::ZERO).check(stream("order-1"), Version::ZERO);
    insta::assert_snapshot!(refused(commit).await, @"the commit is not valid: it names stream order-1 twice; put all its events into one append");
    insta::assert_snapshot!(refused(Commit::new()).await, @"the commit is not valid: it names no stream; append to one or check one");
}

#[tokio::test]
async fn a_closed_handle_says_so() {
    let store = store().await;
    store.close().await.expect("a clean close");
    let error = store
        .append(&stream("order-1"), ExpectedVersion::Any, [])
        .await;
    insta::assert_snapshot!(error.expect_err("a refusal"), @"the store in memory: this handle is closed; open the store again");
}
