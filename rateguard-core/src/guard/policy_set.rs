//! What is in force: the policies and plans of a guard by name, and what else a file may change while it runs.

use std::{
    collections::HashMap,
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
};

use actix_rateguard_grammar::{Methods, check_name};

use super::BuildError;
use crate::{AccessList, Count, MissingKey, OnError, Plan, Policy, key::KeyRecipe};

/// One state of it. Another one takes its place as a whole.
#[derive(Clone, Default)]
pub struct PolicySet {
    policies: HashMap<String, NamedPolicy>,
    plans: HashMap<String, NamedPlan>,
    /// The policies that attributes of the program use.
    attributes: Arc<[AttributePolicy]>,
    pub access: AccessList,
    pub on_error: OnError,
}

/// A policy with a name, and what else is said of the limits that take it.
#[derive(Clone)]
pub struct NamedPolicy {
    pub policy: Policy,
    pub overrides: RouteOverrides,
    used: Arc<NameUsage>,
}

/// What goes before what limits themselves say.
#[derive(Clone, Debug, Default)]
pub struct RouteOverrides {
    pub key: Option<Arc<dyn KeyRecipe>>,
    pub missing: Option<MissingKey>,
    pub cost: Option<u32>,
    pub count: Option<Count>,
    pub methods: Option<Methods>,
}

impl RouteOverrides {
    /// For limits that take no policy by its name.
    pub const NOTHING: &Self =
        &Self { key: None, missing: None, cost: None, count: None, methods: None };
}

#[derive(Clone)]
struct NamedPlan {
    plan: Plan,
    used: Arc<NameUsage>,
}

/// What the program does with a name, whatever the name stands for.
#[derive(Default)]
struct NameUsage {
    /// It has asked for it.
    is_used: AtomicBool,
    /// The most that each request costs, if that is known.
    cost: AtomicU32,
}

impl NameUsage {
    fn note(&self) {
        // Seldom written, so that workers do not take it from each other.
        if !self.is_used.load(Relaxed) {
            self.is_used.store(true, Relaxed);
        }
    }
}

impl PolicySet {
    /// What the program says, if no two policies and no two plans have one name.
    pub(super) fn from_builder(
        policies: Vec<Policy>,
        plans: Vec<(String, Plan)>,
        attributes: Vec<AttributePolicy>,
        on_error: OnError,
    ) -> Result<Self, BuildError> {
        let mut this = Self { attributes: attributes.into(), on_error, ..Self::default() };
        for policy in policies {
            let name = policy.name().to_owned();
            if this.policies.contains_key(&name) {
                return Err(BuildError::PolicyTwice { name });
            }
            this.put_policy(policy, RouteOverrides::default());
        }
        for (name, plan) in plans {
            check_name(&name).map_err(BuildError::PlanName)?;
            if this.plans.contains_key(&name) {
                return Err(BuildError::PlanTwice { name });
            }
            if matches!(plan, Plan::Named(_)) {
                return Err(BuildError::PlanOfPlan { name });
            }
            this.put_plan(name, plan);
        }
        Ok(this)
    }

    /// In the place of another one of this name, if there is one.
    pub fn put_policy(&mut self, policy: Policy, overrides: RouteOverrides) {
        let name = policy.name().to_owned();
        let used = self.policies.remove(&name).map(|known| known.used).unwrap_or_default();
        self.policies.insert(name, NamedPolicy { policy, overrides, used });
    }

    /// In the place of another one of this name, if there is one.
    pub fn put_plan(&mut self, name: String, plan: Plan) {
        let used = self.plans.remove(&name).map(|known| known.used).unwrap_or_default();
        self.plans.insert(name, NamedPlan { plan, used });
    }

    /// The policy of this name. The program asks for it.
    pub fn policy(&self, name: &str) -> Option<&NamedPolicy> {
        let named = self.policies.get(name)?;
        named.used.note();
        Some(named)
    }

