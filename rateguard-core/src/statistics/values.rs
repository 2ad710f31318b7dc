//! The statistics that a program reads.

use std::time::Duration;

use crate::{Failures, StoreError};

/// The statistics of a guard: of all processes with its store and prefix, or of this process alone.
/// [`RateGuard::statistics`](crate::RateGuard::statistics) returns this value.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GuardStatistics {
    /// The processes whose checks the statistics include.
    pub scope: StatisticsScope,
    /// The reason why the statistics of the other processes are missing. `None` if they are not missing, or if the
    /// store is in memory.
    pub store_error: Option<StoreError>,
    /// The time since 1970-01-01T00:00:00 UTC on the clock of the store.
    pub now: Duration,
    /// The duration of an interval of the history: 20 seconds.
    pub interval: Duration,
    /// The number of the first interval in each [`history`](PolicyStatistics::history). Interval `n` begins `n` times
    /// 20 seconds after 1970-01-01T00:00:00 UTC on the clock of the store.
    pub first_interval: u64,
    /// The number of the current interval, which is the last one in each history.
    pub current_interval: u64,
    /// Whether this process has the [text](crate::Statistics::readable_keys) of denied keys.
    pub has_readable_keys: bool,
    /// The number of policies that are counted together under the name `other`, because there are more than 200. In a
    /// fleet, it is at least the highest number of a process.
    pub omitted_policies: usize,
    /// The processes, this one first.
    pub processes: Vec<ProcessStatistics>,
    /// The policies, ordered by name. A policy is in the list after its first check.
    pub policies: Vec<PolicyStatistics>,
    /// The keys that were denied most often, at most 50, the one with the most denials first.
    pub denied_keys: Vec<DeniedKey>,
    /// The time for which denied keys were counted: at most 10 minutes.
    pub denied_keys_since: Duration,
}

/// The processes whose checks the statistics include.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatisticsScope {
    /// All processes with the same store and the same prefix.
    Fleet,
    /// This process alone.
    Process,
}

/// The state of a process.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProcessStatistics {
    /// The random id of the guard in the process: 16 hexadecimal digits.
    pub id: String,
    /// The [name](crate::Statistics::process_name) of the process, at most 64 characters.
    pub name: Option<String>,
    /// Whether this is the process that returned the statistics.
    pub is_this: bool,
    /// The time since the guard was built.
    pub uptime: Duration,
    /// The age of this report on the clock of the store.
    pub report_age: Duration,
    /// The state of the store for this process.
    pub store: StoreStatistics,
    /// How the process treats requests now.
    pub fallback: Fallback,
    /// The number of checks that the store did not decide, since the guard was built.
    pub unanswered: Failures,
    /// The number of checks that wait for the store.
    pub checks_in_flight: u64,
    /// The number of requests that hold permits.
    pub permits_held: u64,
    /// The number of requests that wait for permits.
    pub permits_waiting: u64,
    /// The number of requests that wait for room.
    pub requests_waiting: u64,
    /// The number of denials in the denial cache.
    pub cached_denials: u64,
    /// The number of unused units of leases.
    pub leased_units: u64,
}

/// The state of the store for a process.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct StoreStatistics {
    /// The kind of the store: `memory`, `redis`, `upstash` or `custom`.
    pub kind: String,
    /// Whether the store is [healthy](crate::Health::is_good).
    pub is_good: bool,
    /// The [name](StoreError::as_str) of the cause of a problem.
    pub cause: Option<String>,
    /// The text of the cause.
    pub cause_text: Option<String>,
    /// The time since the first failed check after the last successful one.
    pub down_for: Option<Duration>,
    /// Whether a circuit breaker rejects checks.
    pub is_breaker_open: bool,
    /// The number of store calls per second, over the last 5 seconds.
    pub calls_per_second: f64,
    /// The median duration of the store calls of the last 5 seconds, at most 25 % too high. `None` if there was no call.
    pub p50: Option<Duration>,
    /// The duration that 99 % of the store calls of the last 5 seconds did not exceed, at most 25 % too high. `None` if
    /// there was no call.
    pub p99: Option<Duration>,
}

/// How a process treats requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fallback {
    /// The store decides.
    #[default]
    None,
    /// The store is down. The last check that it did not decide was decided in memory.
    Local,
    /// The store is down. The last check that it did not decide let its request pass.
    Open,
    /// The store is down. The last check that it did not decide rejected its request.
    Closed,
}

impl Fallback {
    /// Returns `none`, `local`, `open` or `closed`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Local => "local",
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

/// The counts of a policy.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct PolicyStatistics {
    /// The name of the policy.
    pub name: String,
    /// The number of requests per second that the policy let pass, over the last 5 seconds.
    pub allowed_per_second: f64,
    /// The number of requests per second that were denied, banned or rejected, over the last 5 seconds.
    pub denied_per_second: f64,
    /// The number of requests that wait for room.
    pub waiting: u64,
    /// The counts of the last hour.
    pub totals: OutcomeCounts,
    /// The counts of each interval, from the first to the current one.
    pub history: Vec<OutcomeCounts>,
}

/// The number of checks with each outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutcomeCounts {
    /// The policy admitted the request.
    pub allowed: u64,
    /// A quota had no room.
    pub denied: u64,
    /// The key is banned.
    pub banned: u64,
    /// The store did not decide, and the failure mode rejected the request.
    pub rejected: u64,
    /// The store did not decide, and the failure mode let the request pass.
    pub undecided_passed: u64,
    /// The request waited for room. It is also counted by its outcome.
    pub waited: u64,
    /// The policy in shadow mode, or its candidate, would have denied the request.
    pub would_deny: u64,
}

/// A key that was denied.
#[derive(Clone)]
#[non_exhaustive]
pub struct DeniedKey {
    /// The name of the policy that denied the key.
    pub policy: String,
    /// The digest of the key in 32 hexadecimal digits, as in the names of the keys in the store.
    pub key_digest: String,
    /// The [text](crate::Statistics::readable_keys) of the key.
    pub key: Option<String>,
    /// The number of denials. The exact number is at most `max_overcount` less.
    pub denials: u64,
    /// The maximum error of `denials`, by the algorithm Space-Saving (Metwally et al., 2005).
    pub max_overcount: u64,
}

/// The output contains neither the text nor the digest of the key.
impl std::fmt::Debug for DeniedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeniedKey")
            .field("policy", &self.policy)
            .field("denials", &self.denials)
            .field("max_overcount", &self.max_overcount)
            .finish_non_exhaustive()
    }
}
