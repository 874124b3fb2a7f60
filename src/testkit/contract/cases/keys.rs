//! Commit keys: how a command is recognised for ever.

use crate::testkit::contract::case::{Answer, Case};
use crate::testkit::contract::words::{
    already, already_checked, append, appended, case, check, checked, conflict, event, exact,
    key_reused, limit, list, other_payload, put, replayed, stored,
};
use crate::version::ExpectedVersion::{Any, NoStream, StreamExists};

const S: &str = "order-1";
const Y: &str = "stock-1";

pub(super) fn cases() -> Vec<Case> {
    [
        recognised(),
        forgotten(),
        beside_event_ids(),
        checks(),
        several(),
        texts(),
    ]
    .concat()
}

fn recognised() -> Vec<Case> {
    vec![
        case("a_key_sent_again_is_answered_with_the_first_receipt")
            .then(
                append(S, Any, ["a", "b"]).key("k", "of"),
                appended([(S, 1, 2)]),
            )
            .then(
                append(S, Any, ["a", "b"]).key("k", "of"),
                already([(S, 1, 2)]),
            ),
        case("a_key_sent_again_with_new_events_writes_none_of_them")
            .then(append(S, Any, ["a"]).key("k", "of"), appended([(S, 1, 1)]))
            .then(
                append(S, Any, ["x", "y"]).key("k", "of"),
                already([(S, 1, 1)]),
            )
            .misses(S, "x"),
        case("a_key_decides_before_the_expectation")
            .then(
                append(S, NoStream, ["a"]).key("k", "of"),
                appended([(S, 1, 1)]),
            )
            .then(
                append(S, exact(0), ["b"]).key("k", "of"),
                already([(S, 1, 1)]),
            )
            .then(
                append(S, exact(1), ["c"]).key("k", "of"),
                already([(S, 1, 1)]),
            )
            .then(
                append(S, exact(9), ["d"]).key("k", "of"),
                already([(S, 1, 1)]),
            )
            .then(
                append(S, NoStream, ["e"]).key("k", "of"),
                already([(S, 1, 1)]),
            )
            .then(
                append(S, StreamExists, ["f"]).key("k", "of"),
                already([(S, 1, 1)]),
            ),
        case("a_key_decides_before_event_ids")
            .then(
                append(S, Any, ["a", "b"]).key("k", "of"),
                appended([(S, 1, 2)]),
            )
            .then(
                append(S, Any, ["b", "a"]).key("k", "of"),
                already([(S, 1, 2)]),
            )
            .then(
                append(S, Any, [event("a").payload("0")]).key("k", "of"),
                already([(S, 1, 2)]),
            ),
        case("a_key_with_another_fingerprint_is_refused")
            .then(append(S, Any, ["a"]).key("k", "of"), appended([(S, 1, 1)]))
            .then(append(S, Any, ["b"]).key("k", "other"), key_reused(S, "k"))
            .then(append(S, Any, ["a"]).key("k", "other"), key_reused(S, "k"))
            .then(
                append(S, exact(9), ["b"]).key("k", "other"),
                key_reused(S, "k"),
            ),
        case("a_key_is_recognised_after_a_restart")
            .then(append(S, Any, ["a"]).key("k", "of"), appended([(S, 1, 1)]))
            .restart()
            .then(append(S, Any, ["b"]).key("k", "of"), already([(S, 1, 1)]))
            .then(append(S, Any, ["b"]).key("k", "other"), key_reused(S, "k")),
        case("a_key_is_recognised_after_later_commits")
            .then(append(S, Any, ["a"]).key("k", "of"), appended([(S, 1, 1)]))
            .then(append(S, Any, ["b"]), appended([(S, 2, 2)]))
            .then(append(S, Any, ["c"]).key("k2", "of"), appended([(S, 3, 3)]))
            .then(append(S, Any, ["d"]).key("k", "of"), already([(S, 1, 1)]))
            .then(append(S, Any, ["d"]).key("k2", "of"), already([(S, 3, 3)])),
        case("a_key_of_a_later_commit_keeps_its_versions")
            .given(put(S, ["a", "b"]))
            .given(put(Y, ["y"]))
            .then(
                append(S, exact(2), ["c", "d"]).key("k", "of"),
                appended([(S, 3, 4)]),
            )
            .then(
                append(S, exact(2), ["c", "d"]).key("k", "of"),
                already([(S, 3, 4)]),
            ),
    ]
}

