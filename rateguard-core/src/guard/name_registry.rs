//! The registry of limit names. Limits with the same name share their counts, so the registry rejects a limit whose
//! quotas differ from the quotas that are already registered with this name.

use std::{
    collections::HashMap,
    error::Error,
    fmt,
    panic::Location,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{Ban, Policy, Quotas, policy::ShadowMode};

/// The data for the registration of a limit. The limit is registered under the name of its policy.
pub struct NameRegistration<'a> {
    /// The policy of the limit.
    pub policy: &'a Policy,
    /// True if the quotas are the same for all requests. False if the program chooses the quotas for each request.
    pub is_fixed: bool,
    /// The source location of the limit, if the program has set no name and the limit has the default name. `None`
    /// if the program has set a name.
    pub unnamed_at: Option<&'static Location<'static>>,
}

/// The names of the limits and policies of a guard.
#[derive(Default)]
pub(crate) struct NameRegistry {
    names: Mutex<HashMap<String, RegisteredName>>,
}

/// The settings that are registered with a name.
#[derive(Clone)]
struct RegisteredName {
    /// The quotas of the limit or policy. `None` if the program chooses the quotas for each request.
    quotas: Option<Quotas>,
    ban: Option<Ban>,
    shadow_mode: Option<ShadowMode>,
    /// The source location of the limit, if the limit uses the default name.
    unnamed_at: Option<&'static Location<'static>>,
    /// True if a limit has registered the name. False if only a policy of the guard has the name.
    is_of_limit: bool,
}

impl NameRegistry {
    /// Registers a limit. The same limit may be registered several times, because every worker of an HTTP server
    /// registers all limits of the server.
    pub(super) fn add(&self, registration: &NameRegistration<'_>) -> Result<(), NameConflict> {
        let name = registration.policy.name();
        let new = RegisteredName::of(registration);
        let mut names = self.lock();
        let earlier = names.entry(name.to_owned()).or_insert_with(|| new.clone());
        match earlier.conflict(&new) {
            Some(kind) => Err(NameConflict { name: name.to_owned(), kind }),
            None => {
                earlier.is_of_limit = true;
                Ok(())
            }
        }
    }

    /// Returns the error that [`add`](Self::add) would return, but registers nothing.
    pub(super) fn conflict(&self, registration: &NameRegistration<'_>) -> Option<NameConflict> {
        let name = registration.policy.name();
        let kind = self.lock().get(name)?.conflict(&RegisteredName::of(registration))?;
        Some(NameConflict { name: name.to_owned(), kind })
    }

    /// Compares new policies of the guard with the registered limits, and returns the conflicts. If there are no
    /// conflicts and `is_applied` is true, the new policies replace the registered policies.
    pub(crate) fn replace_policies<'a>(
        &self,
        policies: impl IntoIterator<Item = &'a Policy>,
        is_applied: bool,
    ) -> Vec<NameConflict> {
        let mut names = self.lock();
        let (mut conflicts, mut added) = (Vec::new(), Vec::new());
        for policy in policies {
            let new = RegisteredName {
                quotas: Some(policy.quotas().clone()),
                ban: policy.own_ban(),
                shadow_mode: policy.shadow_mode().cloned(),
                unnamed_at: None,
                is_of_limit: false,
            };
            match names.get(policy.name()).filter(|earlier| earlier.is_of_limit) {
                None => added.push((policy.name().to_owned(), new)),
                Some(earlier) => conflicts.extend(
                    earlier
                        .conflict(&new)
                        .map(|kind| NameConflict { name: policy.name().to_owned(), kind }),
                ),
            }
        }
        if is_applied && conflicts.is_empty() {
            names.retain(|_, earlier| earlier.is_of_limit);
            names.extend(added);
        }
        conflicts
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, RegisteredName>> {
        // Every entry is inserted or removed as a whole, so the map is consistent even if a panic has poisoned the
        // lock.
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RegisteredName {
    fn of(registration: &NameRegistration<'_>) -> Self {
        let NameRegistration { policy, is_fixed, unnamed_at } = *registration;
        Self {
            quotas: is_fixed.then(|| policy.quotas().clone()),
            ban: policy.own_ban(),
            shadow_mode: policy.shadow_mode().cloned(),
            unnamed_at,
            is_of_limit: true,
        }
    }

    fn conflict(&self, new: &Self) -> Option<ConflictKind> {
        Some(match (self.unnamed_at, new.unnamed_at) {
            (Some(one), Some(other)) if one != other => ConflictKind::Unnamed { one, other },
            (Some(location), None) | (None, Some(location)) => {
                ConflictKind::DefaultName { location }
            }
            _ if self.quotas != new.quotas => {
                let text = |quotas| text_or(quotas, "one chosen for each request");
                ConflictKind::Quotas { one: text(&self.quotas), other: text(&new.quotas) }
            }
            _ if self.ban != new.ban => {
                let text = |ban| text_or(ban, "none");
                ConflictKind::Bans { one: text(&self.ban), other: text(&new.ban) }
            }
            _ if self.shadow_mode != new.shadow_mode => {
                let text = |mode| text_or(mode, "none");
                let (one, other) = (text(&self.shadow_mode), text(&new.shadow_mode));
                ConflictKind::ShadowModes { one, other }
            }
            _ => return None,
        })
    }
}

/// The error for two limits that have the same name and cannot share their counts.
#[derive(Debug, PartialEq, Eq)]
pub struct NameConflict {
    /// The name that both limits use.
    pub name: String,
    kind: ConflictKind,
}

#[derive(Debug, PartialEq, Eq)]
enum ConflictKind {
    /// Both limits use the default name.
    Unnamed {
        one: &'static Location<'static>,
        other: &'static Location<'static>,
    },
    /// One limit uses the default name, and the program has given the same name to another limit.
    DefaultName {
        location: &'static Location<'static>,
    },
    Quotas {
        one: String,
        other: String,
    },
    Bans {
        one: String,
        other: String,
    },
    ShadowModes {
        one: String,
        other: String,
    },
}

impl fmt::Display for NameConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match &self.kind {
            ConflictKind::Unnamed { one, other } => write!(
                f,
                "the limits at {one} and at {other} have no name and would share their counts as `{name}`; give each a name"
            ),
            ConflictKind::DefaultName { location } => write!(
                f,
                "the limit at {location} has no name and uses the default name `{name}`, which is the name of another limit; give each a name of its own"
            ),
            ConflictKind::Quotas { one, other } => write!(
                f,
                "two limits are named `{name}` and have different quotas, {one} and {other}; give each a name of its own"
            ),
            ConflictKind::Bans { one, other } => write!(
                f,
                "two limits are named `{name}` and have different bans, {one} and {other}; give each a name of its own"
            ),
            ConflictKind::ShadowModes { one, other } => write!(
                f,
                "two limits are named `{name}` and have different shadow modes, {one} and {other}; give each a name of its own"
            ),
        }
    }
}

