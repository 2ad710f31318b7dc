//! Validates the cost of a request, in units.

use crate::{Quotas, ShadowSpec};

/// The error message for a cost that is 0 or is not a whole number.
pub const EXPECTED_COST: &str = "expected a cost that is a whole number of at least 1";

/// Returns an error if a limit could never admit a request with this cost.
///
/// # Errors
///
/// A message if the cost is above the maximum cost of the enforced quotas or of the candidate quotas. If the enforced
/// quotas are not known in advance, pass `None` for `enforced`. The function then compares the cost only with the
/// candidate quotas.
pub fn check_cost(
    cost: u32,
    enforced: Option<&Quotas>,
    shadow: Option<&ShadowSpec>,
) -> Result<(), String> {
    let candidate = match shadow {
        Some(ShadowSpec::Candidate(quotas, _)) => Some(quotas),
        Some(ShadowSpec::Whole) | None => None,
    };
    match enforced.into_iter().chain(candidate).map(Quotas::max_cost).min() {
        Some(max) if cost > max => Err(format!(
            "expected a cost of at most {max}, the maximum of the quotas, found {cost}"
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cost_is_bounded_by_enforced_and_candidate_quotas() {
        let enforced: Quotas = "5/minute".parse().unwrap();
        let candidate = ShadowSpec::Candidate("3/minute".parse().unwrap(), 0);
        for (enforced, shadow, max) in [
            (Some(&enforced), None, 5),
            (Some(&enforced), Some(&ShadowSpec::Whole), 5),
            (Some(&enforced), Some(&candidate), 3),
            (None, Some(&candidate), 3),
        ] {
            assert_eq!(check_cost(max, enforced, shadow), Ok(()));
            let error = check_cost(max + 1, enforced, shadow).unwrap_err();
            assert!(error.contains(&format!("at most {max}, ")), "{error}");
        }
        assert_eq!(check_cost(u32::MAX, None, None), Ok(()));
    }
}
