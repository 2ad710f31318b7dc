//! Creates the JSON of the responses. The documentation of [`operator`](crate::operator) describes the fields. One
//! of the fields is `version`. RateGuard removes a field only if it also changes the value of `version`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::response::with_version;
use crate::{
    Key, Policy, Quotas, RateGuard, ShadowCounts, StoreError,
    client_address::AddressTrace,
    explain::{ExplainedLimit, Explanation, Outcome},
    inventory::{Inventory, LimitInfo, missing_key_name, on_error_name},
};

pub(super) fn inventory(inventory: &Inventory) -> Value {
    let limits: Vec<Value> = inventory.limits().iter().map(limit).collect();
    json!({ "limits": limits, "omitted": inventory.omitted() })
}

impl Serialize for Inventory {
    /// Serializes the inventory as the JSON that the endpoint `inventory` of [`operator`](crate::operator) returns.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        with_version(inventory(self)).serialize(serializer)
    }
}

impl Serialize for Explanation {
    /// Serializes the explanation as the JSON that [`operator`](crate::operator) describes.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        with_version(explanation(self)).serialize(serializer)
    }
}

fn limit(limit: &LimitInfo) -> Value {
    json!({
        "kind": limit.kind.to_string(),
        "name": limit.name,
        "is_policy": limit.is_policy,
        "quotas": limit.quotas.as_ref().map(quotas),
        "is_in_shadow": limit.is_in_shadow,
        "candidate": limit.candidate.as_ref().map(quotas),
        "rollout_percent": limit.rollout_percent,
        "overridden_keys": limit.overridden_keys,
        "is_per_request": limit.is_per_request,
        "key": limit.key,
        "missing_key": missing_key_name(limit.missing_key),
        "cost": limit.cost,
        "count": limit.count_text(),
        "methods": limit.methods,
        "wait_seconds": limit.wait.as_secs_f64(),
        "has_skip": limit.has_skip,
        "is_permissive": limit.is_permissive,
        "has_headers": limit.has_headers,
        "ban": limit.ban.map(|ban| ban.to_string()),
        "on_error": on_error_name(limit.on_error),
        "file": limit.file,
        "line": limit.line,
    })
}

pub(super) fn quotas(quotas: &Quotas) -> Vec<Value> {
    let to_json = |quota: &crate::Quota| {
        json!({
            "text": quota.to_string(),
            "limit": quota.limit(),
            "window_seconds": quota.window().as_secs_f64(),
            "calendar_period": quota.calendar_period().map(|period| period.to_string()),
            "algorithm": quota.algorithm().to_string(),
            "burst": quota.capacity(),
        })
    };
    quotas.iter().map(to_json).collect()
}

pub(super) fn policies(guard: &RateGuard, policies: &[Policy]) -> Value {
    let policies: Vec<Value> = policies
        .iter()
        .map(|policy| {
            let candidate = policy.candidate_quotas();
            json!({
                "name": policy.name(),
                "quotas": quotas(policy.quotas()),
                "is_in_shadow": policy.is_in_shadow(),
                "candidate": candidate.map(|(candidate, _)| quotas(candidate)),
                "rollout_percent": candidate.map(|(_, percent)| percent),
                "ban": policy.own_ban().map(|ban| ban.to_string()),
                "on_error": on_error_name(guard.on_error_of(Some(policy))),
            })
        })
        .collect();
    json!({ "policies": policies })
}

pub(super) fn health(guard: &RateGuard) -> Value {
    let (health, failures) = (guard.health(), guard.failures());
    json!({
        "is_good": health.is_good(),
        "cause": health.cause().map(StoreError::as_str),
        "cause_text": health.cause().map(|cause| cause.to_string()),
        "down_for_seconds": seconds(health.down_for()),
        "is_breaker_open": guard.has_open_breaker(),
        "unanswered": {
            "open": failures.open,
            "closed": failures.closed,
            "local": failures.local,
        },
        "deadline_seconds": guard.deadline().as_secs_f64(),
        "denial_cache_ttl_seconds": guard.denial_cache_ttl().as_secs_f64(),
        "shadow": guard.shadow_report().iter().map(shadow_counts).collect::<Vec<_>>(),
        "policies_file": policies_file(guard),
    })
}

fn shadow_counts(counts: &ShadowCounts) -> Value {
    json!({
        "policy": counts.policy,
        "allowed": counts.allowed,
        "would_deny": counts.would_deny,
        "undecided": counts.undecided,
    })
}

#[cfg(feature = "config")]
fn policies_file(guard: &RateGuard) -> Option<Value> {
    let crate::policies_file::PoliciesFileStatus { path, generation, since, error, .. } =
        guard.policies_file()?;
    Some(json!({
        "path": path.display().to_string(),
        "generation": generation,
        "since_unix_seconds": unix_seconds(since),
        "error": error.map(|error| error.to_string()),
    }))
}

