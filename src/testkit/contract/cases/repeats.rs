//! What was sent before is recognised by its event ids.
//!
//! Each table sends one thing under each kind of expectation to a stream that
//! holds a, b, c. None of it writes anything.

use crate::testkit::contract::case::{Answer, Case, DraftEvent};
use crate::testkit::contract::words::{
    append, appended, case, conflict, event, events, exact, other_payload, other_type, put,
    replayed, sent_twice, stored,
};
use crate::version::ExpectedVersion::{self, Any, NoStream, StreamExists};

const S: &str = "order-1";

pub(super) fn cases() -> Vec<Case> {
    [
        whole_and_parts(),
        not_in_that_order(),
        partly_new(),
        differing(),
        same_enough(),
        later(),
    ]
    .concat()
}

fn table<const N: usize, E: Into<DraftEvent> + Clone>(
    name: &'static str,
    sent: &[E],
    rows: [(ExpectedVersion, Answer); N],
) -> Case {
    let mut told = case(name).given(put(S, ["a", "b", "c"]));
    for (expected, answer) in rows {
        told = told.then(append(S, expected, sent.iter().cloned()), answer);
    }
    told.stands_at(S, 3)
}

fn again(first: u64, last: u64) -> Answer {
    replayed([(S, first, last)])
}

fn wrong(expected: ExpectedVersion) -> (ExpectedVersion, Answer) {
    (expected, conflict([(S, expected, 3)]))
}

fn whole_and_parts() -> Vec<Case> {
    vec![
        table(
            "a_whole_append_sent_again_is_replayed",
            &["a", "b", "c"],
            [
                (Any, again(1, 3)),
                (NoStream, again(1, 3)),
                (StreamExists, again(1, 3)),
                (exact(0), again(1, 3)),
                wrong(exact(1)),
                wrong(exact(2)),
                (exact(3), stored(S, "a", 1)),
                wrong(exact(5)),
                wrong(exact(u64::MAX)),
            ],
        ),
        table(
            "the_beginning_of_an_append_is_replayed",
            &["a", "b"],
            [
                (Any, again(1, 2)),
                (NoStream, again(1, 2)),
                (StreamExists, again(1, 2)),
                (exact(0), again(1, 2)),
                wrong(exact(2)),
                (exact(3), stored(S, "a", 1)),
                wrong(exact(5)),
            ],
        ),
        table(
            "the_first_event_alone_is_replayed",
            &["a"],
            [
                (Any, again(1, 1)),
                (NoStream, again(1, 1)),
                (StreamExists, again(1, 1)),
                (exact(0), again(1, 1)),
                wrong(exact(1)),
                (exact(3), stored(S, "a", 1)),
                wrong(exact(5)),
            ],
        ),
        table(
            "an_event_in_the_middle_is_replayed_where_it_was_expected",
            &["b"],
            [
                (Any, again(2, 2)),
                wrong(NoStream),
                (StreamExists, again(2, 2)),
                wrong(exact(0)),
                (exact(1), again(2, 2)),
                wrong(exact(2)),
                (exact(3), stored(S, "b", 2)),
                wrong(exact(5)),
            ],
        ),
        table(
            "the_end_of_an_append_is_replayed_where_it_was_expected",
            &["b", "c"],
            [
                (Any, again(2, 3)),
                wrong(NoStream),
                (StreamExists, again(2, 3)),
                wrong(exact(0)),
                (exact(1), again(2, 3)),
                wrong(exact(2)),
                (exact(3), stored(S, "b", 2)),
                wrong(exact(5)),
            ],
        ),
        table(
            "the_last_event_alone_is_replayed_where_it_was_expected",
            &["c"],
            [
                (Any, again(3, 3)),
                wrong(NoStream),
                (StreamExists, again(3, 3)),
                wrong(exact(0)),
                (exact(2), again(3, 3)),
                (exact(3), stored(S, "c", 3)),
                wrong(exact(5)),
            ],
        ),
    ]
}

