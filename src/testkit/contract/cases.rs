//! The cases, room by room in the order of the contract.

use super::case::Case;

mod expectations;
mod feeds;
mod keys;
mod leases;
mod limits;
mod names;
mod payloads;
mod races;
mod reads;
mod removal;
mod removed;
mod repeats;
mod several;
mod streams;
mod unseen;

/// All of them.
pub(super) fn all() -> Vec<Case> {
    [
        expectations::cases(),
        repeats::cases(),
        several::cases(),
        keys::cases(),
        races::cases(),
        unseen::cases(),
        names::cases(),
        limits::cases(),
        payloads::cases(),
        reads::cases(),
        streams::cases(),
        removal::cases(),
        removed::cases(),
        feeds::cases(),
        leases::cases(),
    ]
    .concat()
}
