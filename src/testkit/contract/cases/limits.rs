//! Each limit at its value, and one past it.

use crate::testkit::contract::case::Draft;
use crate::testkit::contract::case::{Case, DraftEvent};
use crate::testkit::contract::words::{
    append, appended, case, check, checked, event, events, limit, put, read,
};
use crate::version::ExpectedVersion::{Any, NoStream};

const S: &str = "order-1";
const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

pub(super) fn cases() -> Vec<Case> {
    [names(), one_event(), commits(), order()].concat()
}

/// A stream id of exactly so many bytes.
fn long(bytes: usize) -> String {
    format!("a-{}", "k".repeat(bytes - 2))
}

fn names() -> Vec<Case> {
    let typed = |bytes| append(S, Any, [event("a").of_type(&"T".repeat(bytes))]);
    let accented = format!("a-{}", "é".repeat(256));
    vec![
        case("a_stream_id_of_512_bytes_is_kept")
            .then(
                append(&long(512), NoStream, ["a"]),
                appended([(long(512).as_str(), 1, 1)]),
            )
            .reads(read(&long(512)), &["a"], 1),
        case("a_stream_id_of_513_bytes_is_refused")
            .then(
                append(&long(513), Any, ["a"]),
                limit("stream_id_bytes_max", 512, 513),
            )
            .then(
                check(&long(513), Any),
                limit("stream_id_bytes_max", 512, 513),
            ),
        case("a_stream_id_is_measured_in_bytes_not_characters").then(
            append(&accented, Any, ["a"]),
            limit("stream_id_bytes_max", 512, 514),
        ),
        case("an_event_type_of_256_bytes_is_kept")
            .then(typed(256), appended([(S, 1, 1)]))
            .reads(read(S).of_type(&"T".repeat(256)), &["a"], 1),
        case("an_event_type_of_257_bytes_is_refused")
            .then(typed(257), limit("event_type_bytes_max", 256, 257)),
    ]
}

fn one_event() -> Vec<Case> {
    let filled = |bytes| append(S, Any, [event("a").filled(bytes)]);
    let described = |bytes| append(S, Any, [event("a").metadata(bytes)]);
    vec![
        case("a_payload_of_1_mib_is_kept").then(filled(MIB), appended([(S, 1, 1)])),
        case("a_payload_past_1_mib_is_refused")
            .then(filled(MIB + 1), limit("payload_bytes_max", MIB, MIB + 1)),
        case("metadata_of_64_kib_is_kept").then(described(64 * KIB), appended([(S, 1, 1)])),
        case("metadata_past_64_kib_is_refused").then(
            described(64 * KIB + 1),
            limit("metadata_bytes_max", 64 * KIB, 64 * KIB + 1),
        ),
        case("payload_and_metadata_are_limited_each_for_itself").then(
            append(S, Any, [event("a").filled(MIB).metadata(64 * KIB)]),
            appended([(S, 1, 1)]),
        ),
        case("the_last_of_many_events_is_measured_too").then(
            append(S, Any, [event("a"), event("b"), event("c").filled(MIB + 1)]),
            limit("payload_bytes_max", MIB, MIB + 1),
        ),
    ]
}

/// Events of 1 MiB but for the last, `bytes` in all.
fn heavy(bytes: usize) -> Vec<DraftEvent> {
    let whole = bytes / MIB;
    let last = bytes % MIB;
    let sizes = std::iter::repeat_n(MIB, whole).chain((last > 0).then_some(last));
    let numbered = (1..).zip(sizes);
    numbered
        .map(|(n, size)| event(&format!("h{n}")).filled(size))
        .collect()
}

/// A check of so many streams.
fn checks(count: usize) -> Draft {
    (1..count).fold(check("order-0", NoStream), |draft, n| {
        draft.and_check(&format!("order-{n}"), NoStream)
    })
}

fn commits() -> Vec<Case> {
    // Payload and metadata count together: the last MiB is 64 KiB of metadata less.
    let mut exactly = heavy(15 * MIB);
    exactly.push(event("last").filled(MIB - 64 * KIB).metadata(64 * KIB));
    let mut one_more = heavy(15 * MIB);
    one_more.push(event("last").filled(MIB - 64 * KIB + 1).metadata(64 * KIB));
    let over_two = |more: usize| {
        let (one, other) = (events(5_000), events(5_000 + more));
        append(S, Any, one).and("stock-1", Any, other)
    };
    let answers: Vec<(String, u64)> = (0..10_000).map(|n| (format!("order-{n}"), 0)).collect();
    let answers = answers
        .iter()
        .map(|(stream, version)| (stream.as_str(), *version));
    vec![
        case("a_commit_of_10_000_events_lands")
            .then(
                append(S, NoStream, events(10_000)),
                appended([(S, 1, 10_000)]),
            )
            .stands_at(S, 10_000),
        case("a_commit_of_10_001_events_is_refused").then(
            append(S, NoStream, events(10_001)),
            limit("commit_events_max", 10_000, 10_001),
        ),
        case("events_are_counted_over_all_streams_of_a_commit")
            .then(over_two(1), limit("commit_events_max", 10_000, 10_001))
            .then(
                over_two(0),
                appended([(S, 1, 5_000), ("stock-1", 1, 5_000)]),
            ),
        case("a_commit_of_16_mib_lands").then(append(S, Any, exactly), appended([(S, 1, 16)])),
        case("a_commit_past_16_mib_is_refused").then(
            append(S, Any, one_more),
            limit("commit_bytes_max", 16 * MIB, 16 * MIB + 1),
        ),
        case("bytes_are_counted_over_all_streams_of_a_commit").then(
            append(S, Any, heavy(8 * MIB)).and("stock-1", Any, heavy(8 * MIB + 2)),
            limit("commit_bytes_max", 16 * MIB, 16 * MIB + 2),
        ),
        case("a_commit_over_10_000_streams_is_taken").then(checks(10_000), checked(answers)),
        case("a_commit_over_10_001_streams_is_refused")
            .then(checks(10_001), limit("commit_streams_max", 10_000, 10_001)),
    ]
}

fn order() -> Vec<Case> {
    vec![
        case("a_limit_is_told_before_a_conflict")
            .given(put(S, ["a"]))
            .then(
                append(S, NoStream, [event("b").filled(MIB + 1)]),
                limit("payload_bytes_max", MIB, MIB + 1),
            ),
        case("a_refused_event_fits_once_it_is_smaller")
            .then(
                append(S, NoStream, [event("a").filled(MIB + 1)]),
                limit("payload_bytes_max", MIB, MIB + 1),
            )
            .then(
                append(S, NoStream, [event("a").filled(MIB)]),
                appended([(S, 1, 1)]),
            ),
    ]
}
