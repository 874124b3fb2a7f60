//! Without a database to keep how far it has come, nothing follows.

/// None.
#[derive(Clone, Default)]
pub(super) struct Followed;

impl Followed {
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::empty()
    }
}
