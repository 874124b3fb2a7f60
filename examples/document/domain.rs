//! The domain: a document of some fields, and the edit that merges.
//!
//! Nothing here knows a store.

use std::collections::BTreeMap;
use std::convert::Infallible;

use annalist::{Aggregate, Command, Diverged, Domain, OnConflict};
use serde::{Deserialize, Serialize};

pub(crate) type Fields = BTreeMap<String, String>;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum DocumentEvent {
    FieldSet { field: String, text: String },
}

/// The text of each field that has one.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Document {
    pub(crate) fields: Fields,
}

impl Aggregate for Document {
    const CATEGORY: &'static str = "document";
    type Event = DocumentEvent;

    /// An emptied field goes, so that documents that read alike are equal.
    fn apply(&mut self, DocumentEvent::FieldSet { field, text }: &DocumentEvent) {
        if text.is_empty() {
            self.fields.remove(field);
        } else {
            self.fields.insert(field.clone(), text.clone());
        }
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
pub(crate) fn both_changed(base: &Document, theirs: &Document, mine: &DocumentEvent) -> bool {
    let DocumentEvent::FieldSet { field, text } = mine;
    let now = theirs.text(field);
    now != base.text(field) && now != text
}

/// All of it, by name.
pub(crate) fn domain() -> Domain {
    Domain::new().command::<Edit>()
}
