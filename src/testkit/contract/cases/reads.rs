//! Reads of one stream and of all.

use crate::testkit::contract::case::{Case, Draft, DraftEvent};
use crate::testkit::contract::words::{append, appended, case, event, exact, put, read, read_all};
use crate::version::ExpectedVersion::Any;

const S: &str = "order-1";

pub(super) fn cases() -> Vec<Case> {
    [
        ranges(),
        types(),
        pages(),
        all(),
        filters(),
        scans(),
        finds(),
    ]
    .concat()
}

fn five(name: &'static str) -> Case {
    let beside = put("order-2", ["x"]);
    let case = case(name).given(put(S, ["a", "b"])).given(beside);
    case.given(put(S, ["c", "d", "e"]))
}

fn ranges() -> Vec<Case> {
    const MAX: u64 = u64::MAX;
    vec![
        five("a_stream_is_read_from_its_first_event").reads(read(S), &["a", "b", "c", "d", "e"], 5),
        five("a_stream_is_read_backwards").reads(
            read(S).backwards(),
            &["e", "d", "c", "b", "a"],
            5,
        ),
        five("a_read_begins_at_a_version")
            .reads(read(S).from(3), &["c", "d", "e"], 5)
            .reads(read(S).from(0), &["a", "b", "c", "d", "e"], 5)
            .reads(read(S).from(5), &["e"], 5),
        five("a_read_ends_at_a_version")
            .reads(read(S).to(2), &["a", "b"], 5)
            .reads(read(S).to(0), &[], 5)
            .reads(read(S).to(MAX), &["a", "b", "c", "d", "e"], 5),
        five("a_read_has_both_ends").reads(read(S).from(2).to(4), &["b", "c", "d"], 5),
        five("a_read_backwards_has_both_ends")
            .reads(read(S).from(2).to(4).backwards(), &["d", "c", "b"], 5)
            .reads(read(S).from(4).backwards(), &["e", "d"], 5)
            .reads(read(S).to(2).backwards(), &["b", "a"], 5),
        five("a_read_whose_ends_cross_is_empty")
            .reads(read(S).from(4).to(2), &[], 5)
            .reads(read(S).from(4).to(2).backwards(), &[], 5),
        five("a_read_past_the_end_is_empty_and_tells_the_version")
            .reads(read(S).from(6), &[], 5)
            .reads(read(S).from(MAX), &[], 5)
            .reads(read(S).from(6).backwards(), &[], 5)
            .reads(read(S).from(1 << 63), &[], 5),
        five("a_read_ends_after_so_many_events")
            .reads(read(S).limit(2), &["a", "b"], 5)
            .reads(read(S).limit(2).backwards(), &["e", "d"], 5)
            .reads(read(S).from(2).limit(3), &["b", "c", "d"], 5)
            .reads(read(S).limit(5), &["a", "b", "c", "d", "e"], 5)
            .reads(read(S).limit(MAX), &["a", "b", "c", "d", "e"], 5),
        five("a_read_of_no_events_tells_the_version")
            .reads(read(S).limit(0), &[], 5)
            .reads(read(S).limit(0).backwards(), &[], 5),
        case("a_read_of_a_stream_never_written_tells_version_0")
            .reads(read(S), &[], 0)
            .reads(read(S).backwards(), &[], 0)
            .reads(read(S).from(3).limit(1), &[], 0)
            .reads(read(S).of_type("Noted"), &[], 0),
        five("the_version_that_a_read_tells_is_what_the_next_append_expects")
            .reads(read(S).limit(1), &["a"], 5)
            .then(append(S, exact(5), ["f"]), appended([(S, 6, 6)]))
            .reads(read(S).from(6), &["f"], 6),
    ]
}

/// Types take turns: Opened, Noted, Noted, Closed, Noted.
fn typed() -> Vec<DraftEvent> {
    vec![
        event("a").of_type("Opened"),
        event("b"),
        event("c"),
        event("d").of_type("Closed"),
        event("e"),
    ]
}

fn types() -> Vec<Case> {
    let told = |name| case(name).given(put(S, typed()));
    vec![
        told("a_read_takes_one_type")
            .reads(read(S).of_type("Noted"), &["b", "c", "e"], 5)
            .reads(read(S).of_type("Noted").backwards(), &["e", "c", "b"], 5),
        told("a_read_takes_several_types").reads(
            read(S).of_type("Opened").of_type("Closed"),
            &["a", "d"],
            5,
        ),
        told("a_read_of_a_type_unknown_is_empty_and_tells_the_version")
            .reads(read(S).of_type("Unknown"), &[], 5)
            .reads(read(S).of_type("Note"), &[], 5)
            .reads(read(S).of_type("Unknown").of_type("Closed"), &["d"], 5),
        told("a_limit_counts_what_passes_the_filter")
            .reads(read(S).of_type("Noted").limit(2), &["b", "c"], 5)
            .reads(
                read(S).of_type("Noted").limit(2).backwards(),
                &["e", "c"],
                5,
            )
            .reads(read(S).of_type("Closed").limit(1), &["d"], 5),
        told("a_type_and_a_range_go_together")
            .reads(read(S).of_type("Noted").from(3), &["c", "e"], 5)
            .reads(read(S).of_type("Noted").to(4).backwards(), &["c", "b"], 5),
    ]
}

