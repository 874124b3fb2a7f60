//! What is kept beside the user's `Cargo.toml`: cases that were found, and histories that
//! were recorded.

use std::convert::Infallible;
use std::fs;
use std::path::Path;

use annalist::testkit::laws::{HuntError, Law, laws};
use annalist::{Aggregate, Command, Domain};
use insta::assert_snapshot;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{account, broken, said};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

/// A text without the name of the folder, which is another each time.
fn told(text: impl ToString, folder: &Path) -> String {
    text.to_string()
        .replace(folder.to_str().expect("a text"), "(folder)")
}

#[test]
fn what_is_found_is_kept_and_run_first() {
    let folder = folder();
    let hunted = |seed| {
        laws(&account::domain::<false>())
            .seed(seed)
            .regressions(folder.path())
    };
    let file = folder.path().join("account.jsonl");

    hunted(1).hunt().unwrap_err();
    assert!(!file.exists(), "a hunt writes nothing");

    let story = told(said(|| hunted(1).check()), folder.path());
    let note = "kept in (folder)/account.jsonl: it is run first from now on";
    assert!(story.contains(note), "{story}");
    let kept = fs::read_to_string(&file).unwrap();
    assert_snapshot!(kept, @r#"{"law":"commute-accepted","given":[["deposit",{"cents":1}]],"theirs":[["withdraw",{"cents":1}]],"mine":["withdraw",{"cents":1}]}"#);

    // Other cases do not matter any more, and nothing is kept twice.
    let story = told(said(|| hunted(2).cases(1).check()), folder.path());
    assert!(
        story.contains("found before, kept in (folder)/account.jsonl:1"),
        "{story}"
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), kept);

    // Mended, it holds.
    let mended = laws(&account::domain::<true>()).cases(10);
    mended.regressions(folder.path()).check();
}

