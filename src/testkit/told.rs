//! How an event or a command stands in a line of a story, the same in every story.

use std::fmt::Display;

use serde_json::Value;

/// Its name, and its JSON where that says more.
pub(super) fn named(name: impl Display, json: &Value) -> String {
    match json {
        Value::Null => name.to_string(),
        json => format!("{name} {json}"),
    }
}
