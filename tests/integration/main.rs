//! Integration tests of the public API. All tests are linked into one program, because this saves build time.
//!
//! Each module tests one behaviour. The tests in `without_redis/` need no Redis server.

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
mod async_functions;
mod bans;
mod batch_failures;
mod batch_timing;
mod batches;
mod body_keys;
mod calendar;
mod cluster;
mod composed_keys;
mod config;
mod conformance;
mod connection_log;
mod dashboard;
mod decisions;
mod denial_cache;
mod deployments;
mod fault_figures;
mod faults;
mod header_keys;
mod hidden_limits;
mod history_checker;
mod lease_failover;
mod leases;
mod linearizability;
mod memory_figures;
mod message_limits;
mod metrics;
mod misconfiguration;
mod model;
mod multi_key;
mod multi_quota;
mod mutations;
mod openapi;
mod operations;
mod operator;
mod outcomes;
mod overrides;
mod permissive;
mod permits;
mod plan_texts;
mod processes;
mod quickstart;
mod quota_changes;
mod redis_layout;
mod replaced_limits;
mod resilience;
mod secrets;
mod sentinel;
mod shadow;
mod shutdown;
mod statistics;
mod storms;
mod tls;
mod trace_runner;
mod traces;
mod tracing;
mod upstash;
mod upstash_faults;
mod wait_queue;
mod waiting;
mod without_redis;
mod worker_connections;