#[test]
fn a_kept_case_that_cannot_be_read_is_told() {
    let folder = folder();
    let file = folder.path().join("account.jsonl");
    let refused = |line: &str| {
        fs::write(&file, format!("\n{line}\n")).unwrap();
        let hunted = laws(&account::domain::<true>()).regressions(folder.path());
        let error = hunted.hunt().unwrap_err();
        assert_eq!(error.code(), "case_unreadable");
        told(error, folder.path())
    };
    assert_snapshot!(refused(r#"{"theirs":[],"mine":["pay",{"cents":1}]}"#), @r#"
    (folder)/account.jsonl:2 is no case: no command is named "pay", only deposit, withdraw

      next      mend the line, or remove it
      line      {"theirs":[],"mine":["pay",{"cents":1}]}
    "#);
    assert_snapshot!(refused(r#"{"mine":["withdraw",{"pounds":1}]}"#), @r#"
    (folder)/account.jsonl:2 is no case: the JSON is no command withdraw: missing field `cents` at line 1 column 12

      next      mend the line, or remove it
      line      {"mine":["withdraw",{"pounds":1}]}
    "#);
    assert_snapshot!(refused("withdraw"), @r#"
    (folder)/account.jsonl:2 is no case: expected value at line 1 column 1

      next      mend the line, or remove it
      line      withdraw
    "#);
}

#[test]
fn what_cannot_be_kept_is_told_all_the_same() {
    let folder = folder();
    let file = folder.path().join("no folder");
    fs::write(&file, "").unwrap();
    let hunted = laws(&account::domain::<false>()).seed(1);
    let story = said(|| {
        hunted
            .fixtures(folder.path())
            .regressions(file.join("here"))
            .check()
    });
    let story = told(story, folder.path());
    assert!(story.starts_with("withdraw declares Commute"), "{story}");
    assert!(
        story.contains("it could not be kept: (folder)/no folder/here"),
        "{story}"
    );
}

#[test]
fn a_line_is_replayed() {
    let case = r#"{"given":[["deposit",{"cents":1}]],"theirs":[["withdraw",{"cents":1}]],"mine":["withdraw",{"cents":1}]}"#;
    laws(&account::domain::<true>()).replay(case);
    let story = said(|| laws(&account::domain::<false>()).replay(case));
    assert_snapshot!(story, @r##"
    withdraw declares Commute, and does not: where it lands, it would not have been decided like that

      given     deposit {"cents":1}
                Deposited {"cents":1}  {"balance":1}, version 1
      theirs    withdraw {"cents":1}
                Withdrawn {"cents":1}  {"balance":0}
      mine      withdraw {"cents":1}, decided on version 1
                Withdrawn {"cents":1}
      commuted  {"balance":-1}
      but       decided on {"balance":0} it is rejected: only 0 cents are left
      next      declare Redecide, name the event in clashes_with, or let an invariant refuse it

      keep it:  annalist::testkit::laws(&domain).replay(r#"{"law":"commute-accepted","given":[["deposit",{"cents":1}]],"theirs":[["withdraw",{"cents":1}]],"mine":["withdraw",{"cents":1}]}"#);
    "##);
    let other = said(|| laws(&account::domain::<true>()).replay(r#"{"mine":["pay",null]}"#));
    assert_snapshot!(other, @r#"
    the case to replay is no case: no command is named "pay", only deposit, withdraw

      next      mend the line, or remove it
      line      {"mine":["pay",null]}
    "#);
}

#[derive(Clone, Serialize, Deserialize)]
enum BoxEvent {
    Packed { pieces: u8 },
    Emptied,
}

/// What a change of `apply` means is said by its state version, or is not.
#[derive(Default, Clone, Serialize, Deserialize)]
struct Parcel<const COUNTS: u32, const VERSION: u32> {
    pieces: u32,
    packed: u32,
}

impl<const COUNTS: u32, const VERSION: u32> Aggregate for Parcel<COUNTS, VERSION> {
    const CATEGORY: &'static str = "parcel";
    const STATE_VERSION: u32 = VERSION;
    type Event = BoxEvent;

    fn apply(&mut self, event: &BoxEvent) {
        match event {
            BoxEvent::Packed { pieces } => {
                self.pieces += u32::from(*pieces);
                self.packed += COUNTS;
            }
            BoxEvent::Emptied => self.pieces = 0,
        }
    }
}

#[derive(Serialize, Deserialize)]
enum Handle<const COUNTS: u32, const VERSION: u32> {
    Pack { pieces: u8 },
    Empty,
}

impl<const COUNTS: u32, const VERSION: u32> Command for Handle<COUNTS, VERSION> {
    type Aggregate = Parcel<COUNTS, VERSION>;
    type Rejection = Infallible;
    const NAME: &'static str = "handle";

    fn decide(&self, _: &Self::Aggregate) -> Result<Vec<BoxEvent>, Infallible> {
        Ok(match self {
            Self::Pack { pieces } => vec![BoxEvent::Packed { pieces: *pieces }],
            Self::Empty => vec![BoxEvent::Emptied],
        })
    }
}

fn parcel<const COUNTS: u32, const VERSION: u32>() -> Domain {
    Domain::new().command::<Handle<COUNTS, VERSION>>()
}

/// One history, as an older release has recorded it.
fn recorded(folder: &Path) {
    let packed = json!({
        "type": "Packed", "schema_version": 1, "payload": { "pieces": 3 },
        "state": { "pieces": 3, "packed": 1 },
    });
    let history = json!([{ "state_version": 1, "events": [packed] }]);
    fs::write(folder.join("parcel.json"), history.to_string()).expect("a file");
}

fn read(folder: &Path) -> Value {
    let text = fs::read_to_string(folder.join("parcel.json")).expect("a file");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn histories_are_recorded_once_and_then_checked() {
    let folder = folder();
    let hunted = || {
        laws(&parcel::<1, 1>())
            .seed(1)
            .cases(100)
            .fixtures(folder.path())
    };
    let note = hunted().hunt().unwrap().to_string();
    assert!(note.contains("nothing is recorded of parcel"), "{note}");

    hunted().recording().hunt().unwrap();
    assert!(
        !folder.path().join("parcel.json").exists(),
        "a hunt writes nothing"
    );
    hunted().recording().check();
    let written = read(folder.path());
    let histories = written.as_array().unwrap();
    assert!((1..=5).contains(&histories.len()), "{written}");
    for event in ["Packed", "Emptied"] {
        assert!(
            written
                .to_string()
                .contains(&format!("\"type\":\"{event}\"")),
            "{written}"
        );
    }
    let note = hunted().hunt().unwrap().to_string();
    let holds = format!("{} recorded histories of parcel hold", histories.len());
    assert!(note.contains(&holds), "{note}");
    // What is covered is not recorded again.
    hunted().recording().check();
    assert_eq!(read(folder.path()), written);
}

#[test]
fn an_apply_that_changed_is_told_with_the_first_event_that_differs() {
    let folder = folder();
    recorded(folder.path());
    let story = |domain: &Domain| {
        let found = broken(&laws(domain).fixtures(folder.path()));
        assert_eq!((found.law, found.events), (Law::Recorded, 1));
        told(found, folder.path())
    };
    assert_snapshot!(story(&parcel::<2, 1>()), @r#"
    apply or an upcaster of parcel changed what old events mean, and STATE_VERSION is still 1

      event     1 of 1
      stored    Packed {"pieces":3}, schema version 1
      read as   Packed {"pieces":3}
      recorded  {"packed":1,"pieces":3}
      now       {"packed":2,"pieces":3}
      differs   /packed  recorded 1, now 2
      next      snapshots of before would be believed: raise STATE_VERSION, then record anew with ANNALIST_RECORD=1

      recorded in (folder)/parcel.json, history 1
    "#);
    assert_snapshot!(story(&parcel::<2, 2>()), @r#"
    parcel was recorded under STATE_VERSION 1, it is 2 now, and old events mean something else

      event     1 of 1
      stored    Packed {"pieces":3}, schema version 1
      read as   Packed {"pieces":3}
      recorded  {"packed":1,"pieces":3}
      now       {"packed":2,"pieces":3}
      differs   /packed  recorded 1, now 2
      next      look at what differs; if it is meant, record anew with ANNALIST_RECORD=1

      recorded in (folder)/parcel.json, history 1
    "#);
}

#[test]
fn recorded_anew_the_events_stay_and_what_is_not_covered_is_added() {
    let folder = folder();
    recorded(folder.path());
    laws(&parcel::<2, 2>())
        .cases(100)
        .fixtures(folder.path())
        .recording()
        .check();
    let written = read(folder.path());
    let first = json!({
        "state_version": 2,
        "events": [{
            "type": "Packed", "schema_version": 1, "payload": { "pieces": 3 },
            "state": { "pieces": 3, "packed": 2 },
        }],
    });
    assert_eq!(written[0], first);
    assert!(written.to_string().contains("Emptied"), "{written}");
    assert_eq!(written.as_array().unwrap().len(), 2);
    laws(&parcel::<2, 2>())
        .cases(10)
        .fixtures(folder.path())
        .hunt()
        .unwrap();
}

#[test]
fn an_event_that_cannot_be_read_any_more_is_told() {
    let folder = folder();
    let lost = json!({ "type": "Weighed", "schema_version": 1, "payload": {}, "state": {} });
    let history = json!([{ "state_version": 1, "events": [lost] }]);
    fs::write(folder.path().join("parcel.json"), history.to_string()).unwrap();
    let found = broken(&laws(&parcel::<1, 1>()).fixtures(folder.path()));
    assert_snapshot!(told(found, folder.path()), @r#"
    an event of parcel that was recorded cannot be read any more

      event     1 of 1
      stored    Weighed {}, schema version 1
      but       it cannot be read any more: event 1 of stream parcel-1, of type "Weighed" and schema version 1, cannot be decoded: no variant is named "Weighed", only Packed, Emptied; add one, or an upcaster that renames or drops it
      next      add what it was, or an upcaster that renames, rewrites or drops it

      recorded in (folder)/parcel.json, history 1
    "#);
}

#[test]
fn a_file_that_is_no_recording_is_told() {
    let folder = folder();
    fs::write(folder.path().join("parcel.json"), "[{}]").unwrap();
    let error = laws(&parcel::<1, 1>())
        .fixtures(folder.path())
        .hunt()
        .unwrap_err();
    assert!(matches!(error, HuntError::File { .. }));
    assert_snapshot!(told(error, folder.path()), @"(folder)/parcel.json: it holds no histories: missing field `state_version` at line 1 column 3; restore it, since what was recorded in it cannot be recorded once more");
}
