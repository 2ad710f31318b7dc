//! Validates the fields of a limit whose quota has a lease.

use crate::{Quotas, located::FieldError, shadow_fields::ShadowFields};

/// Returns an error if a field contradicts the lease of a quota.
///
/// `ban` is the location of the field `ban`, if it is present.
///
/// # Errors
///
/// [`FieldError`] in these cases:
///
/// - The limit has a lease and a ban. A ban is in the store, and a process that uses its lease asks no store.
/// - The limit has a lease and is in shadow mode or has candidate quotas, whose counts are in the store.
/// - The candidate quotas have a lease.
pub fn check_lease<L: Copy>(
    quotas: Option<&Quotas>,
    ban: Option<L>,
    shadow: &ShadowFields<L>,
) -> Result<(), FieldError<L>> {
    if let Some(candidate) = &shadow.candidate
        && candidate.value.has_lease()
    {
        return Err(FieldError::at(
            candidate.location,
            "a candidate cannot have a lease; expected rates without a lease, such as \"3/minute\"",
        ));
    }
    if !quotas.is_some_and(Quotas::has_lease) {
        return Ok(());
    }
    let ban = ban.map(|location| ("ban", location));
    match ban.into_iter().chain(shadow.present()).next() {
        None => Ok(()),
        Some((name, location)) => Err(FieldError::at(
            location,
            format!(
                "`{name}` conflicts with a lease, because a process that uses its lease does not ask the store; remove one of them"
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Located;

    #[test]
    fn fields_that_need_the_store_for_each_request_conflict_with_a_lease() {
        let plain = ShadowFields::default();
        let shadow =
            ShadowFields { shadow: Some(Located { value: true, location: 7 }), ..plain.clone() };
        let candidate = |quotas: &str| ShadowFields {
            candidate: Some(Located { value: quotas.parse().unwrap(), location: 8 }),
            ..plain.clone()
        };
        let leased = "100/minute lease 10";
        for (quotas, ban, shadow, expected) in [
            ("100/minute", Some(1), &shadow, None),
            (leased, None, &plain, None),
            (leased, Some(1), &plain, Some((1, "`ban` conflicts with a lease"))),
            (leased, None, &shadow, Some((7, "`shadow` conflicts"))),
            (leased, None, &candidate("3/minute"), Some((8, "`candidate` conflicts"))),
            ("100/minute", None, &candidate(leased), Some((8, "candidate cannot have a lease"))),
        ] {
            let quotas: Quotas = quotas.parse().unwrap();
            let result = check_lease(Some(&quotas), ban, shadow);
            let found = result.err().map(|error| (error.location.unwrap(), error.message));
            match (&found, expected) {
                (Some((found, message)), Some((location, part))) => {
                    assert!(*found == location && message.contains(part), "{found} {message}");
                }
                (None, None) => {}
                _ => panic!("{quotas}: {found:?}"),
            }
        }
    }
}
