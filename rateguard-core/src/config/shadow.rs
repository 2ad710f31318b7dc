//! What of a policy is tried: `shadow` and `rollout`.

use actix_rateguard_grammar::Quotas;
use toml::de::DeValue;

use super::{
    fields::{At, Value},
    mistakes::Diagnostics,
    values::{boolean, parsed, whole_32},
};
use crate::policy::ShadowSpec;

/// What `shadow` says.
pub(super) enum Shadow {
    /// Whether it is the whole policy.
    Whole(bool),
    /// Other quotas, beside those that are enforced.
    Candidate(Quotas),
}

pub(super) fn shadow(value: &Value<'_>, mistakes: &mut Diagnostics<'_>) -> Option<At<Shadow>> {
    const FORM: &str = "legal here are true, which is the whole policy, and a rate in quotes that is tried beside it, such as \"3/minute\"";
    if let DeValue::Boolean(_) = value.get_ref() {
        let At { value, at } = boolean(value, mistakes)?;
        return Some(At { value: Shadow::Whole(value), at });
    }
    let At { value, at } = parsed(value, FORM, mistakes)?;
    Some(At { value: Shadow::Candidate(value), at })
}

pub(super) fn rollout(value: &Value<'_>, mistakes: &mut Diagnostics<'_>) -> Option<At<u32>> {
    const FORM: &str = "a roll-out is a whole number of percent from 0 to 100";
    whole_32(value, 0..=100, FORM, mistakes)
}

/// What both of them say. What is there and could not be read is not missing.
pub(super) fn tried(
    shadow: Option<At<Shadow>>,
    rollout: Option<At<u32>>,
    are_read: bool,
    mistakes: &mut Diagnostics<'_>,
) -> Option<ShadowSpec> {
    match (shadow.map(|it| it.value), rollout) {
        (Some(Shadow::Candidate(quotas)), rollout) => {
            let percent = rollout.and_then(|it| it.value.try_into().ok());
            Some(ShadowSpec::Candidate(quotas, percent.unwrap_or(0)))
        }
        (_, Some(rollout)) if are_read => {
            mistakes.add(
                rollout.at,
                "`rollout` is of a rate that is tried: write `shadow = \"3/minute\"` beside it, for example",
            );
            None
        }
        (Some(Shadow::Whole(true)), None) => Some(ShadowSpec::Whole),
        _ => None,
    }
}