fn pages() -> Vec<Case> {
    let told = |name| case(name).given(put(S, typed()));
    vec![
        told("pages_of_one_event_tell_the_same")
            .reads(read(S).pages_of(1), &["a", "b", "c", "d", "e"], 5)
            .reads(
                read(S).pages_of(1).backwards(),
                &["e", "d", "c", "b", "a"],
                5,
            )
            .reads(read(S).pages_of(1).of_type("Noted"), &["b", "c", "e"], 5),
        told("pages_that_do_not_divide_the_stream_tell_the_same")
            .reads(read(S).pages_of(2), &["a", "b", "c", "d", "e"], 5)
            .reads(
                read(S).pages_of(2).from(2).backwards(),
                &["e", "d", "c", "b"],
                5,
            ),
        told("a_limit_goes_over_several_pages")
            .reads(read(S).pages_of(2).limit(3), &["a", "b", "c"], 5)
            .reads(read(S).pages_of(2).limit(4), &["a", "b", "c", "d"], 5),
        told("pages_that_look_at_one_event_tell_the_same")
            .reads(read(S).scanning(1).of_type("Closed"), &["d"], 5)
            .reads(
                read(S).scanning(2).of_type("Noted").backwards(),
                &["e", "c", "b"],
                5,
            )
            .reads(read(S).scanning(1).of_type("Unknown"), &[], 5),
        told("an_event_larger_than_a_page_is_a_page")
            .reads(read(S).page_bytes(1), &["a", "b", "c", "d", "e"], 5)
            .reads_all(read_all().page_bytes(1), &["a", "b", "c", "d", "e"])
            .reads(read(S).page_bytes(0), &["a", "b", "c", "d", "e"], 5),
        told("pages_end_when_they_hold_bytes_enough")
            .reads(read(S).page_bytes(12), &["a", "b", "c", "d", "e"], 5)
            .reads_all(
                read_all().page_bytes(12).backwards(),
                &["e", "d", "c", "b", "a"],
            ),
    ]
}

/// Three streams of two categories that begin alike, and one of a third.
fn mixture(name: &'static str) -> Case {
    let of = |event_type: &str, name: &str| event(name).of_type(event_type);
    case(name)
        .given(put("acc-1", [of("Opened", "a"), of("Noted", "b")]))
        .given(put("account-1", [of("Opened", "c")]))
        .given(put("acc-10", [of("Noted", "d")]))
        .given(put("order-1", [of("Opened", "e"), of("Closed", "f")]))
        .given(put("acc-1", [of("Closed", "g")]))
}

fn all() -> Vec<Case> {
    vec![
        mixture("all_events_are_read_in_the_order_they_were_written")
            .reads_all(read_all(), &["a", "b", "c", "d", "e", "f", "g"]),
        mixture("all_events_are_read_backwards")
            .reads_all(read_all().backwards(), &["g", "f", "e", "d", "c", "b", "a"]),
        mixture("a_read_of_all_has_both_ends")
            .reads_all(read_all().from(3), &["c", "d", "e", "f", "g"])
            .reads_all(read_all().to(2), &["a", "b"])
            .reads_all(read_all().from(3).to(5), &["c", "d", "e"])
            .reads_all(read_all().from(3).to(5).backwards(), &["e", "d", "c"])
            .reads_all(read_all().from(5).to(3), &[]),
        mixture("a_read_of_all_past_the_end_is_empty")
            .reads_all(read_all().from(8), &[])
            .reads_all(read_all().from(u64::MAX), &[])
            .reads_all(read_all().from(8).backwards(), &[])
            .reads_all(read_all().to(0), &[]),
        mixture("a_read_of_all_ends_after_so_many_events")
            .reads_all(read_all().limit(3), &["a", "b", "c"])
            .reads_all(read_all().limit(2).backwards(), &["g", "f"])
            .reads_all(read_all().limit(0), &[])
            .reads_all(read_all().limit(0).backwards(), &[]),
        case("a_read_of_all_in_an_empty_store_is_empty")
            .reads_all(read_all(), &[])
            .reads_all(read_all().backwards(), &[])
            .reads_all(read_all().category("acc").of_type("Noted"), &[]),
        mixture("the_events_of_one_commit_stand_next_to_each_other")
            .then(
                two_streams(),
                appended([("stock-1", 1, 2), ("acc-1", 4, 4)]),
            )
            .reads_all(read_all().from(8), &["h", "i", "j"]),
    ]
}

