//! The report of a process: its state, and the data that is not in the history.

use std::time::Duration;

use super::values::{DeniedKey, ProcessStatistics};

/// The report of a process.
#[derive(Clone, Debug)]
pub(crate) struct ProcessReport {
    pub(crate) process: ProcessStatistics,
    pub(crate) policies: Vec<PolicyReport>,
    pub(crate) omitted_policies: usize,
    pub(crate) denied_keys: Vec<DeniedKey>,
    pub(crate) denied_keys_since: Duration,
}

/// The state of a policy in a process.
#[derive(Clone, Debug, Default)]
pub(crate) struct PolicyReport {
    pub(crate) name: String,
    pub(crate) allowed_per_second: f64,
    pub(crate) denied_per_second: f64,
    pub(crate) waiting: u64,
}
