//! Who uses which name: limits of one name share their counts, and two quotas over the same counts are a mistake.

use std::{
    collections::HashMap,
    error::Error,
    fmt,
    panic::Location,
    sync::{Mutex, PoisonError},
};

use crate::{Policy, Quota};

/// A middleware that starts to use a name.
pub(crate) struct Claim<'a> {
    pub(crate) policy: &'a Policy,
    /// Where it was made, if it was given no name.
    pub(crate) unnamed_at: Option<&'static Location<'static>>,
}

#[derive(Default)]
pub(super) struct Claims {
    /// By name: the quota and, for the name that stands for none, where it was made.
    known: Mutex<HashMap<String, Known>>,
}

#[derive(Clone, Copy)]
struct Known {
    quota: Quota,
    unnamed_at: Option<&'static Location<'static>>,
}

impl Claims {
    /// The same limit may come again and again, once for each worker.
    pub(super) fn add(&self, claim: Claim<'_>) -> Result<(), NameConflict> {
        let name = claim.policy.name();
        let new = Known { quota: claim.policy.quota(), unnamed_at: claim.unnamed_at };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let earlier = *known.entry(name.to_owned()).or_insert(new);
        match (earlier.unnamed_at, new.unnamed_at) {
            (Some(one), Some(other)) if one != other => Err(NameConflict::Unnamed { one, other }),
            _ if earlier.quota != new.quota => Err(NameConflict::Quotas {
                name: name.to_owned(),
                quotas: [earlier.quota, new.quota],
            }),
            _ => Ok(()),
        }
    }
}

/// Two limits whose counts would get mixed up.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NameConflict {
    Unnamed { one: &'static Location<'static>, other: &'static Location<'static> },
    Quotas { name: String, quotas: [Quota; 2] },
}

impl fmt::Display for NameConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unnamed { one, other } => write!(
                f,
                "the limits made at {one} and at {other} have no name and would share their counts; give each its own with `.name(…)`"
            ),
            Self::Quotas { name, quotas: [one, other] } => write!(
                f,
                "two limits are named `{name}` and have different quotas, {one} and {other}; give each its own name with `.name(…)`"
            ),
        }
    }
}

impl Error for NameConflict {}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(name: &'static str, quota: &str) -> Policy {
        Policy::new(name, quota).unwrap()
    }

    #[test]
    fn one_limit_may_start_on_many_workers() {
        let claims = Claims::default();
        let (policy, here) = (policy("app", "1/s"), Location::caller());
        for _worker in 0..3 {
            assert_eq!(claims.add(Claim { policy: &policy, unnamed_at: Some(here) }), Ok(()));
        }
    }

    #[test]
    fn limits_that_share_a_name_and_a_quota_share_their_counts_on_purpose() {
        let claims = Claims::default();
        for _ in 0..2 {
            let policy = policy("login", "1/s");
            assert_eq!(claims.add(Claim { policy: &policy, unnamed_at: None }), Ok(()));
        }
    }

    #[test]
    fn two_quotas_under_one_name_are_refused() {
        let claims = Claims::default();
        claims.add(Claim { policy: &policy("login", "1/s"), unnamed_at: None }).unwrap();
        let conflict = claims
            .add(Claim { policy: &policy("login", "2/s"), unnamed_at: None })
            .unwrap_err()
            .to_string();
        assert!(conflict.contains("`login`") && conflict.contains("1/second and 2/second"));
    }

    #[test]
    fn two_limits_without_a_name_are_refused() {
        let claims = Claims::default();
        let policy = policy("app", "1/s");
        let (one, other) = (Location::caller(), std::panic::Location::caller());
        claims.add(Claim { policy: &policy, unnamed_at: Some(one) }).unwrap();
        let conflict = claims.add(Claim { policy: &policy, unnamed_at: Some(other) });
        assert_eq!(conflict, Err(NameConflict::Unnamed { one, other }));
    }
}
