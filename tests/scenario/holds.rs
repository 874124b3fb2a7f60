//! Every expectation where it holds.

use annalist::testkit::scenario::{Scenario, scenario};
use annalist::{ConflictReason, Metadata, NewEvent, Version};
use serde_json::json;

use crate::domain::{
    Account, AccountEvent, Deposit, Empty, Honour, Open, Overdrawn, Seize, Withdraw, deposited,
    renamed, withdrawn,
};

fn account() -> Scenario<Account> {
    scenario()
        .given([AccountEvent::Opened {
            owner: "Ann".to_owned(),
        }])
        .given([deposited(500)])
}

#[test]
fn a_command_takes_effect_on_what_is_given() {
    account()
        .when(Withdraw { cents: 200 })
        .then([withdrawn(200)])
        .then_state(|account| assert_eq!(account.balance, 300));
    Scenario::<Account>::new()
        .when(Deposit { cents: 1 })
        .then([deposited(1)]);
}

#[test]
fn a_command_is_rejected_for_a_reason() {
    account()
        .when(Withdraw { cents: 600 })
        .then_rejected(Overdrawn { balance: 500 });
    account()
        .when(Withdraw { cents: 600 })
        .then_rejected_where(|why| assert_eq!(why.balance, 500))
        .then_state(|account| assert_eq!(account.balance, 500))
        .then_recorded(|recorded| assert!(recorded.is_empty()));
}

#[test]
fn nothing_is_left_to_do() {
    scenario::<Account>().when(Empty).then_nothing();
    scenario::<Account>().when(Empty).then([]);
    account()
        .when(Empty)
        .while_another([withdrawn(500)])
        .then_nothing();
}

#[test]
fn an_invariant_is_kept_unless_it_is_repaired() {
    account()
        .when(Seize { cents: 600 })
        .then_invariant_violated();
    let broken = || scenario::<Account>().given([withdrawn(5)]);
    broken()
        .when(Deposit { cents: 5 })
        .then_invariant_violated();
    broken()
        .when(Deposit { cents: 5 })
        .with(|dispatch| dispatch.repairing())
        .then([deposited(5)]);
}

#[test]
fn errors_are_expected_by_their_code() {
    account()
        .when(Open { owner: "Bob" })
        .then_error("already_exists");
    account()
        .given_done("pay-1", Deposit { cents: 1 })
        .when(Deposit { cents: 2 })
        .with(|dispatch| dispatch.command_id("pay-1"))
        .then_error("command_id_reused");
    let overflow = |_: &Account| -> Result<Vec<AccountEvent>, Overdrawn> { panic!("no idea") };
    account()
        .when_decided("guess", overflow)
        .then_error("panicked");
}

#[test]
fn a_deleted_aggregate_begins_anew_and_a_closed_one_is_at_its_end() {
    account()
        .given_deleted()
        .when(Open { owner: "Bob" })
        .then([AccountEvent::Opened {
            owner: "Bob".to_owned(),
        }]);
    account()
        .given_closed()
        .when(Deposit { cents: 1 })
        .then_conflict_where(|conflict| {
            assert_eq!(conflict.reason, ConflictReason::Closed);
        });
}

#[test]
fn events_of_older_releases_are_given_as_they_are_stored() {
    let old = NewEvent::json("Deposited", &json!({ "euros": 5 })).expect("an event");
    scenario::<Account>()
        .given_stored([old])
        .when(Withdraw { cents: 500 })
        .then([withdrawn(500)]);
}

#[test]
fn each_policy_answers_a_race_in_its_way() {
    account()
        .when(Withdraw { cents: 200 })
        .while_another([withdrawn(100)])
        .then_redecided([withdrawn(200)])
        .then_state(|account| assert_eq!(account.balance, 200));
    account()
        .when(Withdraw { cents: 200 })
        .while_another([withdrawn(400)])
        .then_rejected(Overdrawn { balance: 100 });
    account()
        .when(Deposit { cents: 1 })
        .while_another([deposited(2)])
        .then_commuted([deposited(1)])
        .then_state(|account| assert_eq!(account.balance, 503));
    account()
        .when(Honour { title: "Dr" })
        .while_another([renamed("Eve")])
        .then_merged([renamed("Dr Eve")]);
    account()
        .when(Seize { cents: 1 })
        .while_another([deposited(1)])
        .then_conflict();
}

