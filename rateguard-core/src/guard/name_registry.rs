//! The registry of limit names. Limits with the same name share their counts, so the registry rejects a limit whose
//! quotas differ from the quotas that are already registered with this name.

use std::{
    collections::HashMap,
    fmt,
    panic::Location,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::name_conflict::{ConflictKind, Definition, NameConflict};
use crate::{Ban, Policy, Quotas, policy::ShadowMode};

/// The data for the registration of a limit. The limit is registered under the name of its policy.
pub struct NameRegistration<'a> {
    /// The policy of the limit.
    pub policy: &'a Policy,
    /// True if the quotas are the same for all requests. False if the program chooses the quotas for each request.
    pub is_fixed: bool,
    /// Where the limit is in the source.
    pub origin: LimitOrigin,
}

/// Where a limit is in the source, and whether the program has named it.
#[derive(Clone, Copy)]
pub struct LimitOrigin {
    /// The source location of the limit.
    pub location: &'static Location<'static>,
    /// Whether the program has set a name. If not, the limit has the default name.
    pub has_name: bool,
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
    /// The first limit that has registered the name. `None` if only a policy of the guard has the name.
    limit: Option<LimitOrigin>,
    /// The conflict because of which every limit with this name is rejected. Otherwise the order of the first requests
    /// would decide which limit works.
    rejected: Option<NameConflict>,
}

/// Returns the conflict of two limits of a guard, or `None` if both can be registered.
#[must_use]
pub fn conflict_of(
    one: &NameRegistration<'_>,
    other: &NameRegistration<'_>,
) -> Option<NameConflict> {
    let name = one.policy.name();
    if name != other.policy.name() {
        return None;
    }
    let kind = RegisteredName::of(one).conflict(&RegisteredName::of(other))?;
    Some(NameConflict::new(name, kind))
}

impl NameRegistry {
    /// Registers a limit. The same limit may be registered several times, because every worker of an HTTP server
    /// registers all limits of the server.
    pub(super) fn add(&self, registration: &NameRegistration<'_>) -> Result<(), NameConflict> {
        insert(&mut self.lock(), registration)
    }