fn not_in_that_order() -> Vec<Case> {
    vec![
        table(
            "events_in_another_order_are_no_repeat",
            &["b", "a"],
            mixed("b", 2),
        ),
        table(
            "events_with_one_left_out_between_them_are_no_repeat",
            &["a", "c"],
            mixed("a", 1),
        ),
        table(
            "all_events_backwards_are_no_repeat",
            &["c", "b", "a"],
            mixed("c", 3),
        ),
    ]
}

fn partly_new() -> Vec<Case> {
    vec![
        table(
            "a_first_event_and_then_a_new_one_are_no_repeat",
            &["a", "x"],
            mixed("a", 1),
        ),
        table(
            "a_last_event_and_then_a_new_one_are_no_repeat",
            &["c", "x"],
            mixed("c", 3),
        ),
        table(
            "a_whole_append_and_one_event_more_are_no_repeat",
            &["a", "b", "c", "x"],
            mixed("a", 1),
        ),
        table(
            "a_new_event_and_then_a_stored_one_are_no_repeat",
            &["x", "a"],
            mixed("a", 1),
        ),
        table(
            "a_new_event_between_stored_ones_is_no_repeat",
            &["a", "x", "b"],
            mixed("a", 1),
        ),
    ]
}

/// Some ids are stored, and it is no repeat: what the truth table lets pass is a
/// duplicate.
fn mixed(event: &str, version: u64) -> [(ExpectedVersion, Answer); 8] {
    [
        (Any, stored(S, event, version)),
        wrong(NoStream),
        (StreamExists, stored(S, event, version)),
        wrong(exact(0)),
        wrong(exact(1)),
        wrong(exact(2)),
        (exact(3), stored(S, event, version)),
        wrong(exact(5)),
    ]
}

