//! Tests `rateguard replay` with the built program.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test may panic")]

mod decisions;
mod formats;
mod limits;
mod naive_models;
mod order;
mod reports;
mod support;
