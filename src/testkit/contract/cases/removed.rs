//! What stays of removed events: their numbers, ids and keys; and what reads and
//! generations tell of them.

use crate::testkit::contract::case::Case;
use crate::testkit::contract::words::{
    already, append, appended, case, check, checked, closed, conflict, event, exact, key_reused,
    list, other_payload, other_type, put, read, read_all, removed, replayed, stored, violated,
};
use crate::version::ExpectedVersion::{Any, NoStream, StreamExists};
use crate::version::StreamState::{Closed, Deleted, Live};

const X: &str = "order-1";
const Y: &str = "stock-1";

pub(super) fn cases() -> Vec<Case> {
    [repeats(), stripped(), keys(), generations(), reads()].concat()
}

fn three(name: &'static str) -> Case {
    case(name).given(put(X, ["a", "b", "c"]))
}

fn deleted(name: &'static str) -> Case {
    three(name).deletes(X, exact(3), removed(3, 1, Deleted))
}

fn repeats() -> Vec<Case> {
    vec![
        deleted("a_repeat_after_a_deletion_is_replayed_and_the_stream_stays_deleted")
            .then(append(X, NoStream, ["a"]), replayed([(X, 1, 1)]))
            .then(append(X, NoStream, ["a", "b", "c"]), replayed([(X, 1, 3)]))
            .then(append(X, exact(1), ["b", "c"]), replayed([(X, 2, 3)]))
            .then(append(X, Any, ["c"]), replayed([(X, 3, 3)]))
            .stands_at(X, 3)
            .misses(X, "a"),
        deleted("a_repeat_that_does_not_fit_is_a_duplicate_where_the_table_says_ok")
            .then(append(X, NoStream, ["b"]), stored(X, "b", 2))
            .then(append(X, exact(3), ["b"]), stored(X, "b", 2)),
        deleted("a_repeat_that_does_not_fit_conflicts_where_the_table_says_so").then(
            append(X, exact(2), ["b"]),
            conflict([violated(X, exact(2), 3).in_state(Deleted)]),
        ),
        deleted("a_removed_event_that_is_sent_differently_is_a_duplicate")
            .then(
                append(X, NoStream, [event("a").payload("0")]),
                other_payload(X, "a", 1),
            )
            .then(
                append(X, NoStream, [event("a").of_type("Struck")]),
                other_type(X, "a", 1),
            ),
        deleted("a_come_back_is_replayed_under_no_stream")
            .then(append(X, NoStream, ["d", "e"]), appended([(X, 4, 5)]))
            .then(append(X, NoStream, ["d", "e"]), replayed([(X, 4, 5)]))
            .then(append(X, NoStream, ["d"]), replayed([(X, 4, 4)]))
            .then(append(X, exact(3), ["d", "e"]), replayed([(X, 4, 5)]))
            .then(append(X, NoStream, ["a"]), replayed([(X, 1, 1)])),
        deleted("the_second_event_of_a_come_back_does_not_fit_no_stream")
            .then(append(X, NoStream, ["d", "e"]), appended([(X, 4, 5)]))
            .then(
                append(X, NoStream, ["e"]),
                conflict([violated(X, NoStream, 5)]),
            ),
        deleted("each_come_back_is_replayed_under_no_stream")
            .then(append(X, NoStream, ["d"]), appended([(X, 4, 4)]))
            .deletes(X, exact(4), removed(4, 2, Deleted))
            .then(append(X, NoStream, ["e"]), appended([(X, 5, 5)]))
            .then(append(X, NoStream, ["d"]), replayed([(X, 4, 4)]))
            .then(append(X, NoStream, ["e"]), replayed([(X, 5, 5)])),
        three("truncating_is_no_deletion_that_no_stream_fits")
            .truncates(X, 3, removed(3, 1, Live))
            .then(
                append(X, NoStream, ["c"]),
                conflict([violated(X, NoStream, 3)]),
            )
            .then(append(X, NoStream, ["a"]), replayed([(X, 1, 1)])),
        three("a_repeat_on_a_closed_stream_is_replayed")
            .closes(X, Any, removed(3, 0, Closed))
            .then(append(X, NoStream, ["a"]), replayed([(X, 1, 1)]))
            .then(append(X, exact(2), ["c"]), replayed([(X, 3, 3)])),
        three("what_is_no_repeat_is_refused_on_a_closed_stream")
            .closes(X, Any, removed(3, 0, Closed))
            .then(
                append(X, Any, ["c", "d"]),
                closed([violated(X, Any, 3).in_state(Closed)]),
            ),
        deleted("a_removed_id_is_not_given_to_a_new_event")
            .then(append(X, NoStream, ["d", "a"]), stored(X, "a", 1))
            .then(append(X, NoStream, ["a", "d"]), stored(X, "a", 1)),
        deleted("a_repeat_over_several_streams_survives_a_deletion")
            .then(append(Y, NoStream, ["y"]), appended([(Y, 1, 1)]))
            .then(
                append(X, NoStream, ["a", "b", "c"]).and(Y, NoStream, ["y"]),
                replayed([(X, 1, 3), (Y, 1, 1)]),
            ),
        deleted("a_repeat_after_a_deletion_and_a_restart_is_replayed")
            .restart()
            .then(append(X, NoStream, ["a"]), replayed([(X, 1, 1)])),
    ]
}

