//! Who uses which name: limits of one name share their counts, and two quotas over the same counts are a mistake.

use std::{
    collections::HashMap,
    error::Error,
    fmt,
    panic::Location,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{Ban, Policy, Quotas, policy::ShadowMode};

/// A limit that begins to use a name.
pub struct NameRegistration<'a> {
    pub policy: &'a Policy,
    /// Whether its quotas are the same for all requests.
    pub is_fixed: bool,
    /// Where it was made, if it was given no name.
    pub unnamed_at: Option<&'static Location<'static>>,
}

#[derive(Default)]
pub(crate) struct NameRegistry {
    /// By name: the quotas and, for the name that stands for none, where it was made.
    known: Mutex<HashMap<String, Known>>,
}

#[derive(Clone)]
struct Known {
    /// If they are the same for all requests.
    quotas: Option<Quotas>,
    ban: Option<Ban>,
    trial: Option<ShadowMode>,
    unnamed_at: Option<&'static Location<'static>>,
    /// A limit that says itself how much it admits.
    is_of_limit: bool,
}

impl NameRegistry {
    /// The same limit may come again and again, once for each worker.
    pub(super) fn add(&self, claim: &NameRegistration<'_>) -> Result<(), NameConflict> {
        let name = claim.policy.name();
        let new = Known::of(claim);
        let mut known = self.known();
        let earlier = known.entry(name.to_owned()).or_insert_with(|| new.clone());
        match earlier.conflict(&new) {
            Some(kind) => Err(NameConflict { name: name.to_owned(), kind }),
            None => {
                earlier.is_of_limit = true;
                Ok(())
            }
        }
    }

    /// Whether it could be added.
    pub(super) fn can_register(&self, claim: &NameRegistration<'_>) -> bool {
        let known = self.known();
        known.get(claim.policy.name()).is_none_or(|it| it.conflict(&Known::of(claim)).is_none())
    }

    /// From now on these are the guard's policies, and those before them no more: if no limit that says itself how much it
    /// admits has one of their names for something else, and if they are wanted.
    pub(crate) fn replace_policies<'a>(
        &self,
        policies: impl IntoIterator<Item = &'a Policy>,
        are_wanted: bool,
    ) -> Vec<NameConflict> {
        let mut known = self.known();
        let (mut conflicts, mut put) = (Vec::new(), Vec::new());
        for policy in policies {
            let new = Known {
                quotas: Some(policy.quotas().clone()),
                ban: policy.own_ban(),
                trial: policy.shadow_mode().cloned(),
                unnamed_at: None,
                is_of_limit: false,
            };
            match known.get(policy.name()).filter(|earlier| earlier.is_of_limit) {
                None => put.push((policy.name().to_owned(), new)),
                Some(earlier) => conflicts.extend(
                    earlier
                        .conflict(&new)
                        .map(|kind| NameConflict { name: policy.name().to_owned(), kind }),
                ),
            }
        }
        if are_wanted && conflicts.is_empty() {
            known.retain(|_, earlier| earlier.is_of_limit);
            known.extend(put);
        }
        conflicts
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        // One entry after the other is put in, each whole.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn of(claim: &NameRegistration<'_>) -> Self {
        Self {
            quotas: claim.is_fixed.then(|| claim.policy.quotas().clone()),
            ban: claim.policy.own_ban(),
            trial: claim.policy.shadow_mode().cloned(),
            unnamed_at: claim.unnamed_at,
            is_of_limit: true,
        }
    }

    fn conflict(&self, new: &Self) -> Option<Kind> {
        Some(match (self.unnamed_at, new.unnamed_at) {
            (Some(one), Some(other)) if one != other => Kind::Unnamed { one, other },
            (Some(place), None) | (None, Some(place)) => Kind::Hold { place },
            _ if self.quotas != new.quotas => {
                let shown = |quotas| shown(quotas, "one chosen for each request");
                Kind::Quotas { one: shown(&self.quotas), other: shown(&new.quotas) }
            }
            _ if self.ban != new.ban => {
                let shown = |ban| shown(ban, "none");
                Kind::Bans { one: shown(&self.ban), other: shown(&new.ban) }
            }
            _ if self.trial != new.trial => {
                let shown = |trial| shown(trial, "nothing");
                Kind::Trials { one: shown(&self.trial), other: shown(&new.trial) }
            }
            _ => return None,
        })
    }
}

