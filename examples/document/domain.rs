//! The domain: a document of some fields, the edit that merges, and the publishing that
//! does not.
//!
//! Nothing here knows a store.

use std::collections::BTreeMap;
use std::convert::Infallible;

use annalist::{Aggregate, Command, Diverged, Domain, OnConflict, Requires, Violation, ensure};
use serde::{Deserialize, Serialize};

pub(crate) type Fields = BTreeMap<String, String>;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum DocumentEvent {
    FieldSet { field: String, text: String },
    Published,
}

/// The text of each field that has one.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Document {
    pub(crate) fields: Fields,
    pub(crate) published: bool,
}

impl Aggregate for Document {
    const CATEGORY: &'static str = "document";
    type Event = DocumentEvent;

    /// An emptied field goes, so that documents that read alike are equal.
    fn apply(&mut self, event: &DocumentEvent) {
        match event {
            DocumentEvent::FieldSet { field, text } if text.is_empty() => {
                self.fields.remove(field);
            }
            DocumentEvent::FieldSet { field, text } => {
                self.fields.insert(field.clone(), text.clone());
            }
            DocumentEvent::Published => self.published = true,
        }
    }

    fn invariants(&self) -> Result<(), Violation> {
        let is_titled = !self.text("title").trim().is_empty();
        ensure(
            is_titled || !self.published,
            "what is published has a title",
        )
    }
}

impl Document {
    /// A field that was never set is empty.
    pub(crate) fn text(&self, field: &str) -> &str {
        self.fields.get(field).map_or("", String::as_str)
    }
}

/// Sets some fields and leaves the others alone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Edit {
    pub(crate) fields: Fields,
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
    /// else since we parted, or made it public as it was.
    fn merge(&self, diverged: &Diverged<'_, Document>) -> Result<Vec<DocumentEvent>, String> {
        let (base, theirs) = (diverged.base, diverged.current);
        if theirs.published && !base.published {
            return Err("it was published meanwhile".to_owned());
        }
        let mut merged = Vec::new();
        for mine in diverged.proposed {
            let DocumentEvent::FieldSet { field, text } = mine else {
                continue;
            };
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
pub(crate) fn both_changed(base: &Document, theirs: &Document, mine: &DocumentEvent) -> bool {
    let DocumentEvent::FieldSet { field, text } = mine else {
        return false;
    };
    let now = theirs.text(field);
    now != base.text(field) && now != text
}

/// Makes it public as it is. Whoever does has read all of it: what came between is a
/// question for a person.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Publish;

#[derive(Debug, thiserror::Error)]
#[error("the document has no text to publish")]
pub(crate) struct Empty;

impl Command for Publish {
    type Aggregate = Document;
    type Rejection = Empty;
    const NAME: &'static str = "publish";
    const REQUIRES: Requires = Requires::Existing;

    fn decide(&self, document: &Document) -> Result<Vec<DocumentEvent>, Empty> {
        if document.text("text").is_empty() {
            return Err(Empty);
        }
        match document.published {
            true => Ok(vec![]),
            false => Ok(vec![DocumentEvent::Published]),
        }
    }

    fn rejection_code(_: &Empty) -> &'static str {
        "empty"
    }
}

/// All of it, by name.
pub(crate) fn domain() -> Domain {
    Domain::new().command::<Edit>().command::<Publish>()
}
