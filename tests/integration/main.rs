//! RateGuard from outside. One program, so that it is linked once; a file for each behaviour, in `without_redis/` if none
//! of its tests needs a server.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "these are tests"
)]

#[macro_use]
mod support;

mod algorithms;
mod apart;
mod bans;
mod calm;
mod changes;
mod closing;
mod cluster;
mod config;
mod conformance;
mod decisions;
mod deployments;
mod fault_figures;
mod faults;
mod header_keys;
mod histories;
mod history_checker;
mod memory_figures;
mod metrics;
mod model;
mod mutations;
mod operator;
mod outcomes;
mod play;
mod processes;
mod quickstart;
mod redis_layout;
mod remembered;
mod secrets;
mod sentinel;
mod several;
mod shadow;
mod shared_calls;
mod storms;
mod tls;
mod traces;
mod tracing;
mod upstash;
mod upstash_faults;
mod verbs;
mod waiting;
mod without_redis;
