//! Tests of leased quotas: the script, the guard, several processes, deployments, the settings, and the example.

mod deployments;
mod example;
mod guard;
mod processes;
pub mod script;
mod settings;
pub mod token_bucket;
pub mod token_bucket_defects;
mod token_bucket_guard;
mod token_bucket_model;
mod traces;
