//! What a test needs: [scenarios](scenario) for aggregates and their commands, a hunt for
//! what commands declare and do not keep ([`laws`](mod@laws)), every [race](mod@race) of a few
//! commands, the [contract] of a backend as data, a [clock] that you set, and a judge of what
//! concurrent clients were answered ([`history`]).
#![doc = include_str!("declarations.md")]

pub mod clock;
pub mod contract;
mod equality;
pub mod history;
pub mod laws;
pub mod race;
pub mod scenario;
mod told;

pub use laws::{check, laws};
