//! What the limits of a name count by.

use super::problem::Problem;
use crate::{
    MissingKey, RateGuard,
    http::{
        inventory::FUNCTION,
        key::{NO_KEY, PARTS, VALUE, are_read_alike, may_be_missing},
    },
};

/// What is meant by `by`, or by its absence. What no limit of this name reads is refused: nobody would be reached.
pub(super) fn counted_by(
    guard: &RateGuard,
    name: &str,
    by: Option<String>,
) -> Result<String, Problem> {
    let inventory = guard.inventory();
    let mut keys: Vec<&str> = Vec::new();
    let mut has_no_key = false;
    for limit in inventory.limits().iter().filter(|limit| limit.name == name) {
        if !keys.contains(&limit.key.as_str()) {
            keys.push(&limit.key);
        }
        has_no_key |= limit.missing_key == MissingKey::Ip && may_be_missing(&limit.key);
    }
    let Some(by) = by else {
        return match keys[..] {
            [] => Ok(VALUE.to_owned()),
            [key] => Ok(key.to_owned()),
            _ => Err(Problem::bad(format!(
                "limits of this name have different keys; say in `by` which one is meant: {}",
                keys.join(", ")
            ))),
        };
    };
    // What a function makes of a request, and what the program does without one, is not known here.
    let is_anything = keys.is_empty() || keys.contains(&FUNCTION);
    let is = |key: &str| are_read_alike(&by, key, guard.ipv6_bits());
    if is_anything || [VALUE, PARTS].contains(&by.as_str()) || keys.iter().any(|key| is(key)) {
        return Ok(by);
    }
    if has_no_key {
        // Who has no key is counted by address.
        if by == NO_KEY || is("ip") {
            return Ok(NO_KEY.to_owned());
        }
        keys.push(NO_KEY);
    }
    Err(Problem::bad(format!(
        "limits of this name count by {}, and none by what is in `by`",
        keys.join(", ")
    )))
}
