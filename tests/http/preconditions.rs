//! The truth table of preconditions: method, headers, what is there, what is required, and
//! the answer. Sections are those of RFC 9110.

use annalist::VersionToken;
use annalist::http::{Checked, Expecting, PreconditionField, Preconditions};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

/// The token of what is there, and one of what was there before.
const NOW: &str = "00000000000000000000000000000001";
const OLD: &str = "00000000000000000000000000000000";

/// Headers as a person writes them: `NOW` and `OLD` stand for the tokens, `|` for a new line
/// of the same name.
fn headers(text: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for header in text.split(';').filter(|header| !header.is_empty()) {
        let (name, lines) = header.split_once(':').expect("a colon");
        let name = HeaderName::from_bytes(name.trim().as_bytes()).expect("a name");
        for line in lines.split('|') {
            let line = line.replace("NOW", NOW).replace("OLD", OLD);
            let value = HeaderValue::from_bytes(line.trim().as_bytes()).expect("a value");
            headers.append(&name, value);
        }
    }
    headers
}

fn token(text: &str) -> VersionToken {
    text.parse().expect("a token")
}

fn checked(
    required: Preconditions,
    method: &str,
    text: &str,
    current: Option<VersionToken>,
) -> String {
    let method = Method::from_bytes(method.as_bytes()).expect("a method");
    let checked = match required.check(&method, &headers(text), current) {
        Ok(checked) => checked,
        Err(malformed) => return format!("400 at {}.{}", malformed.line, malformed.character),
    };
    match checked {
        Checked::Proceed { expecting } => match expecting {
            Expecting::Nothing => "go on",
            Expecting::Absent => "go on if nothing",
            Expecting::Token(token) if current.is_some_and(|now| token.is_same_as(&now)) => {
                "go on if now"
            }
            Expecting::Token(_) => "go on if something else",
        },
        Checked::NotModified => "304",
        Checked::Failed { field, claimed } => {
            let old = claimed.is_some_and(|claimed| claimed.is_same_as(&token(OLD)));
            match (field, claimed, old) {
                (PreconditionField::IfMatch, Some(_), true) => "412 If-Match old",
                (PreconditionField::IfMatch, Some(_), false) => "412 If-Match other",
                (PreconditionField::IfMatch, None, _) => "412 If-Match",
                (PreconditionField::IfNoneMatch, None, _) => "412 If-None-Match",
                _ => "412 of something else",
            }
        }
        Checked::Required => "428",
    }
    .to_owned()
}

