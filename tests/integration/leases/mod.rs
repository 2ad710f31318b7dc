//! Tests of leased quotas: the script, the guard, several processes, and the settings.

mod guard;
mod processes;
pub mod script;
mod settings;
pub mod token_bucket;
mod token_bucket_guard;
mod token_bucket_model;
mod traces;
