//! The feed: events and removals in the order of positions, and followers that are woken.

use crate::testkit::contract::case::Case;
use crate::testkit::contract::words::{
    append, appended, case, check, checked, closed, conflict, event, exact, feed, put, removed,
    removed_before, replayed, violated,
};
use crate::version::ExpectedVersion::{Any, NoStream};
use crate::version::StreamState::{Closed, Deleted, Live};

const X: &str = "order-1";
const Y: &str = "stock-1";

pub(super) fn cases() -> Vec<Case> {
    [pages(), removals(), filters(), followers()].concat()
}

/// Five events in two streams.
fn five(name: &'static str) -> Case {
    case(name)
        .given(put(X, ["a", "b"]))
        .given(put(Y, ["s"]))
        .given(put(X, ["c", "d"]))
}

/// Events, a truncation at 5, an event, a deletion at 7, an event.
fn removed_twice(name: &'static str) -> Case {
    case(name)
        .given(put(X, ["a", "b", "c"]))
        .given(put(Y, ["s"]))
        .truncates(X, 3, removed(3, 1, Live))
        .then(append(X, Any, ["d"]), appended([(X, 4, 4)]))
        .deletes(X, exact(4), removed(4, 2, Deleted))
        .then(append(X, NoStream, ["e"]), appended([(X, 5, 5)]))
}

const TWICE: [&str; 4] = ["s", "truncated order-1 to 2", "deleted order-1 to 4", "e"];

fn pages() -> Vec<Case> {
    vec![
        case("the_feed_of_an_empty_store_is_empty")
            .feeds(feed(), &[])
            .feeds(feed().after(u64::MAX), &[]),
        five("the_feed_holds_every_event_in_the_order_of_positions")
            .feeds(feed(), &["a", "b", "s", "c", "d"]),
        five("the_feed_goes_on_after_a_position")
            .feeds(feed().after(2), &["s", "c", "d"])
            .feeds(feed().after(4), &["d"])
            .feeds(feed().after(5), &[])
            .feeds(feed().after(6), &[])
            .feeds(feed().after(1 << 63), &[])
            .feeds(feed().after(u64::MAX), &[]),
        five("the_feed_comes_in_pages_of_any_size")
            .feeds(feed().pages_of(1), &["a", "b", "s", "c", "d"])
            .feeds(feed().pages_of(2), &["a", "b", "s", "c", "d"])
            .feeds(feed().pages_of(5), &["a", "b", "s", "c", "d"])
            .feeds(feed().page_bytes(1), &["a", "b", "s", "c", "d"])
            .feeds(feed().page_bytes(20), &["a", "b", "s", "c", "d"])
            .feeds(feed().scanning(1), &["a", "b", "s", "c", "d"])
            .feeds(feed().scanning(3), &["a", "b", "s", "c", "d"]),
        five("the_feed_is_the_same_after_a_restart")
            .restart()
            .feeds(feed().after(1), &["b", "s", "c", "d"]),
    ]
}

fn removals() -> Vec<Case> {
    vec![
        removed_twice("removals_are_in_the_feed_where_they_happened").feeds(feed(), &TWICE),
        removed_twice("a_page_of_the_feed_may_end_at_a_removal")
            .feeds(feed().pages_of(1), &TWICE)
            .feeds(feed().pages_of(2), &TWICE)
            .feeds(feed().pages_of(3), &TWICE)
            .feeds(feed().scanning(1), &TWICE)
            .feeds(feed().scanning(2), &TWICE)
            .feeds(feed().page_bytes(1), &TWICE),
        removed_twice("the_feed_goes_on_after_a_removal")
            .feeds(feed().after(4), &TWICE[1..])
            .feeds(feed().after(5), &TWICE[2..])
            .feeds(feed().after(6), &TWICE[2..])
            .feeds(feed().after(7), &TWICE[3..])
            .feeds(feed().after(8), &[]),
        removed_twice("compaction_changes_nothing_in_the_feed")
            .compacts(4)
            .feeds(feed(), &TWICE)
            .restart()
            .feeds(feed(), &TWICE),
        five("a_removal_may_be_the_last_of_the_feed")
            .deletes(X, exact(4), removed(4, 1, Deleted))
            .feeds(feed(), &["s", "deleted order-1 to 4"])
            .feeds(feed().after(5), &["deleted order-1 to 4"])
            .feeds(feed().after(6), &[]),
        five("removals_may_stand_next_to_each_other")
            .truncates(X, 2, removed(4, 1, Live))
            .truncates(X, 3, removed(4, 2, Live))
            .deletes(Y, Any, removed(1, 1, Deleted))
            .deletes(X, Any, removed(4, 3, Deleted))
            .feeds(
                feed(),
                &[
                    "truncated order-1 to 1",
                    "truncated order-1 to 2",
                    "deleted stock-1 to 1",
                    "deleted order-1 to 4",
                ],
            )
            .feeds(
                feed().after(6).pages_of(1),
                &[
                    "truncated order-1 to 2",
                    "deleted stock-1 to 1",
                    "deleted order-1 to 4",
                ],
            ),
        five("a_removal_that_is_repeated_is_told_once")
            .deletes(X, exact(4), removed(4, 1, Deleted))
            .deletes(X, Any, removed_before(4, 1, Deleted))
            .feeds(feed(), &["s", "deleted order-1 to 4"]),
        five("closing_is_not_in_the_feed")
            .closes(X, Any, removed(4, 0, Closed))
            .feeds(feed(), &["a", "b", "s", "c", "d"])
            .then(
                append(X, Any, ["e"]),
                closed([violated(X, Any, 4).in_state(Closed)]),
            )
            .feeds(feed().after(4), &["d"]),
        five("a_closed_stream_that_is_truncated_is_told")
            .closes(X, Any, removed(4, 0, Closed))
            .truncates(X, 4, removed(4, 1, Closed))
            .feeds(feed(), &["s", "d", "truncated order-1 to 3"]),
    ]
}

