//! What a conflict tells about what its sender has not seen.

use crate::testkit::contract::case::{Case, Draft};
use crate::testkit::contract::words::{
    append, case, check, conflict, exact, put, sent_twice, stored, violated,
};
use crate::version::ExpectedVersion::{self, Any, NoStream, StreamExists};

const S: &str = "order-1";
const Y: &str = "stock-1";

pub(super) fn cases() -> Vec<Case> {
    let told = |name| case(name).given(put(S, ["a", "b"])).given(put(S, ["c"]));
    vec![
        told("unseen_events_are_not_brought_unasked")
            .then(append(S, exact(1), ["x"]), conflict([(S, exact(1), 3)])),
        told("the_one_unseen_event_is_brought").then(
            stale(exact(2), 10),
            conflict([violated(S, exact(2), 3).unseen(&["c"])]),
        ),
        told("unseen_events_are_brought_in_order").then(
            stale(exact(1), 10),
            conflict([violated(S, exact(1), 3).unseen(&["b", "c"])]),
        ),
        told("as_many_unseen_events_as_asked_for_are_not_truncated").then(
            stale(exact(1), 2),
            conflict([violated(S, exact(1), 3).unseen(&["b", "c"])]),
        ),
        told("more_unseen_events_than_asked_for_are_truncated")
            .then(
                stale(exact(1), 1),
                conflict([violated(S, exact(1), 3).unseen_first(&["b"])]),
            )
            .then(
                stale(NoStream, 2),
                conflict([violated(S, NoStream, 3).unseen_first(&["a", "b"])]),
            ),
        told("no_stream_has_seen_nothing_so_all_is_brought").then(
            stale(NoStream, 10),
            conflict([violated(S, NoStream, 3).unseen(&["a", "b", "c"])]),
        ),
        told("exact_0_has_seen_nothing_so_all_is_brought").then(
            stale(exact(0), 10),
            conflict([violated(S, exact(0), 3).unseen(&["a", "b", "c"])]),
        ),
        told("an_expectation_ahead_of_the_stream_has_nothing_unseen")
            .then(
                stale(exact(4), 10),
                conflict([violated(S, exact(4), 3).unseen(&[])]),
            )
            .then(
                stale(exact(u64::MAX), 10),
                conflict([violated(S, exact(u64::MAX), 3).unseen(&[])]),
            ),
        case("an_expectation_ahead_of_no_stream_has_nothing_unseen").then(
            stale(exact(4), 10),
            conflict([violated(S, exact(4), 0).unseen(&[])]),
        ),
        case("stream_exists_tells_no_version_so_nothing_is_brought")
            .then(stale(StreamExists, 10), conflict([(S, StreamExists, 0)])),
        told("a_check_brings_unseen_events_too").then(
            check(S, exact(1)).asking_unseen(10),
            conflict([violated(S, exact(1), 3).unseen(&["b", "c"])]),
        ),
        told("unseen_events_are_counted_for_each_violated_stream")
            .given(put(Y, ["y1", "y2"]))
            .then(
                append(S, exact(2), ["x"])
                    .and(Y, NoStream, ["x"])
                    .asking_unseen(1),
                conflict([
                    violated(S, exact(2), 3).unseen(&["c"]),
                    violated(Y, NoStream, 2).unseen_first(&["y1"]),
                ]),
            ),
        told("unseen_events_come_with_conflicts_only")
            .then(
                append(S, Any, ["a", "x"]).asking_unseen(9),
                stored(S, "a", 1),
            )
            .then(
                append(S, Any, ["x", "x"]).asking_unseen(9),
                sent_twice(S, "x"),
            ),
    ]
}

fn stale(expected: ExpectedVersion, unseen_events_max: u32) -> Draft {
    append(S, expected, ["x"]).asking_unseen(unseen_events_max)
}
