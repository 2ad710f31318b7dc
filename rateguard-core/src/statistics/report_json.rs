//! The text of a report, which other processes read. It is JSON. A reader ignores fields that it does not know, and
//! replaces missing ones by defaults, so different versions can read each other's reports.

use std::time::Duration;

use actix_rateguard_grammar::check_name;
use serde_json::{Value, json};

use super::{
    denied_keys::MAX_REPORTED,
    key_text::printable,
    report::{PolicyReport, ProcessReport},
    values::{DeniedKey, Fallback, ProcessStatistics, StoreStatistics},
};
use crate::{Failures, insert_only_table::MAX_ENTRIES};

/// The maximum number of bytes in a report. A longer one is ignored.
const MAX_BYTES: usize = 128 * 1_024;

/// The maximum number of policies in a report: those with counters, `other`, and some for which requests wait.
const MAX_POLICIES: usize = MAX_ENTRIES + 21;

/// Returns the text of a report.
pub(crate) fn encode(report: &ProcessReport) -> String {
    let ProcessReport { process, policies, omitted_policies, denied_keys, denied_keys_since } =
        report;
    let is_active = |it: &&PolicyReport| {
        it.allowed_per_second > 0.0 || it.denied_per_second > 0.0 || it.waiting > 0
    };
    let policies = policies.iter().filter(is_active).map(|it| {
        json!({
            "name": it.name,
            "allowed": it.allowed_per_second,
            "denied": it.denied_per_second,
            "waiting": it.waiting,
        })
    });
    let denied_keys_of_report = denied_keys.iter().map(|it| {
        json!({
            "policy": it.policy,
            "digest": it.key_digest,
            "key": it.key,
            "denials": it.denials,
            "max_overcount": it.max_overcount,
        })
    });
    let store = &process.store;
    json!({
        "name": process.name,
        "uptime": process.uptime.as_secs_f64(),
        "store": {
            "kind": store.kind,
            "is_good": store.is_good,
            "cause": store.cause,
            "cause_text": store.cause_text,
            "down_for": store.down_for.map(|it| it.as_secs_f64()),
            "is_breaker_open": store.is_breaker_open,
            "calls_per_second": store.calls_per_second,
            "p50": store.p50.map(|it| it.as_secs_f64()),
            "p99": store.p99.map(|it| it.as_secs_f64()),
        },
        "fallback": process.fallback.as_str(),
        "open": process.unanswered.open,
        "closed": process.unanswered.closed,
        "local": process.unanswered.local,
        "checks_in_flight": process.checks_in_flight,
        "permits_held": process.permits_held,
        "permits_waiting": process.permits_waiting,
        "requests_waiting": process.requests_waiting,
        "cached_denials": process.cached_denials,
        "leased_units": process.leased_units,
        "policies": policies.collect::<Vec<_>>(),
        "omitted_policies": omitted_policies,
        "denied_keys": denied_keys_of_report.collect::<Vec<_>>(),
        "denied_keys_since": denied_keys_since.as_secs_f64(),
    })
    .to_string()
}

/// Reads the report of another process. `None` if the text is not a report. The text comes from the store, so it can have
/// any content: each part is bounded, and an invalid part is ignored.
pub(crate) fn decode(
    id: &str,
    age: Duration,
    text: &str,
    has_readable_keys: bool,
) -> Option<ProcessReport> {
    let is_id = id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_id || text.len() > MAX_BYTES {
        return None;
    }
    let value: Value = serde_json::from_str(text).ok().filter(Value::is_object)?;
    let store = &value["store"];
    let fallbacks = [Fallback::Local, Fallback::Open, Fallback::Closed];
    let fallback = fallbacks.into_iter().find(|it| value["fallback"] == it.as_str());
    let process = ProcessStatistics {
        id: id.to_owned(),
        name: short(&value["name"]),
        is_this: false,
        uptime: duration(&value["uptime"]).unwrap_or_default(),
        report_age: age,
        store: StoreStatistics {
            kind: short(&store["kind"]).unwrap_or_default(),
            is_good: store["is_good"].as_bool().unwrap_or(false),
            cause: short(&store["cause"]),
            cause_text: short(&store["cause_text"]),
            down_for: duration(&store["down_for"]),
            is_breaker_open: store["is_breaker_open"].as_bool().unwrap_or(false),
            calls_per_second: rate(&store["calls_per_second"]),
            p50: duration(&store["p50"]),
            p99: duration(&store["p99"]),
        },
        fallback: fallback.unwrap_or_default(),
        unanswered: Failures {
            open: number(&value["open"]),
            closed: number(&value["closed"]),
            local: number(&value["local"]),
        },
        checks_in_flight: number(&value["checks_in_flight"]),
        permits_held: number(&value["permits_held"]),
        permits_waiting: number(&value["permits_waiting"]),
        requests_waiting: number(&value["requests_waiting"]),
        cached_denials: number(&value["cached_denials"]),
        leased_units: number(&value["leased_units"]),
    };
    let policies = list(&value["policies"]).filter_map(decode_policy).take(MAX_POLICIES);
    let denied_keys = list(&value["denied_keys"]);
    let denied_keys = denied_keys.filter_map(|it| decode_denied_key(it, has_readable_keys));
    Some(ProcessReport {
        process,
        policies: policies.collect(),
        omitted_policies: usize::try_from(number(&value["omitted_policies"])).unwrap_or(0),
        denied_keys: denied_keys.take(MAX_REPORTED).collect(),
        denied_keys_since: duration(&value["denied_keys_since"]).unwrap_or_default(),
    })
}

