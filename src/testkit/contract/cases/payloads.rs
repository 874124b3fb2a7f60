//! Payloads: kept to the byte, or refused when they are made.

use crate::testkit::contract::case::{Answer, Case, DraftEvent};
use crate::testkit::contract::words::{append, appended, case, event, invalid_metadata, replayed};
use crate::version::ExpectedVersion::{Any, NoStream};

const S: &str = "order-1";

pub(super) fn cases() -> Vec<Case> {
    [texts(), nesting(), values(), metadata()].concat()
}

/// It is read back as it was sent, and sent again it is a repeat.
fn kept(name: &'static str, text: &str) -> Case {
    let sent = || append(S, NoStream, [event("a").payload(text)]);
    case(name)
        .then(sent(), appended([(S, 1, 1)]))
        .restart()
        .then(sent(), replayed([(S, 1, 1)]))
}

fn refused(name: &'static str, texts: &[&str]) -> Case {
    texts.iter().fold(case(name), |told, text| {
        let sent = append(S, Any, [event("a").payload(text)]);
        told.then(sent, Answer::InvalidPayload)
    })
}

fn texts() -> Vec<Case> {
    vec![
        kept(
            "white_space_in_a_payload_is_kept",
            " {\n\t\"a\" :  1 ,\r\n \"b\":[ ] } ",
        ),
        kept(
            "the_order_of_keys_in_a_payload_is_kept",
            r#"{"z":1,"a":2,"m":3}"#,
        ),
        kept(
            "unicode_escapes_in_a_payload_are_kept",
            r#"{"\u00e9":"\ud83c\udf89 \/ \u0000"}"#,
        ),
        kept(
            "unicode_in_a_payload_is_kept",
            "{\"é e\u{301}\":\"🎉\u{7f}\u{2028}\"}",
        ),
        kept(
            "an_integer_of_2_to_the_64_is_kept",
            r#"{"n":18446744073709551616}"#,
        ),
        kept(
            "a_negative_integer_beyond_64_bits_is_kept",
            "-170141183460469231731687303715884105728",
        ),
        kept(
            "a_long_fraction_is_kept",
            "[0.1000000000000000055511151231257827021181583404541015625]",
        ),
        kept(
            "the_spelling_of_a_number_is_kept",
            "[1.0,1e2,1E+2,-0,-0.0,1e-400]",
        ),
        kept("a_payload_may_be_a_number", "7"),
        kept("a_payload_may_be_a_text", r#""text""#),
        kept("a_payload_may_be_null", "null"),
        kept("a_payload_may_be_true", "true"),
        kept("a_payload_may_be_an_empty_object", "{}"),
        kept("a_payload_may_be_an_empty_list", "[]"),
        kept(
            "one_key_in_two_objects_of_a_payload_is_fine",
            r#"[{"a":1},{"a":{"a":2}}]"#,
        ),
        refused(
            "nan_in_a_payload_is_refused",
            &["NaN", r#"{"n":NaN}"#, "[-NaN]"],
        ),
        refused(
            "infinity_in_a_payload_is_refused",
            &["Infinity", "[-Infinity]", "[inf]"],
        ),
        refused(
            "a_number_too_large_in_a_payload_is_refused",
            &["1e400", r#"{"n":[-1e400]}"#],
        ),
        refused(
            "one_key_twice_in_an_object_of_a_payload_is_refused",
            &[
                r#"{"a":1,"a":1}"#,
                r#"{"a":1,"b":2,"a":3}"#,
                r#"[{"x":{"a":1,"a":2}}]"#,
            ],
        ),
        refused(
            "one_key_twice_in_two_spellings_is_refused",
            &[r#"{"a":1,"\u0061":2}"#],
        ),
        refused(
            "text_after_a_payload_is_refused",
            &["1 2", "{} {}", "{}x", "null,"],
        ),
        refused(
            "a_payload_that_is_no_json_is_refused",
            &[
                "", " ", "{", "[1,]", "{'a':1}", "{a:1}", "01", "+1", ".5", "\"\n\"", "\"\0\"",
                "// {}\n1",
            ],
        ),
        refused("a_lone_surrogate_in_a_payload_is_refused", &[r#""\ud800""#]),
        case("one_payload_that_is_none_refuses_the_append")
            .then(
                append(S, Any, [event("a"), event("b").payload("NaN")]),
                Answer::InvalidPayload,
            )
            .stands_at(S, 0),
    ]
}

fn nesting() -> Vec<Case> {
    let lists = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    let objects = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    vec![
        kept("a_payload_nested_127_lists_deep_is_kept", &lists(127)),
        kept("a_payload_nested_127_objects_deep_is_kept", &objects(127)),
        refused(
            "a_payload_nested_128_deep_is_refused",
            &[&lists(128), &objects(128)],
        ),
        refused(
            "a_payload_nested_very_deep_is_refused",
            &[&lists(100_000), &"[".repeat(100_000)],
        ),
    ]
}

fn values() -> Vec<Case> {
    let sent = |event: DraftEvent| append(S, Any, [event]);
    let float = |value| sent(event("a").float(value));
    vec![
        case("a_value_that_is_not_a_number_is_refused")
            .then(float(f64::NAN), Answer::InvalidPayload),
        case("a_value_that_is_infinite_is_refused")
            .then(float(f64::INFINITY), Answer::InvalidPayload)
            .then(float(f64::NEG_INFINITY), Answer::InvalidPayload),
        case("a_value_that_is_finite_is_written_as_json")
            .then(float(0.1), appended([(S, 1, 1)]))
            .then(sent(event("a").payload("0.1")), replayed([(S, 1, 1)])),
        case("the_largest_value_is_written_as_json").then(float(f64::MAX), appended([(S, 1, 1)])),
        case("the_smallest_value_is_written_as_json")
            .then(float(f64::from_bits(1)), appended([(S, 1, 1)])),
    ]
}

fn metadata() -> Vec<Case> {
    // The metadata itself and its free keys are two levels.
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth - 2), "]".repeat(depth - 2));
    let described = |json: &str| append(S, Any, [event("a").by("somebody").extra(json)]);
    let free = r#"{"text":"é🎉\"","numbers":[0,-1,0.1,18446744073709551615,1e300],"none":null}"#;
    vec![
        case("free_keys_of_metadata_are_kept").then(described(free), appended([(S, 1, 1)])),
        case("an_empty_actor_is_kept")
            .then(append(S, Any, [event("a").by("")]), appended([(S, 1, 1)])),
        case("metadata_nested_127_deep_is_kept")
            .then(described(&nested(127)), appended([(S, 1, 1)])),
        case("metadata_nested_128_deep_is_invalid")
            .then(described(&nested(128)), invalid_metadata(S, "a")),
        case("the_metadata_of_the_last_event_is_looked_at_too").then(
            append(S, Any, [event("a"), event("b").extra(&nested(128))]),
            invalid_metadata(S, "b"),
        ),
    ]
}
