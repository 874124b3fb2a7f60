//! Chains of upcasters: where they lead, and what stops them.

use serde_json::json;

use super::*;

fn add(field: &'static str) -> impl Fn(Value) -> Result<Value, Failure> {
    move |mut payload| {
        payload[field] = 1.into();
        Ok(payload)
    }
}

fn upcast(
    upcasters: &Upcasters,
    event_type: &str,
    schema_version: u32,
) -> Result<Vec<UpcastEvent>, UpcastError> {
    let event = UpcastEvent::new(event_type, json!({})).with_schema_version(schema_version);
    upcasters.upcast(event)
}

fn event(event_type: &str, schema_version: u32, payload: Value) -> UpcastEvent {
    UpcastEvent::new(event_type, payload).with_schema_version(schema_version)
}

#[test]
fn steps_are_chained_to_the_current_version() {
    let upcasters = Upcasters::new()
        .step("A", 2, add("b"))
        .step("A", 1, add("a"));
    assert_eq!(upcasters.schema_version("A"), 3);
    let end = |version| upcast(&upcasters, "A", version).unwrap();
    assert_eq!(end(1), [event("A", 3, json!({ "a": 1, "b": 1 }))]);
    assert_eq!(end(2), [event("A", 3, json!({ "b": 1 }))]);
    assert_eq!(end(3), [event("A", 3, json!({}))]);
}

#[test]
fn a_new_name_goes_on_where_the_old_one_stopped() {
    // However it is declared: before or after the steps, over several names.
    let before = Upcasters::new().rename("A", "B").rename("B", "C");
    let before = before.step("A", 1, add("a")).step("C", 2, add("c"));
    let after = Upcasters::new()
        .step("C", 2, add("c"))
        .step("A", 1, add("a"));
    let after = after.rename("B", "C").rename("A", "B");
    for upcasters in [before, after] {
        assert_eq!(upcasters.schema_version("C"), 3);
        let end = |name, version| upcast(&upcasters, name, version).unwrap();
        assert_eq!(end("A", 1), [event("C", 3, json!({ "a": 1, "c": 1 }))]);
        assert_eq!(end("A", 2), [event("C", 3, json!({ "c": 1 }))]);
        assert_eq!(end("B", 2), [event("C", 3, json!({ "c": 1 }))]);
        assert_eq!(end("C", 3), [event("C", 3, json!({}))]);
    }
}

#[test]
fn one_event_becomes_several_each_of_which_goes_on() {
    let upcasters = Upcasters::new()
        .split("Moved", 1, |_| {
            Ok(vec![
                UpcastEvent::new("Left", json!({})),
                UpcastEvent::new("Viewed", json!({})),
                UpcastEvent::new("Moved", json!({})).with_schema_version(2),
            ])
        })
        .step("Left", 1, add("a"))
        .drop("Viewed", 1);
    assert_eq!(
        upcast(&upcasters, "Moved", 1).unwrap(),
        [
            event("Left", 2, json!({ "a": 1 })),
            event("Moved", 2, json!({}))
        ]
    );
    assert_eq!(upcast(&upcasters, "Viewed", 1).unwrap(), []);
}

#[test]
fn a_version_that_nothing_leads_on_from_stops_the_read() {
    let upcasters = Upcasters::new().step("A", 2, add("a"));
    let missing = upcast(&upcasters, "A", 1).unwrap_err();
    assert!(matches!(
        missing,
        UpcastError::Missing {
            schema_version: 1,
            current: 3,
            ..
        }
    ));
    let newer = upcast(&upcasters, "A", 4).unwrap_err();
    assert!(matches!(
        newer,
        UpcastError::Newer {
            schema_version: 4,
            current: 3,
            ..
        }
    ));
    let unknown = upcast(&upcasters, "B", 2).unwrap_err();
    assert_eq!(unknown.code(), "newer_schema_version");
}

#[test]
fn a_step_that_fails_or_panics_is_named() {
    let upcasters = Upcasters::new()
        .step("Fails", 1, |_| Err("no amount".into()))
        .step("Panics", 1, |payload| {
            Ok(payload["cents"][0]["none"].as_str().expect("cents").into())
        })
        .split("Panics", 2, |_| panic!("two"));
    let failed = upcast(&upcasters, "Fails", 1).unwrap_err();
    assert!(
        failed
            .to_string()
            .contains("\"Fails\" from schema version 1"),
        "{failed}"
    );
    assert_eq!(failed.source().unwrap().to_string(), "no amount");
    let panicked = upcast(&upcasters, "Panics", 2).unwrap_err();
    assert!(panicked.source().unwrap().to_string().contains("two"));
    assert_eq!(
        upcast(&upcasters, "Panics", 1).unwrap_err().code(),
        "panicked"
    );
}

#[test]
fn a_split_that_leads_back_is_stopped() {
    let to = |name: &'static str| move |payload| Ok(vec![UpcastEvent::new(name, payload)]);
    let upcasters = Upcasters::new()
        .split("A", 1, to("B"))
        .split("B", 1, to("A"));
    let endless = upcast(&upcasters, "A", 1).unwrap_err();
    assert!(matches!(endless, UpcastError::Endless { .. }), "{endless}");
    let last = Upcasters::new().step("A", u32::MAX, Ok);
    let endless = upcast(&last, "A", u32::MAX).unwrap_err();
    assert!(matches!(endless, UpcastError::Endless { .. }), "{endless}");
}

#[test]
fn contradictions_are_refused() {
    let merged = Upcasters::new().rename("A", "C").rename("B", "C");
    assert_eq!(merged.problem(), None);
    for (upcasters, problem) in [
        (Upcasters::new().rename("A", "A"), "itself"),
        (
            Upcasters::new()
                .rename("A", "B")
                .rename("B", "C")
                .rename("C", "A"),
            "itself",
        ),
        (
            Upcasters::new().rename("A", "B").rename("A", "C"),
            "\"B\" and to \"C\"",
        ),
        (Upcasters::new().step("A", 1, Ok).drop("A", 1), "two steps"),
    ] {
        let told = upcasters.problem().unwrap();
        assert!(told.contains(problem), "{told}");
    }
}

#[test]
fn a_fingerprint_tells_declarations_apart() {
    let declared = [
        Upcasters::new(),
        Upcasters::new().revision(1),
        Upcasters::new().step("A", 1, Ok),
        Upcasters::new().step("A", 2, Ok),
        Upcasters::new().step("B", 1, Ok),
        Upcasters::new().drop("A", 1),
        Upcasters::new().rename("A", "B"),
        Upcasters::new().rename("A", "C"),
    ];
    let prints: std::collections::BTreeSet<_> =
        declared.iter().map(Upcasters::fingerprint).collect();
    assert_eq!(prints.len(), declared.len());

    let one = Upcasters::new().step("A", 1, Ok).rename("B", "A");
    let other = Upcasters::new().rename("B", "A").step("A", 1, Ok);
    assert_eq!(one.fingerprint(), other.fingerprint());
}