fn decode_policy(value: &Value) -> Option<PolicyReport> {
    Some(PolicyReport {
        name: policy_name(&value["name"])?,
        allowed_per_second: rate(&value["allowed"]),
        denied_per_second: rate(&value["denied"]),
        waiting: number(&value["waiting"]),
    })
}

fn decode_denied_key(value: &Value, has_readable_keys: bool) -> Option<DeniedKey> {
    let digest = value["digest"].as_str()?;
    let is_digest = digest.len() == 32 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_digest.then_some(())?;
    Some(DeniedKey {
        policy: policy_name(&value["policy"])?,
        key_digest: digest.to_owned(),
        key: if has_readable_keys { short(&value["key"]) } else { None },
        denials: number(&value["denials"]),
        max_overcount: number(&value["max_overcount"]),
    })
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn policy_name(value: &Value) -> Option<String> {
    value.as_str().filter(|name| check_name(name).is_ok()).map(str::to_owned)
}

/// Returns a text of at most 64 printable characters.
fn short(value: &Value) -> Option<String> {
    value.as_str().map(printable)
}

/// Returns a number of at most 32 bits, so that a sum of numbers does not overflow.
fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0).min(u32::MAX.into())
}

fn rate(value: &Value) -> f64 {
    value.as_f64().filter(|it| (0.0..=1e9).contains(it)).unwrap_or(0.0)
}

fn duration(value: &Value) -> Option<Duration> {
    let max = 1e10;
    let seconds = value.as_f64().filter(|it| (0.0..=max).contains(it))?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef";

    fn read(text: &str) -> Option<ProcessReport> {
        decode(ID, Duration::ZERO, text, true)
    }

    #[test]
    fn report_of_another_version_is_read() {
        let report = read(r#"{"name": "web-2", "fallback": "panic", "new": {"x": [1]}}"#).unwrap();
        assert_eq!(report.process.name.as_deref(), Some("web-2"));
        assert_eq!(report.process.fallback, Fallback::None);
        // The text of a report that was read is the same.
        let text = encode(&report);
        assert_eq!(encode(&read(&text).unwrap()), text);
    }

    #[test]
    fn hostile_reports_are_bounded() {
        for text in ["", "[]", "7", "{", "\"x\"", &"[".repeat(9_000), &"x".repeat(MAX_BYTES + 1)] {
            assert!(read(text).is_none());
        }
        assert!(decode("../../x", Duration::ZERO, "{}", true).is_none());
        let denied = |name: &str, digest: &str| {
            let key = "k\u{202e}".repeat(99);
            json!({"policy": name, "digest": digest, "key": key, "denials": 1e300})
        };
        let policy =
            |name: &str| json!({"name": name, "allowed": -1, "denied": 1e308, "waiting": u64::MAX});
        let text = json!({
            "name": "<b>\u{1b}".repeat(99),
            "uptime": -5,
            "open": u64::MAX,
            "store": {"kind": 7, "p50": "x", "calls_per_second": null, "down_for": 1e300},
            "policies": (0..999).map(|it| policy(&format!("p{it}"))).chain([policy("{x}")]).collect::<Vec<_>>(),
            "denied_keys": (0..99).map(|_| denied("p", &"0".repeat(32)))
                .chain([denied("p\n", &"0".repeat(32)), denied("p", "x")]).collect::<Vec<_>>(),
        });
        let report = read(&text.to_string()).unwrap();
        assert_eq!(report.process.uptime, Duration::ZERO);
        assert_eq!(report.process.unanswered.open, u64::from(u32::MAX));
        assert!(report.process.name.unwrap().chars().count() <= 64);
        assert_eq!((report.policies.len(), report.denied_keys.len()), (MAX_POLICIES, MAX_REPORTED));
        assert_eq!(report.policies[0].denied_per_second, 0.0);
        let key = report.denied_keys[0].key.as_ref().unwrap();
        assert!(key.chars().count() <= 64 && !key.contains('\u{202e}'));
        let hidden = decode(ID, Duration::ZERO, &text.to_string(), false).unwrap();
        assert_eq!(hidden.denied_keys[0].key, None);
    }
}
