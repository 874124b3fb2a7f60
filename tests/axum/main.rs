//! The routes, by the requests that a client sends and the answers that it gets.

#[path = "../http/bank.rs"]
mod bank;
mod client;
mod looks;
mod races;
mod sends;