fn forgotten() -> Vec<Case> {
    vec![
        case("the_same_key_in_another_stream_is_another_key")
            .then(append(S, Any, ["a"]).key("k", "of"), appended([(S, 1, 1)]))
            .then(append(Y, Any, ["b"]).key("k", "of"), appended([(Y, 1, 1)]))
            .then(
                append("order-2", Any, ["c"]).key("k", "other"),
                appended([("order-2", 1, 1)]),
            )
            .then(append(S, Any, ["d"]).key("k", "of"), already([(S, 1, 1)])),
        case("keys_that_differ_in_case_are_different_keys")
            .then(append(S, Any, ["a"]).key("k", "of"), appended([(S, 1, 1)]))
            .then(append(S, Any, ["b"]).key("K", "of"), appended([(S, 2, 2)]))
            .then(append(S, Any, ["c"]).key("k ", "of"), appended([(S, 3, 3)])),
        case("a_key_whose_commit_conflicted_is_not_taken")
            .given(put(S, ["a"]))
            .then(
                append(S, NoStream, ["b"]).key("k", "of"),
                conflict([(S, NoStream, 1)]),
            )
            .then(
                append(S, exact(1), ["b"]).key("k", "other"),
                appended([(S, 2, 2)]),
            )
            .then(
                append(S, exact(1), ["b"]).key("k", "other"),
                already([(S, 2, 2)]),
            ),
        case("a_key_whose_commit_was_a_duplicate_is_not_taken")
            .given(put(S, ["a"]))
            .then(append(S, Any, ["a", "b"]).key("k", "of"), stored(S, "a", 1))
            .then(
                append(S, Any, ["b"]).key("k", "other"),
                appended([(S, 2, 2)]),
            ),
        case("a_key_whose_commit_was_refused_for_another_key_is_not_taken")
            .then(append(S, Any, ["a"]).key("k", "of"), appended([(S, 1, 1)]))
            .then(append(S, Any, ["b"]).key("k", "other"), key_reused(S, "k"))
            .then(
                append(S, Any, ["b"]).key("k2", "other"),
                appended([(S, 2, 2)]),
            ),
    ]
}

fn beside_event_ids() -> Vec<Case> {
    vec![
        case("a_repeat_of_a_keyed_commit_without_its_key_is_replayed")
            .then(
                append(S, NoStream, ["a"]).key("k", "of"),
                appended([(S, 1, 1)]),
            )
            .then(append(S, NoStream, ["a"]), replayed([(S, 1, 1)])),
        case("a_repeat_of_a_keyed_commit_under_another_key_is_replayed")
            .then(
                append(S, NoStream, ["a"]).key("k", "of"),
                appended([(S, 1, 1)]),
            )
            .then(
                append(S, NoStream, ["a"]).key("k2", "of"),
                replayed([(S, 1, 1)]),
            ),
        case("a_keyed_repeat_of_a_commit_without_a_key_is_replayed")
            .then(append(S, NoStream, ["a"]), appended([(S, 1, 1)]))
            .then(
                append(S, NoStream, ["a"]).key("k", "of"),
                replayed([(S, 1, 1)]),
            ),
        case("a_keyed_commit_whose_events_differ_from_stored_ones_is_a_duplicate")
            .given(put(S, ["a"]))
            .then(
                append(S, NoStream, [event("a").payload("0")]).key("k", "of"),
                other_payload(S, "a", 1),
            ),
    ]
}

fn checks() -> Vec<Case> {
    vec![
        case("a_key_of_a_check_is_remembered")
            .given(put(S, ["a", "b"]))
            .then(check(S, exact(2)).key("k", "of"), checked([(S, 2)]))
            .then(check(S, exact(2)).key("k", "of"), already_checked([(S, 2)]))
            .then(check(S, exact(2)).key("k", "other"), key_reused(S, "k")),
        case("a_key_of_a_check_keeps_the_version_of_then")
            .given(put(S, ["a"]))
            .then(check(S, Any).key("k", "of"), checked([(S, 1)]))
            .then(append(S, Any, ["b"]), appended([(S, 2, 2)]))
            .restart()
            .then(check(S, Any).key("k", "of"), already_checked([(S, 1)])),
        case("a_key_of_a_check_keeps_later_events_out")
            .given(put(S, ["a"]))
            .then(check(S, Any).key("k", "of"), checked([(S, 1)]))
            .then(
                append(S, Any, ["b"]).key("k", "of"),
                already_checked([(S, 1)]),
            ),
        case("a_key_of_a_check_creates_no_stream")
            .then(check(S, NoStream).key("k", "of"), checked([(S, 0)]))
            .stands_at(S, 0)
            .lists(list(), &[])
            .lists(list().category("order"), &[])
            .then(
                append(S, StreamExists, ["a"]),
                conflict([(S, StreamExists, 0)]),
            )
            .then(append(S, NoStream, ["a"]), appended([(S, 1, 1)]))
            .then(check(S, NoStream).key("k", "of"), already_checked([(S, 0)]))
            .lists(list(), &[S]),
        case("a_key_of_a_check_that_failed_is_not_taken")
            .then(
                check(S, StreamExists).key("k", "of"),
                conflict([(S, StreamExists, 0)]),
            )
            .then(
                append(S, Any, ["a"]).key("k", "other"),
                appended([(S, 1, 1)]),
            ),
    ]
}

