//! Histories of a few calls, and what must be said of each.

use annalist::testkit::history::{
    Call, History, StoreAnswer, StoreCall, Streams, Verdict, check, check_within,
};
use annalist::{EventId, ExpectedVersion, Position, StreamId, Version};

/// A history of one stream, written in words.
#[derive(Default)]
struct Told(History<StoreCall, StoreAnswer>);

fn id(name: &str) -> EventId {
    EventId::derived("small", name)
}

fn ids(names: &str) -> Vec<EventId> {
    names.split_whitespace().map(id).collect()
}

fn stream(name: &str) -> StreamId {
    StreamId::new("small", name).unwrap()
}

const fn exact(version: u64) -> ExpectedVersion {
    ExpectedVersion::Exact(Version::new(version))
}

fn appended(first: u64, last: u64) -> StoreAnswer {
    StoreAnswer::Appended {
        first: Some(Version::new(first)),
        last: Version::new(last),
        position: Some(Position::new(last)),
    }
}

fn replayed(first: u64, last: u64) -> StoreAnswer {
    StoreAnswer::Replayed {
        first: Some(Version::new(first)),
        last: Version::new(last),
        position: Some(Position::new(last)),
    }
}

fn holds(version: u64) -> StoreAnswer {
    StoreAnswer::Appended {
        first: None,
        last: Version::new(version),
        position: None,
    }
}

const fn conflict(actual: u64) -> StoreAnswer {
    let actual = Version::new(actual);
    StoreAnswer::Conflict { actual }
}

fn held(names: &str) -> StoreAnswer {
    let events = ids(names);
    let version = Version::new(events.len() as u64);
    StoreAnswer::Stream { events, version }
}

impl Told {
    fn begin(&mut self, client: usize, expected: ExpectedVersion, names: &str) -> Call {
        let call = StoreCall::Append {
            stream: stream("1"),
            expected,
            events: ids(names),
        };
        self.0.invoke(client, call)
    }

    fn begin_read(&mut self, client: usize) -> Call {
        let stream = stream("1");
        self.0.invoke(client, StoreCall::ReadStream { stream })
    }

    fn end(&mut self, call: Call, answer: StoreAnswer) {
        self.0.complete(call, answer);
    }

    fn append(mut self, expected: ExpectedVersion, names: &str, answer: StoreAnswer) -> Self {
        let call = self.begin(0, expected, names);
        self.end(call, answer);
        self
    }

    fn read(mut self, names: &str) -> Self {
        let call = self.begin_read(1);
        self.end(call, held(names));
        self
    }

    fn lost(mut self, expected: ExpectedVersion, names: &str) -> Self {
        self.begin(2, expected, names);
        self
    }

    #[track_caller]
    fn is(self, linearizable: bool) {
        let verdict = check(&Streams, &self.0);
        assert_eq!(verdict.is_linearizable(), linearizable, "{verdict}");
        assert_eq!(verdict.refutation().is_none(), linearizable);
    }
}

fn told() -> Told {
    Told::default()
}

use ExpectedVersion::{Any, NoStream, StreamExists};

#[test]
fn nothing_is_linearizable() {
    told().is(true);
}

#[test]
fn one_after_the_other_is_judged_by_the_truth_table() {
    let base = || told().append(NoStream, "a b c", appended(1, 3));
    for (expected, holds_at_3) in [
        (Any, true),
        (NoStream, false),
        (StreamExists, true),
        (exact(0), false),
        (exact(2), false),
        (exact(3), true),
        (exact(4), false),
        (exact(u64::MAX), false),
    ] {
        base().append(expected, "d", appended(4, 4)).is(holds_at_3);
        base().append(expected, "d", conflict(3)).is(!holds_at_3);
        base().append(expected, "d", conflict(2)).is(false);
        base()
            .append(expected, "d", StoreAnswer::Duplicate)
            .is(false);
        base().append(expected, "", holds(3)).is(holds_at_3);
        base().append(expected, "", conflict(3)).is(!holds_at_3);
    }
    told().append(StreamExists, "a", conflict(0)).is(true);
    told().append(exact(0), "a", appended(1, 1)).is(true);
    told().append(exact(0), "", holds(0)).read("").is(true);
}