#[cfg(not(feature = "config"))]
fn policies_file(_: &RateGuard) -> Option<Value> {
    None
}

fn explanation(explanation: &Explanation) -> Value {
    let limits: Vec<Value> = explanation.limits().iter().map(explained).collect();
    json!({
        "passes": explanation.passes(),
        "retry_after_seconds": seconds(explanation.retry_after()),
        "client": client(explanation.client()),
        "limits": limits,
    })
}

fn client(client: &AddressTrace) -> Value {
    let hops: Vec<Value> = client
        .hops
        .iter()
        .map(|hop| json!({ "text": hop.text, "address": hop.address.map(|it| it.to_string()), "is_trusted": hop.is_trusted }))
        .collect();
    json!({
        "peer": client.peer.map(|peer| peer.to_string()),
        "is_peer_trusted": client.is_peer_trusted,
        "header": client.header,
        "hops": hops,
        "hops_omitted": client.hops_omitted,
        "end": client.end.as_str(),
        "end_text": client.end.to_string(),
        "address": client.address.map(|address| address.to_string()),
        "is_proxy": client.is_proxy,
        "network": client.network,
    })
}

fn explained(explained: &ExplainedLimit) -> Value {
    let mut body = outcome(&explained.outcome);
    body["limit"] = limit(&explained.limit);
    body["counted_by"] = explained.counted_by.map(|by| by.as_str()).into();
    body["cost"] = explained.cost.into();
    body["is_in_shadow"] = explained.limit.is_in_shadow.into();
    body["is_rolled_out"] = explained.is_rolled_out.into();
    body["is_overridden"] = explained.is_overridden.into();
    body["passes"] = explained.passes().into();
    body["would_wait_seconds"] = seconds(explained.would_wait()).into();
    body
}

/// Returns the fields that describe an outcome.
pub(super) fn outcome(outcome: &Outcome) -> Value {
    let (name, because, text) = match outcome {
        Outcome::Decided(_) => ("decided", None, None),
        Outcome::Exempt(it) => ("exempt", Some(it.as_str().to_owned()), Some(it.to_string())),
        Outcome::Rejected(it) => ("rejected", Some(it.as_str().to_owned()), Some(it.to_string())),
        Outcome::Unknown(it) => ("unknown", Some(it.as_str().to_owned()), Some(it.to_string())),
        Outcome::Unavailable(unavailable) => {
            let cause = unavailable.cause();
            ("unavailable", Some(cause.as_str().to_owned()), Some(cause.to_string()))
        }
    };
    let decision = outcome.decision();
    let banned_for = decision.and_then(|decision| decision.banned_for());
    let statuses = decision.map(|decision| {
        let to_json = |status: &crate::QuotaStatus| {
            json!({
                "quota": status.quota().to_string(),
                "limit": status.limit(),
                "remaining": status.remaining(),
                "held": status.held_permits(),
                "reset_after_seconds": status.reset_after().as_secs_f64(),
                "retry_after_seconds": seconds(status.retry_after()),
            })
        };
        decision.statuses().iter().map(to_json).collect::<Vec<_>>()
    });
    json!({
        "outcome": name,
        "because": because,
        "because_text": text,
        "passes": outcome.passes(),
        "retry_after_seconds": seconds(outcome.retry_after()),
        "banned_for_seconds": seconds(banned_for),
        "banned_until_unix_seconds": banned_for.and_then(until),
        "would_deny": decision.map(|decision| decision.would_deny()),
        "is_too_costly": decision.map(|decision| decision.is_too_costly()),
        "is_denied_by_concurrency":
            decision.map(|decision| decision.is_denied_by_concurrency()),
        "is_local": decision.map(|decision| decision.is_local()),
        "statuses": statuses,
    })
}

/// Returns the fields that report which quotas the guard enforces for this key, and whether it enforces them.
pub(super) fn variant(guard: &RateGuard, policy: &Policy, key: &Key) -> Value {
    json!({
        "is_in_shadow": policy.is_in_shadow(),
        "is_rolled_out": guard.is_rolled_out(policy, key),
        "is_overridden": guard.override_of(policy, key).is_some(),
    })
}

pub(super) fn ban(left: Duration) -> Value {
    json!({
        "banned_for_seconds": left.as_secs_f64(),
        "banned_until_unix_seconds": until(left),
    })
}

fn seconds(time: Option<Duration>) -> Option<f64> {
    time.map(|time| time.as_secs_f64())
}

/// Returns the end of a duration that starts now, as Unix time in seconds. The time comes from the clock of this
/// application server.
pub(super) fn until(left: Duration) -> Option<f64> {
    unix_seconds(SystemTime::now() + left)
}

fn unix_seconds(time: SystemTime) -> Option<f64> {
    time.duration_since(UNIX_EPOCH).ok().map(|time| time.as_secs_f64())
}