fn stripped() -> Vec<Case> {
    vec![
        deleted("compaction_strips_each_removed_event_once")
            .compacts(3)
            .compacts(0)
            .restart()
            .compacts(0),
        three("compaction_leaves_what_is_not_removed")
            .truncates(X, 3, removed(3, 1, Live))
            .compacts(2)
            .finds(X, "c", 3)
            .reads(read(X), &["c"], 3),
        three("compaction_of_nothing_strips_nothing").compacts(0),
        deleted("a_repeat_of_stripped_events_is_replayed_whatever_the_payload")
            .compacts(3)
            .then(append(X, NoStream, ["a", "b"]), replayed([(X, 1, 2)]))
            .then(append(X, exact(2), ["c"]), replayed([(X, 3, 3)])),
        deleted("a_stripped_event_sent_with_another_type_is_a_duplicate")
            .compacts(3)
            .then(
                append(X, NoStream, [event("a").of_type("Struck")]),
                other_type(X, "a", 1),
            ),
        deleted("a_stream_comes_back_after_compaction")
            .compacts(3)
            .then(append(X, NoStream, ["d"]), appended([(X, 4, 4)]))
            .restart()
            .reads(read(X), &["d"], 4),
        three("compaction_goes_on_where_it_was")
            .truncates(X, 2, removed(3, 1, Live))
            .compacts(1)
            .truncates(X, 3, removed(3, 2, Live))
            .compacts(1)
            .deletes(X, Any, removed(3, 3, Deleted))
            .compacts(1),
        case("compaction_strips_many_streams")
            .given(put(X, ["a", "b"]))
            .given(put(Y, ["y"]))
            .deletes(X, Any, removed(2, 1, Deleted))
            .deletes(Y, Any, removed(1, 1, Deleted))
            .compacts(3),
    ]
}

fn keys() -> Vec<Case> {
    let keyed = || append(X, Any, ["k"]).key("pay-7", "pay 5");
    vec![
        case("a_key_outlives_a_deletion")
            .then(keyed(), appended([(X, 1, 1)]))
            .deletes(X, Any, removed(1, 1, Deleted))
            .then(
                append(X, Any, ["l"]).key("pay-7", "pay 5"),
                already([(X, 1, 1)]),
            )
            .then(
                append(X, Any, ["l"]).key("pay-7", "pay 6"),
                key_reused(X, "pay-7"),
            ),
        case("a_key_outlives_compaction_and_a_restart")
            .then(keyed(), appended([(X, 1, 1)]))
            .deletes(X, Any, removed(1, 1, Deleted))
            .compacts(1)
            .restart()
            .then(
                append(X, Any, ["l"]).key("pay-7", "pay 5"),
                already([(X, 1, 1)]),
            ),
        case("a_key_is_known_on_a_closed_stream")
            .then(keyed(), appended([(X, 1, 1)]))
            .closes(X, Any, removed(1, 0, Closed))
            .then(keyed(), already([(X, 1, 1)])),
    ]
}

