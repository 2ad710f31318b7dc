//! Determines the key type of an operator's request. The key type says how the values in the request form a key.

use actix_rateguard_core::adapter::{NO_KEY, PARTS, VALUE, are_equivalent, may_be_missing};

use super::problem::Problem;
use crate::{MissingKey, RateGuard, inventory::FUNCTION};

/// Returns the key type that the field `by` of a request body sets. If the body has no `by`, returns the key type of
/// the limits whose name is `name`, or [`VALUE`] if there is no such limit.
///
/// # Errors
///
/// A [`Problem`] with status 400 if no limit with this name has this key type, because then no request has such a
/// key. The status is also 400 if the body has no `by`, and several limits with this name have different keys.
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
    // If a function reads the key of a limit, or if no limit uses the policy, the guard does not know the key type.
    // In these cases, every `by` may be correct.
    let accepts_any = keys.is_empty() || keys.contains(&FUNCTION);
    let ipv6_bits = guard.http().client_address.ipv6_bits();
    let matches = |key: &str| are_equivalent(&by, key, ipv6_bits);
    if accepts_any || [VALUE, PARTS].contains(&by.as_str()) || keys.iter().any(|key| matches(key)) {
        return Ok(by);
    }
    if counts_missing_keys {
        // A limit of this name counts requests without a key by the client's address, so the operator may select
        // the key of such a request.
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
