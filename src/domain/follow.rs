//! What follows a store for a domain: its projections and reactions, by name. Only the
//! [`Domain`](super::Domain) calls it; it runs nothing itself.

mod projection;
mod reaction;

pub use projection::ProjectionInfo;

use super::InvalidDomain;

/// Those that are registered.
#[derive(Clone, Default)]
pub(super) struct Followed {
    projections: projection::Projections,
    reactions: reaction::Reactions,
}

impl Followed {
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.projections.names().chain(self.reactions.names())
    }

    /// Refuses a name that one of them has: they keep how far they have come under it.
    fn refuse_taken(&self, name: &'static str, rust: &'static str) -> Result<(), InvalidDomain> {
        let first = self.projections.rust(name).or(self.reactions.rust(name));
        match first {
            None => Ok(()),
            Some(first) => Err(InvalidDomain::FollowerTaken {
                name,
                first,
                second: rust,
            }),
        }
    }
}
