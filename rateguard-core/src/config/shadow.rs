//! Shadow mode of a policy: the fields `shadow` and `rollout`.

use actix_rateguard_grammar::Quotas;
use toml::de::DeValue;

use super::{
    diagnostics::Diagnostics,
    fields::{Located, Value},
    values::{boolean, integer_u32, parse},
};
use crate::policy::ShadowSpec;

/// The value of `shadow`.
pub(super) enum ShadowValue {
    /// `true` if the whole policy is in shadow mode.
    Whole(bool),
    /// Candidate quotas, which count in addition to the enforced quotas.
    Candidate(Quotas),
}

pub(super) fn shadow(
    value: &Value<'_>,
    diagnostics: &mut Diagnostics<'_>,
) -> Option<Located<ShadowValue>> {
    const EXPECTED: &str =
        "expected true for the whole policy, or a candidate rate in quotes, such as \"3/minute\"";
    if let DeValue::Boolean(_) = value.get_ref() {
        let Located { value, offset } = boolean(value, diagnostics)?;
        return Some(Located { value: ShadowValue::Whole(value), offset });
    }
    let Located { value, offset } = parse(value, EXPECTED, diagnostics)?;
    Some(Located { value: ShadowValue::Candidate(value), offset })
}

pub(super) fn rollout(
    value: &Value<'_>,
    diagnostics: &mut Diagnostics<'_>,
) -> Option<Located<u32>> {
    const EXPECTED: &str = "expected a whole number of percent from 0 to 100";
    integer_u32(value, 0..=100, EXPECTED, diagnostics)
}

/// Combines the values of `shadow` and `rollout`. If `is_complete` is false, a field of the policy is invalid. This
/// field may be `shadow`, so `shadow` is not reported as missing.
pub(super) fn shadow_spec(
    shadow: Option<Located<ShadowValue>>,
    rollout: Option<Located<u32>>,
    is_complete: bool,
    diagnostics: &mut Diagnostics<'_>,
) -> Option<ShadowSpec> {
    match (shadow.map(|it| it.value), rollout) {
        (Some(ShadowValue::Candidate(quotas)), rollout) => {
            let percent = rollout.and_then(|it| it.value.try_into().ok());
            Some(ShadowSpec::Candidate(quotas, percent.unwrap_or(0)))
        }
        (_, Some(rollout)) if is_complete => {
            diagnostics.add(
                rollout.offset,
                "`rollout` requires a candidate rate, such as `shadow = \"3/minute\"`",
            );
            None
        }
        (Some(ShadowValue::Whole(true)), None) => Some(ShadowSpec::Whole),
        _ => None,
    }
}