fn generations() -> Vec<Case> {
    vec![
        three("an_append_at_the_generation_lands").then(
            append(X, exact(3), ["d"]).at_generation(0),
            appended([(X, 4, 4)]),
        ),
        three("an_append_at_an_older_generation_conflicts")
            .truncates(X, 2, removed(3, 1, Live))
            .then(
                append(X, exact(3), ["d"]).at_generation(0),
                conflict([violated(X, exact(3), 3)]),
            )
            .then(
                append(X, exact(3), ["d"]).at_generation(1),
                appended([(X, 4, 4)]),
            ),
        deleted("an_append_at_the_generation_before_a_deletion_conflicts").then(
            append(X, exact(3), ["d"]).at_generation(0),
            conflict([violated(X, exact(3), 3).in_state(Deleted)]),
        ),
        three("a_repeat_is_replayed_at_any_generation")
            .truncates(X, 3, removed(3, 1, Live))
            .then(
                append(X, exact(2), ["c"]).at_generation(0),
                replayed([(X, 3, 3)]),
            ),
        three("a_check_of_an_older_generation_fails")
            .truncates(X, 2, removed(3, 1, Live))
            .then(
                check(X, StreamExists).at_generation(0),
                conflict([violated(X, StreamExists, 3)]),
            )
            .then(check(X, StreamExists).at_generation(1), checked([(X, 3)])),
    ]
}

fn reads() -> Vec<Case> {
    vec![
        deleted("a_deleted_stream_reads_as_empty_and_tells_its_version")
            .reads(read(X), &[], 3)
            .reads(read(X).backwards(), &[], 3),
        three("a_truncated_stream_reads_from_what_is_left")
            .truncates(X, 2, removed(3, 1, Live))
            .reads(read(X), &["b", "c"], 3)
            .reads(read(X).from(1), &["b", "c"], 3)
            .reads(read(X).to(1), &[], 3)
            .reads(read(X).to(2), &["b"], 3)
            .reads(read(X).backwards(), &["c", "b"], 3)
            .reads(read(X).pages_of(1), &["b", "c"], 3)
            .reads(read(X).backwards().pages_of(1), &["c", "b"], 3),
        three("a_read_over_all_passes_what_was_removed")
            .given(put(Y, ["y"]))
            .truncates(X, 3, removed(3, 1, Live))
            .then(append(Y, Any, ["z"]), appended([(Y, 2, 2)]))
            .reads_all(read_all(), &["c", "y", "z"])
            .reads_all(read_all().backwards(), &["z", "y", "c"])
            .reads_all(read_all().pages_of(1), &["c", "y", "z"])
            .reads_all(read_all().scanning(1), &["c", "y", "z"])
            .reads_all(read_all().scanning(2).backwards(), &["z", "y", "c"])
            .reads_all(read_all().category("stock"), &["y", "z"])
            .reads_all(read_all().from(5), &["z"]),
        deleted("a_read_over_all_ends_at_a_removal")
            .reads_all(read_all(), &[])
            .reads_all(read_all().backwards(), &[])
            .reads_all(read_all().scanning(1), &[]),
        case("removals_in_a_row_leave_no_hole")
            .given(put(X, ["a"]))
            .given(put(Y, ["y"]))
            .deletes(X, Any, removed(1, 1, Deleted))
            .deletes(Y, Any, removed(1, 1, Deleted))
            .then(append(X, Any, ["b"]), appended([(X, 2, 2)]))
            .deletes(X, Any, removed(2, 2, Deleted))
            .then(append(Y, Any, ["z"]), appended([(Y, 2, 2)]))
            .reads_all(read_all(), &["z"])
            .reads_all(read_all().pages_of(1).backwards(), &["z"])
            .reads_all(read_all().scanning(2), &["z"]),
        deleted("a_deleted_stream_is_listed").lists(list(), &[X]),
        deleted("unseen_events_that_were_removed_are_not_brought")
            .then(append(X, NoStream, ["d"]), appended([(X, 4, 4)]))
            .then(
                append(X, exact(1), ["e"]).asking_unseen(10),
                conflict([violated(X, exact(1), 4).unseen(&["d"])]),
            ),
    ]
}
