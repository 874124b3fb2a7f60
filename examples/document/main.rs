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
//!
//! The document and its merge stand in `domain.rs`; here are the three people.

use annalist::{CommandBus, ConflictReason, Decision, Repository, Store, stream_id};

use crate::domain::{Document, DocumentEvent, Edit, Publish, both_changed, domain};

mod domain;

type AnyError = Box<dyn std::error::Error>;

fn edit<const N: usize>(fields: [(&str, &str); N]) -> Edit {
    let fields = fields.map(|(field, text)| (field.to_owned(), text.to_owned()));
    Edit {
        fields: fields.into(),
    }
}

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    // What cannot be a domain is told here, not by the first command that comes by name.
    domain().checked()?;
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
        let DocumentEvent::FieldSet { field, text } = set else {
            continue;
        };
        println!("  was     {}", base.text(field));
        println!("  theirs  {}", theirs.text(field));
        println!("  hers    {text}");
    }

    // She chooses, and demands that this is still what she has looked at.
    let chosen = edit([("title", "Minutes of the May meeting")]);
    let choice = bus.dispatch("minutes", chosen).expecting(conflict.version);
    let eve = choice.await?;
    println!("eve chooses another title: version {}", eve.version);

    // Whoever publishes has read all of it, and means what was read.
    let stale = bus.dispatch("minutes", Publish).expecting(bob.version);
    let refused = stale.await.err().ok_or("nobody has read eve's title")?;
    println!(
        "bob may not publish what he has not read: {}",
        refused.code()
    );
    let published = bus.dispatch("minutes", Publish).expecting(eve.version);
    println!("eve publishes: version {}\n", published.await?.version);

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
    assert_eq!(events.len(), 8);
    Ok(())
}
