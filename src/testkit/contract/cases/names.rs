//! Odd names that are names, and what is none.

use crate::testkit::contract::case::{Answer, Case};
use crate::testkit::contract::words::{
    append, appended, case, check, conflict, event, list, put, read, read_all, replayed,
};
use crate::version::ExpectedVersion::{Any, NoStream};

pub(super) fn cases() -> Vec<Case> {
    [kept(), apart(), refused(), types()].concat()
}

/// The stream is what it is called, and nothing else happens.
fn named(name: &'static str, stream: &str) -> Case {
    case(name)
        .given(put("order-1", ["x"]))
        .then(
            append(stream, NoStream, ["a", "b"]),
            appended([(stream, 1, 2)]),
        )
        .then(
            append(stream, NoStream, ["a", "b"]),
            replayed([(stream, 1, 2)]),
        )
        .then(
            append(stream, NoStream, ["c"]),
            conflict([(stream, NoStream, 2)]),
        )
        .restart()
        .reads(read(stream), &["a", "b"], 2)
        .reads_all(read_all().prefix(stream), &["a", "b"])
        .lists(list().prefix(stream), &[stream])
        .finds(stream, "b", 2)
        .stands_at("order-1", 1)
}

fn kept() -> Vec<Case> {
    vec![
        named("a_stream_id_may_hold_slashes", "a-/../b\\c"),
        named("a_stream_id_may_hold_a_percent_sign", "a-100%"),
        named("a_stream_id_may_hold_an_underscore", "a_b-c_d"),
        named("a_stream_id_may_hold_double_quotes", "\"a\"-\"b\""),
        named(
            "a_stream_id_may_hold_single_quotes",
            "a'-'; DROP TABLE annalist_events; --",
        ),
        named("a_stream_id_may_hold_a_semicolon", "a;-;"),
        named("a_stream_id_may_hold_spaces", " a - b "),
        named("a_stream_id_may_hold_an_emoji", "☃-👩‍👩‍👧"),
        named("a_stream_id_may_end_in_dashes", "a--"),
        named("a_stream_id_may_hold_further_dashes", "a-b-c-d"),
        named("a_stream_id_may_hold_wildcards", "a-*?[b]%_"),
        named(
            "a_stream_id_may_hold_brackets_and_braces",
            "{a}-$1 ?1 :a @a",
        ),
        named(
            "a_stream_id_may_hold_the_last_character_there_is",
            "a-\u{10ffff}",
        ),
        named("a_stream_id_may_look_like_a_number", "1-007"),
    ]
}

/// Two streams that only look alike.
fn different(name: &'static str, one: &str, other: &str) -> Case {
    case(name)
        .then(append(one, NoStream, ["a"]), appended([(one, 1, 1)]))
        .stands_at(other, 0)
        .misses(other, "a")
        .then(
            append(other, NoStream, ["b", "c"]),
            appended([(other, 1, 2)]),
        )
        .reads(read(one), &["a"], 1)
        .reads(read(other), &["b", "c"], 2)
}

fn apart() -> Vec<Case> {
    vec![
        different("a_stream_is_not_another_that_begins_like_it", "a-1", "a-10"),
        different(
            "keys_that_differ_in_case_are_different_streams",
            "a-x",
            "a-X",
        ),
        different(
            "categories_that_differ_in_case_are_different_streams",
            "a-x",
            "A-x",
        ),
        different(
            "unicode_normal_forms_are_different_streams",
            "a-\u{e9}",
            "a-e\u{301}",
        ),
        different("a_space_at_the_end_makes_another_stream", "a-x", "a-x "),
        different("a_zero_at_the_front_makes_another_stream", "a-1", "a-01"),
        different("a_percent_sign_stands_for_itself", "a-%", "a-b"),
        different("an_underscore_stands_for_itself", "a-_", "a-b"),
        different("the_category_ends_at_the_first_dash", "a-b-c", "a-b"),
    ]
}

/// No stream id: it is refused when it is made.
fn no_stream_id(name: &'static str, texts: &[&str]) -> Case {
    let mut told = case(name);
    for text in texts {
        told = told
            .then(append(text, Any, ["a"]), Answer::InvalidName)
            .then(check(text, Any), Answer::InvalidName);
    }
    told
}

fn refused() -> Vec<Case> {
    vec![
        no_stream_id(
            "a_nul_in_a_stream_id_is_refused",
            &["a-\0", "a\0-b", "a-b\0c"],
        ),
        no_stream_id(
            "a_newline_in_a_stream_id_is_refused",
            &["a-b\n", "\na-b", "a-\r\n"],
        ),
        no_stream_id("a_tab_in_a_stream_id_is_refused", &["a-\t", "a\t-b"]),
        no_stream_id("an_escape_in_a_stream_id_is_refused", &["a-\u{1b}[2J"]),
        no_stream_id("a_delete_in_a_stream_id_is_refused", &["a-\u{7f}"]),
        no_stream_id(
            "a_c1_control_in_a_stream_id_is_refused",
            &["a-\u{80}", "a-\u{85}", "a-\u{9f}"],
        ),
        no_stream_id(
            "a_stream_id_without_a_dash_is_refused",
            &["", "order", "order_1", "order\u{2013}1"],
        ),
        no_stream_id(
            "a_stream_id_without_a_category_is_refused",
            &["-1", "-", "--"],
        ),
        no_stream_id("a_stream_id_without_a_key_is_refused", &["order-"]),
        case("one_stream_id_that_is_none_refuses_the_commit")
            .then(
                append("order-1", Any, ["a"]).and("order", Any, ["b"]),
                Answer::InvalidName,
            )
            .stands_at("order-1", 0),
    ]
}

fn types() -> Vec<Case> {
    const S: &str = "order-1";
    let typed = |event_type| append(S, Any, [event("a").of_type(event_type)]);
    let odd = " Ünïcode's \"%_\" ; -- 🎉 ";
    vec![
        case("an_odd_event_type_is_kept_as_it_is")
            .then(typed(odd), appended([(S, 1, 1)]))
            .restart()
            .reads(read(S).of_type(odd), &["a"], 1)
            .reads_all(read_all().of_type(odd.trim()), &[])
            .then(typed(odd), replayed([(S, 1, 1)])),
        case("event_types_that_differ_in_case_are_different")
            .given(typed("Noted"))
            .reads(read(S).of_type("noted"), &[], 1)
            .reads_all(read_all().of_type("NOTED"), &[]),
        case("an_empty_event_type_is_refused").then(typed(""), Answer::InvalidName),
        case("a_control_character_in_an_event_type_is_refused")
            .then(typed("No\0ted"), Answer::InvalidName)
            .then(typed("Noted\n"), Answer::InvalidName)
            .then(typed("\u{7f}"), Answer::InvalidName)
            .then(typed("\u{85}Noted"), Answer::InvalidName),
        case("one_event_type_that_is_none_refuses_the_append")
            .then(
                append(S, Any, [event("a"), event("b").of_type("")]),
                Answer::InvalidName,
            )
            .stands_at(S, 0),
    ]
}