    /// The same, where it is not the program that asks.
    pub fn peek_policy(&self, name: &str) -> Option<&NamedPolicy> {
        self.policies.get(name)
    }

    /// The plan of this name. The program asks for it.
    pub fn plan(&self, name: &str) -> Option<&Plan> {
        let named = self.plans.get(name)?;
        named.used.note();
        Some(&named.plan)
    }

    /// The same, where it is not the program that asks.
    pub fn peek_plan(&self, name: &str) -> Option<&Plan> {
        self.plans.get(name).map(|named| &named.plan)
    }

    /// Each request of a limit that takes the policy of this name costs so much, unless the policy says otherwise.
    pub fn record_cost(&self, name: &str, cost: u32) {
        if let Some(named) = self.policies.get(name) {
            named.used.cost.fetch_max(cost, Relaxed);
        }
    }

    pub fn policies(&self) -> impl Iterator<Item = &Policy> {
        self.policies.values().map(|named| &named.policy)
    }

    /// The names of the policies, in their order.
    pub fn policy_names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.policies.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    /// The attributes of the program whose policy is not in this set.
    pub fn missing_for_attributes(&self) -> impl Iterator<Item = &AttributePolicy> {
        self.attributes.iter().filter(|attribute| !self.policies.contains_key(attribute.name))
    }
}

/// What follows another state.
#[cfg(feature = "config")]
impl PolicySet {
    /// What the program has asked for of an earlier state, and does not find here: policies and plans.
    pub fn missing_from<'a>(&self, earlier: &'a Self) -> (Vec<&'a str>, Vec<&'a str>) {
        let policies = earlier.policies.iter().filter(|(name, known)| {
            known.used.is_used.load(Relaxed) && !self.policies.contains_key(*name)
        });
        let plans = earlier.plans.iter().filter(|(name, known)| {
            known.used.is_used.load(Relaxed) && !self.plans.contains_key(*name)
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

    /// Goes on noting what the program uses where an earlier state did.
    pub fn inherit_usage(&mut self, earlier: &Self) {
        for (name, known) in &mut self.policies {
            if let Some(earlier) = earlier.policies.get(name) {
                known.used = Arc::clone(&earlier.used);
            }
        }
        for (name, known) in &mut self.plans {
            if let Some(earlier) = earlier.plans.get(name) {
                known.used = Arc::clone(&earlier.used);
            }
        }
    }

    /// What each request of the limits that use this policy costs, as far as the program states it and the policy does not.
    pub fn known_cost(&self, name: &str) -> u32 {
        let noted = self.policies.get(name).map_or(0, |named| named.used.cost.load(Relaxed));
        let attributes = self.attributes.iter().filter(|attribute| attribute.name == name);
        attributes.map(|attribute| attribute.cost).fold(noted, u32::max)
    }

    pub fn named(&self) -> impl Iterator<Item = &NamedPolicy> {
        self.policies.values()
    }

    /// The names of the plans, in their order.
    pub fn plan_names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.plans.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }
}

/// What is in force for one request, also if another state takes its place meanwhile.
pub enum PolicySetRef<'a> {
    /// What the program says. There is no other.
    Fixed(&'a PolicySet),
    /// What a file says.
    #[cfg(feature = "config")]
    OfFile(Arc<PolicySet>),
}

impl Deref for PolicySetRef<'_> {
    type Target = PolicySet;

    fn deref(&self) -> &PolicySet {
        match self {
            Self::Fixed(policy_set) => policy_set,
            #[cfg(feature = "config")]
            Self::OfFile(policy_set) => policy_set,
        }
    }
}

/// An attribute that uses a policy of the guard in the application's data, which `build` must therefore find.
#[derive(Clone, Copy, Debug)]
pub struct AttributePolicy {
    /// The name of the policy.
    pub name: &'static str,
    /// The file and line of the attribute.
    pub location: &'static str,
    /// What each request costs, or 1 if the cost depends on the request.
    pub cost: u32,
}
