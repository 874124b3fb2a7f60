//! The columns of the truth table that removal brings: streams that are deleted or
//! closed, what deleting and closing expect of a stream, and truncation.

use crate::testkit::contract::case::{Answer, Case};
use crate::testkit::contract::words::{
    append, appended, case, check, checked, closed, conflict, exact, put, removed, removed_before,
    truncates_beyond, violated,
};
use crate::version::ExpectedVersion::{self, Any, NoStream, StreamExists};
use crate::version::StreamState::{Closed, Deleted, Live, NeverWritten};

const X: &str = "order-1";

pub(super) fn cases() -> Vec<Case> {
    [
        on_deleted(),
        on_closed(),
        deleting(),
        closing(),
        truncating(),
    ]
    .concat()
}

/// A stream of three events.
fn three(name: &'static str) -> Case {
    case(name).given(put(X, ["a", "b", "c"]))
}

/// A stream that was deleted at version 3.
fn deleted(name: &'static str) -> Case {
    three(name).deletes(X, exact(3), removed(3, 1, Deleted))
}

/// A stream that was closed at version 3.
fn sealed(name: &'static str) -> Case {
    three(name).closes(X, exact(3), removed(3, 0, Closed))
}

fn conflicts(expected: ExpectedVersion, state: crate::version::StreamState) -> Answer {
    conflict([violated(X, expected, 3).in_state(state)])
}

fn is_closed(expected: ExpectedVersion) -> Answer {
    closed([violated(X, expected, 3).in_state(Closed)])
}

fn on_deleted() -> Vec<Case> {
    vec![
        deleted("any_brings_a_deleted_stream_back")
            .then(append(X, Any, ["d"]), appended([(X, 4, 4)]))
            .stands_at(X, 4)
            .finds(X, "d", 4)
            .misses(X, "c"),
        deleted("a_check_of_any_on_a_deleted_stream_holds")
            .then(check(X, Any), checked([(X, 3)]))
            .stands_at(X, 3),
        deleted("no_stream_brings_a_deleted_stream_back")
            .then(append(X, NoStream, ["d"]), appended([(X, 4, 4)]))
            .stands_at(X, 4)
            .finds(X, "d", 4)
            .misses(X, "c"),
        deleted("a_check_of_no_stream_on_a_deleted_stream_holds")
            .then(check(X, NoStream), checked([(X, 3)]))
            .stands_at(X, 3),
        deleted("stream_exists_on_a_deleted_stream_conflicts")
            .then(
                append(X, StreamExists, ["d"]),
                conflicts(StreamExists, Deleted),
            )
            .then(check(X, StreamExists), conflicts(StreamExists, Deleted)),
        deleted("exact_0_on_a_deleted_stream_conflicts")
            .then(append(X, exact(0), ["d"]), conflicts(exact(0), Deleted))
            .then(check(X, exact(0)), conflicts(exact(0), Deleted)),
        deleted("exact_2_on_a_deleted_stream_conflicts")
            .then(append(X, exact(2), ["d"]), conflicts(exact(2), Deleted))
            .then(check(X, exact(2)), conflicts(exact(2), Deleted)),
        deleted("exact_3_brings_a_deleted_stream_back")
            .then(append(X, exact(3), ["d"]), appended([(X, 4, 4)]))
            .stands_at(X, 4)
            .finds(X, "d", 4)
            .misses(X, "c"),
        deleted("a_check_of_exact_3_on_a_deleted_stream_holds")
            .then(check(X, exact(3)), checked([(X, 3)]))
            .stands_at(X, 3),
        deleted("exact_4_on_a_deleted_stream_conflicts")
            .then(append(X, exact(4), ["d"]), conflicts(exact(4), Deleted))
            .then(check(X, exact(4)), conflicts(exact(4), Deleted)),
        deleted("exact_u64_max_on_a_deleted_stream_conflicts")
            .then(
                append(X, exact(u64::MAX), ["d"]),
                conflicts(exact(u64::MAX), Deleted),
            )
            .then(
                check(X, exact(u64::MAX)),
                conflicts(exact(u64::MAX), Deleted),
            ),
    ]
}

