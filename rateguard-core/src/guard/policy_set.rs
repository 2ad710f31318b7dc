//! A policy set contains the policies and plans of a guard, and the other settings that a policies file can change at
//! run time.

use std::{
    collections::HashMap,
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use actix_rateguard_grammar::{Methods, check_name};

use super::BuildError;
use crate::{AccessList, Count, MissingKey, OnError, Plan, Policy, key::KeyRecipe};

/// Policies, plans and settings that take effect together. When the policies file changes, the guard replaces the
/// whole set with a new set.
#[derive(Clone, Default)]
pub struct PolicySet {
    policies: HashMap<String, NamedPolicy>,
    plans: HashMap<String, NamedPlan>,
    /// The policies that macro attributes in the program use.
    attributes: Arc<[AttributePolicy]>,
    /// The clients and keys that are exempt from limits or always denied.
    pub access: AccessList,
    /// The failure mode for policies that do not set a failure mode.
    pub on_error: OnError,
}

/// A policy of a policy set, together with settings that override the settings of limits.
#[derive(Clone)]
pub struct NamedPolicy {
    /// The policy.
    pub policy: Policy,
    /// The settings that replace the corresponding settings of every limit with this policy.
    pub overrides: RouteOverrides,
    usage: Arc<NameUsage>,
}

/// Settings from a policies file that replace the settings of limits. If a field is `None`, the setting in the
/// limit's definition applies.
#[derive(Clone, Debug, Default)]
pub struct RouteOverrides {
    /// How an HTTP adapter determines the key of a request.
    pub key: Option<Arc<dyn KeyRecipe>>,
    /// How an HTTP adapter treats a request without a key.
    pub missing: Option<MissingKey>,
    /// The cost of each request, in units.
    pub cost: Option<u32>,
    /// Which HTTP responses count against the limit.
    pub count: Option<Count>,
    /// The HTTP methods to which the limit applies.
    pub methods: Option<Methods>,
    /// Whether the header fields of a response report the limit.
    pub headers: Option<bool>,
    /// Whether a request that the limit denies still reaches its handler.
    pub permissive: Option<bool>,
    /// The maximum time that a request waits for room.
    pub wait: Option<Duration>,
}

impl RouteOverrides {
    /// The value without any overrides. It applies to limits that do not select a policy by its name.
    pub const NONE: &Self = &Self {
        key: None,
        missing: None,
        cost: None,
        count: None,
        methods: None,
        headers: None,
        permissive: None,
        wait: None,
    };
}

#[derive(Clone)]
struct NamedPlan {
    plan: Plan,
    usage: Arc<NameUsage>,
}

/// Records how the program uses the name of a policy or plan. A new policy set takes over this record, so the record
/// is not lost when a changed file replaces the policy set.
#[derive(Default)]
struct NameUsage {
    is_used: AtomicBool,
    /// The highest constant cost of a limit with this policy.
    max_cost: AtomicU32,
}

impl NameUsage {
    fn mark_used(&self) {
        // The flag is written only once, because each write would remove the flag from the CPU caches of the other
        // worker threads.
        if !self.is_used.load(Relaxed) {
            self.is_used.store(true, Relaxed);
        }
    }
}

impl PolicySet {
    /// Creates a policy set from the policies and plans that the program has passed to the builder.
    ///
    /// # Errors
    ///
    /// [`BuildError`] if two policies or two plans have the same name, or a plan is invalid.
    pub(crate) fn from_builder(
        policies: Vec<Policy>,
        plans: Vec<(String, Plan)>,
        attributes: Vec<AttributePolicy>,
        on_error: OnError,
    ) -> Result<Self, BuildError> {
        let mut this = Self { attributes: attributes.into(), on_error, ..Self::default() };
        for policy in policies {
            let name = policy.name().to_owned();
            if this.policies.contains_key(&name) {
                return Err(BuildError::DuplicatePolicy { name });
            }
            this.put_policy(policy, RouteOverrides::default());
        }
        for (name, plan) in plans {
            check_name(&name).map_err(BuildError::PlanName)?;
            if this.plans.contains_key(&name) {
                return Err(BuildError::DuplicatePlan { name });
            }
            if !matches!(plan, Plan::Limited(_) | Plan::Unlimited) {
                return Err(BuildError::NestedPlan { name });
            }
            this.put_plan(name, plan);
        }
        Ok(this)
    }

    /// Adds a policy, or replaces the policy with the same name.
    pub fn put_policy(&mut self, policy: Policy, overrides: RouteOverrides) {
        let name = policy.name().to_owned();
        let usage = self.policies.remove(&name).map(|earlier| earlier.usage).unwrap_or_default();
        self.policies.insert(name, NamedPolicy { policy, overrides, usage });
    }

    /// Adds a plan, or replaces the plan with the same name.
    pub fn put_plan(&mut self, name: String, plan: Plan) {
        let usage = self.plans.remove(&name).map(|earlier| earlier.usage).unwrap_or_default();
        self.plans.insert(name, NamedPlan { plan, usage });
    }

    /// Returns the policy with this name, and marks the name as used. From then on, a changed policies file without
    /// this name is invalid.
    pub fn policy(&self, name: &str) -> Option<&NamedPolicy> {
        let named = self.policies.get(name)?;
        named.usage.mark_used();
        Some(named)
    }

    /// Returns the policy with this name, but does not mark the name as used.
    pub fn peek_policy(&self, name: &str) -> Option<&NamedPolicy> {
        self.policies.get(name)
    }

    /// Returns the plan with this name, and marks the name as used. From then on, a changed policies file without
    /// this name is invalid.
    pub fn plan(&self, name: &str) -> Option<&Plan> {
        let named = self.plans.get(name)?;
        named.usage.mark_used();
        Some(&named.plan)
    }

    /// Returns the plan with this name, but does not mark the name as used.
    pub fn peek_plan(&self, name: &str) -> Option<&Plan> {
        self.plans.get(name).map(|named| &named.plan)
    }

    /// Records the constant cost of a limit that uses the policy with this name.
    pub fn record_cost(&self, name: &str, cost: u32) {
        if let Some(named) = self.policies.get(name) {
            named.usage.max_cost.fetch_max(cost, Relaxed);
        }
    }

    /// The policies of this set, in no particular order.
    pub fn policies(&self) -> impl Iterator<Item = &Policy> {
        self.policies.values().map(|named| &named.policy)
    }

    /// The names of the policies, sorted.
    pub fn policy_names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.policies.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    /// The macro attributes whose policies are missing from this set.
    pub fn missing_for_attributes(&self) -> impl Iterator<Item = &AttributePolicy> {
        self.attributes.iter().filter(|attribute| !self.policies.contains_key(attribute.name))
    }

    /// Returns the error for a macro attribute at `location` that uses the policy `name`, which is missing from this set.
    pub fn unknown_policy(&self, name: &str, location: &str) -> BuildError {
        BuildError::UnknownPolicy {
            name: name.to_owned(),
            location: location.to_owned(),
            available: self.policy_names().into_iter().map(str::to_owned).collect(),
        }
    }
}

/// Methods for a policy set that replaces an earlier policy set.
impl PolicySet {
    /// Returns the names in the set `earlier` that the program has used and that are missing from this set. The
    /// first list has the names of policies, and the second list has the names of plans. The lists are sorted.
    pub fn missing_from<'a>(&self, earlier: &'a Self) -> (Vec<&'a str>, Vec<&'a str>) {
        let policies = earlier.policies.iter().filter(|(name, named)| {
            named.usage.is_used.load(Relaxed) && !self.policies.contains_key(*name)
        });
        let plans = earlier.plans.iter().filter(|(name, named)| {
            named.usage.is_used.load(Relaxed) && !self.plans.contains_key(*name)
        });
        let sorted = |mut names: Vec<&'a str>| {
            names.sort_unstable();
            names
        };
        (
            sorted(policies.map(|(name, _)| &**name).collect()),
            sorted(plans.map(|(name, _)| &**name).collect()),
        )
    }

    /// Takes over the usage records of all names from the set `earlier`, so that names that the program has used stay
    /// marked as used.
    pub fn inherit_usage(&mut self, earlier: &Self) {
        for (name, named) in &mut self.policies {
            if let Some(earlier) = earlier.policies.get(name) {
                named.usage = Arc::clone(&earlier.usage);
            }
        }
        for (name, named) in &mut self.plans {
            if let Some(earlier) = earlier.plans.get(name) {
                named.usage = Arc::clone(&earlier.usage);
            }
        }
    }

    /// Returns the highest constant cost of a request against this policy. Macro attributes and limits with this
    /// policy can have a constant cost. The result is zero if none of them has a constant cost.
    pub fn max_constant_cost(&self, name: &str) -> u32 {
        let recorded =
            self.policies.get(name).map_or(0, |named| named.usage.max_cost.load(Relaxed));
        let attributes = self.attributes.iter().filter(|attribute| attribute.name == name);
        attributes.map(|attribute| attribute.cost).fold(recorded, u32::max)
    }

    /// The policies of this set with their overrides, in no particular order.
    pub fn named(&self) -> impl Iterator<Item = &NamedPolicy> {
        self.policies.values()
    }

    /// The names of the plans, sorted.
    pub fn plan_names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.plans.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }
}

/// The policy set that one request uses. The request still uses this set if a changed file replaces the guard's set
/// in the meantime.
pub enum PolicySetRef<'a> {
    /// The policies of the program. They never change.
    Fixed(&'a PolicySet),
    /// The policies of the program and of a file.
    FromFile(Arc<PolicySet>),
}

impl Deref for PolicySetRef<'_> {
    type Target = PolicySet;

    fn deref(&self) -> &PolicySet {
        match self {
            Self::Fixed(policy_set) => policy_set,
            Self::FromFile(policy_set) => policy_set,
        }
    }
}

/// A macro attribute that uses a policy of the guard. [`build`](crate::RateGuardBuilder::build) fails if the guard
/// lacks this policy.
#[derive(Clone, Copy, Debug)]
pub struct AttributePolicy {
    /// The name of the policy.
    pub name: &'static str,
    /// The file and line of the macro attribute.
    pub location: &'static str,
    /// The cost of each request, in units. It is 1 if a function calculates the cost at run time, because the cost is
    /// not known here.
    pub cost: u32,
}
