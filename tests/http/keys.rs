//! What is a key for a request, and what is not, and where not.

use std::collections::HashSet;

use annalist::CommandId;
use annalist::http::{IdempotencyKey, MalformedHeader};
use http::{HeaderMap, HeaderValue};
use proptest::collection::vec;
use proptest::prelude::*;

fn read(lines: &[&[u8]]) -> Result<Option<IdempotencyKey>, MalformedHeader> {
    let mut headers = HeaderMap::new();
    for line in lines {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(IdempotencyKey::HEADER, value);
        }
    }
    IdempotencyKey::of(&headers)
}

fn key(text: &str) -> String {
    let key = read(&[text.as_bytes()]).expect("a key").expect("a key");
    key.as_str().to_owned()
}

#[test]
fn a_key_in_quotes_is_the_same_as_the_bare_one() {
    let uuid = "8e03978e-40d5-43dd-bc93-6894a57f9324";
    assert_eq!(key(uuid), uuid);
    assert_eq!(key(&format!("\"{uuid}\"")), uuid);
    assert_eq!(key(&format!("  \"{uuid}\"\t")), uuid);
    assert_eq!(key(r#""a b, c; d""#), "a b, c; d");
    assert_eq!(key(r#""a\"b\\c""#), r#"a"b\c"#);
    assert_eq!(read(&[]), Ok(None));
}

#[test]
fn what_is_no_key_is_refused_with_the_place() {
    let rows: &[(&[&str], &str)] = &[
        (&[""], "1.1"),
        (&["  "], "1.1"),
        (&[r#""""#], "1.1"),
        (&["a b"], "1.2"),
        (&["a,b"], "1.2"),
        (&[r#"a"b""#], "1.2"),
        (&["é"], "1.1"),
        (&[r#""aé""#], "1.3"),
        (&[r#""a"#], "1.3"),
        (&[r#""a";v=1"#], "1.4"),
        (&[r#""a", "b""#], "1.4"),
        (&[r#""a\n""#], "1.3"),
        (&[r#""a\"#], "1.3"),
        (&["a", "a"], "2.1"),
    ];
    for (lines, place) in rows {
        let lines: Vec<_> = lines.iter().map(|line| line.as_bytes()).collect();
        let error = read(&lines).expect_err("no key");
        assert_eq!(
            format!("{}.{}", error.line, error.character),
            *place,
            "{error}"
        );
    }
    let longest = "k".repeat(IdempotencyKey::CHARS_MAX);
    assert_eq!(key(&longest), longest);
    let error = read(&[format!("{longest}k").as_bytes()]).expect_err("too long");
    insta::assert_snapshot!(error, @"the header idempotency-key cannot be read, line 1, character 1: the key is longer than 255 characters");
}

#[test]
fn each_principal_has_its_own_keys() {
    let key = |text: &str| read(&[text.as_bytes()]).expect("a key").expect("a key");
    let ids = [
        ("ann", "1"),
        ("bob", "1"),
        ("ann", "2"),
        ("", "ann1"),
        ("ann1", "1"),
        ("an", "n1"),
    ]
    .map(|(principal, text)| key(text).command_id(principal));
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
    assert_eq!(
        key(r#""1""#).command_id("ann"),
        ids[0],
        "however it is written"
    );
    // Computed with Python's hashlib, too: what is stored under a key must be found under it by every later release.
    assert_eq!(
        ids[0],
        "http-038b850b1ad2db59fcd4ff7cceab3a053d0026cdac847fb4148c12c00410a462"
    );
    assert!(ids.iter().all(|id| id.parse::<CommandId>().is_ok()));
}

proptest! {
    #[test]
    fn no_value_makes_the_parser_panic(line in vec(any::<u8>(), 0..40)) {
        let _ = read(&[&line]);
    }

    #[test]
    fn a_key_that_is_written_in_quotes_is_read_again(text in "[ -~]{1,255}") {
        let written = text.replace('\\', r"\\").replace('"', "\\\"");
        prop_assert_eq!(key(&format!("\"{written}\"")), text);
    }
}
