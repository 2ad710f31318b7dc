//! What is in force: the policies and plans of a guard by name, and what else a file may change while it runs.

use std::{
    collections::HashMap,
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
};

use rateguard_grammar::{Methods, check_name};

use super::BuildError;
use crate::{AccessList, Count, MissingKey, OnError, Plan, Policy, key::ReadyMade};

/// One state of it. Another one takes its place as a whole.
#[derive(Clone, Default)]
#[cfg_attr(not(feature = "macros"), allow(unreachable_pub))]
pub struct InForce {
    policies: HashMap<String, Named>,
    plans: HashMap<String, NamedPlan>,
    pub(crate) access: AccessList,
    pub(crate) on_error: OnError,
}

/// A policy with a name, and what else is said of the limits that take it.
#[derive(Clone)]
pub(crate) struct Named {
    pub(crate) policy: Policy,
    pub(crate) said: Said,
    used: Arc<Used>,
}

/// What goes before what limits themselves say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    pub(crate) key: Option<ReadyMade>,
    pub(crate) missing: Option<MissingKey>,
    pub(crate) cost: Option<u32>,
    pub(crate) count: Option<Count>,
    pub(crate) methods: Option<Methods>,
}

impl Said {
    /// For limits that take no policy by its name.
    pub(crate) const NOTHING: &Self =
        &Self { key: None, missing: None, cost: None, count: None, methods: None };
}

#[derive(Clone)]
struct NamedPlan {
    plan: Plan,
    used: Arc<Used>,
}

/// What the program does with a name, whatever the name stands for.
#[derive(Default)]
struct Used {
    /// It has asked for it.
    is_used: AtomicBool,
    /// The most that each request costs, if that is known.
    cost: AtomicU32,
}

impl Used {
    fn note(&self) {
        // Seldom written, so that workers do not take it from each other.
        if !self.is_used.load(Relaxed) {
            self.is_used.store(true, Relaxed);
        }
    }
}

impl InForce {
    /// What the program says, if no two policies and no two plans have one name.
    pub(super) fn of_code(
        policies: Vec<Policy>,
        plans: Vec<(String, Plan)>,
        on_error: OnError,
    ) -> Result<Self, BuildError> {
        let mut this = Self { on_error, ..Self::default() };
        for policy in policies {
            let name = policy.name().to_owned();
            if this.policies.contains_key(&name) {
                return Err(BuildError::PolicyTwice { name });
            }
            this.put_policy(policy, Said::default());
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
    pub(crate) fn put_policy(&mut self, policy: Policy, said: Said) {
        let name = policy.name().to_owned();
        let used = self.policies.remove(&name).map(|known| known.used).unwrap_or_default();
        self.policies.insert(name, Named { policy, said, used });
    }

    /// In the place of another one of this name, if there is one.
    pub(crate) fn put_plan(&mut self, name: String, plan: Plan) {
        let used = self.plans.remove(&name).map(|known| known.used).unwrap_or_default();
        self.plans.insert(name, NamedPlan { plan, used });
    }

    /// The policy of this name. The program asks for it.
    pub(crate) fn policy(&self, name: &str) -> Option<&Named> {
        let named = self.policies.get(name)?;
        named.used.note();
        Some(named)
    }

    /// The same, where it is not the program that asks.
    pub(crate) fn known_policy(&self, name: &str) -> Option<&Named> {
        self.policies.get(name)
    }

    /// The plan of this name. The program asks for it.
    pub(crate) fn plan(&self, name: &str) -> Option<&Plan> {
        let named = self.plans.get(name)?;
        named.used.note();
        Some(&named.plan)
    }

    /// The same, where it is not the program that asks.
    pub(crate) fn known_plan(&self, name: &str) -> Option<&Plan> {
        self.plans.get(name).map(|named| &named.plan)
    }

    /// Each request of a limit that takes the policy of this name costs so much, unless the policy says otherwise.
    pub(crate) fn note_cost(&self, name: &str, cost: u32) {
        if let Some(named) = self.policies.get(name) {
            named.used.cost.fetch_max(cost, Relaxed);
        }
    }

    pub(crate) fn policies(&self) -> impl Iterator<Item = &Policy> {
        self.policies.values().map(|named| &named.policy)
    }

    /// The names of the policies, in their order.
    #[cfg(any(feature = "config", feature = "macros"))]
    pub(crate) fn policy_names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.policies.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    /// The attributes of the program that ask for a policy that is not here.
    #[cfg(feature = "macros")]
    pub(crate) fn lacks_for_attributes(&self) -> impl Iterator<Item = &'static super::AskedPolicy> {
        let asked = inventory::iter::<super::AskedPolicy>.into_iter();
        asked.filter(|asked| !self.policies.contains_key(asked.name))
    }
}

/// What follows another state.
#[cfg(feature = "config")]
impl InForce {
    /// What the program has asked for of an earlier state, and does not find here: policies and plans.
    pub(crate) fn lacks_of<'a>(&self, earlier: &'a Self) -> (Vec<&'a str>, Vec<&'a str>) {
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
    pub(crate) fn follow(&mut self, earlier: &Self) {
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

    /// What each request of the limits that take this policy costs, if the policy does not say it and it is known.
    pub(crate) fn known_cost(
        &self,
        name: &str,
        #[cfg_attr(not(feature = "macros"), allow(unused_variables))] is_for_attributes: bool,
    ) -> u32 {
        let noted = self.policies.get(name).map_or(0, |named| named.used.cost.load(Relaxed));
        #[cfg(feature = "macros")]
        if is_for_attributes {
            let asked = inventory::iter::<super::AskedPolicy>.into_iter();
            let costs = asked.filter(|asked| asked.name == name).map(|asked| asked.cost);
            return costs.fold(noted, u32::max);
        }
        noted
    }

    pub(crate) fn named(&self) -> impl Iterator<Item = &Named> {
        self.policies.values()
    }

    /// The names of the plans, in their order.
    pub(crate) fn plan_names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.plans.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }
}

/// What is in force for one request, also if another state takes its place meanwhile.
pub(crate) enum Current<'a> {
    /// What the program says. There is no other.
    Fixed(&'a InForce),
    /// What a file says.
    #[cfg(feature = "config")]
    OfFile(Arc<InForce>),
}

impl Deref for Current<'_> {
    type Target = InForce;

    fn deref(&self) -> &InForce {
        match self {
            Self::Fixed(in_force) => in_force,
            #[cfg(feature = "config")]
            Self::OfFile(in_force) => in_force,
        }
    }
}
