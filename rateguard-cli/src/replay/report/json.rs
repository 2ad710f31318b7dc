//! The JSON object of a replay.

use actix_rateguard_core::Algorithm;
use serde_json::{Map, Value, json};

use super::{
    number::time,
    suggestion::suggested_policies,
    summary::{DeniedKey, HURT_PER_MILLE, PERCENTILES, PolicySummary, QuotaSummary, Summary},
};

/// The version of the object. It changes if a field changes its meaning or disappears.
const VERSION: u32 = 1;

/// Returns the object of a replay. If one policy was replayed, its fields are also fields of the whole object.
pub(crate) fn json(summary: &Summary) -> Value {
    let log = &summary.log;
    let policies: Vec<Value> = summary.policies.iter().map(policy).collect();
    let mut object = Map::new();
    if let [Value::Object(only)] = &*policies {
        object.extend(only.clone());
        object.remove("policy");
    } else {
        let sum =
            |count: fn(&PolicySummary) -> u64| summary.policies.iter().map(count).sum::<u64>();
        let share = summary.denied as f64 / summary.requests.max(1) as f64;
        object.insert("allowed".to_owned(), (summary.requests - summary.denied).into());
        object.insert("denied_share".to_owned(), share.into());
        object.insert("keys".to_owned(), sum(|it| it.keys).into());
        object.insert("keys_denied".to_owned(), sum(|it| it.keys_denied).into());
    }
    let skipped_lines = log.skipped_lines.iter().map(|line| {
        json!({ "file": line.file, "line": line.number, "reason": line.reason, "text": line.text })
    });
    let not_replayed = summary.not_replayed.iter();
    let not_replayed = not_replayed.map(|it| json!({ "policy": it.policy, "reason": it.reason }));
    let of_log = json!({
        "version": VERSION,
        "requests": summary.requests,
        "denied": summary.denied,
        "lines": log.lines,
        "skipped": log.skipped,
        "skipped_lines": skipped_lines.collect::<Vec<_>>(),
        "formats": log.formats,
        "first_time": summary.times.map(|(first, _)| time(first)),
        "last_time": summary.times.map(|(_, last)| time(last)),
        "out_of_order": log.out_of_order,
        "late": log.late,
        "counted_at": if log.counts_at_start { "start" } else { "line" },
        "seconds": log.seconds,
        "lines_per_second": log.lines_per_second.round(),
        "warnings": log.warnings,
        "policies": policies,
        "not_replayed": not_replayed.collect::<Vec<_>>(),
        "suggested_policies": suggested_policies(summary),
    });
    if let Value::Object(of_log) = of_log {
        object.extend(of_log);
    }
    Value::Object(object)
}

fn policy(policy: &PolicySummary) -> Value {
    let (limit, counts) = (&policy.limit, &policy.counts);
    let (slot_seconds, slots) = &policy.timeline;
    let slots = slots.iter().map(|(start, slot)| {
        json!({ "start": time(start * 1_000_000), "allowed": slot.allowed, "denied": slot.denied })
    });
    let of_quotas =
        |value: fn(&QuotaSummary) -> Value| policy.quotas.iter().map(value).collect::<Vec<_>>();
    json!({
        "policy": policy.name(),
        "key": limit.key.to_string(),
        "route": limit.route.as_ref().map(|it| it.as_str()),
        "cost": limit.cost,
        "requests": counts.requests(),
        "allowed": counts.allowed,
        "denied": counts.denied,
        "denied_share": counts.denied_share(),
        "denied_while_banned": counts.banned,
        "forbidden": counts.forbidden,
        "exempt": counts.exempt,
        "not_limited": counts.not_limited,
        "left_out": counts.left_out,
        "keys": policy.keys,
        "keys_denied": policy.keys_denied,
        "quotas": of_quotas(quota),
        "percentiles": of_quotas(percentiles),
        "limits_that_hurt": of_quotas(limits_that_hurt),
        "top_denied": policy.top_denied.iter().map(denied_key).collect::<Vec<_>>(),
        "timeline": { "slot_seconds": slot_seconds, "slots": slots.collect::<Vec<_>>() },
        "notes": limit.notes,
    })
}

fn quota(summary: &QuotaSummary) -> Value {
    let quota = summary.quota;
    let algorithm = Algorithm::NAMES.iter().find(|(algorithm, _)| *algorithm == quota.algorithm());
    json!({
        "quota": quota.to_string(),
        "limit": quota.limit(),
        "burst": quota.capacity(),
        "window_seconds": quota.window().as_secs_f64(),
        "algorithm": algorithm.map(|(_, name)| *name),
        "denied": summary.denied,
        "keys_above_limit": summary.keys_above_limit(),
        "upper_bounds": summary.peaks.upper_bounds,
    })
}

fn percentiles(summary: &QuotaSummary) -> Value {
    let mut object = Map::new();
    object.insert("quota".to_owned(), summary.quota.to_string().into());
    for (name, percent) in PERCENTILES {
        object.insert(name.to_owned(), summary.peaks.percentile(percent).into());
    }
    Value::Object(object)
}

fn limits_that_hurt(summary: &QuotaSummary) -> Value {
    let limits = HURT_PER_MILLE.map(|per_mille| {
        let limit = summary.peaks.limit_for(per_mille);
        json!({
            "share_of_keys": per_mille as f64 / 1_000.0,
            "limit": limit,
            "keys": summary.peaks.exceeding(limit),
        })
    });
    json!({ "quota": summary.quota.to_string(), "limits": limits })
}

fn denied_key(key: &DeniedKey) -> Value {
    json!({
        "key": key.key,
        "requests": key.requests,
        "denied": key.denied,
        "first_time": time(key.first),
        "last_time": time(key.last),
    })
}
