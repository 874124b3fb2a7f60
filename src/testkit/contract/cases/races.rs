//! Several callers at once.

use crate::testkit::contract::case::{Answer, Case, Draft};
use crate::testkit::contract::words::{
    already, append, appended, case, check, checked, conflict, event, exact, key_reused, put,
    replayed,
};
use crate::version::ExpectedVersion::{Any, NoStream, StreamExists};

const S: &str = "order-1";
const Y: &str = "stock-1";

pub(super) fn cases() -> Vec<Case> {
    [identical(), stale(), keyed(), several()].concat()
}

/// So many commits, each with an event of its own.
fn each(count: usize, draft: impl Fn(&str) -> Draft) -> Vec<Draft> {
    (1..=count).map(|n| draft(&format!("r{n}"))).collect()
}

fn identical() -> Vec<Case> {
    vec![
        case("ten_identical_commits_write_once")
            .race(
                each(10, |_| append(S, NoStream, ["a", "b"])),
                [(1, appended([(S, 1, 2)])), (9, replayed([(S, 1, 2)]))],
            )
            .stands_at(S, 2),
        case("ten_identical_commits_under_any_write_once")
            .given(put(S, ["x"]))
            .race(
                each(10, |_| append(S, Any, ["a"])),
                [(1, appended([(S, 2, 2)])), (9, replayed([(S, 2, 2)]))],
            ),
        case("ten_identical_commits_over_several_streams_write_once").race(
            each(10, |_| append(S, exact(0), ["a"]).and(Y, NoStream, ["b"])),
            [
                (1, appended([(S, 1, 1), (Y, 1, 1)])),
                (9, replayed([(S, 1, 1), (Y, 1, 1)])),
            ],
        ),
        case("identical_commits_that_come_late_all_conflict")
            .given(put(S, ["x"]))
            .race(
                each(10, |_| append(S, NoStream, ["a"])),
                [(10, conflict([(S, NoStream, 1)]))],
            ),
    ]
}

fn stale() -> Vec<Case> {
    vec![
        case("twenty_new_events_under_any_all_land")
            .race(
                each(20, |name| append(S, Any, [name])),
                [(20, Answer::Landed)],
            )
            .stands_at(S, 20),
        case("twenty_new_events_on_an_existing_stream_all_land")
            .given(put(S, ["a"]))
            .race(
                each(20, |name| append(S, StreamExists, [name])),
                [(20, Answer::Landed)],
            )
            .stands_at(S, 21),
        case("of_two_stale_writers_one_wins_and_the_other_learns_why")
            .given(put(S, ["a", "b", "c"]))
            .race(
                each(2, |name| append(S, exact(3), [name])),
                [
                    (1, appended([(S, 4, 4)])),
                    (1, conflict([(S, exact(3), 4)])),
                ],
            ),
        case("of_ten_stale_writers_one_wins")
            .given(put(S, ["a"]))
            .race(
                each(10, |name| {
                    append(S, exact(1), [event(name), event(&format!("{name}b"))])
                }),
                [
                    (1, appended([(S, 2, 3)])),
                    (9, conflict([(S, exact(1), 3)])),
                ],
            ),
        case("of_ten_creators_one_wins").race(
            each(10, |name| append(S, NoStream, [name])),
            [
                (1, appended([(S, 1, 1)])),
                (9, conflict([(S, NoStream, 1)])),
            ],
        ),
        case("creators_of_different_streams_all_land").race(
            each(10, |name| {
                append(&format!("order-{name}"), NoStream, [name])
            }),
            [(10, Answer::Landed)],
        ),
        case("checks_beside_each_other_all_hold")
            .given(put(S, ["a"]))
            .race(each(10, |_| check(S, exact(1))), [(10, checked([(S, 1)]))]),
    ]
}

fn keyed() -> Vec<Case> {
    vec![
        case("ten_identical_keyed_commits_write_once").race(
            each(10, |_| append(S, Any, ["a"]).key("k", "of")),
            [(1, appended([(S, 1, 1)])), (9, already([(S, 1, 1)]))],
        ),
        case("ten_keyed_commits_with_events_of_their_own_write_once").race(
            each(10, |name| append(S, Any, [name]).key("k", "of")),
            [(1, appended([(S, 1, 1)])), (9, already([(S, 1, 1)]))],
        ),
        case("ten_keyed_commits_with_stale_expectations_write_once").race(
            each(10, |name| append(S, NoStream, [name]).key("k", "of")),
            [(1, appended([(S, 1, 1)])), (9, already([(S, 1, 1)]))],
        ),
        case("of_two_meanings_of_one_key_one_wins").race(
            [
                append(S, Any, ["a"]).key("k", "one"),
                append(S, Any, ["b"]).key("k", "other"),
            ],
            [(1, appended([(S, 1, 1)])), (1, key_reused(S, "k"))],
        ),
        case("ten_keys_in_one_stream_all_land")
            .race(
                each(10, |name| append(S, Any, [name]).key(name, "of")),
                [(10, Answer::Landed)],
            )
            .stands_at(S, 10),
        case("ten_identical_keyed_commits_over_several_streams_write_once").race(
            each(10, |_| {
                append(S, Any, ["a"]).and(Y, Any, ["b"]).key("k", "of")
            }),
            [
                (1, appended([(S, 1, 1), (Y, 1, 1)])),
                (9, already([(S, 1, 1), (Y, 1, 1)])),
            ],
        ),
    ]
}

fn several() -> Vec<Case> {
    let crossing = |name: &str| match name.len() % 2 {
        0 => append(S, Any, [name]).and(Y, Any, [name]),
        _ => append(Y, Any, [name]).and(S, Any, [name]),
    };
    vec![
        case("of_ten_commits_over_two_streams_one_wins")
            .given(put(Y, ["y"]))
            .race(
                each(10, |name| {
                    append(S, NoStream, [name]).and(Y, exact(1), [name])
                }),
                [
                    (1, appended([(S, 1, 1), (Y, 2, 2)])),
                    (9, conflict([(S, NoStream, 1), (Y, exact(1), 2)])),
                ],
            ),
        case("commits_that_name_their_streams_in_either_order_all_land")
            .race(each(20, crossing), [(20, Answer::Landed)])
            .stands_at(S, 20)
            .stands_at(Y, 20),
        case("of_two_commits_that_check_each_others_stream_one_wins").race(
            [
                append(S, NoStream, ["a"]).and_check(Y, NoStream),
                append(Y, NoStream, ["a"]).and_check(S, NoStream),
            ],
            [(1, Answer::Landed), (1, Answer::Lost)],
        ),
    ]
}