fn differing() -> Vec<Case> {
    let b = event("b");
    vec![
        table(
            "the_first_event_with_another_payload_is_a_duplicate",
            &[event("a").payload(r#"{"n":"A"}"#)],
            [
                (Any, other_payload(S, "a", 1)),
                (NoStream, other_payload(S, "a", 1)),
                (StreamExists, other_payload(S, "a", 1)),
                (exact(0), other_payload(S, "a", 1)),
                wrong(exact(1)),
                (exact(3), stored(S, "a", 1)),
                wrong(exact(5)),
            ],
        ),
        table(
            "an_event_in_the_middle_with_another_payload_is_a_duplicate",
            &[b.clone().payload(r#"{"n":"B"}"#)],
            in_the_place_of_b(&other_payload(S, "b", 2)),
        ),
        table(
            "a_payload_that_differs_in_white_space_is_another",
            &[b.clone().payload(r#"{"n": "b"}"#)],
            in_the_place_of_b(&other_payload(S, "b", 2)),
        ),
        table(
            "an_event_with_another_type_is_a_duplicate",
            &[b.clone().of_type("Renoted")],
            in_the_place_of_b(&other_type(S, "b", 2)),
        ),
        table(
            "a_type_that_differs_in_case_is_another",
            &[b.clone().of_type("noted")],
            in_the_place_of_b(&other_type(S, "b", 2)),
        ),
        table(
            "of_another_type_and_another_payload_the_type_is_named",
            &[b.of_type("Renoted").payload("0")],
            in_the_place_of_b(&other_type(S, "b", 2)),
        ),
        table(
            "of_several_events_the_first_that_differs_is_named",
            &[event("a"), event("b").payload("0"), event("c").of_type("X")],
            [
                (Any, other_payload(S, "b", 2)),
                (NoStream, other_payload(S, "b", 2)),
                (exact(0), other_payload(S, "b", 2)),
                wrong(exact(1)),
                (exact(3), stored(S, "a", 1)),
            ],
        ),
    ]
}

fn in_the_place_of_b(answer: &Answer) -> [(ExpectedVersion, Answer); 7] {
    [
        (Any, answer.clone()),
        wrong(NoStream),
        (StreamExists, answer.clone()),
        (exact(1), answer.clone()),
        wrong(exact(2)),
        (exact(3), stored(S, "b", 2)),
        wrong(exact(5)),
    ]
}

fn same_enough() -> Vec<Case> {
    let rows = || {
        [
            (Any, again(2, 2)),
            wrong(NoStream),
            (StreamExists, again(2, 2)),
            (exact(1), again(2, 2)),
            wrong(exact(2)),
            (exact(3), stored(S, "b", 2)),
            wrong(exact(5)),
        ]
    };
    vec![
        table(
            "other_metadata_makes_no_other_event",
            &[event("b").by("somebody else")],
            rows(),
        ),
        table(
            "another_schema_version_makes_no_other_event",
            &[event("b").schema(2)],
            rows(),
        ),
    ]
}

fn later() -> Vec<Case> {
    vec![
        case("one_id_twice_in_one_append_is_refused")
            .then(append(S, Any, ["a", "a"]), sent_twice(S, "a"))
            .then(append(S, Any, ["a", "b", "a"]), sent_twice(S, "a"))
            .stands_at(S, 0),
        case("one_id_twice_is_refused_whatever_is_expected")
            .given(put(S, ["a", "b", "c"]))
            .then(append(S, NoStream, ["x", "x"]), sent_twice(S, "x"))
            .then(append(S, exact(9), ["a", "a"]), sent_twice(S, "a"))
            .then(append(S, exact(0), ["a", "b", "b"]), sent_twice(S, "b")),
        case("one_id_twice_with_different_payloads_is_refused").then(
            append(S, Any, [event("a"), event("a").payload("0")]),
            sent_twice(S, "a"),
        ),
        case("the_same_id_in_another_stream_is_a_new_event")
            .given(put(S, ["a"]))
            .then(
                append("order-2", NoStream, ["a"]),
                appended([("order-2", 1, 1)]),
            )
            .finds(S, "a", 1)
            .finds("order-2", "a", 1),
        case("the_same_id_in_another_stream_may_say_something_else")
            .given(put(S, ["a"]))
            .then(
                append(
                    "order-2",
                    Any,
                    [event("x"), event("a").of_type("Other").payload("0")],
                ),
                appended([("order-2", 1, 2)]),
            ),
        case("a_repeat_is_recognised_after_a_restart")
            .given(put(S, ["a", "b", "c"]))
            .restart()
            .then(append(S, exact(0), ["a", "b", "c"]), again(1, 3))
            .then(append(S, Any, ["c"]), again(3, 3))
            .then(append(S, Any, ["a", "x"]), stored(S, "a", 1)),
        case("a_repeat_is_recognised_after_later_appends")
            .then(append(S, NoStream, ["a", "b"]), appended([(S, 1, 2)]))
            .then(append(S, exact(2), ["c"]), appended([(S, 3, 3)]))
            .then(append("order-2", Any, ["x"]), appended([("order-2", 1, 1)]))
            .then(append(S, Any, ["d", "e"]), appended([(S, 4, 5)]))
            .then(append(S, NoStream, ["a", "b"]), again(1, 2))
            .then(append(S, exact(2), ["c"]), again(3, 3))
            .then(append(S, Any, ["d", "e"]), again(4, 5)),
        case("a_repeat_may_span_what_two_appends_wrote")
            .given(put(S, ["a"]))
            .given(put("order-2", ["x"]))
            .given(put(S, ["b"]))
            .then(append(S, exact(0), ["a", "b"]), again(1, 2)),
        case("a_repeat_keeps_the_metadata_and_schema_version_of_the_first")
            .then(
                append(S, Any, [event("a").by("first")]),
                appended([(S, 1, 1)]),
            )
            .then(
                append(S, Any, [event("a").by("second").schema(9)]),
                again(1, 1),
            )
            .then(append(S, Any, [event("a")]), again(1, 1)),
        case("a_long_append_sent_again_is_replayed")
            .given(put(S, events(500)))
            .then(append(S, NoStream, events(500)), again(1, 500)),
    ]
}
