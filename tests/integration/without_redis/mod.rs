//! Tests that start no Redis server. Their results do not depend on the version of Redis, so `scripts/matrix` does
//! not run them.
//!
//! If a test in this folder tries to start a Redis server, `redis_server::program` panics.

mod algorithm_lists;
mod allocations;
mod attack_judge;
mod attribute;
mod attribute_arguments;
mod attribute_context;
mod behind_nginx;
mod bodies;
mod body_cost;
mod calendar_periods;
mod check_results;
mod congestion;
mod counter_error;
mod custom_rejections;
mod exemptions;
mod floods;
mod fuzzing;
mod import_cycles;
mod key_closures;
mod key_collisions;
mod key_floods;
mod keys;
mod limits;
mod loggers;
mod middleware;
mod middleware_order;
mod missing_keys;
mod names;
mod network_floods;
mod networks;
mod no_server;
mod plans;
mod preflights;
mod proxies;
mod proxy_deployments;
mod refusals;
mod repeated_checks;
mod response_headers;
mod response_rules;
mod send_futures;
mod sessions;
mod special_routes;
mod spellings;
mod spoofing;
mod startup;
mod storm_attack;
mod storm_denial_cache;
mod storm_judge;
mod storm_leases;
mod traces_in_memory;
mod ui;
mod unknown_peers;
mod worker_guards;
