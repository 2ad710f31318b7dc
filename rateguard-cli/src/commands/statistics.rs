//! The statistics of all processes: the response of `GET statistics`.

use actix_rateguard_core::adapter::statistics_json;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    exit::Failure,
    target::{Target, failure_of_store},
};

/// Reads the statistics. With `after`, the histories begin after this interval.
pub(super) fn read(target: &Target, after: Option<u64>) -> Result<Value, Failure> {
    match target {
        Target::Server(server) => server.get(&match after {
            Some(after) => format!("statistics?after={after}"),
            None => "statistics".to_owned(),
        }),
        Target::Redis(redis) => {
            let statistics = redis.run(redis.guard.statistics());
            let statistics = statistics
                .ok_or_else(|| Failure::problem("expected statistics of the guard, found none"))?;
            if let Some(cause) = statistics.store_error {
                let text = format!("the statistics cannot be read from Redis: {cause}");
                return Err(failure_of_store(cause, &text));
            }
            let mut json = statistics_json(&statistics, after);
            json["version"] = 1.into();
            Ok(json)
        }
    }
}

/// The fields of the statistics that this program shows. A later version of the server may add fields.
#[derive(Debug, Deserialize)]
pub(super) struct Statistics {
    /// `fleet` for all processes, or `process` for the process that responds.
    pub(super) scope: String,
    pub(super) store_error: Option<String>,
    pub(super) current_interval: u64,
    pub(super) processes: Vec<Process>,
    pub(super) policies: Vec<PolicyStatistics>,
    pub(super) denied_keys: Vec<DeniedKey>,
    pub(super) denied_keys_since_seconds: Option<f64>,
}

/// One process of the fleet.
#[derive(Debug, Deserialize)]
pub(super) struct Process {
    pub(super) id: String,
    pub(super) name: Option<String>,
    pub(super) uptime_seconds: f64,
    pub(super) store: StoreState,
    pub(super) fallback: String,
    pub(super) checks_in_flight: u64,
    pub(super) permits_held: u64,
    pub(super) permits_waiting: u64,
    pub(super) requests_waiting: u64,
}

/// The store, as one process sees it.
#[derive(Debug, Deserialize)]
pub(super) struct StoreState {
    pub(super) kind: String,
    pub(super) is_good: bool,
    pub(super) cause_text: Option<String>,
    pub(super) calls_per_second: Option<f64>,
    pub(super) p50_seconds: Option<f64>,
    pub(super) p99_seconds: Option<f64>,
}

/// The counts of one policy in all processes.
#[derive(Debug, Deserialize)]
pub(super) struct PolicyStatistics {
    pub(super) name: String,
    pub(super) allowed_per_second: f64,
    pub(super) denied_per_second: f64,
    pub(super) waiting: u64,
    pub(super) totals: Totals,
}

/// The counts of the last hour.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Totals {
    pub(super) allowed: u64,
    pub(super) denied: u64,
    pub(super) banned: u64,
    pub(super) rejected: u64,
    pub(super) undecided_passed: u64,
    pub(super) would_deny: u64,
}

/// A key with many denials.
#[derive(Debug, Deserialize)]
pub(super) struct DeniedKey {
    pub(super) policy: String,
    pub(super) key_digest: String,
    /// `None` unless the guard publishes readable keys.
    pub(super) key: Option<String>,
    pub(super) denials: u64,
}

impl Statistics {
    pub(super) fn of(json: &Value) -> Result<Self, Failure> {
        Self::deserialize(json).map_err(|_| {
            Failure::unreachable("expected the response of `statistics`, found other JSON")
        })
    }
}

impl Process {
    /// Returns the name of the process, or else the start of its id.
    pub(super) fn label(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.id.chars().take(8).collect())
    }
}
