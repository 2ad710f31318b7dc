//! Tests of quotas with a calendar period: random traces, the script, and servers that share one Redis.

pub mod script;
mod servers;
pub mod traces;