fn filters() -> Vec<Case> {
    vec![
        removed_twice("the_feed_of_a_category_holds_its_removals")
            .feeds(feed().category("order"), &TWICE[1..])
            .feeds(feed().category("stock"), &["s"])
            .feeds(feed().category("ord"), &[])
            .feeds(feed().category("stock").category("order"), &TWICE),
        removed_twice("the_feed_of_a_prefix_holds_its_removals")
            .feeds(feed().prefix("order-1"), &TWICE[1..])
            .feeds(feed().prefix("order-10"), &[])
            .feeds(feed().prefix("s"), &["s"]),
        case("event_types_hold_no_removal_back")
            .given(put(X, [event("a"), event("b").of_type("Struck")]))
            .given(put(Y, [event("s")]))
            .deletes(Y, Any, removed(1, 1, Deleted))
            .feeds(feed().of_type("Struck"), &["b", "deleted stock-1 to 1"])
            .feeds(feed().of_type("Struck").category("order"), &["b"])
            .feeds(feed().of_type("Never"), &["deleted stock-1 to 1"]),
        five("a_feed_that_leaves_out_everything_looks_to_the_end")
            .feeds(feed().category("none"), &[])
            .feeds(feed().category("none").scanning(2), &[])
            .feeds(feed().of_type("Never").after(3), &[]),
    ]
}

fn followers() -> Vec<Case> {
    vec![
        case("a_follower_of_an_empty_store_is_woken_by_the_first_event")
            .then(append(X, NoStream, ["a"]), appended([(X, 1, 1)]))
            .followed(&["a"]),
        five("a_follower_is_woken_by_each_commit_and_told_all_of_it")
            .then(append(X, Any, ["e", "f"]), appended([(X, 5, 6)]))
            .followed(&["e", "f"])
            .then(
                append(X, Any, ["g"]).and(Y, Any, ["t"]),
                appended([(X, 7, 7), (Y, 2, 2)]),
            )
            .followed(&["g", "t"]),
        five("a_follower_is_woken_by_a_removal")
            .deletes(X, exact(4), removed(4, 1, Deleted))
            .followed(&["deleted order-1 to 4"])
            .truncates(Y, 1, removed_before(1, 0, Live))
            .then(append(Y, Any, ["t"]), appended([(Y, 2, 2)]))
            .followed(&["t"])
            .truncates(Y, 2, removed(2, 1, Live))
            .followed(&["truncated stock-1 to 1"]),
        five("a_follower_is_told_once_what_is_sent_again")
            .then(append(X, Any, ["e"]), appended([(X, 5, 5)]))
            .followed(&["e"])
            .then(append(X, exact(4), ["e"]), replayed([(X, 5, 5)]))
            .then(
                append(X, exact(4), ["f"]),
                conflict([violated(X, exact(4), 5)]),
            )
            .then(check(X, exact(5)), checked([(X, 5)]))
            .then(append(X, exact(5), ["g"]), appended([(X, 6, 6)]))
            .followed(&["g"]),
    ]
}