#[test]
fn every_number_of_a_receipt_counts() {
    let numbers = |first: u64, last, position: u64| {
        let first = (first > 0).then_some(Version::new(first));
        let position = (position > 0).then_some(Position::new(position));
        (first, Version::new(last), position)
    };
    for (numbers, linearizable) in [
        (numbers(2, 3, 3), true),
        (numbers(1, 3, 3), false),
        (numbers(0, 3, 3), false),
        (numbers(2, 2, 2), false),
        (numbers(2, 3, 0), false),
    ] {
        let (first, last, position) = numbers;
        let base = || told().append(NoStream, "a", appended(1, 1));
        let now = StoreAnswer::Appended {
            first,
            last,
            position,
        };
        base().append(Any, "b c", now).is(linearizable);
        let before = StoreAnswer::Replayed {
            first,
            last,
            position,
        };
        let base = base().append(Any, "b c", appended(2, 3));
        base.append(Any, "b c", before).is(linearizable);
    }
    let events = ids("a");
    let version = Version::new(2);
    let mut told = told().append(NoStream, "a", appended(1, 1));
    let read = told.begin_read(1);
    told.end(read, StoreAnswer::Stream { events, version });
    told.is(false);
}

#[test]
fn a_repeat_is_told_the_first_place() {
    let base = || told().append(NoStream, "a b c", appended(1, 3));
    for (expected, names, answer) in [
        (NoStream, "a b", replayed(1, 2)),
        (exact(0), "a b", replayed(1, 2)),
        (NoStream, "b", conflict(3)),
        (exact(1), "b", replayed(2, 2)),
        (exact(2), "c", replayed(3, 3)),
        (exact(3), "c", StoreAnswer::Duplicate),
        (Any, "a", replayed(1, 1)),
        (exact(5), "a", conflict(3)),
        (Any, "a x", StoreAnswer::Duplicate),
        (NoStream, "b a", conflict(3)),
        (exact(u64::MAX), "a", conflict(3)),
    ] {
        let wrong = [appended(4, 4), replayed(2, 3), conflict(4)];
        base()
            .append(expected, names, answer)
            .read("a b c")
            .is(true);
        for answer in wrong {
            base().append(expected, names, answer).is(false);
        }
    }
    // An event that was written twice.
    let again = base().append(NoStream, "a b c", appended(4, 6));
    again.read("a b c a b c").is(false);
}

#[test]
fn a_refusal_that_tells_nothing_fits_anywhere() {
    let refused = told().append(NoStream, "a", StoreAnswer::Refused);
    refused.read("").is(true);
    told()
        .append(NoStream, "a", StoreAnswer::Refused)
        .read("a")
        .is(false);
}

#[test]
fn a_read_sees_what_was_acknowledged_before_it() {
    let base = || told().append(Any, "a", appended(1, 1));
    base().read("a").is(true);
    base().read("").is(false);
    base().read("b").is(false);
    base()
        .append(Any, "b", appended(2, 2))
        .read("b a")
        .is(false);
}

#[test]
fn reads_never_go_back() {
    for (reads, linearizable) in [
        (["", "a"], true),
        (["a", "a"], true),
        (["", ""], true),
        (["a", ""], false),
    ] {
        let mut told = told();
        let append = told.begin(0, Any, "a");
        for names in reads {
            told = told.read(names);
        }
        told.end(append, appended(1, 1));
        told.is(linearizable);
    }
}

#[test]
fn of_two_stale_writers_one_wins() {
    for (answers, linearizable) in [
        ([appended(1, 1), conflict(1)], true),
        ([conflict(1), appended(1, 1)], true),
        ([appended(1, 1), appended(2, 2)], false),
        ([appended(1, 1), appended(1, 1)], false),
        ([conflict(1), conflict(1)], false),
    ] {
        let mut told = told();
        let [a, b] = answers;
        let first = told.begin(0, NoStream, "a");
        let second = told.begin(1, NoStream, "b");
        told.end(first, a);
        told.end(second, b);
        told.is(linearizable);
    }
}

