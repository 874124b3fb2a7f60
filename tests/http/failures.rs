//! What the store and the server did, as the problem that a client gets: the same words for
//! conflicts, and nothing of the inside.

use annalist::http::Problem;
use annalist::{
    AppendError, Commit, DomainError, ExpectedVersion, LoadError, NewEvent, Repository, StoreError,
    StoreErrorKind, Version,
};

use crate::asked::{refused, rich};
use crate::bank::{Account, domain};
use crate::problems::told;

#[tokio::test]
async fn what_cannot_be_decoded_or_loaded_is_told() {
    let unknown = domain().decode("withdrow", "{}").expect_err("unknown");
    insta::assert_snapshot!(told(&Problem::from(&unknown)), @r#"
    {
      "type": "urn:annalist:problem:unknown_command",
      "title": "There is no such command",
      "status": 404,
      "detail": "no command is named \"withdrow\", only deposit, open, withdraw",
      "code": "unknown_command",
      "retry_helps": false
    }
    "#);
    let malformed = domain()
        .decode("withdraw", r#"{"cents":"5"}"#)
        .expect_err("malformed");
    insta::assert_snapshot!(told(&Problem::from(&malformed)), @r#"
    {
      "type": "urn:annalist:problem:malformed_command",
      "title": "The body is not that of the command",
      "status": 400,
      "detail": "the JSON is no command withdraw: invalid type: string \"5\", expected i64 at line 1 column 12",
      "code": "malformed_command",
      "retry_helps": false,
      "field": "/cents"
    }
    "#);
    let store = rich().await.store().clone();
    let ahead = Repository::<Account>::new(store)
        .load_at("1", Version::new(9))
        .await;
    insta::assert_snapshot!(told(&Problem::from(&ahead.err().expect("not reached"))), @r#"
    {
      "type": "urn:annalist:problem:version_not_reached",
      "title": "That version is not there yet",
      "status": 404,
      "detail": "stream account-1 is only at version 2, not at 9 yet; load it as it is",
      "code": "version_not_reached",
      "retry_helps": false
    }
    "#);
}

#[tokio::test]
async fn conflicts_of_the_store_are_told_alike() {
    let bus = rich().await;
    let event = NewEvent::json("Noted", "x").expect("an event");
    let commit = Commit::new()
        .append(
            "account-1".parse().expect("an id"),
            Version::new(1),
            [event],
        )
        .check(
            "account-2".parse().expect("an id"),
            ExpectedVersion::StreamExists,
        )
        .with_unseen(10);
    let refused = bus.store().commit(commit).await.expect_err("a conflict");
    insta::assert_snapshot!(told(&Problem::from(&refused)), @r#"
    {
      "type": "urn:annalist:problem:conflict",
      "title": "Somebody else was faster",
      "status": 409,
      "detail": "2 of 2 expectations did not hold: stream account-1: expected version 1, but it is at version 2; load the event at version 2 and decide again; stream account-2: expected an existing stream, but it was never written; append with no stream expected to create it",
      "code": "conflict",
      "retry_helps": false,
      "stream": "account-1",
      "conflict": {
        "stream": "account-1",
        "kind": "stale_version",
        "expected": 1,
        "actual": 2,
        "reason": {
          "why": "demanded"
        },
        "attempts": 1,
        "elapsed_micros": 0,
        "unseen": [
          {
            "version": 2,
            "position": 2,
            "id": "00000000-0000-0000-0000-000000000000",
            "event_type": "Deposited"
          }
        ],
        "truncated": false,
        "changed": [],
        "next": "look at what happened meanwhile, and ask again if it is still meant"
      }
    }
    "#);
}

#[test]
fn a_busy_store_says_when_to_come_back_and_a_broken_one_does_not() {
    let problem = |kind| Problem::from(&StoreError::new(kind, "appending"));
    insta::assert_snapshot!(told(&problem(StoreErrorKind::Busy)), @r#"
    retry-after: "1"
    {
      "type": "urn:annalist:problem:busy",
      "title": "The store is busy",
      "status": 503,
      "detail": "nothing was changed; send the same request again later",
      "code": "busy",
      "retry_helps": true
    }
    "#);
    insta::assert_snapshot!(told(&problem(StoreErrorKind::Fenced)), @r#"
    {
      "type": "urn:annalist:problem:fenced",
      "title": "The store takes nothing until it is opened again",
      "status": 503,
      "detail": "nothing was changed, and nothing will be until the server is looked after",
      "code": "fenced",
      "retry_helps": false
    }
    "#);
    insta::assert_snapshot!(told(&problem(StoreErrorKind::Io)), @r#"
    {
      "type": "urn:annalist:problem:internal",
      "title": "The server could not do it",
      "status": 500,
      "detail": "nothing can be done about it from outside; the server's log says more",
      "code": "internal",
      "retry_helps": false
    }
    "#);
    assert_eq!(problem(StoreErrorKind::Overloaded).retry_after(), Some(2));
    assert_eq!(problem(StoreErrorKind::DiskFull).retry_after(), None);
    assert!(problem(StoreErrorKind::DiskFull).retry_helps);
    let unknown = problem(StoreErrorKind::Unknown);
    assert_eq!((unknown.status.as_u16(), unknown.retry_helps), (500, false));
}

/// Neither paths, nor what is stored, nor what a panic says.
#[tokio::test]
async fn nothing_of_the_inside_is_told() {
    use StoreErrorKind as Kind;
    let kinds = [
        Kind::Busy,
        Kind::Overloaded,
        Kind::DiskFull,
        Kind::HandleClosed,
        Kind::Unknown,
        Kind::Fenced,
        Kind::RemovedMeanwhile,
        Kind::ProjectionMissing,
        Kind::Corrupt { position: None },
        Kind::NoAccess,
        Kind::NotAStore,
        Kind::NewerSchema {
            found: 2,
            supported: 1,
        },
        Kind::Invalid,
        Kind::Io,
    ];
    let error = |kind| StoreError::new(kind, "reading /srv/secret.db").with_source("4111 1111");
    let mut told: Vec<String> = Vec::new();
    for kind in kinds {
        let problems = [
            Problem::from(&error(kind)),
            Problem::from(&AppendError::from(error(kind))),
            Problem::from(&LoadError::from(error(kind))),
            Problem::from(&DomainError::from(LoadError::from(error(kind)))),
        ];
        assert!(
            problems
                .iter()
                .all(|problem| problem.status.is_server_error())
        );
        told.extend(problems.iter().map(self::told));
    }

    let bus = rich().await;
    let panicked = refused(&bus, "1", "deposit", r#"{"cents":666}"#).await;
    assert_eq!(panicked.code, "panicked");
    told.push(self::told(&Problem::from(&panicked)));
    let odd = NewEvent::json("Deposited", r#"4111 1111"#).expect("an event");
    let stream = "account-odd".parse().expect("an id");
    let appended = bus
        .store()
        .append(&stream, ExpectedVersion::Any, [odd])
        .await;
    appended.expect("an event that cannot be read");
    let unreadable = refused(&bus, "odd", "withdraw", r#"{"cents":1}"#).await;
    told.push(self::told(&Problem::from(&unreadable)));
    let unreadable = domain()
        .load(bus.store(), &stream)
        .await
        .expect_err("unreadable");
    told.push(self::told(&Problem::from(&unreadable)));
    for text in told {
        let inside = ["4111", "secret", "srv"]
            .iter()
            .any(|word| text.contains(word));
        assert!(!inside, "{text}");
    }
}

#[test]
fn control_characters_never_stand_in_the_answer() {
    let problem = Problem::of_code("gone", "a\u{0}b\r\nc\u{1b}[31m\u{7f}\u{85}");
    let response = problem.response();
    assert!(response.body().iter().all(|byte| *byte >= 0x20));
    let again: Problem = serde_json::from_slice(response.body()).expect("a problem");
    assert_eq!(again.detail, problem.detail);
}