/// Method and headers, then the answer where it is there and where it is not.
const ROWS: &str = r#"
// Nothing said.
GET                                                  => go on               / go on
HEAD                                                 => go on               / go on
POST                                                 => go on               / go on
// 13.1.1: `If-Match`, one tag.
POST    if-match: "NOW"                              => go on if now        / 412 If-Match other
PUT     if-match: "NOW"                              => go on if now        / 412 If-Match other
DELETE  if-match: "NOW"                              => go on if now        / 412 If-Match other
GET     if-match: "NOW"                              => go on if now        / go on
POST    if-match: "OLD"                              => 412 If-Match old    / 412 If-Match old
GET     if-match: "OLD"                              => 412 If-Match old    / go on
// `*`: whatever is there, if something is.
POST    if-match: *                                  => go on if now        / 412 If-Match
GET     if-match: *                                  => go on if now        / go on
// Lists, over one line or several, and empty places in them (5.6.1.2).
POST    if-match: "OLD", "NOW"                       => go on if now        / 412 If-Match
POST    if-match: "OLD" | "NOW"                      => go on if now        / 412 If-Match
POST    if-match: ,, "NOW" ,,                        => go on if now        / 412 If-Match other
POST    if-match: | "NOW"                            => go on if now        / 412 If-Match other
POST    if-match: "OLD","a,b"                        => 412 If-Match        / 412 If-Match
// 8.8.3.2: a weak tag is strongly like none, not even itself.
POST    if-match: W/"NOW"                            => 412 If-Match        / 412 If-Match
POST    if-match: W/"NOW", "NOW"                     => go on if now        / 412 If-Match
// Tags of others, which are tags all the same.
POST    if-match: "33a64df5"                         => 412 If-Match        / 412 If-Match
POST    if-match: ""                                 => 412 If-Match        / 412 If-Match
POST    if-match: "NOW-gzip"                         => 412 If-Match        / 412 If-Match
POST    if-match: "é"                                => 412 If-Match        / 412 If-Match
// 13.1.2: `If-None-Match`, weak comparison.
GET     if-none-match: "NOW"                         => 304                 / go on
HEAD    if-none-match: "NOW"                         => 304                 / go on
GET     if-none-match: W/"NOW"                       => 304                 / go on
GET     if-none-match: "OLD"                         => go on               / go on
GET     if-none-match: "OLD" | W/"NOW"               => 304                 / go on
GET     if-none-match: *                             => 304                 / go on
POST    if-none-match: "NOW"                         => 412 If-None-Match   / go on
POST    if-none-match: W/"NOW"                       => 412 If-None-Match   / go on
POST    if-none-match: "OLD"                         => go on               / go on
PUT     if-none-match: *                             => 412 If-None-Match   / go on if nothing
POST    if-none-match: *                             => 412 If-None-Match   / go on if nothing
// 13.2.2: both, `If-Match` first.
GET     if-match: "OLD"; if-none-match: "NOW"        => 412 If-Match old    / go on
GET     if-match: "NOW"; if-none-match: "NOW"        => 304                 / go on
GET     if-match: "NOW"; if-none-match: "OLD"        => go on if now        / go on
PUT     if-match: "NOW"; if-none-match: "OLD"        => go on if now        / 412 If-Match other
PUT     if-match: "NOW"; if-none-match: *            => 412 If-None-Match   / 412 If-Match other
PUT     if-match: *; if-none-match: *                => 412 If-None-Match   / 412 If-Match
// 13.2.1: methods that do not look at what is there look at no header either.
OPTIONS if-match: "OLD"                              => go on               / go on
TRACE   if-match: nonsense                           => go on               / go on
CONNECT if-none-match: *                             => go on               / go on
// A method that is not known may change something.
PATCH   if-match: "OLD"                              => 412 If-Match old    / 412 If-Match old
BREW    if-none-match: "NOW"                         => 412 If-None-Match   / go on
// 13.1.3, 13.1.4, 14.2: ignored.
GET     if-modified-since: Sun, 06 Nov 2094 08:49:37 GMT => go on               / go on
PUT     if-unmodified-since: Sun, 06 Nov 1994 08:49:37 GMT => go on               / go on
GET     range: bytes=0-1; if-range: "NOW"            => go on               / go on
// 8.8.3: what is no tag, and where.
POST    if-match: NOW                                => 400 at 1.1          / 400 at 1.1
GET     if-none-match: NOW                           => 400 at 1.1          / 400 at 1.1
POST    if-match: w/"NOW"                            => 400 at 1.1          / 400 at 1.1
POST    if-match: W"NOW"                             => 400 at 1.1          / 400 at 1.1
POST    if-match: "a b"                              => 400 at 1.3          / 400 at 1.3
POST    if-match: "a                                 => 400 at 1.3          / 400 at 1.3
POST    if-match: "a" "b"                            => 400 at 1.5          / 400 at 1.5
POST    if-match: "a"b                               => 400 at 1.4          / 400 at 1.4
POST    if-match: "a", 'b'                           => 400 at 1.6          / 400 at 1.6
POST    if-match: "a" | b                            => 400 at 2.1          / 400 at 2.1
POST    if-match: *, "NOW"                           => 400 at 1.4          / 400 at 1.4
POST    if-match: "NOW", *                           => 400 at 1.37         / 400 at 1.37
POST    if-match: *, *                               => 400 at 1.4          / 400 at 1.4
POST    if-match: * | *                              => 400 at 2.1          / 400 at 2.1
POST    if-match: **                                 => 400 at 1.2          / 400 at 1.2
POST    if-match:                                    => 400 at 1.1          / 400 at 1.1
POST    if-none-match: , ,                           => 400 at 1.1          / 400 at 1.1
// A header that cannot be read is not skipped because the other one decides.
PUT     if-match: "OLD"; if-none-match: NOW          => 400 at 1.1          / 400 at 1.1
"#;

