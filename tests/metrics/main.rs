//! What is reported to the crate `metrics`: exact figures, by a recorder that keeps them all.

mod commands;
mod recorder;
mod shelf;
mod stage;
mod told;
mod writer;
