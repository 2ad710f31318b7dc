//! One limit of a middleware.

use std::{borrow::Cow, panic::Location, sync::Arc};

use actix_rateguard_core::adapter::{PolicySet, RouteOverrides};
use actix_web::HttpRequest;

use crate::{
    Caller, Plan, Policy, RequestCost, applicability::LimitScope, limit_check::LimitCheck,
    limit_context::LimitContext, not_checked::NotChecked, per_request::RequestResolver,
};

/// One limit of a middleware.
#[derive(Clone)]
pub(crate) struct MiddlewareLimit {
    /// The limit's own policy, or the guard's policy at startup.
    pub(crate) policy: Policy,
    /// Whether the limit uses the guard's policy of this name.
    pub(crate) is_of_guard: bool,
    /// The function that chooses the quotas for each request.
    pub(crate) plan: Option<RequestResolver<Plan>>,
    pub(crate) key: RequestResolver<Caller>,
    /// The key in the notation of the macro attribute, or `function`.
    pub(crate) key_notation: Arc<str>,
    pub(crate) cost: Arc<dyn RequestCost>,
    pub(crate) scope: LimitScope,
    pub(crate) location: &'static Location<'static>,
    /// The location in the code, if the limit has no name.
    pub(super) unnamed_at: Option<&'static Location<'static>>,
}

impl MiddlewareLimit {
    /// Builds the check of a request against this limit.
    ///
    /// # Errors
    ///
    /// The limit exempts or rejects the request.
    pub(crate) async fn check<'a>(
        &'a self,
        context: &LimitContext<'a>,
        request: &HttpRequest,
    ) -> Result<LimitCheck<'a>, NotChecked> {
        let (policy, overrides) = self.policy(context)?;
        if let Some(exemption) = self.scope.exemption(overrides, request) {
            return Err(NotChecked::Exempt(exemption));
        }
        let caller = match &overrides.key {
            Some(key) => crate::key::read(&**key, request),
            None => self.key.resolve(request).await.map_err(NotChecked::Failed)?,
        };
        // Access lists come before plans: a denied key is rejected even with an unlimited plan.
        let key = self.scope.key(context, overrides, caller, request)?;
        let policy = match &self.plan {
            None => Cow::Borrowed(policy),
            Some(plan) => {
                let plan = plan.resolve(request).await.map_err(NotChecked::Failed)?;
                Cow::Owned(context.with_plan(policy, plan)?)
            }
        };
        let cost = overrides.cost.unwrap_or_else(|| self.cost.cost(request));
        Ok(self.scope.check(overrides, policy, key, cost))
    }

    /// Returns the settings in the policies file that override the settings of the middleware.
    pub(crate) fn overrides<'a>(&self, policy_set: &'a PolicySet) -> &'a RouteOverrides {
        let named = policy_set.peek_policy(self.policy.name()).filter(|_| self.is_of_guard);
        named.map_or(RouteOverrides::NONE, |named| &named.overrides)
    }

    /// Returns the current policy, and the settings in the policies file that override the settings of the middleware.
    ///
    /// # Errors
    ///
    /// The guard has no policy of the name.
    fn policy<'a>(
        &'a self,
        context: &LimitContext<'a>,
    ) -> Result<(&'a Policy, &'a RouteOverrides), NotChecked> {
        if !self.is_of_guard {
            return Ok((&self.policy, RouteOverrides::NONE));
        }
        let named = context.named_policy(self.policy.name(), "a middleware")?;
        Ok((&named.policy, &named.overrides))
    }

    /// Records a constant cost, so a reload of the policies file rejects a policy whose quotas can never allow this
    /// cost.
    pub(super) fn record_cost(&self, policy_set: &PolicySet) {
        if self.is_of_guard
            && let Some(cost) = self.cost.constant()
        {
            policy_set.record_cost(self.policy.name(), cost);
        }
    }
}

/// Returns an error if a constant cost is above the quotas, because every request would be denied.
pub(super) fn validate_cost(limit: &MiddlewareLimit, policy_set: &PolicySet) -> Result<(), String> {
    let named = policy_set.policy(limit.policy.name()).filter(|_| limit.is_of_guard);
    let policy = named.map_or(&limit.policy, |named| &named.policy);
    let (name, max) = (policy.name(), policy.max_cost());
    match limit.overrides(policy_set).cost.or(limit.cost.constant()) {
        Some(cost) if limit.plan.is_none() && cost > max => Err(format!(
            "the limit `{name}` allows a maximum cost of {max}, but each request costs {cost}, so every request would be denied"
        )),
        _ => Ok(()),
    }
}

/// Returns an error if two limits of one middleware have the same name.
pub(super) fn validate_unique_names(limits: &[MiddlewareLimit]) -> Result<(), String> {
    for (index, limit) in limits.iter().enumerate() {
        let name = limit.policy.name();
        if limits[..index].iter().any(|other| other.policy.name() == name) {
            return Err(format!(
                "two limits of one middleware are named `{name}`; give each its own name"
            ));
        }
    }
    Ok(())
}
