//! Leases and fencing tokens: one holder at a time, and who was overtaken writes nothing.

use std::time::Duration;

use crate::store::FencingToken;
use crate::store::LeaseAsk::{self, Acquire};
use crate::testkit::contract::case::Case;
use crate::testkit::contract::words::{
    already, append, appended, case, check, checked, conflict, exact, key_reused, lease_lost,
    limit, put, replayed,
};
use crate::version::ExpectedVersion::{Any, NoStream};

const S: &str = "order-1";
const L: &str = "billing";
const LONG: LeaseAsk = Acquire(Duration::from_secs(3_600));
/// Over as soon as it is granted.
const SHORT: LeaseAsk = Acquire(Duration::ZERO);

const fn renew(token: u64) -> LeaseAsk {
    LeaseAsk::Renew(FencingToken::new(token), Duration::from_secs(3_600))
}

const fn release(token: u64) -> LeaseAsk {
    LeaseAsk::Release(FencingToken::new(token))
}

pub(super) fn cases() -> Vec<Case> {
    [held(), fenced(), beside_other_answers()].concat()
}

fn held() -> Vec<Case> {
    vec![
        case("a_lease_has_one_holder")
            .leases(L, LONG, Some(1))
            .leases(L, LONG, None),
        case("leases_of_two_names_are_two")
            .leases(L, LONG, Some(1))
            .leases("other", LONG, Some(1)),
        case("a_lease_is_taken_over_when_its_time_is_over")
            .leases(L, SHORT, Some(1))
            .leases(L, LONG, Some(2))
            .leases(L, LONG, None),
        case("a_lease_is_renewed_by_its_holder_alone")
            .leases(L, LONG, Some(1))
            .leases(L, renew(1), Some(1))
            .leases(L, renew(2), None)
            .leases(L, renew(0), None),
        case("a_lease_whose_time_is_over_is_renewed_if_nobody_took_it")
            .leases(L, SHORT, Some(1))
            .leases(L, renew(1), Some(1))
            .leases(L, LONG, None),
        case("a_lease_that_was_taken_over_is_not_renewed")
            .leases(L, SHORT, Some(1))
            .leases(L, LONG, Some(2))
            .leases(L, renew(1), None)
            .leases(L, release(1), None)
            .leases(L, LONG, None),
        case("a_lease_that_was_given_back_is_granted_under_the_next_token")
            .leases(L, LONG, Some(1))
            .leases(L, release(1), Some(1))
            .leases(L, release(1), Some(1))
            .leases(L, renew(1), None)
            .leases(L, LONG, Some(2)),
        case("a_lease_that_was_never_granted_is_neither_renewed_nor_given_back")
            .leases(L, renew(0), None)
            .leases(L, renew(1), None)
            .leases(L, release(1), None),
        case("a_token_goes_on_after_a_restart")
            .leases(L, SHORT, Some(1))
            .restart()
            .leases(L, LONG, Some(2))
            .restart()
            .leases(L, LONG, None)
            .leases(L, renew(2), Some(2)),
        case("a_lease_is_no_stream")
            .leases(S, LONG, Some(1))
            .stands_at(S, 0),
    ]
}

