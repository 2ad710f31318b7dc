//! Tests of leased quotas: the script, the guard, several processes, and the settings.

mod guard;
mod processes;
pub mod script;
mod settings;
