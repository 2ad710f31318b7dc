//! Who uses which name: limits of one name share their counts, and two quotas over the same counts are a mistake.

use std::{
    collections::HashMap,
    error::Error,
    fmt,
    panic::Location,
    sync::{Mutex, PoisonError},
};

use crate::{Ban, Policy, Quotas};

/// A limit that begins to use a name.
pub(crate) struct Claim<'a> {
    pub(crate) policy: &'a Policy,
    /// Whether its quotas are the same for all requests.
    pub(crate) is_fixed: bool,
    /// Where it was made, if it was given no name.
    pub(crate) unnamed_at: Option<&'static Location<'static>>,
}

#[derive(Default)]
pub(super) struct Claims {
    /// By name: the quotas and, for the name that stands for none, where it was made.
    known: Mutex<HashMap<String, Known>>,
}

#[derive(Clone)]
struct Known {
    /// If they are the same for all requests.
    quotas: Option<Quotas>,
    ban: Option<Ban>,
    unnamed_at: Option<&'static Location<'static>>,
}

impl Claims {
    /// The same limit may come again and again, once for each worker.
    pub(super) fn add(&self, claim: Claim<'_>) -> Result<(), NameConflict> {
        let name = claim.policy.name();
        let new = Known {
            quotas: claim.is_fixed.then(|| claim.policy.quotas().clone()),
            ban: claim.policy.own_ban(),
            unnamed_at: claim.unnamed_at,
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let earlier = known.entry(name.to_owned()).or_insert_with(|| new.clone());
        let conflict = |kind| Err(NameConflict { name: name.to_owned(), kind });
        match (earlier.unnamed_at, new.unnamed_at) {
            (Some(one), Some(other)) if one != other => conflict(Kind::Unnamed { one, other }),
            (Some(place), None) | (None, Some(place)) => conflict(Kind::Taken { place }),
            _ if earlier.quotas != new.quotas => {
                let shown = |quotas| shown(quotas, "one chosen for each request");
                conflict(Kind::Quotas { one: shown(&earlier.quotas), other: shown(&new.quotas) })
            }
            _ if earlier.ban != new.ban => {
                let shown = |ban| shown(ban, "none");
                conflict(Kind::Bans { one: shown(&earlier.ban), other: shown(&new.ban) })
            }
            _ => Ok(()),
        }
    }
}

/// Two limits whose counts would get mixed up.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NameConflict {
    name: String,
    kind: Kind,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    /// Both were given none, and the same stands for it.
    Unnamed {
        one: &'static Location<'static>,
        other: &'static Location<'static>,
    },
    /// One was given the name that stands for none with the other.
    Taken {
        place: &'static Location<'static>,
    },
    Quotas {
        one: String,
        other: String,
    },
    Bans {
        one: String,
        other: String,
    },
}

impl fmt::Display for NameConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match &self.kind {
            Kind::Unnamed { one, other } => write!(
                f,
                "the limits at {one} and at {other} were given no name and would share their counts as `{name}`; name them"
            ),
            Kind::Taken { place } => write!(
                f,
                "the limit at {place} was given no name and is called `{name}`, and another one was given that name; name both"
            ),
            Kind::Quotas { one, other } => write!(
                f,
                "two limits are named `{name}` and have different quotas, {one} and {other}; give each a name of its own"
            ),
            Kind::Bans { one, other } => write!(
                f,
                "two limits are named `{name}` and have different bans, {one} and {other}; give each a name of its own"
            ),
        }
    }
}

fn shown<T: fmt::Display>(value: &Option<T>, otherwise: &str) -> String {
    value.as_ref().map_or(otherwise.to_owned(), T::to_string)
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
            assert_eq!(
                claims.add(Claim { policy: &policy, is_fixed: true, unnamed_at: Some(here) }),
                Ok(())
            );
        }
    }

    #[test]
    fn limits_that_share_a_name_and_a_quota_share_their_counts_on_purpose() {
        let claims = Claims::default();
        for _ in 0..2 {
            let policy = policy("login", "1/s");
            assert_eq!(
                claims.add(Claim { policy: &policy, is_fixed: true, unnamed_at: None }),
                Ok(())
            );
        }
    }

    #[test]
    fn two_quotas_under_one_name_are_refused() {
        let claims = Claims::default();
        claims
            .add(Claim { policy: &policy("login", "1/s"), is_fixed: true, unnamed_at: None })
            .unwrap();
        let conflict = claims
            .add(Claim { policy: &policy("login", "2/s"), is_fixed: true, unnamed_at: None })
            .unwrap_err()
            .to_string();
        assert!(conflict.contains("`login`") && conflict.contains("1/second and 2/second"));
    }

    #[test]
    fn two_limits_without_a_name_are_refused() {
        let claims = Claims::default();
        let policy = policy("app", "1/s");
        let (one, other) = (Location::caller(), std::panic::Location::caller());
        claims.add(Claim { policy: &policy, is_fixed: true, unnamed_at: Some(one) }).unwrap();
        let conflict = claims
            .add(Claim { policy: &policy, is_fixed: true, unnamed_at: Some(other) })
            .unwrap_err();
        assert_eq!(conflict.kind, Kind::Unnamed { one, other });
        let conflict =
            claims.add(Claim { policy: &policy, is_fixed: true, unnamed_at: None }).unwrap_err();
        assert_eq!(conflict.kind, Kind::Taken { place: one });
    }
}
