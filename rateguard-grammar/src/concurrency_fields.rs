//! Validates the fields of a limit that has a quota for requests in progress.

use crate::{Quotas, located::FieldError, shadow_fields::ShadowFields};

/// Returns an error if a field has no effect on a limit on the requests in progress, or contradicts it.
///
/// `of_rates` has the names and the locations of the present fields that only concern rates: the cost, the responses
/// that count, and the ban.
///
/// # Errors
///
/// [`FieldError`] in these cases:
///
/// - The limit has no rate, but a field that only concerns rates. A request holds one permit until it ends, whatever its
///   cost and its response are. A denial of such a quota is no offence, because a client cannot know when a permit is
///   free.
/// - The limit is in shadow mode, or has candidate quotas. Shadow mode holds no permits.
pub fn check_concurrency<L: Copy>(
    quotas: Option<&Quotas>,
    of_rates: impl IntoIterator<Item = (&'static str, L)>,
    shadow: &ShadowFields<L>,
) -> Result<(), FieldError<L>> {
    if let Some(candidate) = &shadow.candidate
        && candidate.value.concurrency().is_some()
    {
        return Err(FieldError::at(
            candidate.location,
            "a candidate cannot limit the requests in progress; expected rates, such as \"3/minute\"",
        ));
    }
    let Some(quotas) = quotas.filter(|quotas| quotas.concurrency().is_some()) else {
        return Ok(());
    };
    if let Some((name, location)) = shadow.present().next() {
        let message = format!(
            "`{name}` conflicts with a limit on requests in progress, because shadow mode holds no permits; use two limits"
        );
        return Err(FieldError::at(location, message));
    }
    match of_rates.into_iter().next() {
        Some((name, location)) if !quotas.has_rate() => {
            let message = format!(
                "`{name}` requires a rate, because it has no effect on requests in progress; add `rate` or remove `{name}`"
            );
            Err(FieldError::at(location, message))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Located;

    #[test]
    fn fields_without_effect_on_requests_in_progress_are_rejected() {
        let plain = ShadowFields::default();
        let shadow =
            ShadowFields { shadow: Some(Located { value: true, location: 7 }), ..plain.clone() };
        let candidate = |quotas: &str| ShadowFields {
            candidate: Some(Located { value: quotas.parse().unwrap(), location: 8 }),
            ..plain.clone()
        };
        let check = |quotas: &str, of_rates: &[(&'static str, u8)], shadow| {
            let quotas = quotas.parse().unwrap();
            let result = check_concurrency(Some(&quotas), of_rates.iter().copied(), shadow);
            result.map_err(|error| (error.location.unwrap(), error.message))
        };
        for (quotas, of_rates, shadow, expected) in [
            ("5/minute", &[("cost", 1)][..], &shadow, None),
            ("5/minute", &[], &candidate("3/minute"), None),
            ("5/minute", &[], &candidate("3 concurrent"), Some((8, "a candidate cannot limit"))),
            ("5 concurrent", &[], &plain, None),
            ("5 concurrent", &[("ban", 2)], &plain, Some((2, "`ban` requires a rate"))),
            ("5/minute; 5 concurrent", &[("cost", 1), ("ban", 2)], &plain, None),
            ("5 concurrent", &[], &shadow, Some((7, "`shadow` conflicts with"))),
            ("5 concurrent", &[], &candidate("3/minute"), Some((8, "`candidate` conflicts with"))),
        ] {
            let result = check(quotas, of_rates, shadow);
            match expected {
                None => assert_eq!(result, Ok(()), "{quotas}"),
                Some((location, part)) => {
                    let (found, message) = result.unwrap_err();
                    assert!(found == location && message.contains(part), "{found} {message}");
                }
            }
        }
    }
}
