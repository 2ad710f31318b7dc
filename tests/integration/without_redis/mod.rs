//! Tests that start no Redis server. Their results do not depend on the version of Redis, so `scripts/matrix` does
//! not run them.
//!
//! If a test in this folder tries to start a Redis server, `redis_server::program` panics.

mod algorithm_lists;
mod allocations;
mod attack_judge;
mod attribute;
mod attribute_context;
mod bodies;
mod body_cost;
mod congestion;
mod counter_error;
mod exemptions;
mod floods;
mod fuzzing;
mod import_cycles;
mod key_closures;
mod key_collisions;
mod key_floods;
mod keys;
mod limits;
mod middleware;
mod names;
mod network_floods;
mod networks;
mod no_server;
mod plans;
mod proxies;
mod refusals;
mod response_headers;
mod send_futures;
mod sessions;
mod spellings;
mod spoofing;
mod storm_attack;
mod storm_denial_cache;
mod storm_judge;
mod traces_in_memory;
mod ui;
