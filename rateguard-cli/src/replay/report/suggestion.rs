//! Writes a policies file with limits that fit the log.

use actix_rateguard_core::{Count, MissingKey, Quota, Quotas};

use super::summary::{PolicySummary, QuotaSummary, Summary};

/// The share of keys that may exceed a suggested limit, in keys of 1,000 keys.
const PER_MILLE: usize = 1;

/// Returns a policies file. Its limits are the lowest ones that at most 0.1 % of the keys exceed in a window, rounded
/// up to two digits. `None` if no policy has requests.
pub(crate) fn suggested_policies(summary: &Summary) -> Option<String> {
    let tables: Vec<String> = summary.policies.iter().filter_map(policy).collect();
    if tables.is_empty() {
        return None;
    }
    let header = "# The lowest limits that at most 0.1 % of the keys in the log exceed, rounded up to two digits.\n";
    Some(header.to_owned() + &tables.join(""))
}

fn policy(policy: &PolicySummary) -> Option<String> {
    let limit = &policy.limit;
    if limit.is_candidate || policy.keys == 0 {
        return None;
    }
    let mut quotas: Vec<Quota> = Vec::new();
    for quota in policy.quotas.iter().map(|it| suggested(it, limit.cost)) {
        if !quotas.contains(&quota) {
            quotas.push(quota);
        }
    }
    let quotas = Quotas::new(quotas).ok()?;
    let mut lines = vec![
        format!("\n[policies.{}]", table_name(policy.name())),
        format!("rate = {}", quoted(&quotas.to_string())),
        format!("key = {}", quoted(&limit.key.to_string())),
    ];
    match limit.missing {
        MissingKey::Deny => lines.push("missing_key = \"deny\"".to_owned()),
        MissingKey::Skip => lines.push("missing_key = \"skip\"".to_owned()),
        _ => {}
    }
    if limit.cost != 1 && quotas.has_rate() {
        lines.push(format!("cost = {}", limit.cost));
    }
    if limit.count != Count::All {
        lines.push(format!("count = {}", quoted(&limit.count.to_string())));
    }
    if let Some(methods) = &limit.methods {
        lines.push(format!("methods = {}", quoted(&methods.names().join(", "))));
    }
    if let Some(ban) = limit.policy.own_ban() {
        lines.push(format!("ban = {}", quoted(&ban.to_string())));
    }
    Some(lines.join("\n") + "\n")
}

/// Returns the quota with the suggested limit, or the quota itself if it cannot have that limit.
fn suggested(summary: &QuotaSummary, cost: u32) -> Quota {
    let quota = summary.quota;
    let lowest = rounded_up(summary.peaks.limit_for(PER_MILLE));
    let limit = lowest.max(cost.into()).clamp(1, Quota::MAX_LIMIT.into());
    let limit = u32::try_from(limit).unwrap_or(Quota::MAX_LIMIT);
    let suggested = match quota.calendar_period() {
        Some(period) => Quota::calendar(limit, period),
        None => {
            Quota::new(limit, quota.window()).and_then(|it| it.with_algorithm(quota.algorithm()))
        }
    };
    suggested.unwrap_or(quota)
}

/// Rounds up to two digits.
pub(super) fn rounded_up(number: u64) -> u64 {
    let mut unit = 1;
    while number / unit >= 100 {
        unit *= 10;
    }
    number.div_ceil(unit) * unit
}

/// Writes a name of a table, in quotes if it has other characters than letters, digits, `-` and `_`.
fn table_name(name: &str) -> String {
    let is_bare = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if is_bare { name.to_owned() } else { quoted(name) }
}

/// Writes a TOML string. JSON escapes the same characters, apart from one.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007F")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_up_to_two_digits() {
        let numbers = [0, 1, 7, 99, 100, 101, 1_000, 1_234, 99_001];
        assert_eq!(numbers.map(rounded_up), [0, 1, 7, 99, 100, 110, 1_000, 1_300, 100_000]);
    }

    #[test]
    fn texts_are_toml_strings() {
        assert_eq!(quoted("a\"b\\\u{7f}"), "\"a\\\"b\\\\\\u007F\"");
    }
}
