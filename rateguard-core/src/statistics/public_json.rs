//! The statistics as JSON, for the operator endpoints and for the program `rateguard`.

use serde_json::{Value, json};

use super::{
    DeniedKey, GuardStatistics, OutcomeCounts, PolicyStatistics, ProcessStatistics, StatisticsScope,
};

/// Returns the fields of the operator endpoint `statistics`, except for the version. With `after`, the histories begin
/// after this interval.
pub fn statistics_json(statistics: &GuardStatistics, after: Option<u64>) -> Value {
    let first_interval = match after {
        None => statistics.first_interval,
        // The current interval is always in the response, because it is incomplete.
        Some(after) => {
            after.saturating_add(1).clamp(statistics.first_interval, statistics.current_interval)
        }
    };
    let skipped = usize::try_from(first_interval - statistics.first_interval).unwrap_or(0);
    let policies = statistics.policies.iter().map(|it| policy(it, skipped));
    let scope = match statistics.scope {
        StatisticsScope::Fleet => "fleet",
        StatisticsScope::Process => "process",
    };
    json!({
        "scope": scope,
        "store_error": statistics.store_error.map(|cause| cause.to_string()),
        "now_unix_seconds": statistics.now.as_secs_f64(),
        "interval_seconds": statistics.interval.as_secs(),
        "first_interval": first_interval,
        "current_interval": statistics.current_interval,
        "has_readable_keys": statistics.has_readable_keys,
        "omitted_policies": statistics.omitted_policies,
        "processes": statistics.processes.iter().map(process).collect::<Vec<_>>(),
        "policies": policies.collect::<Vec<_>>(),
        "denied_keys": statistics.denied_keys.iter().map(denied_key).collect::<Vec<_>>(),
        "denied_keys_since_seconds": statistics.denied_keys_since.as_secs_f64(),
    })
}

fn process(process: &ProcessStatistics) -> Value {
    let store = &process.store;
    json!({
        "id": process.id,
        "name": process.name,
        "is_this": process.is_this,
        "uptime_seconds": process.uptime.as_secs_f64(),
        "report_age_seconds": process.report_age.as_secs_f64(),
        "store": {
            "kind": store.kind,
            "is_good": store.is_good,
            "cause": store.cause,
            "cause_text": store.cause_text,
            "down_for_seconds": store.down_for.map(|it| it.as_secs_f64()),
            "is_breaker_open": store.is_breaker_open,
            "calls_per_second": store.calls_per_second,
            "p50_seconds": store.p50.map(|it| it.as_secs_f64()),
            "p99_seconds": store.p99.map(|it| it.as_secs_f64()),
        },
        "fallback": process.fallback.as_str(),
        "unanswered": {
            "open": process.unanswered.open,
            "closed": process.unanswered.closed,
            "local": process.unanswered.local,
        },
        "checks_in_flight": process.checks_in_flight,
        "permits_held": process.permits_held,
        "permits_waiting": process.permits_waiting,
        "requests_waiting": process.requests_waiting,
        "cached_denials": process.cached_denials,
        "leased_units": process.leased_units,
    })
}

/// Returns the fields of a policy, without the first `skipped` intervals of its history.
fn policy(policy: &PolicyStatistics, skipped: usize) -> Value {
    let history = |count: fn(&OutcomeCounts) -> u64| {
        policy.history.iter().skip(skipped).map(count).collect::<Vec<_>>()
    };
    let totals = &policy.totals;
    json!({
        "name": policy.name,
        "allowed_per_second": policy.allowed_per_second,
        "denied_per_second": policy.denied_per_second,
        "waiting": policy.waiting,
        "totals": {
            "allowed": totals.allowed,
            "denied": totals.denied,
            "banned": totals.banned,
            "rejected": totals.rejected,
            "undecided_passed": totals.undecided_passed,
            "waited": totals.waited,
            "would_deny": totals.would_deny,
        },
        "history": {
            "allowed": history(|it| it.allowed),
            "denied": history(|it| it.denied + it.banned + it.rejected),
            "would_deny": history(|it| it.would_deny),
            "undecided": history(|it| it.undecided_passed),
        },
    })
}

fn denied_key(denied: &DeniedKey) -> Value {
    json!({
        "policy": denied.policy,
        "key_digest": denied.key_digest,
        "key": denied.key,
        "denials": denied.denials,
        "max_overcount": denied.max_overcount,
    })
}