fn several() -> Vec<Case> {
    let both = || append(S, Any, ["a", "b"]).and(Y, Any, ["c"]).key("k", "of");
    vec![
        case("a_key_of_several_streams_is_answered_with_all_of_them")
            .given(put(Y, ["y"]))
            .then(both(), appended([(S, 1, 2), (Y, 2, 2)]))
            .then(both(), already([(S, 1, 2), (Y, 2, 2)]))
            .restart()
            .then(both(), already([(S, 1, 2), (Y, 2, 2)])),
        case("a_key_belongs_to_the_first_stream_of_its_commit")
            .then(both(), appended([(S, 1, 2), (Y, 1, 1)]))
            .then(
                append(Y, Any, ["d"]).key("k", "other"),
                appended([(Y, 2, 2)]),
            )
            .then(
                append(S, Any, ["e"]).key("k", "of"),
                already([(S, 1, 2), (Y, 1, 1)]),
            ),
        case("a_key_belongs_to_the_first_stream_though_it_is_only_checked")
            .then(
                check(S, NoStream).and(Y, Any, ["c"]).key("k", "of"),
                appended([(Y, 1, 1)]),
            )
            .then(
                check(S, NoStream).and(Y, Any, ["c"]).key("k", "of"),
                already([(Y, 1, 1)]),
            )
            .restart()
            .then(append(S, Any, ["a"]).key("k", "of"), already([(Y, 1, 1)]))
            .then(append(S, Any, ["a"]).key("k", "other"), key_reused(S, "k"))
            .then(
                append(Y, Any, ["d"]).key("k", "other"),
                appended([(Y, 2, 2)]),
            )
            .stands_at(S, 0),
        case("a_key_of_a_commit_with_a_check_after_its_append_is_remembered")
            .given(put(Y, ["y"]))
            .then(
                append(S, Any, ["a"]).and_check(Y, exact(1)).key("k", "of"),
                appended([(S, 1, 1)]),
            )
            .then(
                append(S, Any, ["a"]).and_check(Y, exact(9)).key("k", "of"),
                already([(S, 1, 1)]),
            ),
        case("a_key_of_several_checks_is_answered_with_all_of_them")
            .given(put(Y, ["y"]))
            .then(
                check(S, Any).and_check(Y, Any).key("k", "of"),
                checked([(S, 0), (Y, 1)]),
            )
            .restart()
            .then(
                check(S, Any).and_check(Y, Any).key("k", "of"),
                already_checked([(S, 0), (Y, 1)]),
            ),
    ]
}

fn texts() -> Vec<Case> {
    let longest = "k".repeat(255);
    let two_bytes_each = "é".repeat(128);
    let odd = "'; DROP TABLE events; -- %_\"🎉 ";
    vec![
        case("a_key_of_255_bytes_is_kept")
            .then(
                append(S, Any, ["a"]).key(&longest, "of"),
                appended([(S, 1, 1)]),
            )
            .then(
                append(S, Any, ["b"]).key(&longest, "of"),
                already([(S, 1, 1)]),
            ),
        case("a_key_of_256_bytes_is_refused").then(
            append(S, Any, ["a"]).key(&"k".repeat(256), "of"),
            limit("COMMIT_KEY_BYTES_MAX", 255, 256),
        ),
        case("a_key_is_measured_in_bytes_not_characters").then(
            append(S, Any, ["a"]).key(&two_bytes_each, "of"),
            limit("COMMIT_KEY_BYTES_MAX", 255, 256),
        ),
        case("an_empty_key_is_invalid")
            .then(append(S, Any, ["a"]).key("", "of"), Answer::InvalidKey),
        case("a_key_with_a_control_character_is_invalid")
            .then(append(S, Any, ["a"]).key("k\n", "of"), Answer::InvalidKey)
            .then(append(S, Any, ["a"]).key("\0", "of"), Answer::InvalidKey)
            .then(
                append(S, Any, ["a"]).key("k\u{7f}", "of"),
                Answer::InvalidKey,
            )
            .then(
                append(S, Any, ["a"]).key("\u{85}k", "of"),
                Answer::InvalidKey,
            ),
        case("an_odd_key_is_kept_as_it_is")
            .then(append(S, Any, ["a"]).key(odd, "of"), appended([(S, 1, 1)]))
            .then(append(S, Any, ["b"]).key(odd, "of"), already([(S, 1, 1)]))
            .then(
                append(S, Any, ["b"]).key(odd.trim_end(), "of"),
                appended([(S, 2, 2)]),
            ),
    ]
}