fn two_streams() -> Draft {
    append("stock-1", Any, ["h", "i"]).and("acc-1", Any, ["j"])
}

fn filters() -> Vec<Case> {
    vec![
        mixture("a_category_is_not_a_longer_one_that_begins_like_it")
            .reads_all(read_all().category("acc"), &["a", "b", "d", "g"])
            .reads_all(read_all().category("account"), &["c"])
            .reads_all(read_all().category("ac"), &[])
            .reads_all(read_all().category("acc-1"), &[]),
        mixture("several_categories_are_read_together")
            .reads_all(
                read_all().category("account").category("order"),
                &["c", "e", "f"],
            )
            .reads_all(
                read_all().category("order").category("unknown"),
                &["e", "f"],
            ),
        mixture("a_category_unknown_is_empty")
            .reads_all(read_all().category("unknown"), &[])
            .reads_all(read_all().category("ACC"), &[])
            .reads_all(read_all().category("a%"), &[])
            .reads_all(read_all().category(""), &[]),
        mixture("a_prefix_takes_every_stream_that_begins_so")
            .reads_all(read_all().prefix("acc"), &["a", "b", "c", "d", "g"])
            .reads_all(read_all().prefix("acc-1"), &["a", "b", "d", "g"])
            .reads_all(read_all().prefix("acc-10"), &["d"])
            .reads_all(read_all().prefix(""), &["a", "b", "c", "d", "e", "f", "g"])
            .reads_all(read_all().prefix("acc_1"), &[])
            .reads_all(read_all().prefix("%"), &[]),
        mixture("several_prefixes_are_read_together").reads_all(
            read_all().prefix("acc-10").prefix("order"),
            &["d", "e", "f"],
        ),
        mixture("types_are_read_over_all_streams")
            .reads_all(read_all().of_type("Opened"), &["a", "c", "e"])
            .reads_all(
                read_all().of_type("Opened").of_type("Closed"),
                &["a", "c", "e", "f", "g"],
            )
            .reads_all(read_all().of_type("Unknown"), &[]),
        mixture("a_category_and_a_type_go_together")
            .reads_all(read_all().category("acc").of_type("Noted"), &["b", "d"])
            .reads_all(read_all().category("account").of_type("Noted"), &[]),
        mixture("a_category_and_a_prefix_go_together")
            .reads_all(read_all().category("acc").prefix("acc-10"), &["d"])
            .reads_all(read_all().category("acc").prefix("order"), &[]),
        mixture("a_category_a_prefix_and_a_type_go_together").reads_all(
            read_all()
                .category("acc")
                .category("order")
                .prefix("acc-1")
                .of_type("Closed"),
            &["g"],
        ),
        mixture("a_filter_a_range_and_a_limit_go_together")
            .reads_all(read_all().category("acc").from(2).limit(2), &["b", "d"])
            .reads_all(
                read_all().category("acc").to(6).backwards().limit(2),
                &["d", "b"],
            ),
    ]
}

fn scans() -> Vec<Case> {
    let acc = || read_all().category("acc");
    vec![
        mixture("a_page_scans_past_what_a_filter_leaves_out")
            .reads_all(acc().scanning(1), &["a", "b", "d", "g"])
            .reads_all(acc().scanning(2), &["a", "b", "d", "g"])
            .reads_all(acc().scanning(2).backwards(), &["g", "d", "b", "a"]),
        mixture("a_read_that_finds_nothing_scans_to_the_end")
            .reads_all(read_all().category("unknown").scanning(2), &[])
            .reads_all(read_all().of_type("Unknown"), &[])
            .reads_all(read_all().prefix("zzz").scanning(3).backwards(), &[])
            .reads_all(read_all().category("order").from(7), &[]),
        mixture("pages_of_one_event_of_all_tell_the_same")
            .reads_all(read_all().pages_of(1), &["a", "b", "c", "d", "e", "f", "g"])
            .reads_all(
                read_all().pages_of(1).backwards(),
                &["g", "f", "e", "d", "c", "b", "a"],
            )
            .reads_all(acc().pages_of(1), &["a", "b", "d", "g"]),
        mixture("a_limit_goes_over_several_pages_of_all")
            .reads_all(acc().pages_of(1).limit(3), &["a", "b", "d"])
            .reads_all(acc().scanning(1).limit(3).backwards(), &["g", "d", "b"]),
    ]
}

fn finds() -> Vec<Case> {
    vec![
        five("an_event_is_found_by_its_id")
            .finds(S, "a", 1)
            .finds(S, "e", 5),
        five("an_event_that_is_not_there_is_not_found").misses(S, "z"),
        five("an_event_of_another_stream_is_not_found")
            .misses(S, "x")
            .misses("order-2", "a"),
        five("an_event_of_a_stream_never_written_is_not_found").misses("order-3", "a"),
        five("an_event_is_found_after_a_restart")
            .restart()
            .finds(S, "d", 4)
            .misses(S, "x"),
    ]
}
