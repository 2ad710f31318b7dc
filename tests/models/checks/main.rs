//! Checks the models of the protocols. Each test prints the number of states that the checker visited.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "these are tests")]

mod permit_defects;
mod permits;
mod sliding_window;
mod sliding_window_defects;
mod support;
mod token_bucket;