#[test]
fn a_conflict_is_told_in_full() {
    account()
        .when(Seize { cents: 1 })
        .while_another([deposited(1)])
        .then_conflict_where(|conflict| {
            assert_eq!(conflict.expected, Some(Version::new(2)));
            assert_eq!((conflict.current.balance, conflict.unseen.len()), (501, 1));
            assert_eq!(conflict.report().changed, ["/balance"]);
        });
    account()
        .when(Withdraw { cents: 1 })
        .while_another([AccountEvent::Audited])
        .then_conflict_where(|conflict| {
            assert!(matches!(conflict.reason, ConflictReason::Clash { .. }));
        });
    account()
        .when(Honour { title: "Dr" })
        .while_another([AccountEvent::Audited])
        .then_conflict_where(|conflict| {
            let reason = "not while it is audited".to_owned();
            assert_eq!(conflict.reason, ConflictReason::Refused { reason });
        });
}

#[test]
fn what_is_said_twice_lands_before_two_attempts() {
    account()
        .when(Deposit { cents: 1 })
        .while_another([deposited(2)])
        .while_another_does(Withdraw { cents: 3 })
        .then_commuted([deposited(1)])
        .then_state(|account| assert_eq!(account.balance, 500));
    let often = (0..10).fold(account().when(Deposit { cents: 1 }), |when, _| {
        when.while_another([deposited(1)])
    });
    often.then_conflict_where(|conflict| assert_eq!(conflict.reason, ConflictReason::Attempts));
}

#[test]
fn a_caller_may_demand_a_version_or_have_seen_an_old_one() {
    account()
        .when(Deposit { cents: 1 })
        .with(|dispatch| dispatch.expecting(Version::new(2)))
        .while_another([deposited(1)])
        .then_conflict();
    account()
        .when(Deposit { cents: 1 })
        .with(|dispatch| dispatch.expecting(Version::new(1)))
        .then_conflict();
    account()
        .when(Honour { title: "Dr" })
        .with(|dispatch| dispatch.based_on(Version::new(1)))
        .then_merged([renamed("Dr Ann")]);
}

#[test]
fn a_command_sent_twice_takes_effect_once() {
    account()
        .given_done("pay-1", Deposit { cents: 1 })
        .when(Deposit { cents: 1 })
        .with(|dispatch| dispatch.command_id("pay-1"))
        .then_already_applied()
        .then_state(|account| assert_eq!(account.balance, 501));
    account()
        .when(Deposit { cents: 1 })
        .with(|dispatch| dispatch.command_id("pay-1"))
        .while_another_does_as("pay-1", Deposit { cents: 1 })
        .then_already_applied()
        .then_recorded(|recorded| assert_eq!(recorded.len(), 1));
}

#[test]
fn others_may_delete_or_close() {
    account()
        .when(Deposit { cents: 1 })
        .while_deleted()
        .then_conflict_where(|conflict| {
            assert_eq!(conflict.reason, ConflictReason::Deleted);
        });
    account()
        .when(Deposit { cents: 1 })
        .while_closed()
        .then_conflict_where(|conflict| {
            assert_eq!(conflict.reason, ConflictReason::Closed);
        });
}

#[test]
fn what_is_recorded_has_metadata_and_the_time_of_a_clock_that_stands() {
    account()
        .when(Deposit { cents: 1 })
        .with(|dispatch| {
            dispatch
                .command_id("pay-1")
                .metadata(Metadata::by("teller-7"))
        })
        .then_recorded(|recorded| {
            let [event] = recorded else {
                panic!("{} events", recorded.len())
            };
            assert_eq!(event.metadata.actor.as_deref(), Some("teller-7"));
            assert_eq!(
                event.metadata.command_id.as_ref().map(AsRef::as_ref),
                Some("pay-1")
            );
            assert_eq!(event.recorded_at.to_rfc3339(), "2020-01-01T00:00:00+00:00");
        });
}

#[tokio::test]
async fn a_scenario_runs_inside_of_a_runtime_too() {
    account()
        .when(Deposit { cents: 1 })
        .while_another([deposited(2)])
        .then_commuted([deposited(1)]);
}
