//! The list of streams, and what a stream is.

use crate::testkit::contract::case::Case;
use crate::testkit::contract::words::{append, appended, case, check, checked, list, put};
use crate::version::ExpectedVersion::{Any, NoStream};

pub(super) fn cases() -> Vec<Case> {
    [lists(), infos()].concat()
}

/// Written in another order than that of their names.
fn six(name: &'static str) -> Case {
    ["b-1", "a-2", "a-10", "a_x-1", "a-1", "a%-1"]
        .into_iter()
        .fold(case(name), |told, stream| told.given(put(stream, ["e"])))
}

fn lists() -> Vec<Case> {
    let every = ["a%-1", "a-1", "a-10", "a-2", "a_x-1", "b-1"];
    vec![
        case("an_empty_store_lists_no_streams").lists(list(), &[]),
        six("streams_are_listed_in_the_order_of_their_bytes").lists(list(), &every),
        six("streams_of_one_category_are_listed")
            .lists(list().category("a"), &["a-1", "a-10", "a-2"])
            .lists(list().category("a%"), &["a%-1"])
            .lists(list().category("b"), &["b-1"])
            .lists(list().category("c"), &[]),
        six("streams_that_begin_alike_are_listed")
            .lists(list().prefix("a-1"), &["a-1", "a-10"])
            .lists(list().prefix("a"), &["a%-1", "a-1", "a-10", "a-2", "a_x-1"])
            .lists(list().prefix(""), &every)
            .lists(list().prefix("A"), &[]),
        six("a_percent_sign_in_a_prefix_stands_for_itself")
            .lists(list().prefix("%"), &[])
            .lists(list().prefix("a%"), &["a%-1"]),
        six("an_underscore_in_a_prefix_stands_for_itself")
            .lists(list().prefix("a_"), &["a_x-1"])
            .lists(list().prefix("_"), &[]),
        six("a_list_goes_on_after_a_stream")
            .lists(list().after("a-1"), &["a-10", "a-2", "a_x-1", "b-1"])
            .lists(list().after("a-11"), &["a-2", "a_x-1", "b-1"])
            .lists(list().after("b-1"), &[])
            .lists(list().after("A-1"), &every),
        six("a_list_of_a_category_goes_on_after_a_stream")
            .lists(list().category("a").after("a-10"), &["a-2"])
            .lists(list().category("a").after("a%-1"), &["a-1", "a-10", "a-2"])
            .lists(list().category("a").after("b-1"), &[]),
        six("a_list_ends_after_so_many_streams")
            .lists(list().limit(2), &["a%-1", "a-1"])
            .lists(list().after("a-1").limit(1), &["a-10"])
            .lists(list().category("a").limit(9), &["a-1", "a-10", "a-2"])
            .lists(list().limit(0), &[]),
        case("a_list_orders_unicode_by_its_bytes")
            .given(put("a-\u{10ffff}", ["e"]))
            .given(put("a-z", ["e"]))
            .given(put("a-\u{ffff}", ["e"]))
            .given(put("a-é", ["e"]))
            .lists(list(), &["a-z", "a-é", "a-\u{ffff}", "a-\u{10ffff}"])
            .lists(list().prefix("a-\u{ffff}"), &["a-\u{ffff}"])
            .lists(list().prefix("a-\u{10ffff}"), &["a-\u{10ffff}"])
            .lists(list().after("a-é"), &["a-\u{ffff}", "a-\u{10ffff}"]),
        six("a_list_is_the_same_after_a_restart")
            .restart()
            .lists(list(), &every),
    ]
}

fn infos() -> Vec<Case> {
    vec![
        case("a_stream_never_written_stands_at_0").stands_at("order-1", 0),
        case("a_stream_stands_at_its_last_version")
            .given(put("order-1", ["a", "b"]))
            .given(put("order-2", ["x"]))
            .stands_at("order-1", 2)
            .then(append("order-1", Any, ["c"]), appended([("order-1", 3, 3)]))
            .stands_at("order-1", 3)
            .restart()
            .stands_at("order-1", 3)
            .stands_at("order-2", 1),
        case("a_stream_that_is_only_checked_is_not_listed")
            .then(check("order-1", NoStream), checked([("order-1", 0)]))
            .then(
                append("order-2", Any, ["a"]).and_check("order-3", Any),
                appended([("order-2", 1, 1)]),
            )
            .stands_at("order-1", 0)
            .stands_at("order-3", 0)
            .lists(list(), &["order-2"]),
    ]
}
