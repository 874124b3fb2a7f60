//! A document that is edited offline, and merged field by field.
//!
//! ```text
//! cargo run --example document
//! ```
//!
//! Three people read a document at one version and go offline. Each changes some fields
//! and sends the edit later, based on the version that was read. Fields that only one of
//! them changed are merged. Where two changed the same field, nobody but a person can
//! choose: the merge refuses, both values are shown, and the choice is sent as an edit
//! that demands the version that was looked at.

use std::collections::BTreeMap;
use std::convert::Infallible;

use annalist::{
    Aggregate, Command, CommandBus, ConflictReason, Decision, Diverged, OnConflict, Repository,
    Store, stream_id,
};
use serde::{Deserialize, Serialize};

type AnyError = Box<dyn std::error::Error>;
type Fields = BTreeMap<String, String>;

#[derive(Clone, Serialize, Deserialize)]
enum DocumentEvent {
    FieldSet { field: String, text: String },
}

/// The text of each field.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Document {
    fields: Fields,
}

impl Aggregate for Document {
    const CATEGORY: &'static str = "document";
    type Event = DocumentEvent;

    fn apply(&mut self, DocumentEvent::FieldSet { field, text }: &DocumentEvent) {
        self.fields.insert(field.clone(), text.clone());
    }
}

impl Document {
    /// A field that was never set is empty.
    fn text(&self, field: &str) -> &str {
        self.fields.get(field).map_or("", String::as_str)
    }
}

/// Sets some fields and leaves the others alone.
#[derive(Serialize)]
struct Edit {
    fields: Fields,
}

impl Command for Edit {
    type Aggregate = Document;
    type Rejection = Infallible;
    const NAME: &'static str = "edit";
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Merge(Self::merge);

    fn decide(&self, document: &Document) -> Result<Vec<DocumentEvent>, Infallible> {
        let fields = self.fields.iter();
        let changed = fields.filter(|(field, text)| document.text(field) != *text);
        let set = changed.map(|(field, text)| DocumentEvent::FieldSet {
            field: field.clone(),
            text: text.clone(),
        });
        Ok(set.collect())
    }
}

impl Edit {
    /// Merges three ways: what I changed goes in, unless others changed it to something
    /// else since we parted.
    fn merge(&self, diverged: &Diverged<'_, Document>) -> Result<Vec<DocumentEvent>, String> {
        let (base, theirs) = (diverged.base, diverged.current);
        let mut merged = Vec::new();
        for mine in diverged.proposed {
            let DocumentEvent::FieldSet { field, text } = mine;
            if both_changed(base, theirs, mine) {
                return Err(format!("both sides changed the {field}"));
            }
            if theirs.text(field) != text {
                merged.push(mine.clone());
            }
        }
        Ok(merged)
    }
}

/// Whether a field is not as it was, nor as I want it to be.
fn both_changed(base: &Document, theirs: &Document, mine: &DocumentEvent) -> bool {
    let DocumentEvent::FieldSet { field, text } = mine;
    let now = theirs.text(field);
    now != base.text(field) && now != text
}

fn edit<const N: usize>(fields: [(&str, &str); N]) -> Edit {
    let fields = fields.map(|(field, text)| (field.to_owned(), text.to_owned()));
    Edit {
        fields: fields.into(),
    }
}

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let bus = CommandBus::new(Store::memory());
    let draft = [
        ("title", "Minutes"),
        ("place", "Room 1"),
        ("text", "We met."),
    ];
    let read = bus.dispatch("minutes", edit(draft)).await?.version;
    println!("ann, bob and eve read version {read}, and go offline");

    // Ann is back first.
    let by_ann = edit([("title", "Minutes of May")]);
    let ann = bus.dispatch("minutes", by_ann).based_on(read).await?;
    assert_eq!(ann.decided_by, Decision::Appended);
    println!("ann changes the title: version {}", ann.version);

    // Bob has changed other fields.
    let by_bob = edit([("place", "Room 7"), ("text", "We met and agreed.")]);
    let bob = bus.dispatch("minutes", by_bob).based_on(read).await?;
    assert_eq!(bob.decided_by, Decision::Merged);
    println!(
        "bob changes place and text: merged, version {}\n",
        bob.version
    );

    // Eve has changed the title as well. Nothing of her edit is written.
    let by_eve = edit([("title", "May meeting"), ("text", "We met and agreed.")]);
    let refused = bus.dispatch("minutes", by_eve).based_on(read).await;
    let Err(error) = refused else {
        return Err("two titles cannot be merged".into());
    };
    let conflict = error.conflict().ok_or("not the conflict")?;
    let ConflictReason::Refused { reason } = &conflict.reason else {
        return Err("not the merge that refused".into());
    };
    println!("eve is asked: {reason}");
    let (base, theirs) = (conflict.base.as_ref().ok_or("no base")?, &conflict.current);
    let mine = conflict.proposed.iter();
    for set in mine.filter(|mine| both_changed(base, theirs, mine)) {
        let DocumentEvent::FieldSet { field, text } = set;
        println!("  was     {}", base.text(field));
        println!("  theirs  {}", theirs.text(field));
        println!("  hers    {text}");
    }

    // She chooses, and demands that this is still what she has looked at.
    let chosen = edit([("title", "Minutes of the May meeting")]);
    let choice = bus.dispatch("minutes", chosen).expecting(conflict.version);
    let eve = choice.await?;
    println!("eve chooses another title: version {}\n", eve.version);

    let stream = stream_id::<Document>("minutes")?;
    let events = bus.store().read_stream(&stream).collect().await?.events;
    for event in &events {
        println!(
            "{}  {} {}",
            event.version,
            event.event_type,
            event.payload.as_str()
        );
    }
    let documents = Repository::<Document>::new(bus.store().clone());
    let end = documents.load("minutes").await?.state;
    let expected = edit([
        ("title", "Minutes of the May meeting"),
        ("place", "Room 7"),
        ("text", "We met and agreed."),
    ]);
    assert_eq!(end.fields, expected.fields);
    assert_eq!(events.len(), 7);
    Ok(())
}
