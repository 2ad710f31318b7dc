//! Tests that start no Redis server. `scripts/matrix` skips them, because another server version cannot change them.
//!
//! A test in this folder that starts a server panics in `redis_server::program`.

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
