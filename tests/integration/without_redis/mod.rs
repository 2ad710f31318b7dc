//! Tests that start no Redis server. `scripts/matrix` skips them: on another server they would be the same.
//!
//! A test here that starts one fails; see `redis_server::program`.

mod allocations;
mod answers;
mod attack_judge;
mod attribute;
mod attribute_context;
mod bodies;
mod body_cost;
mod callers;
mod congestion;
mod counter_error;
mod exemptions;
mod floods;
mod fuzzing;
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
mod sessions;
mod spellings;
mod spoofing;
mod storm_attack;
mod storm_judge;
mod storm_remembered;
mod traces_in_memory;
mod ui;
