//! Tests that start no Redis server. `scripts/matrix` skips them: on another server they would be the same.
//!
//! A test here that starts one fails; see `redis_server::program`.

mod allocations;
mod answers;
mod attribute;
mod attribute_context;
mod bodies;
mod callers;
mod counter_error;
mod exemptions;
mod floods;
mod fuzzing;
mod key_collisions;
mod keys;
mod middleware;
mod names;
mod networks;
mod no_server;
mod plans;
mod proxies;
mod refusals;
mod sessions;
mod spellings;
mod spoofing;
mod storm_judge;
mod storm_remembered;
mod traces_in_memory;
mod ui;
