//! Commits over several streams: all of it, or nothing.

use crate::testkit::contract::case::Answer;
use crate::testkit::contract::case::Case;
use crate::testkit::contract::words::{
    append, appended, case, check, checked, conflict, event, exact, nothing, other_payload, put,
    replayed, sent_twice, stored, stream_twice,
};
use crate::version::ExpectedVersion::{Any, NoStream, StreamExists};

const X: &str = "order-1";
const Y: &str = "stock-1";
const Z: &str = "limit-1";

pub(super) fn cases() -> Vec<Case> {
    [holding(), violated(), checks(), repeats(), senseless()].concat()
}

fn holding() -> Vec<Case> {
    vec![
        case("several_streams_are_written_in_one_commit")
            .given(put(Y, ["y"]))
            .then(
                append(X, NoStream, ["a", "b"]).and(Y, exact(1), ["c"]),
                appended([(X, 1, 2), (Y, 2, 2)]),
            )
            .stands_at(X, 2)
            .stands_at(Y, 2),
        case("a_receipt_lists_streams_in_the_order_of_the_commit").then(
            append(Y, Any, ["a"]).and(X, Any, ["b"]).and(Z, Any, ["c"]),
            appended([(Y, 1, 1), (X, 1, 1), (Z, 1, 1)]),
        ),
        case("one_id_in_two_streams_of_a_commit_is_two_events").then(
            append(X, NoStream, ["a"]).and(Y, NoStream, ["a"]),
            appended([(X, 1, 1), (Y, 1, 1)]),
        ),
        case("a_receipt_leaves_out_streams_that_are_only_checked")
            .given(put(Z, ["z"]))
            .then(
                append(X, Any, ["a"])
                    .and_check(Z, exact(1))
                    .and(Y, Any, ["b"]),
                appended([(X, 1, 1), (Y, 1, 1)]),
            ),
    ]
}

fn violated() -> Vec<Case> {
    vec![
        case("one_violation_of_two_stops_both")
            .given(put(Y, ["y"]))
            .then(
                append(X, NoStream, ["a"]).and(Y, NoStream, ["b"]),
                conflict([(Y, NoStream, 1)]),
            )
            .stands_at(X, 0),
        case("two_violations_of_three_are_listed_in_the_order_of_the_commit")
            .given(put(X, ["x"]))
            .given(put(Y, ["y1", "y2"]))
            .then(
                append(Y, exact(1), ["a"])
                    .and(Z, NoStream, ["b"])
                    .and(X, NoStream, ["c"]),
                conflict([(Y, exact(1), 2), (X, NoStream, 1)]),
            ),
        case("all_violations_are_listed_checks_too")
            .given(put(X, ["x"]))
            .then(
                append(Z, StreamExists, ["a"])
                    .and_check(X, exact(0))
                    .and(Y, exact(7), ["b"]),
                conflict([(Z, StreamExists, 0), (X, exact(0), 1), (Y, exact(7), 0)]),
            ),
        case("a_commit_that_failed_on_one_stream_lands_when_mended")
            .given(put(X, ["x"]))
            .then(
                append(X, exact(0), ["a"]).and(Y, NoStream, ["b"]),
                conflict([(X, exact(0), 1)]),
            )
            .then(
                append(X, exact(1), ["a"]).and(Y, NoStream, ["b"]),
                appended([(X, 2, 2), (Y, 1, 1)]),
            ),
    ]
}

fn checks() -> Vec<Case> {
    vec![
        case("a_stream_that_is_only_checked_lets_the_commit_pass")
            .given(put(Z, ["z"]))
            .then(
                append(X, NoStream, ["a"]).and_check(Z, exact(1)),
                appended([(X, 1, 1)]),
            )
            .stands_at(Z, 1),
        case("a_stream_that_is_only_checked_stops_the_commit")
            .given(put(Z, ["z1", "z2"]))
            .then(
                append(X, NoStream, ["a"]).and_check(Z, exact(1)),
                conflict([(Z, exact(1), 2)]),
            ),
        case("a_check_before_the_append_stops_it_as_well")
            .given(put(Z, ["z1", "z2"]))
            .then(
                check(Z, NoStream).and(X, NoStream, ["a"]),
                conflict([(Z, NoStream, 2)]),
            ),
        case("a_check_that_there_is_no_stream_creates_none")
            .then(
                append(X, NoStream, ["a"]).and_check(Z, NoStream),
                appended([(X, 1, 1)]),
            )
            .stands_at(Z, 0)
            .then(append(Z, NoStream, ["z"]), appended([(Z, 1, 1)])),
        case("several_checks_answer_every_version")
            .given(put(X, ["x"]))
            .given(put(Y, ["y1", "y2"]))
            .then(
                check(Y, exact(2))
                    .and_check(Z, NoStream)
                    .and_check(X, StreamExists),
                checked([(Y, 2), (Z, 0), (X, 1)]),
            ),
        case("several_checks_fail_together")
            .given(put(X, ["x"]))
            .then(
                check(X, exact(1))
                    .and_check(Y, exact(1))
                    .and_check(Z, StreamExists),
                conflict([(Y, exact(1), 0), (Z, StreamExists, 0)]),
            ),
    ]
}