/// Two limits whose counts would get mixed up.
#[derive(Debug, PartialEq, Eq)]
pub struct NameConflict {
    pub name: String,
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
    Hold {
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
    Trials {
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
            Kind::Hold { place } => write!(
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
            Kind::Trials { one, other } => write!(
                f,
                "two limits are named `{name}` and have different things in shadow, {one} and {other}; give each a name of its own"
            ),
        }
    }
}

fn shown<T: fmt::Display>(value: &Option<T>, default_on_error: &str) -> String {
    value.as_ref().map_or(default_on_error.to_owned(), T::to_string)
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
        let claims = NameRegistry::default();
        let (policy, here) = (policy("app", "1/s"), Location::caller());
        for _worker in 0..3 {
            assert_eq!(
                claims.add(&NameRegistration {
                    policy: &policy,
                    is_fixed: true,
                    unnamed_at: Some(here)
                }),
                Ok(())
            );
        }
    }

    #[test]
    fn limits_that_share_a_name_and_a_quota_share_their_counts_on_purpose() {
        let claims = NameRegistry::default();
        for _ in 0..2 {
            let policy = policy("login", "1/s");
            assert_eq!(
                claims.add(&NameRegistration { policy: &policy, is_fixed: true, unnamed_at: None }),
                Ok(())
            );
        }
    }

    #[test]
    fn two_quotas_under_one_name_are_refused() {
        let claims = NameRegistry::default();
        claims
            .add(&NameRegistration {
                policy: &policy("login", "1/s"),
                is_fixed: true,
                unnamed_at: None,
            })
            .unwrap();
        let conflict = claims
            .add(&NameRegistration {
                policy: &policy("login", "2/s"),
                is_fixed: true,
                unnamed_at: None,
            })
            .unwrap_err()
            .to_string();
        assert!(conflict.contains("`login`") && conflict.contains("1/second and 2/second"));
    }

    #[test]
    fn a_policy_of_the_guard_may_change_but_not_to_what_a_limit_of_its_name_does_not_say() {
        let claims = NameRegistry::default();
        let limit = policy("login", "1/s");
        let claim =
            || claims.add(&NameRegistration { policy: &limit, is_fixed: true, unnamed_at: None });
        for quota in ["3/s", "2/s", "1/s"] {
            assert_eq!(claims.replace_policies([&policy("login", quota)], true), []);
        }
        assert_eq!(claim(), Ok(()));
        assert_eq!(claims.replace_policies([&policy("login", "2/s")], true).len(), 1);
        // Who has the name keeps it, also if the guard has no policy of it any more.
        assert_eq!(claims.replace_policies([&policy("search", "2/s")], true), []);
        assert_eq!(claims.replace_policies([&policy("login", "2/s")], true).len(), 1);
        assert_eq!(claim(), Ok(()));
    }

    #[test]
    fn what_is_not_wanted_changes_nothing() {
        let claims = NameRegistry::default();
        assert_eq!(claims.replace_policies([&policy("login", "1/s")], true), []);
        assert_eq!(claims.replace_policies([&policy("login", "2/s")], false), []);
        let limit = policy("login", "1/s");
        assert_eq!(
            claims.add(&NameRegistration { policy: &limit, is_fixed: true, unnamed_at: None }),
            Ok(())
        );
    }

    #[test]
    fn two_limits_without_a_name_are_refused() {
        let claims = NameRegistry::default();
        let policy = policy("app", "1/s");
        let (one, other) = (Location::caller(), std::panic::Location::caller());
        claims
            .add(&NameRegistration { policy: &policy, is_fixed: true, unnamed_at: Some(one) })
            .unwrap();
        let conflict = claims
            .add(&NameRegistration { policy: &policy, is_fixed: true, unnamed_at: Some(other) })
            .unwrap_err();
        assert_eq!(conflict.kind, Kind::Unnamed { one, other });
        let conflict = claims
            .add(&NameRegistration { policy: &policy, is_fixed: true, unnamed_at: None })
            .unwrap_err();
        assert_eq!(conflict.kind, Kind::Hold { place: one });
    }
}
