//! A file of an older release is brought to this one's schema: all of it, at once or not at
//! all, whoever opens it and whenever that is cut short.
//!
//! | file | what it shows |
//! |---|---|
//! | `planted` | makes an older file, filled with real rows |
//! | `opened` | everything in it is read and written as before; what cannot be brought is left alone |
//! | `killed` | a process killed at every step leaves the older file or the newer one |

#![cfg(feature = "sqlite")]

mod killed;
mod opened;
mod planted;

use annalist::{NewEvent, StreamId};
use serde_json::json;

/// What this release makes.
const SCHEMA_VERSION: i64 = 3;

fn stream(name: &str) -> StreamId {
    name.parse().expect("a stream id")
}

fn event(number: usize) -> NewEvent {
    NewEvent::json("Noted", &json!({ "number": number })).expect("an event")
}