fn on_closed() -> Vec<Case> {
    vec![
        sealed("any_on_a_closed_stream_is_refused")
            .then(append(X, Any, ["d"]), is_closed(Any))
            .then(check(X, Any), is_closed(Any))
            .finds(X, "c", 3),
        sealed("no_stream_on_a_closed_stream_is_refused")
            .then(append(X, NoStream, ["d"]), is_closed(NoStream))
            .then(check(X, NoStream), is_closed(NoStream))
            .finds(X, "c", 3),
        sealed("stream_exists_on_a_closed_stream_is_refused")
            .then(append(X, StreamExists, ["d"]), is_closed(StreamExists))
            .then(check(X, StreamExists), is_closed(StreamExists))
            .finds(X, "c", 3),
        sealed("exact_0_on_a_closed_stream_is_refused")
            .then(append(X, exact(0), ["d"]), is_closed(exact(0)))
            .then(check(X, exact(0)), is_closed(exact(0)))
            .finds(X, "c", 3),
        sealed("exact_2_on_a_closed_stream_is_refused")
            .then(append(X, exact(2), ["d"]), is_closed(exact(2)))
            .then(check(X, exact(2)), is_closed(exact(2)))
            .finds(X, "c", 3),
        sealed("exact_3_on_a_closed_stream_is_refused")
            .then(append(X, exact(3), ["d"]), is_closed(exact(3)))
            .then(check(X, exact(3)), is_closed(exact(3)))
            .finds(X, "c", 3),
        sealed("exact_4_on_a_closed_stream_is_refused")
            .then(append(X, exact(4), ["d"]), is_closed(exact(4)))
            .then(check(X, exact(4)), is_closed(exact(4)))
            .finds(X, "c", 3),
        sealed("exact_u64_max_on_a_closed_stream_is_refused")
            .then(
                append(X, exact(u64::MAX), ["d"]),
                is_closed(exact(u64::MAX)),
            )
            .then(check(X, exact(u64::MAX)), is_closed(exact(u64::MAX)))
            .finds(X, "c", 3),
    ]
}

fn deleting() -> Vec<Case> {
    let never = |expected| conflict([violated(X, expected, 0)]);
    vec![
        three("deleting_under_any_removes_all").deletes(X, Any, removed(3, 1, Deleted)),
        three("deleting_what_exists_removes_all").deletes(X, StreamExists, removed(3, 1, Deleted)),
        three("deleting_at_the_version_removes_all").deletes(X, exact(3), removed(3, 1, Deleted)),
        three("deleting_at_an_older_version_conflicts").deletes(
            X,
            exact(2),
            conflicts(exact(2), Live),
        ),
        three("deleting_ahead_of_the_stream_conflicts").deletes(
            X,
            exact(4),
            conflicts(exact(4), Live),
        ),
        three("deleting_where_no_stream_is_expected_conflicts").deletes(
            X,
            NoStream,
            conflicts(NoStream, Live),
        ),
        case("deleting_a_stream_never_written_changes_nothing")
            .deletes(X, Any, removed_before(0, 0, NeverWritten))
            .deletes(X, NoStream, removed_before(0, 0, NeverWritten))
            .deletes(X, exact(0), removed_before(0, 0, NeverWritten))
            .then(append(X, NoStream, ["a"]), appended([(X, 1, 1)])),
        case("deleting_what_should_exist_and_does_not_conflicts")
            .deletes(X, StreamExists, never(StreamExists))
            .deletes(X, exact(1), never(exact(1))),
        deleted("deleting_again_changes_nothing")
            .deletes(X, exact(3), removed_before(3, 1, Deleted))
            .deletes(X, Any, removed_before(3, 1, Deleted))
            .deletes(X, NoStream, removed_before(3, 1, Deleted))
            .deletes(X, StreamExists, removed_before(3, 1, Deleted)),
        deleted("deleting_again_at_an_older_version_conflicts").deletes(
            X,
            exact(2),
            conflicts(exact(2), Deleted),
        ),
        deleted("deleting_again_after_a_restart_changes_nothing")
            .restart()
            .deletes(X, exact(3), removed_before(3, 1, Deleted)),
        deleted("deleting_what_came_back_removes_it_again")
            .then(append(X, NoStream, ["d"]), appended([(X, 4, 4)]))
            .deletes(X, exact(4), removed(4, 2, Deleted))
            .then(append(X, NoStream, ["e", "f"]), appended([(X, 5, 6)])),
        sealed("a_closed_stream_is_not_deleted")
            .deletes(X, Any, is_closed(Any))
            .deletes(X, exact(3), is_closed(exact(3))),
        three("deleting_one_stream_leaves_others")
            .given(put("order-10", ["z"]))
            .deletes(X, Any, removed(3, 1, Deleted))
            .finds("order-10", "z", 1)
            .restart()
            .finds("order-10", "z", 1),
    ]
}