fn text_or<T: fmt::Display>(value: &Option<T>, default: &str) -> String {
    value.as_ref().map_or(default.to_owned(), T::to_string)
}

impl Error for NameConflict {}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(name: &'static str, quota: &str) -> Policy {
        Policy::new(name, quota).unwrap()
    }

    #[test]
    fn limit_can_be_registered_on_every_worker() {
        let registry = NameRegistry::default();
        let (policy, location) = (policy("app", "1/s"), Location::caller());
        for _worker in 0..3 {
            assert_eq!(
                registry.add(&NameRegistration {
                    policy: &policy,
                    is_fixed: true,
                    unnamed_at: Some(location)
                }),
                Ok(())
            );
        }
    }

    #[test]
    fn limits_with_equal_name_and_quota_do_not_conflict() {
        let registry = NameRegistry::default();
        for _ in 0..2 {
            let policy = policy("login", "1/s");
            assert_eq!(
                registry.add(&NameRegistration {
                    policy: &policy,
                    is_fixed: true,
                    unnamed_at: None
                }),
                Ok(())
            );
        }
    }

    #[test]
    fn limits_with_equal_name_and_different_quotas_conflict() {
        let registry = NameRegistry::default();
        registry
            .add(&NameRegistration {
                policy: &policy("login", "1/s"),
                is_fixed: true,
                unnamed_at: None,
            })
            .unwrap();
        let conflict = registry
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
    fn policy_change_conflicts_with_a_limit_of_its_name() {
        let registry = NameRegistry::default();
        let limit = policy("login", "1/s");
        let register_limit =
            || registry.add(&NameRegistration { policy: &limit, is_fixed: true, unnamed_at: None });
        for quota in ["3/s", "2/s", "1/s"] {
            assert_eq!(registry.replace_policies([&policy("login", quota)], true), []);
        }
        assert_eq!(register_limit(), Ok(()));
        assert_eq!(registry.replace_policies([&policy("login", "2/s")], true).len(), 1);
        // The limit's registration stays after the guard's policy with the same name was removed.
        assert_eq!(registry.replace_policies([&policy("search", "2/s")], true), []);
        assert_eq!(registry.replace_policies([&policy("login", "2/s")], true).len(), 1);
        assert_eq!(register_limit(), Ok(()));
    }

    #[test]
    fn replace_policies_without_apply_changes_nothing() {
        let registry = NameRegistry::default();
        assert_eq!(registry.replace_policies([&policy("login", "1/s")], true), []);
        assert_eq!(registry.replace_policies([&policy("login", "2/s")], false), []);
        let limit = policy("login", "1/s");
        assert_eq!(
            registry.add(&NameRegistration { policy: &limit, is_fixed: true, unnamed_at: None }),
            Ok(())
        );
    }

    #[test]
    fn limits_with_the_default_name_conflict() {
        let registry = NameRegistry::default();
        let policy = policy("app", "1/s");
        let (one, other) = (Location::caller(), Location::caller());
        registry
            .add(&NameRegistration { policy: &policy, is_fixed: true, unnamed_at: Some(one) })
            .unwrap();
        let conflict = registry
            .add(&NameRegistration { policy: &policy, is_fixed: true, unnamed_at: Some(other) })
            .unwrap_err();
        assert_eq!(conflict.kind, ConflictKind::Unnamed { one, other });
        let conflict = registry
            .add(&NameRegistration { policy: &policy, is_fixed: true, unnamed_at: None })
            .unwrap_err();
        assert_eq!(conflict.kind, ConflictKind::DefaultName { location: one });
    }
}