#[test]
fn an_unknown_outcome_may_come_at_any_time_or_never() {
    let lost = || told().lost(NoStream, "a");
    lost().is(true);
    lost().read("").is(true);
    lost().read("a").is(true);
    lost().read("").read("a").is(true);
    lost().read("a").read("").is(false);
    // It lands late, or is kept from landing for ever by who came first.
    let late = || lost().read("").append(Any, "b", appended(1, 1));
    late().read("b").is(true);
    late().read("b a").is(false);
    let late_any = told().lost(Any, "a").append(Any, "b", appended(1, 1));
    late_any.read("b").read("b a").is(true);
    // Sending it again tells, and only one of the two writes.
    lost()
        .append(NoStream, "a", appended(1, 1))
        .read("a")
        .is(true);
    lost()
        .append(NoStream, "a", replayed(1, 1))
        .read("a")
        .is(true);
    lost()
        .append(NoStream, "a", replayed(1, 1))
        .read("a a")
        .is(false);
    // It may not take effect before it began.
    told().read("a").lost(NoStream, "a").is(false);
}

#[test]
fn streams_are_judged_each_alone() {
    let mut history = History::default();
    for (name, events) in [("1", "a"), ("2", "a"), ("3", "b")] {
        let append = StoreCall::Append {
            stream: stream(name),
            expected: NoStream,
            events: ids(events),
        };
        let call = history.invoke(0, append);
        history.complete(call, appended(1, 1));
    }
    assert!(check(&Streams, &history).is_linearizable());
    let stream = stream("2");
    let call = history.invoke(1, StoreCall::ReadStream { stream });
    history.complete(call, held(""));
    let verdict = check(&Streams, &history);
    assert_eq!(verdict.refutation().unwrap().object, "small-2");
}

#[test]
fn a_refusal_is_told_as_a_story() {
    let mut told = told().append(NoStream, "a", appended(1, 1));
    told.begin(2, Any, "x");
    let under_way = told.begin(0, exact(1), "b");
    let told = told.read("a b").append(Any, "c", appended(3, 3));
    let mut told = told.read("a b");
    told.end(under_way, appended(2, 2));
    let verdict = check(&Streams, &told.0);
    let refutation = verdict.refutation().unwrap();
    assert_eq!((refutation.operations, refutation.order.len()), (6, 4));
    let [a, b, c, x] = ["a", "b", "c", "x"].map(|name| {
        let id = id(name).to_string();
        format!("..{}", &id[id.len() - 6..])
    });
    let story = format!(
        "small-1 is not linearizable.\n\
         The best order places 4 of 6 operations:\n  \
           client 0   [1, 2]  append {a}, expecting no stream -> appended as versions 1 to 1\n  \
           client 0   [4, 11]  append {b}, expecting version 1 -> appended as versions 2 to 2\n  \
           client 1   [5, 6]  read_stream -> version 2: [{a} {b}]\n  \
           client 0   [7, 8]  append {c}, expecting any version -> appended as versions 3 to 3\n\
         That leaves: version 3: [{a} {b} {c}]\n\
         What comes next cannot be placed:\n  \
           client 1   [9, 10]  read_stream -> version 2: [{a} {b}]\n\
         nor after any of these, under way meanwhile:\n  \
           client 2   [3, ..)  append {x}, expecting any version -> unknown"
    );
    assert_eq!(verdict.to_string(), story);
}

#[test]
fn a_search_ends_at_its_bound() {
    // Thirty appends of unknown outcome, and a read of what none of them wrote.
    let mut told = told();
    for number in 0..30 {
        told = told.lost(Any, &number.to_string());
    }
    let told = told.read("nobody");
    let verdict = check_within(&Streams, &told.0, 10_000);
    assert!(
        matches!(
            verdict,
            Verdict::TooLarge {
                steps_max: 10_000,
                ..
            }
        ),
        "{verdict}"
    );
    assert!(verdict.to_string().contains("small-1"));
}

#[test]
fn a_long_history_is_judged_without_going_deep() {
    let mut told = told();
    let mut names = String::new();
    for number in 1..=2_000 {
        names = number.to_string();
        told = told.append(exact(number - 1), &names, appended(number, number));
    }
    let told = told.append(exact(1_999), &names, replayed(2_000, 2_000));
    told.is(true);
}
