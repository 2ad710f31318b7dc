//! Determines the key type that an operator's request selects.

use super::problem::Problem;
use crate::{
    MissingKey, RateGuard,
    inventory::FUNCTION,
    key::operator_key::{NO_KEY, PARTS, VALUE, are_equivalent, may_be_missing},
};

/// Returns the key type for the `by` of a request, or the default key type if the request has no `by`.
///
/// # Errors
///
/// 400 if no limit of this name has the key type, because no request has such a key.
pub(super) fn key_type(
    guard: &RateGuard,
    name: &str,
    by: Option<String>,
) -> Result<String, Problem> {
    let inventory = guard.inventory();
    let mut keys: Vec<&str> = Vec::new();
    let mut counts_missing_keys = false;
    for limit in inventory.limits().iter().filter(|limit| limit.name == name) {
        if !keys.contains(&limit.key.as_str()) {
            keys.push(&limit.key);
        }
        counts_missing_keys |= limit.missing_key == MissingKey::Ip && may_be_missing(&limit.key);
    }
    let Some(by) = by else {
        return match keys[..] {
            [] => Ok(VALUE.to_owned()),
            [key] => Ok(key.to_owned()),
            _ => Err(Problem::bad(format!(
                "limits of this name have different keys; set `by` to one of: {}",
                keys.join(", ")
            ))),
        };
    };
    // If a function reads the key, or no limit uses the policy, the key type is unknown, so any `by` may be correct.
    let accepts_any = keys.is_empty() || keys.contains(&FUNCTION);
    let ipv6_bits = guard.http().client_address.ipv6_bits();
    let matches = |key: &str| are_equivalent(&by, key, ipv6_bits);
    if accepts_any || [VALUE, PARTS].contains(&by.as_str()) || keys.iter().any(|key| matches(key)) {
        return Ok(by);
    }
    if counts_missing_keys {
        // The limit counts requests without a key by address, so the operator may select such a key.
        if by == NO_KEY || matches("ip") {
            return Ok(NO_KEY.to_owned());
        }
        keys.push(NO_KEY);
    }
    Err(Problem::bad(format!(
        "`by`: expected a key type of the limits of this name ({}), \"value\" or \"parts\"",
        keys.join(", ")
    )))
}
