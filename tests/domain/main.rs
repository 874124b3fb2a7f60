//! The registry of a domain: what it refuses, and that a command or an aggregate without
//! its type is told as it is with it.

mod bank;
mod registry;
mod untyped;
