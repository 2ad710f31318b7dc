//! RateGuard from outside. One program, so that it is linked once; a file for each behaviour.

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
mod allocations;
mod answers;
mod apart;
mod attack_judge;
mod attribute;
mod attribute_context;
mod bans;
mod batches;
mod bodies;
mod callers;
mod calm;
mod changes;
mod closing;
mod cluster;
mod config;
mod conformance;
mod congestion;
mod counter_error;
mod decisions;
mod deployments;
mod exemptions;
mod fault_figures;
mod faults;
mod floods;
mod fuzzing;
mod header_keys;
mod histories;
mod history_checker;
mod key_collisions;
mod keys;
mod memory_figures;
mod metrics;
mod middleware;
mod model;
mod mutations;
mod names;
mod networks;
mod operator;
mod outcomes;
mod plans;
mod play;
mod processes;
mod proxies;
mod quickstart;
mod redis_layout;
mod refusals;
mod remembered;
mod secrets;
mod sentinel;
mod sessions;
mod several;
mod shadow;
mod shared_calls;
mod spellings;
mod spoofing;
mod storm_attack;
mod storm_judge;
mod storm_remembered;
mod storms;
mod tls;
mod traces;
mod tracing;
mod ui;
mod upstash;
mod upstash_faults;
mod verbs;
mod waiting;