fn fenced() -> Vec<Case> {
    vec![
        case("a_commit_under_the_last_token_lands")
            .leases(L, LONG, Some(1))
            .then(append(S, Any, ["a"]).fenced_by(L, 1), appended([(S, 1, 1)])),
        case("a_commit_under_an_overtaken_token_is_refused")
            .leases(L, SHORT, Some(1))
            .leases(L, LONG, Some(2))
            .then(append(S, Any, ["a"]).fenced_by(L, 1), lease_lost(L, 1))
            .then(append(S, Any, ["a"]).fenced_by(L, 2), appended([(S, 1, 1)])),
        case("a_commit_under_a_token_whose_time_is_over_lands_if_nobody_took_it")
            .leases(L, SHORT, Some(1))
            .then(append(S, Any, ["a"]).fenced_by(L, 1), appended([(S, 1, 1)])),
        case("a_commit_under_a_lease_that_was_given_back_is_refused")
            .leases(L, LONG, Some(1))
            .leases(L, release(1), Some(1))
            .then(append(S, Any, ["a"]).fenced_by(L, 1), lease_lost(L, 1)),
        case("a_commit_under_a_token_that_was_never_granted_is_refused")
            .then(append(S, Any, ["a"]).fenced_by(L, 0), lease_lost(L, 0))
            .then(append(S, Any, ["a"]).fenced_by(L, 1), lease_lost(L, 1))
            .leases(L, LONG, Some(1))
            .then(append(S, Any, ["a"]).fenced_by(L, 2), lease_lost(L, 2)),
        case("every_lease_of_a_commit_is_compared")
            .leases(L, LONG, Some(1))
            .leases("other", SHORT, Some(1))
            .leases("other", LONG, Some(2))
            .then(
                append(S, Any, ["a"]).fenced_by(L, 1).fenced_by("other", 1),
                lease_lost("other", 1),
            )
            .then(
                append(S, Any, ["a"]).fenced_by(L, 1).fenced_by("other", 2),
                appended([(S, 1, 1)]),
            ),
        case("a_commit_without_a_token_relies_on_its_expectation_alone")
            .leases(S, LONG, Some(1))
            .then(append(S, NoStream, ["a"]), appended([(S, 1, 1)])),
        case("a_token_is_compared_after_a_restart")
            .leases(L, SHORT, Some(1))
            .leases(L, LONG, Some(2))
            .restart()
            .then(append(S, Any, ["a"]).fenced_by(L, 1), lease_lost(L, 1)),
        case("a_commit_is_fenced_by_at_most_100_leases").then(
            (0..101).fold(append(S, Any, ["a"]), |draft, _| draft.fenced_by(L, 1)),
            limit("COMMIT_FENCES_MAX", 100, 101),
        ),
    ]
}

fn beside_other_answers() -> Vec<Case> {
    let overtaken = |name| {
        case(name)
            .leases(L, SHORT, Some(1))
            .leases(L, LONG, Some(2))
    };
    vec![
        overtaken("a_lost_lease_is_told_before_a_conflict")
            .then(append(S, exact(3), ["a"]).fenced_by(L, 1), lease_lost(L, 1))
            .then(
                append(S, exact(3), ["a"]).fenced_by(L, 2),
                conflict([(S, exact(3), 0)]),
            ),
        overtaken("a_check_under_a_lost_lease_is_refused")
            .then(check(S, NoStream).fenced_by(L, 1), lease_lost(L, 1))
            .then(check(S, NoStream).fenced_by(L, 2), checked([(S, 0)])),
        overtaken("a_repeat_is_answered_though_its_lease_is_lost")
            .given(put(S, ["a"]))
            .then(append(S, Any, ["a"]).fenced_by(L, 1), replayed([(S, 1, 1)])),
        case("a_known_key_is_answered_though_its_lease_is_lost")
            .leases(L, SHORT, Some(1))
            .then(
                append(S, Any, ["a"]).key("k", "of").fenced_by(L, 1),
                appended([(S, 1, 1)]),
            )
            .leases(L, LONG, Some(2))
            .then(
                append(S, Any, ["b"]).key("k", "of").fenced_by(L, 1),
                already([(S, 1, 1)]),
            )
            .then(
                append(S, Any, ["b"]).key("k", "other").fenced_by(L, 1),
                key_reused(S, "k"),
            ),
        overtaken("a_key_refused_for_a_lost_lease_is_still_new")
            .then(
                append(S, Any, ["a"]).key("k", "of").fenced_by(L, 1),
                lease_lost(L, 1),
            )
            .then(
                append(S, Any, ["a"]).key("k", "of").fenced_by(L, 2),
                appended([(S, 1, 1)]),
            ),
    ]
}