fn closing() -> Vec<Case> {
    let never = |expected| conflict([violated(X, expected, 0)]);
    vec![
        three("closing_under_any_seals").closes(X, Any, removed(3, 0, Closed)),
        three("closing_what_exists_seals").closes(X, StreamExists, removed(3, 0, Closed)),
        three("closing_at_an_older_version_conflicts").closes(
            X,
            exact(2),
            conflicts(exact(2), Live),
        ),
        three("closing_where_no_stream_is_expected_conflicts").closes(
            X,
            NoStream,
            conflicts(NoStream, Live),
        ),
        case("closing_a_stream_never_written_keeps_it_so")
            .closes(X, NoStream, removed(0, 0, Closed))
            .then(
                append(X, Any, ["a"]),
                closed([violated(X, Any, 0).in_state(Closed)]),
            )
            .closes(X, exact(0), removed_before(0, 0, Closed)),
        case("closing_what_should_exist_and_does_not_conflicts").closes(
            X,
            StreamExists,
            never(StreamExists),
        ),
        sealed("closing_again_changes_nothing")
            .closes(X, exact(3), removed_before(3, 0, Closed))
            .closes(X, Any, removed_before(3, 0, Closed))
            .closes(X, StreamExists, removed_before(3, 0, Closed))
            .restart()
            .closes(X, exact(3), removed_before(3, 0, Closed)),
        sealed("closing_again_at_another_version_is_refused").closes(
            X,
            exact(2),
            is_closed(exact(2)),
        ),
        deleted("a_deleted_stream_can_be_closed_and_never_comes_back")
            .closes(X, NoStream, removed(3, 1, Closed))
            .then(append(X, NoStream, ["d"]), is_closed(NoStream)),
        sealed("a_commit_that_touches_a_closed_stream_writes_nothing")
            .then(
                append("stock-1", NoStream, ["z"]).and_check(X, exact(3)),
                is_closed(exact(3)),
            )
            .stands_at("stock-1", 0),
        sealed("closed_weighs_more_than_a_conflict")
            .given(put("stock-1", ["z"]))
            .then(
                append("stock-1", NoStream, ["y"]).and(X, exact(3), ["d"]),
                closed([
                    violated("stock-1", NoStream, 1),
                    violated(X, exact(3), 3).in_state(Closed),
                ]),
            ),
    ]
}

fn truncating() -> Vec<Case> {
    vec![
        three("truncating_removes_what_is_before")
            .truncates(X, 3, removed(3, 1, Live))
            .misses(X, "a")
            .misses(X, "b")
            .finds(X, "c", 3)
            .restart()
            .finds(X, "c", 3),
        three("truncating_before_the_first_changes_nothing")
            .truncates(X, 0, removed_before(3, 0, Live))
            .truncates(X, 1, removed_before(3, 0, Live)),
        three("truncating_again_changes_nothing")
            .truncates(X, 3, removed(3, 1, Live))
            .truncates(X, 3, removed_before(3, 1, Live))
            .truncates(X, 2, removed_before(3, 1, Live)),
        three("truncating_further_removes_more")
            .truncates(X, 2, removed(3, 1, Live))
            .truncates(X, 3, removed(3, 2, Live)),
        three("truncating_beyond_the_version_is_invalid")
            .truncates(X, 4, truncates_beyond(4, 3))
            .truncates(X, u64::MAX, truncates_beyond(u64::MAX, 3)),
        case("truncating_a_stream_never_written_is_invalid")
            .truncates(X, 1, truncates_beyond(1, 0))
            .truncates(X, 0, removed_before(0, 0, NeverWritten)),
        three("a_truncated_stream_goes_on")
            .truncates(X, 3, removed(3, 1, Live))
            .then(append(X, NoStream, ["d"]), conflicts(NoStream, Live))
            .then(append(X, exact(3), ["d"]), appended([(X, 4, 4)]))
            .then(check(X, StreamExists), checked([(X, 4)])),
        deleted("truncating_a_deleted_stream_changes_nothing")
            .truncates(X, 3, removed_before(3, 1, Deleted))
            .truncates(X, 4, truncates_beyond(4, 3)),
        deleted("truncating_what_came_back_removes_what_is_before")
            .then(append(X, NoStream, ["d", "e"]), appended([(X, 4, 5)]))
            .truncates(X, 5, removed(5, 2, Live))
            .finds(X, "e", 5)
            .misses(X, "d"),
        sealed("a_closed_stream_can_be_truncated")
            .truncates(X, 3, removed(3, 1, Closed))
            .finds(X, "c", 3)
            .misses(X, "a"),
    ]
}