fn rows() -> impl Iterator<Item = [&'static str; 4]> {
    let rows = ROWS
        .lines()
        .filter(|row| !row.is_empty() && !row.starts_with("//"));
    rows.map(|row| {
        let (request, answers) = row.split_once(" => ").expect("an answer");
        let (method, headers) = request
            .trim()
            .split_once(' ')
            .unwrap_or((request.trim(), ""));
        let (there, absent) = answers.split_once(" / ").expect("two answers");
        [method, headers, there, absent].map(str::trim)
    })
}

#[test]
fn each_row_of_the_truth_table_holds() {
    assert!(rows().count() > 60, "rows are lost");
    for [method, text, there, absent] in rows() {
        let answer = checked(Preconditions::Optional, method, text, Some(token(NOW)));
        assert_eq!(answer, there, "{method} {text} of what is there");
        let answer = checked(Preconditions::Optional, method, text, None);
        assert_eq!(answer, absent, "{method} {text} of what is not there");
    }
}

/// Requiring a precondition changes the answer to requests that change something and state
/// none, and no other.
#[test]
fn only_a_change_that_states_none_is_required_to() {
    for [method, text, there, absent] in rows() {
        let states_one = text.contains("match");
        let changes = !["GET", "HEAD", "OPTIONS", "TRACE", "CONNECT"].contains(&method);
        let is_asked = changes && !states_one;
        for (current, otherwise) in [(Some(token(NOW)), there), (None, absent)] {
            let answer = checked(Preconditions::Required, method, text, current);
            let expected = if is_asked { "428" } else { otherwise };
            assert_eq!(answer, expected, "{method} {text}");
        }
    }
}

#[test]
fn a_forged_tag_is_no_more_than_another_one() {
    for bit in 0..128 {
        let forged = (1_u128 << bit) ^ 1;
        let text = format!(r#"if-match: "{forged:032x}""#);
        let answer = checked(Preconditions::Optional, "PUT", &text, Some(token(NOW)));
        assert!(answer.starts_with("412 If-Match"), "{answer}");
    }
    let upper = r#"if-none-match: "0000000000000000000000000000000A""#;
    let current = token("0000000000000000000000000000000a");
    let answer = checked(Preconditions::Optional, "GET", upper, Some(current));
    assert_eq!(answer, "go on", "tags differ by case");
}

#[test]
fn a_malformed_header_says_where_and_how_it_is_written() {
    let said = |text: &str| {
        let error = Preconditions::Optional.check(&Method::PUT, &headers(text), None);
        error.expect_err("malformed").to_string()
    };
    insta::assert_snapshot!(said("if-match: NOW"), @r#"the header if-match cannot be read, line 1, character 1: a tag stands in double quotes, as in `"04a8"`"#);
    insta::assert_snapshot!(said("if-none-match:"), @"the header if-none-match cannot be read, line 1, character 1: it names no tag; send the ETag as it was received, or leave the header out");
    insta::assert_snapshot!(said(r#"if-match: *, "a""#), @"the header if-match cannot be read, line 1, character 4: `*` stands alone");
    let many = format!("if-match: {}", r#""a","#.repeat(101));
    insta::assert_snapshot!(said(&many), @"the header if-match cannot be read, line 1, character 401: there are more than 100 tags");
}