    /// Registers several limits. If one of them conflicts with another one or with a registered name, registers none of
    /// them.
    pub(super) fn add_all<'a>(
        &self,
        registrations: impl IntoIterator<Item = NameRegistration<'a>>,
    ) -> Result<(), NameConflict> {
        let mut names = self.lock();
        let mut next = names.clone();
        registrations.into_iter().try_for_each(|it| insert(&mut next, &it))?;
        *names = next;
        Ok(())
    }

    /// Registers several limits, and returns the conflicts. From then on, every limit with the name of a conflict is
    /// rejected, so the result does not depend on the order of the limits.
    pub(super) fn add_each<'a>(
        &self,
        registrations: impl IntoIterator<Item = NameRegistration<'a>>,
    ) -> Vec<NameConflict> {
        let mut names = self.lock();
        let mut conflicts: Vec<NameConflict> = Vec::new();
        for registration in registrations {
            let Err(conflict) = insert(&mut names, &registration) else { continue };
            // A further limit with the name has the same error, which is reported once.
            if !conflicts.iter().any(|other| other.name() == conflict.name()) {
                if let Some(registered) = names.get_mut(conflict.name()) {
                    registered.rejected = Some(conflict.clone());
                }
                conflicts.push(conflict);
            }
        }
        conflicts
    }

    /// Returns the error that [`add`](Self::add) would return, but registers nothing.
    pub(super) fn conflict(&self, registration: &NameRegistration<'_>) -> Option<NameConflict> {
        let name = registration.policy.name();
        self.lock().get(name)?.error(name, &RegisteredName::of(registration))
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
                limit: None,
                rejected: None,
            };
            match names.get(policy.name()).filter(|earlier| earlier.limit.is_some()) {
                None => added.push((policy.name().to_owned(), new)),
                Some(earlier) => conflicts.extend(
                    earlier.conflict(&new).map(|kind| NameConflict::new(policy.name(), kind)),
                ),
            }
        }
        if is_applied && conflicts.is_empty() {
            names.retain(|_, earlier| earlier.limit.is_some());
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

fn insert(
    names: &mut HashMap<String, RegisteredName>,
    registration: &NameRegistration<'_>,
) -> Result<(), NameConflict> {
    let name = registration.policy.name();
    let new = RegisteredName::of(registration);
    let earlier = names.entry(name.to_owned()).or_insert_with(|| new.clone());
    match earlier.error(name, &new) {
        Some(conflict) => Err(conflict),
        None => {
            earlier.limit = earlier.limit.or(new.limit);
            Ok(())
        }
    }
}

impl RegisteredName {
    fn of(registration: &NameRegistration<'_>) -> Self {
        let NameRegistration { policy, is_fixed, origin } = *registration;
        Self {
            quotas: is_fixed.then(|| policy.quotas().clone()),
            ban: policy.own_ban(),
            shadow_mode: policy.shadow_mode().cloned(),
            limit: Some(origin),
            rejected: None,
        }
    }

    /// Returns the source location of the limit, if the limit uses the default name.
    fn unnamed_at(&self) -> Option<&'static Location<'static>> {
        self.limit.filter(|limit| !limit.has_name).map(|limit| limit.location)
    }

    fn definition(&self) -> Definition {
        self.limit.map_or(Definition::Policies, |limit| Definition::Source(limit.location))
    }

    /// Returns the error of a limit that has the same name as this one.
    fn error(&self, name: &str, new: &Self) -> Option<NameConflict> {
        let conflict = || self.conflict(new).map(|kind| NameConflict::new(name, kind));
        self.rejected.clone().or_else(conflict)
    }

    fn conflict(&self, new: &Self) -> Option<ConflictKind> {
        let different = |setting, one, other| {
            Some(ConflictKind::DifferentSetting {
                setting,
                values: [one, other],
                definitions: [self.definition(), new.definition()],
            })
        };
        match (self.unnamed_at(), new.unnamed_at()) {
            (Some(one), Some(other)) if one != other => {
                Some(ConflictKind::BothUnnamed { one, other })
            }
            (Some(location), None) => {
                Some(ConflictKind::OneUnnamed { location, other: new.definition() })
            }
            (None, Some(location)) => {
                Some(ConflictKind::OneUnnamed { location, other: self.definition() })
            }
            _ if self.quotas != new.quotas => {
                let text = |quotas| text_or(quotas, "one chosen for each request");
                different("quotas", text(&self.quotas), text(&new.quotas))
            }
            _ if self.ban != new.ban => {
                let text = |ban| text_or(ban, "none");
                different("bans", text(&self.ban), text(&new.ban))
            }
            _ if self.shadow_mode != new.shadow_mode => {
                let text = |mode| text_or(mode, "none");
                different("shadow modes", text(&self.shadow_mode), text(&new.shadow_mode))
            }
            _ => None,
        }
    }
}

fn text_or<T: fmt::Display>(value: &Option<T>, default: &str) -> String {
    value.as_ref().map_or(default.to_owned(), T::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(name: &'static str, quota: &str) -> Policy {
        Policy::new(name, quota).unwrap()
    }

    #[track_caller]
    fn limit(policy: &Policy, has_name: bool) -> NameRegistration<'_> {
        let origin = LimitOrigin { location: Location::caller(), has_name };
        NameRegistration { policy, is_fixed: true, origin }
    }

    #[track_caller]
    fn named(policy: &Policy) -> NameRegistration<'_> {
        limit(policy, true)
    }

    #[track_caller]
    fn unnamed(policy: &Policy) -> NameRegistration<'_> {
        limit(policy, false)
    }

    #[test]
    fn limit_can_be_registered_on_every_worker() {
        let registry = NameRegistry::default();
        let policy = policy("app", "1/s");
        let registration = unnamed(&policy);
        for _worker in 0..3 {
            assert_eq!(registry.add(&registration), Ok(()));
        }
    }

    #[test]
    fn limits_with_equal_name_and_quota_do_not_conflict() {
        let registry = NameRegistry::default();
        for _ in 0..2 {
            assert_eq!(registry.add(&named(&policy("login", "1/s"))), Ok(()));
        }
    }

    #[test]
    fn limits_with_equal_name_and_different_quotas_conflict() {
        let registry = NameRegistry::default();
        let [one, other] = ["1/s", "2/s"].map(|quota| policy("login", quota));
        let (one, other) = (named(&one), named(&other));
        registry.add(&one).unwrap();
        let conflict = registry.add(&other).unwrap_err();
        assert_eq!(
            conflict.to_string(),
            format!(
                "two limits are named `login` but have different quotas: 1/second at {}, and 2/second at {}; give each limit its own name",
                one.origin.location, other.origin.location
            )
        );
        assert_eq!(conflict.name(), "login");
    }

    #[test]
    fn add_all_registers_every_limit_or_none() {
        let registry = NameRegistry::default();
        let [search, one, other] = [("search", "1/s"), ("login", "1/s"), ("login", "2/s")]
            .map(|(name, quota)| policy(name, quota));
        assert!(registry.add_all([named(&search), named(&one), named(&other)]).is_err());
        // No name is registered, so limits with other quotas can have the names.
        assert_eq!(registry.add_all([named(&other), named(&search)]), Ok(()));
        assert!(registry.add(&named(&one)).is_err());
    }

    #[test]
    fn add_each_rejects_every_limit_of_a_conflict_in_any_order() {
        let [search, one, other] = [("search", "1/s"), ("login", "1/s"), ("login", "2/s")]
            .map(|(name, quota)| policy(name, quota));
        let (search, one, other) = (named(&search), named(&one), named(&other));
        let copy = |it: &NameRegistration<'_>| it.origin;
        for (first, second) in [(&one, &other), (&other, &one)] {
            let registry = NameRegistry::default();
            let all = [first, second, &search, first].map(|it| NameRegistration {
                policy: it.policy,
                is_fixed: true,
                origin: copy(it),
            });
            let conflicts = registry.add_each(all);
            assert_eq!(conflicts.len(), 1, "{conflicts:?}");
            for limit in [&one, &other] {
                assert_eq!(registry.add(limit).as_ref(), Err(&conflicts[0]));
                assert_eq!(registry.conflict(limit).as_ref(), Some(&conflicts[0]));
            }
            assert_eq!(registry.add(&search), Ok(()));
        }
    }

    #[test]
    fn policy_change_conflicts_with_a_limit_of_its_name() {
        let registry = NameRegistry::default();
        let limit = policy("login", "1/s");
        for quota in ["3/s", "2/s", "1/s"] {
            assert_eq!(registry.replace_policies([&policy("login", quota)], true), []);
        }
        assert_eq!(registry.add(&named(&limit)), Ok(()));
        let conflicts = registry.replace_policies([&policy("login", "2/s")], true);
        assert!(conflicts[0].to_string().contains(", and 2/second in the policies of the guard; "));
        // The limit's registration stays after the guard's policy with the same name was removed.
        assert_eq!(registry.replace_policies([&policy("search", "2/s")], true), []);
        assert_eq!(registry.replace_policies([&policy("login", "2/s")], true).len(), 1);
        assert_eq!(registry.add(&named(&limit)), Ok(()));
    }

    #[test]
    fn replace_policies_without_apply_changes_nothing() {
        let registry = NameRegistry::default();
        assert_eq!(registry.replace_policies([&policy("login", "1/s")], true), []);
        assert_eq!(registry.replace_policies([&policy("login", "2/s")], false), []);
        assert_eq!(registry.add(&named(&policy("login", "1/s"))), Ok(()));
    }

    #[test]
    fn limits_with_the_default_name_conflict() {
        let registry = NameRegistry::default();
        let policy = policy("app", "1/s");
        let (one, other, third) = (unnamed(&policy), unnamed(&policy), named(&policy));
        registry.add(&one).unwrap();
        let location = |it: &NameRegistration<'_>| it.origin.location;
        for (new, start) in [
            (
                &other,
                format!("the limits at {} and at {} have no", location(&one), location(&other)),
            ),
            (&third, format!("the limit at {} has no name", location(&one))),
        ] {
            let conflict = registry.add(new).unwrap_err().to_string();
            assert!(conflict.starts_with(&start), "{conflict}");
            assert!(conflict.contains(&location(new).to_string()), "{conflict}");
        }
    }
}
