//! The truth table: what is expected of a stream, and what it holds.

use crate::testkit::contract::case::{Answer, Case};
use crate::testkit::contract::words::{
    append, appended, case, check, checked, conflict, exact, list, put, read,
};
use crate::version::ExpectedVersion::{self, Any, NoStream, StreamExists};

use self::Cell::{Fails, Holds};

const S: &str = "order-1";
/// The largest number that a database column may hold, and the one after it.
const I64_MAX: u64 = i64::MAX as u64;
const I64_WRAPS: u64 = I64_MAX + 1;

type Row = (&'static str, ExpectedVersion, Cell);

#[derive(Clone, Copy)]
enum Cell {
    Holds,
    Fails,
}

#[rustfmt::skip]
const NEVER_WRITTEN: [Row; 11] = [
    ("any_on_a_stream_never_written_appends",                 Any,              Holds),
    ("no_stream_on_a_stream_never_written_appends",           NoStream,         Holds),
    ("stream_exists_on_a_stream_never_written_conflicts",     StreamExists,     Fails),
    ("exact_0_on_a_stream_never_written_appends",             exact(0),         Holds),
    ("exact_1_on_a_stream_never_written_conflicts",           exact(1),         Fails),
    ("exact_2_on_a_stream_never_written_conflicts",           exact(2),         Fails),
    ("exact_3_on_a_stream_never_written_conflicts",           exact(3),         Fails),
    ("exact_4_on_a_stream_never_written_conflicts",           exact(4),         Fails),
    ("exact_i64_max_on_a_stream_never_written_conflicts",     exact(I64_MAX),   Fails),
    ("exact_past_i64_max_on_a_stream_never_written_conflicts", exact(I64_WRAPS), Fails),
    ("exact_u64_max_on_a_stream_never_written_conflicts",     exact(u64::MAX),  Fails),
];

#[rustfmt::skip]
const AT_3: [Row; 11] = [
    ("any_on_a_stream_at_3_appends",                 Any,              Holds),
    ("no_stream_on_a_live_stream_conflicts",         NoStream,         Fails),
    ("stream_exists_on_a_stream_at_3_appends",       StreamExists,     Holds),
    ("exact_0_on_a_stream_at_3_conflicts",           exact(0),         Fails),
    ("exact_1_on_a_stream_at_3_conflicts",           exact(1),         Fails),
    ("exact_2_on_a_stream_at_3_conflicts",           exact(2),         Fails),
    ("exact_3_on_a_stream_at_3_appends",             exact(3),         Holds),
    ("exact_4_on_a_stream_at_3_conflicts",           exact(4),         Fails),
    ("exact_i64_max_on_a_stream_at_3_conflicts",     exact(I64_MAX),   Fails),
    ("exact_past_i64_max_on_a_stream_at_3_conflicts", exact(I64_WRAPS), Fails),
    ("exact_u64_max_on_a_stream_at_3_conflicts",     exact(u64::MAX),  Fails),
];

#[rustfmt::skip]
const CHECKS_OF_NEVER_WRITTEN: [Row; 11] = [
    ("a_check_of_any_on_a_stream_never_written_holds",             Any,              Holds),
    ("a_check_of_no_stream_on_a_stream_never_written_holds",       NoStream,         Holds),
    ("a_check_of_stream_exists_on_a_stream_never_written_fails",   StreamExists,     Fails),
    ("a_check_of_exact_0_on_a_stream_never_written_holds",         exact(0),         Holds),
    ("a_check_of_exact_1_on_a_stream_never_written_fails",         exact(1),         Fails),
    ("a_check_of_exact_2_on_a_stream_never_written_fails",         exact(2),         Fails),
    ("a_check_of_exact_3_on_a_stream_never_written_fails",         exact(3),         Fails),
    ("a_check_of_exact_4_on_a_stream_never_written_fails",         exact(4),         Fails),
    ("a_check_of_exact_i64_max_on_a_stream_never_written_fails",   exact(I64_MAX),   Fails),
    ("a_check_of_exact_past_i64_max_on_a_stream_never_written_fails", exact(I64_WRAPS), Fails),
    ("a_check_of_exact_u64_max_on_a_stream_never_written_fails",   exact(u64::MAX),  Fails),
];

#[rustfmt::skip]
const CHECKS_AT_3: [Row; 11] = [
    ("a_check_of_any_on_a_stream_at_3_holds",             Any,              Holds),
    ("a_check_of_no_stream_on_a_stream_at_3_fails",       NoStream,         Fails),
    ("a_check_of_stream_exists_on_a_stream_at_3_holds",   StreamExists,     Holds),
    ("a_check_of_exact_0_on_a_stream_at_3_fails",         exact(0),         Fails),
    ("a_check_of_exact_1_on_a_stream_at_3_fails",         exact(1),         Fails),
    ("a_check_of_exact_2_on_a_stream_at_3_fails",         exact(2),         Fails),
    ("a_check_of_exact_3_on_a_stream_at_3_holds",         exact(3),         Holds),
    ("a_check_of_exact_4_on_a_stream_at_3_fails",         exact(4),         Fails),
    ("a_check_of_exact_i64_max_on_a_stream_at_3_fails",   exact(I64_MAX),   Fails),
    ("a_check_of_exact_past_i64_max_on_a_stream_at_3_fails", exact(I64_WRAPS), Fails),
    ("a_check_of_exact_u64_max_on_a_stream_at_3_fails",   exact(u64::MAX),  Fails),
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for row @ (name, expected, _) in NEVER_WRITTEN {
        let (answer, version) = outcome(row, 0, appended([(S, 1, 1)]), 1);
        let case = case(name).then(append(S, expected, ["d"]), answer);
        cases.push(case.stands_at(S, version));
    }
    for row @ (name, expected, _) in AT_3 {
        let (answer, version) = outcome(row, 3, appended([(S, 4, 4)]), 4);
        let case = case(name).given(put(S, ["a", "b", "c"]));
        let case = case.then(append(S, expected, ["d"]), answer);
        cases.push(case.stands_at(S, version));
    }
    for row @ (name, expected, _) in CHECKS_OF_NEVER_WRITTEN {
        let (answer, version) = outcome(row, 0, checked([(S, 0)]), 0);
        let case = case(name).then(check(S, expected), answer);
        cases.push(case.stands_at(S, version));
    }
    for row @ (name, expected, _) in CHECKS_AT_3 {
        let (answer, version) = outcome(row, 3, checked([(S, 3)]), 3);
        let case = case(name).given(put(S, ["a", "b", "c"]));
        let case = case.then(check(S, expected), answer);
        cases.push(case.stands_at(S, version));
    }
    cases.extend(sequences());
    cases
}

/// What a row answers, and the version that the stream stands at then.
fn outcome((_, expected, cell): Row, at: u64, written: Answer, then: u64) -> (Answer, u64) {
    match cell {
        Holds => (written, then),
        Fails => (conflict([(S, expected, at)]), at),
    }
}

fn sequences() -> Vec<Case> {
    vec![
        case("the_last_version_of_a_receipt_is_what_the_next_append_expects")
            .then(append(S, NoStream, ["a"]), appended([(S, 1, 1)]))
            .then(append(S, exact(1), ["b", "c"]), appended([(S, 2, 3)]))
            .then(append(S, exact(3), ["d"]), appended([(S, 4, 4)]))
            .reads(read(S), &["a", "b", "c", "d"], 4),
        case("a_writer_that_was_late_lands_at_the_version_it_is_told")
            .given(put(S, ["a"]))
            .then(append(S, exact(0), ["b"]), conflict([(S, exact(0), 1)]))
            .then(append(S, exact(1), ["b"]), appended([(S, 2, 2)])),
        case("a_check_creates_nothing_so_no_stream_still_holds")
            .then(check(S, Any), checked([(S, 0)]))
            .lists(list(), &[])
            .then(append(S, NoStream, ["a"]), appended([(S, 1, 1)])),
        case("a_refused_event_can_be_sent_again_with_its_id")
            .given(put(S, ["a"]))
            .then(append(S, NoStream, ["b"]), conflict([(S, NoStream, 1)]))
            .then(append(S, Any, ["b"]), appended([(S, 2, 2)])),
        case("streams_are_counted_each_for_itself")
            .given(put("order-2", ["x", "y"]))
            .then(append(S, exact(0), ["a"]), appended([(S, 1, 1)]))
            .then(
                append("order-2", exact(2), ["z"]),
                appended([("order-2", 3, 3)]),
            ),
        case("versions_go_on_after_a_restart")
            .given(put(S, ["a", "b"]))
            .restart()
            .then(append(S, exact(1), ["c"]), conflict([(S, exact(1), 2)]))
            .then(append(S, exact(2), ["c"]), appended([(S, 3, 3)])),
    ]
}