fn repeats() -> Vec<Case> {
    let both = || append(X, NoStream, ["a"]).and(Y, NoStream, ["b"]);
    vec![
        case("a_commit_over_several_streams_is_replayed")
            .then(both(), appended([(X, 1, 1), (Y, 1, 1)]))
            .then(both(), replayed([(X, 1, 1), (Y, 1, 1)]))
            .restart()
            .then(both(), replayed([(X, 1, 1), (Y, 1, 1)])),
        case("a_repeat_is_answered_although_the_checked_stream_moved")
            .given(put(Z, ["z"]))
            .then(
                append(X, NoStream, ["a"]).and_check(Z, exact(1)),
                appended([(X, 1, 1)]),
            )
            .then(append(Z, Any, ["z2"]), appended([(Z, 2, 2)]))
            .then(
                append(X, NoStream, ["a"]).and_check(Z, exact(1)),
                replayed([(X, 1, 1)]),
            ),
        case("a_repeat_is_answered_whatever_is_checked_beside_it")
            .given(put(X, ["a"]))
            .then(
                check(Z, StreamExists).and(X, NoStream, ["a"]),
                replayed([(X, 1, 1)]),
            ),
        case("streams_written_one_by_one_are_replayed_as_one_commit")
            .given(put(Y, ["b"]))
            .given(put(X, ["a"]))
            .then(both(), replayed([(X, 1, 1), (Y, 1, 1)])),
        case("one_stream_of_a_commit_sent_alone_is_replayed")
            .then(both(), appended([(X, 1, 1), (Y, 1, 1)]))
            .then(append(Y, NoStream, ["b"]), replayed([(Y, 1, 1)])),
        case("a_repeat_in_one_stream_and_news_in_another_is_a_duplicate")
            .given(put(X, ["a"]))
            .then(append(X, Any, ["a"]).and(Y, Any, ["b"]), stored(X, "a", 1))
            .stands_at(Y, 0)
            .then(append(Y, Any, ["b"]).and(X, Any, ["a"]), stored(X, "a", 1)),
        case("a_repeat_beside_news_counts_against_its_own_expectation")
            .given(put(X, ["a"]))
            .then(
                append(X, NoStream, ["a"]).and(Y, Any, ["b"]),
                conflict([(X, NoStream, 1)]),
            ),
        case("a_repeat_in_one_stream_and_a_conflict_in_another_is_a_conflict")
            .given(put(X, ["a"]))
            .given(put(Y, ["y"]))
            .then(
                append(X, Any, ["a"]).and(Y, NoStream, ["b"]),
                conflict([(Y, NoStream, 1)]),
            )
            .then(
                append(X, exact(0), ["a"]).and(Y, exact(9), ["b"]),
                conflict([(X, exact(0), 1), (Y, exact(9), 1)]),
            ),
        case("one_stream_that_differs_makes_the_commit_a_duplicate")
            .given(put(X, ["a"]))
            .given(put(Y, ["b"]))
            .then(
                append(X, NoStream, ["a"]).and(Y, NoStream, [event("b").payload("0")]),
                other_payload(Y, "b", 1),
            ),
        case("one_id_twice_in_one_of_several_appends_is_refused").then(
            append(X, Any, ["a"]).and(Y, Any, ["b", "b"]),
            sent_twice(Y, "b"),
        ),
    ]
}

fn senseless() -> Vec<Case> {
    vec![
        case("a_commit_of_nothing_is_invalid").then(nothing(), Answer::Empty),
        case("a_key_alone_is_no_commit").then(nothing().key("k", "of"), Answer::Empty),
        case("a_stream_written_twice_is_invalid").then(
            append(X, Any, ["a"]).and(Y, Any, ["b"]).and(X, Any, ["c"]),
            stream_twice(X),
        ),
        case("a_stream_written_and_checked_is_invalid").then(
            append(X, NoStream, ["a"]).and_check(X, NoStream),
            stream_twice(X),
        ),
        case("a_stream_checked_twice_is_invalid")
            .given(put(X, ["a"]))
            .then(check(X, Any).and_check(X, exact(1)), stream_twice(X)),
    ]
}
