//! What a failing scenario says. The texts are what a person works with, so they are
//! written down.

use std::panic::{AssertUnwindSafe, catch_unwind};

use annalist::NewEvent;
use annalist::testkit::scenario::{Scenario, scenario};
use insta::assert_snapshot;

use crate::domain::{
    Account, Deposit, Empty, Honour, Overdrawn, Seize, Withdraw, deposited, renamed, withdrawn,
};

/// What a failing scenario says.
fn said<T>(scenario: impl FnOnce() -> T) -> String {
    match catch_unwind(AssertUnwindSafe(scenario)) {
        Ok(_) => panic!("it did not fail"),
        Err(panic) => *panic.downcast::<String>().expect("a text"),
    }
}

fn rich() -> Scenario<Account> {
    scenario().given([deposited(500)])
}

#[test]
fn other_events_are_shown_with_the_fields_that_differ() {
    assert_snapshot!(said(|| rich().when(Withdraw { cents: 200 }).then([withdrawn(300)])), @r#"
    the command did not end as expected

      given     Deposited {"cents":500}
      when      withdraw {"cents":200}
      before    {"audits":0,"balance":500,"owner":""} at version 1
      after     {"audits":0,"balance":300,"owner":""} at version 2
      expected  to take effect with 1 event
      got       appended with 1 event, version 2

      event 1   expected  Withdrawn {"cents":300}
                got       Withdrawn {"cents":200}
                /cents    expected 300, got 200
    "#);
    assert_snapshot!(said(|| rich().when(Withdraw { cents: 200 }).then([deposited(200)])), @r#"
    the command did not end as expected

      given     Deposited {"cents":500}
      when      withdraw {"cents":200}
      before    {"audits":0,"balance":500,"owner":""} at version 1
      after     {"audits":0,"balance":300,"owner":""} at version 2
      expected  to take effect with 1 event
      got       appended with 1 event, version 2

      event 1   expected  Deposited {"cents":200}
                got       Withdrawn {"cents":200}
    "#);
    assert_snapshot!(said(|| rich().when(Withdraw { cents: 200 }).then([withdrawn(200), deposited(1)])), @r#"
    the command did not end as expected

      given     Deposited {"cents":500}
      when      withdraw {"cents":200}
      before    {"audits":0,"balance":500,"owner":""} at version 1
      after     {"audits":0,"balance":300,"owner":""} at version 2
      expected  to take effect with 2 events
      got       appended with 1 event, version 2

      event 1   Withdrawn {"cents":200}
      event 2   expected  Deposited {"cents":1}
                got       nothing
    "#);
    assert_snapshot!(said(|| rich().when(Withdraw { cents: 200 }).then([])), @r#"
    the command did not end as expected

      given     Deposited {"cents":500}
      when      withdraw {"cents":200}
      before    {"audits":0,"balance":500,"owner":""} at version 1
      after     {"audits":0,"balance":300,"owner":""} at version 2
      expected  to take effect with no events
      got       appended with 1 event, version 2

      event 1   expected  nothing
                got       Withdrawn {"cents":200}
    "#);
}

#[test]
fn a_rejection_is_told_where_events_were_expected() {
    assert_snapshot!(said(|| rich().when(Withdraw { cents: 600 }).then([withdrawn(600)])), @r#"
    the command did not end as expected

      given     Deposited {"cents":500}
      when      withdraw {"cents":600}
      before    {"audits":0,"balance":500,"owner":""} at version 1
      after     {"audits":0,"balance":500,"owner":""} at version 1
      expected  to take effect with 1 event
      got       rejected: only 500 cents are left

      event 1   expected  Withdrawn {"cents":600}
                got       nothing
    "#);
}

#[test]
fn another_rejection_is_shown_beside_the_expected_one() {
    let refused = || rich().when(Withdraw { cents: 600 });
    assert_snapshot!(said(|| refused().then_rejected(Overdrawn { balance: 1 })), @r#"
    the command did not end as expected

      given     Deposited {"cents":500}
      when      withdraw {"cents":600}
      before    {"audits":0,"balance":500,"owner":""} at version 1
      after     {"audits":0,"balance":500,"owner":""} at version 1
      expected  rejected: only 1 cents are left
      got       rejected: only 500 cents are left

      reason    expected  Overdrawn { balance: 1 }
                got       Overdrawn { balance: 500 }
    "#);
    assert_snapshot!(said(|| refused().then_rejected_where(|why| assert_eq!(why.balance, 1))), @r#"
    the command did not end as expected

      given     Deposited {"cents":500}
      when      withdraw {"cents":600}
      before    {"audits":0,"balance":500,"owner":""} at version 1
      after     {"audits":0,"balance":500,"owner":""} at version 1
      expected  a rejection that holds the assertions
      got       rejected: only 500 cents are left
      problem   assertion `left == right` failed
                  left: 500
                 right: 1
    "#);
    assert_snapshot!(said(|| rich().when(Withdraw { cents: 5 }).then_rejected(Overdrawn { balance: 1 })), @r#"
    the command did not end as expected

      given     Deposited {"cents":500}
      when      withdraw {"cents":5}
      before    {"audits":0,"balance":500,"owner":""} at version 1
      after     {"audits":0,"balance":495,"owner":""} at version 2
      expected  rejected: only 1 cents are left
      got       appended with 1 event, version 2
    "#);
}

#[test]
fn a_conflict_is_told_with_its_report() {
    let lost = || {
        rich()
            .when(Seize { cents: 200 })
            .while_another([deposited(1)])
    };
    assert_snapshot!(said(|| lost().then([withdrawn(200)])), @r#"
    the command did not end as expected

      given     Deposited {"cents":500}
      when      seize {"cents":200}
      while     Deposited {"cents":1}
      before    {"audits":0,"balance":500,"owner":""} at version 1
      after     {"audits":0,"balance":501,"owner":""} at version 2
      expected  to take effect with 1 event
      got       a conflict
      conflict  seize on stream account-1: acted on version 1, but it is at version 2; meanwhile Deposited; declared to surface (1 attempt); look at what happened meanwhile, and ask again if it is still meant
      changed   /balance

      event 1   expected  Withdrawn {"cents":200}
                got       nothing
    "#);
    assert_snapshot!(said(|| lost().then_conflict_where(|conflict| assert!(conflict.unseen.is_empty()))), @r#"
    the command did not end as expected

      given     Deposited {"cents":500}
      when      seize {"cents":200}
      while     Deposited {"cents":1}
      before    {"audits":0,"balance":500,"owner":""} at version 1
      after     {"audits":0,"balance":501,"owner":""} at version 2
      expected  a conflict that holds the assertions
      got       a conflict
      conflict  seize on stream account-1: acted on version 1, but it is at version 2; meanwhile Deposited; declared to surface (1 attempt); look at what happened meanwhile, and ask again if it is still meant
      changed   /balance
      problem   assertion failed: conflict.unseen.is_empty()
    "#);
    assert_snapshot!(said(|| rich().when(Seize { cents: 200 }).then_conflict()), @r#"
    the command did not end as expected

      given     Deposited {"cents":500}
      when      seize {"cents":200}
      before    {"audits":0,"balance":500,"owner":""} at version 1
      after     {"audits":0,"balance":300,"owner":""} at version 2
      expected  a conflict
      got       appended with 1 event, version 2
    "#);
}

#[test]
fn what_decided_must_be_what_was_expected() {
    let commuted = || {
        rich()
            .when(Deposit { cents: 1 })
            .while_another_does(Deposit { cents: 2 })
    };
    assert_snapshot!(said(|| commuted().then_redecided([deposited(1)])), @r#"
    the command did not end as expected

      given     Deposited {"cents":500}
      when      deposit {"cents":1}
      while     deposit {"cents":2}
      before    {"audits":0,"balance":500,"owner":""} at version 1
      after     {"audits":0,"balance":503,"owner":""} at version 3
      expected  redecided with 1 event
      got       commuted with 1 event, version 3, in 2 attempts

      event 1   Deposited {"cents":1}
    "#);
    assert_snapshot!(said(|| commuted().then_merged([deposited(1)])), @r#"
    the command did not end as expected

      given     Deposited {"cents":500}
      when      deposit {"cents":1}
      while     deposit {"cents":2}
      before    {"audits":0,"balance":500,"owner":""} at version 1
      after     {"audits":0,"balance":503,"owner":""} at version 3
      expected  merged with 1 event
      got       commuted with 1 event, version 3, in 2 attempts

      event 1   Deposited {"cents":1}
    "#);
    assert_snapshot!(said(|| rich().when(Deposit { cents: 1 }).then_commuted([deposited(1)])), @r#"
    the command did not end as expected

      given     Deposited {"cents":500}
      when      deposit {"cents":1}
      before    {"audits":0,"balance":500,"owner":""} at version 1
      after     {"audits":0,"balance":501,"owner":""} at version 2
      expected  commuted with 1 event
      got       appended with 1 event, version 2

      event 1   Deposited {"cents":1}
    "#);
    assert_snapshot!(said(|| commuted().then_already_applied()), @r#"
    the command did not end as expected

      given     Deposited {"cents":500}
      when      deposit {"cents":1}
      while     deposit {"cents":2}
      before    {"audits":0,"balance":500,"owner":""} at version 1
      after     {"audits":0,"balance":503,"owner":""} at version 3
      expected  already applied
      got       commuted with 1 event, version 3, in 2 attempts

      event 1   Deposited {"cents":1}
    "#);
    assert_snapshot!(said(|| commuted().then_nothing()), @r#"
    the command did not end as expected

      given     Deposited {"cents":500}
      when      deposit {"cents":1}
      while     deposit {"cents":2}
      before    {"audits":0,"balance":500,"owner":""} at version 1
      after     {"audits":0,"balance":503,"owner":""} at version 3
      expected  nothing to do
      got       commuted with 1 event, version 3, in 2 attempts

      event 1   Deposited {"cents":1}
    "#);
}

#[test]
fn a_merge_is_compared_by_its_events() {
    let merged = || {
        rich()
            .when(Honour { title: "Dr" })
            .while_another([renamed("Eve")])
    };
    assert_snapshot!(said(|| merged().then_merged([renamed("Dr Ann")])), @r#"
    the command did not end as expected

      given     Deposited {"cents":500}
      when      honour {"title":"Dr"}
      while     Renamed {"owner":"Eve"}
      before    {"audits":0,"balance":500,"owner":""} at version 1
      after     {"audits":0,"balance":500,"owner":"Dr Eve"} at version 3
      expected  merged with 1 event
      got       merged with 1 event, version 3, in 2 attempts

      event 1   expected  Renamed {"owner":"Dr Ann"}
                got       Renamed {"owner":"Dr Eve"}
                /owner    expected "Dr Ann", got "Dr Eve"
    "#);
}

#[test]
fn a_command_that_was_sent_before_does_not_take_effect_again() {
    let again = rich()
        .given_done("pay-1", Deposit { cents: 1 })
        .when(Deposit { cents: 1 });
    let again = again.with(|dispatch| dispatch.command_id("pay-1"));
    assert_snapshot!(said(|| again.then([deposited(1)])), @r#"
    the command did not end as expected

      given     Deposited {"cents":500}
      given     deposit {"cents":1}, sent as "pay-1"
      when      deposit {"cents":1}
      with      sent as "pay-1"
      before    {"audits":0,"balance":501,"owner":""} at version 2
      after     {"audits":0,"balance":501,"owner":""} at version 2
      expected  to take effect with 1 event
      got       already applied with 1 event, version 2

      event 1   Deposited {"cents":1}
    "#);
}

#[test]
fn errors_are_told_with_their_causes() {
    assert_snapshot!(said(|| rich().when(Seize { cents: 600 }).then([withdrawn(600)])), @r#"
    the command did not end as expected

      given     Deposited {"cents":500}
      when      seize {"cents":600}
      before    {"audits":0,"balance":500,"owner":""} at version 1
      after     {"audits":0,"balance":500,"owner":""} at version 1
      expected  to take effect with 1 event
      got       the error invariant_violated: the decided state of stream account-1 at version 1 breaks an invariant: the balance is never negative

      event 1   expected  Withdrawn {"cents":600}
                got       nothing
    "#);
    assert_snapshot!(said(|| rich().when(Seize { cents: 5 }).then_invariant_violated()), @r#"
    the command did not end as expected

      given     Deposited {"cents":500}
      when      seize {"cents":5}
      before    {"audits":0,"balance":500,"owner":""} at version 1
      after     {"audits":0,"balance":495,"owner":""} at version 2
      expected  the error invariant_violated
      got       appended with 1 event, version 2
    "#);
    assert_snapshot!(said(|| rich().when(Seize { cents: 600 }).then_error("not_found")), @r#"
    the command did not end as expected

      given     Deposited {"cents":500}
      when      seize {"cents":600}
      before    {"audits":0,"balance":500,"owner":""} at version 1
      after     {"audits":0,"balance":500,"owner":""} at version 1
      expected  the error not_found
      got       the error invariant_violated: the decided state of stream account-1 at version 1 breaks an invariant: the balance is never negative
    "#);
    let alien = NewEvent::json("Exploded", &()).expect("an event");
    assert_snapshot!(said(|| scenario::<Account>().given_stored([alien]).when(Empty).then_nothing()), @r#"
    the command did not end as expected

      given     Exploded
      when      empty
      before    it cannot be loaded: event 1 of stream account-1, of type "Exploded" and schema version 1, cannot be decoded: no variant is named "Exploded", only Opened, Renamed, Deposited, Withdrawn, Audited; add one, or an upcaster that renames or drops it
      after     it cannot be loaded: event 1 of stream account-1, of type "Exploded" and schema version 1, cannot be decoded: no variant is named "Exploded", only Opened, Renamed, Deposited, Withdrawn, Audited; add one, or an upcaster that renames or drops it
      expected  nothing to do
      got       the error unknown_event_type: event 1 of stream account-1, of type "Exploded" and schema version 1, cannot be decoded: no variant is named "Exploded", only Opened, Renamed, Deposited, Withdrawn, Audited; add one, or an upcaster that renames or drops it
    "#);
}

#[test]
fn assertions_of_the_tests_own_are_told_with_the_story() {
    let first = || rich().when(Withdraw { cents: 200 });
    assert_snapshot!(said(|| first().then_state(|account| assert_eq!(account.balance, 0))), @r#"
    the command did not end as expected

      given     Deposited {"cents":500}
      when      withdraw {"cents":200}
      before    {"audits":0,"balance":500,"owner":""} at version 1
      after     {"audits":0,"balance":300,"owner":""} at version 2
      expected  a state that holds the assertions
      got       appended with 1 event, version 2
      problem   assertion `left == right` failed
                  left: 300
                 right: 0
    "#);
    assert_snapshot!(said(|| first().then_recorded(|recorded| assert!(recorded.is_empty()))), @r#"
    the command did not end as expected

      given     Deposited {"cents":500}
      when      withdraw {"cents":200}
      before    {"audits":0,"balance":500,"owner":""} at version 1
      after     {"audits":0,"balance":300,"owner":""} at version 2
      expected  records that hold the assertions
      got       appended with 1 event, version 2
      problem   assertion failed: recorded.is_empty()
    "#);
}

#[test]
fn a_race_that_never_takes_place_fails() {
    assert_snapshot!(said(|| rich().when(Withdraw { cents: 600 }).while_another([deposited(1)]).then_rejected(Overdrawn { balance: 500 })), @r#"
    the command did not end as expected

      given     Deposited {"cents":500}
      when      withdraw {"cents":600}
      while     Deposited {"cents":1}
      before    {"audits":0,"balance":500,"owner":""} at version 1
      after     {"audits":0,"balance":500,"owner":""} at version 1
      expected  another writer to be faster
      got       rejected: only 500 cents are left
      problem   nothing was to be appended after it: Deposited {"cents":1}
    "#);
    assert_snapshot!(said(|| rich().when(Deposit { cents: 6 }).while_another_does(Withdraw { cents: 501 }).then_commuted([deposited(6)])), @r#"
    the command did not end as expected

      given     Deposited {"cents":500}
      when      deposit {"cents":6}
      while     withdraw {"cents":501}
      before    {"audits":0,"balance":500,"owner":""} at version 1
      after     {"audits":0,"balance":506,"owner":""} at version 2
      expected  another writer to be faster
      got       appended with 1 event, version 2
      problem   it did not get through: withdraw {"cents":501}: rejected: only 500 cents are left
    "#);
    assert_snapshot!(said(|| rich().given_closed().given([deposited(1)]).when(Empty).then_nothing()), @r#"
    the scenario cannot be as it is told

      given     Deposited {"cents":500}
      given     closed
      given     Deposited {"cents":1}
      when      empty

      problem   what is given cannot be: Deposited {"cents":1}: closed: stream account-1: expected any version, but it is closed at version 1; nothing is appended to it again
    "#);
}

#[test]
#[should_panic(expected = "the command did not end as expected")]
fn it_fails_inside_of_a_runtime_too() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    runtime.block_on(async { rich().when(Empty).then_nothing() });
}
