//! Runs the real program: with policies files, with the operator endpoints of a real server, and with a real Redis.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "these are tests")]

mod bench;
mod changes;
mod check;
mod docs;
mod exit_codes;
mod explain;
mod help;
mod same_bucket;
mod statistics;
mod support;
mod terminal;
