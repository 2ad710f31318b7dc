//! The limits against which a middleware checks requests.

use std::{panic::Location, sync::Arc};

use actix_rateguard_core::adapter::{
    LimitOrigin, NameRegistration, PLACEHOLDER_QUOTA, PolicySet, RouteOverrides,
};
use actix_rateguard_grammar::{ShadowFields, check_wait, expected_one_of};
use actix_web::HttpRequest;

use super::{
    limit::{Limit, QuotaSource},
    limit_error::{InvalidSetting, LimitError, LimitProblem},
};
use crate::{
    Caller, Plan, Policy, RateGuard,
    applicability::LimitScope,
    cost::CostSource,
    error::NameConflict,
    inventory::{FUNCTION, LimitKind, NameClaim},
    key_probe::KeyProbe,
    limit_check::LimitCheck,
    limit_context::{LimitContext, Purpose},
    limit_name::LimitName,
    missing_key_warning::{ProbedLimit, record_key},
    not_checked::{Exemption, NotChecked},
    per_request::RequestResolver,
    replaced_limits::{self, ReplacedLimits, RouteStatus},
    request_state::RequestState,
};

/// One limit of a middleware. It is created from a valid [`Limit`]. Its policy is built from the settings of the
/// `Limit`, or is a policy of the guard.
#[derive(Clone)]
pub(crate) struct MiddlewareLimit {
    /// The policy of the limit. If the limit uses a policy of the guard, this is a copy of that policy, made when
    /// the application started.
    pub(crate) policy: Policy,
    /// Whether the limit uses a policy of the guard.
    pub(crate) is_of_guard: bool,
    /// The function that chooses the quotas for each request. `None` if the quotas do not depend on the request.
    pub(crate) plan: Option<RequestResolver<Plan>>,
    pub(crate) key: RequestResolver<Caller>,
    /// The key in the notation of the macro attribute. `None` if a function reads the key.
    pub(crate) key_notation: Option<String>,
    /// Whether the key is in the body of a request.
    reads_body: bool,
    pub(crate) cost: CostSource,
    pub(crate) scope: LimitScope,
    /// The source location of the call of `RateLimit::new` or `RateLimit::and`. The location of the `Limit` would
    /// not identify the middleware, because several middlewares may get their `Limit` from the same function.
    pub(crate) location: &'static Location<'static>,
    /// Whether the program has set a name for the limit.
    has_name: bool,
    /// The probe that all workers use for this limit.
    key_probe: Arc<KeyProbe>,
    /// Reserves the name of the limit as long as the middleware exists. `None` if the limit uses a policy of the guard.
    _claim: Option<Arc<NameClaim>>,
}

impl MiddlewareLimit {
    /// Creates a limit for a middleware that uses this guard.
    ///
    /// # Errors
    ///
    /// [`LimitError`] if the limit is invalid, or if it conflicts with a policy of the guard, with a limit that is
    /// already registered, or with a limit of a middleware that exists.
    pub(super) fn new(
        guard: &RateGuard,
        limit: Limit,
        default_name: &str,
        location: &'static Location<'static>,
    ) -> Result<Self, LimitError> {
        let has_name = limit.policy_settings.name.is_some();
        let name = limit.name_or(default_name).to_owned();
        let is_named = has_name || matches!(limit.source, QuotaSource::Policy(_));
        let error = |problem| LimitError::new(&name, is_named, location, problem);
        let invalid = |invalid: InvalidSetting| error(LimitProblem::Setting(invalid));
        if let Some(setting) = limit.invalid {
            return Err(invalid(setting));
        }
        let policy_set = guard.policy_set();
        let own = |quotas| limit.policy_settings.into_policy(default_name, quotas).map_err(invalid);
        let (policy, is_of_guard, plan) = match limit.source {
            QuotaSource::Fixed(quotas) => (own(quotas)?, false, None),
            QuotaSource::Plan(plan) => (own(PLACEHOLDER_QUOTA.into())?, false, Some(plan)),
            QuotaSource::Policy(name) => {
                let named = policy_set.policy(&name).ok_or_else(|| {
                    let expected = expected_one_of("policy", &name, &policy_set.policy_names());
                    error(LimitProblem::UnknownPolicy { expected })
                })?;
                (named.policy.clone(), true, None)
            }
        };
        let mut limit = Self {
            policy,
            is_of_guard,
            plan,
            key: limit.key,
            key_notation: limit.key_notation,
            reads_body: limit.reads_body,
            cost: limit.cost,
            scope: limit.scope,
            location,
            has_name,
            key_probe: guard.http().key_probes.of(location, &name),
            _claim: None,
        };
        limit.validate_plan_fallback().map_err(invalid)?;
        limit.validate_settings_of_rates().map_err(invalid)?;
        limit.validate_wait().map_err(invalid)?;
        limit.validate_cost(&policy_set).map_err(error)?;
        if let Some(registration) = limit.registration() {
            let registered = guard.name_conflict(&registration).map_or(Ok(()), Err);
            let claim =
                registered.and_then(|()| guard.middlewares().name_claims.add(&registration));
            let conflict = |it: NameConflict| error(LimitProblem::NameConflict(it.to_string()));
            limit._claim = Some(claim.map_err(conflict)?);
        }
        limit.record_cost(&policy_set);
        Ok(limit)
    }

    /// Returns an error if the limit has fallback quotas and no function that chooses the quotas.
    fn validate_plan_fallback(&self) -> Result<(), InvalidSetting> {
        if self.scope.plan_fallback.is_none() || self.plan.is_some() {
            return Ok(());
        }
        let message = "`plan_fallback` requires a plan; create the limit with `Limit::plan`, or remove `plan_fallback`";
        Err(InvalidSetting { setting: Some("plan_fallback"), message: message.to_owned() })
    }

    /// Returns an error if the limit only limits the requests in progress, and has a setting that only concerns rates. A
    /// request holds one permit until it ends, whatever its cost and its response are.
    fn validate_settings_of_rates(&self) -> Result<(), InvalidSetting> {
        if self.is_of_guard || self.plan.is_some() || self.policy.quotas().has_rate() {
            return Ok(());
        }
        let has_cost = self.cost.constant() != Some(1);
        for (setting, is_set) in [("cost", has_cost), ("count", !self.scope.count.counts_always())]
        {
            if is_set {
                let message = format!(
                    "`{setting}` requires a rate, because it has no effect on requests in progress; add a rate or remove `{setting}`"
                );
                return Err(InvalidSetting { setting: Some(setting), message });
            }
        }
        Ok(())
    }

    /// Returns an error if the limit has a wait and its quotas have a lease.
    fn validate_wait(&self) -> Result<(), InvalidSetting> {
        let wait = (!self.scope.wait.is_zero()).then_some("wait");
        check_wait(Some(self.policy.quotas()), wait, &ShadowFields::default())
            .map_err(|error| InvalidSetting { setting: error.location, message: error.message })
    }

    /// Returns the data with which the limit registers its name at the guard. The result is `None` if the limit
    /// uses a policy of the guard, because the guard registers the names of its own policies.
    pub(super) fn registration(&self) -> Option<NameRegistration<'_>> {
        (!self.is_of_guard).then(|| NameRegistration {
            policy: &self.policy,
            is_fixed: self.plan.is_none(),
            origin: LimitOrigin { location: self.location, has_name: self.has_name },
        })
    }

    /// Returns the limit for messages.
    pub(super) fn limit_name(&self) -> LimitName<'_> {
        let is_named = self.has_name || self.is_of_guard;
        LimitName { name: is_named.then(|| self.policy.name()), location: self.location }
    }

    /// Returns whether a function of the limit is async. Otherwise, the future of [`check`](Self::check) is ready at its
    /// first poll.
    pub(super) fn is_async(&self) -> bool {
        self.key.is_async()
            || self.plan.as_ref().is_some_and(RequestResolver::is_async)
            || self.scope.skip.as_ref().is_some_and(RequestResolver::is_async)
            || self.cost.is_async()
    }

    /// Builds the check that compares the request with the limit. The result is `None` if the key of the limit is in
    /// the body, and RateGuard has not read the body.
    ///
    /// # Errors
    ///
    /// [`NotChecked`] if the limit exempts or rejects the request without a check of the counts.
    pub(crate) async fn check(
        &self,
        context: &LimitContext<'_>,
        request: &HttpRequest,
    ) -> Result<Option<LimitCheck>, NotChecked> {
        let (policy, overrides) = self.policy(context)?;
        let is_replaceable = self.is_replaceable(context, request)?;
        self.scope.check_applies(overrides, request).await?;
        let reads_body =
            overrides.key.as_ref().map_or(self.reads_body, |key| crate::key::reads_body(&**key));
        if reads_body && !context.is_body_read {
            return Ok(None);
        }
        let check = self.check_applicable(context, policy, overrides, request).await?;
        Ok(Some(LimitCheck { is_replaceable, ..check }))
    }

    /// Does the same as [`check`](Self::check) after RateGuard has read the body. The limit must apply to the request.
    ///
    /// # Errors
    ///
    /// The errors are the same as for [`check`](Self::check).
    pub(super) async fn check_with_body(
        &self,
        context: &LimitContext<'_>,
        request: &HttpRequest,
    ) -> Result<LimitCheck, NotChecked> {
        let (policy, overrides) = self.policy(context)?;
        let is_replaceable = self.is_replaceable(context, request)?;
        let check = self.check_applicable(context, policy, overrides, request).await?;
        Ok(LimitCheck { is_replaceable, ..check })
    }

    async fn check_applicable(
        &self,
        context: &LimitContext<'_>,
        policy: &Policy,
        overrides: &RouteOverrides,
        request: &HttpRequest,
    ) -> Result<LimitCheck, NotChecked> {
        let caller = match &overrides.key {
            Some(key) => crate::key::read(&**key, request),
            None => self.key.resolve(request).await.map_err(NotChecked::Failed)?,
        };
        record_key(context, &self.key_probe, &caller, request, || ProbedLimit {
            limit: self.limit_name(),
            kind: LimitKind::Middleware,
            key: match &overrides.key {
                Some(key) => key.notation().into(),
                None => self.key_notation.as_deref().unwrap_or(FUNCTION).into(),
            },
            missing: overrides.missing.unwrap_or(self.scope.missing),
        });
        // The access lists are applied before the plan. So if an access list denies the key, the request is
        // rejected even if the client's plan is unlimited.
        let key = self.scope.key(context, overrides, caller, request)?;
        let policy = match &self.plan {
            None => policy.clone(),
            Some(plan) => {
                let plan = plan.resolve(request).await;
                context.with_plan(policy, &key.key, plan, &self.scope, self.limit_name())?
            }
        };
        let cost = match overrides.cost {
            Some(cost) => cost,
            None => self.cost.resolve(request).await.map_err(NotChecked::Failed)?,
        };
        Ok(self.scope.check(overrides, policy, key, cost))
    }

    /// Returns whether the handler of the request may replace this limit, because no request to its route has completed yet.
    ///
    /// # Errors
    ///
    /// [`Exemption::Handler`] if the handler replaces this limit.
    fn is_replaceable(
        &self,
        context: &LimitContext<'_>,
        request: &HttpRequest,
    ) -> Result<bool, NotChecked> {
        if !replaced_limits::is_in_use() {
            return Ok(false);
        }
        let status =
            context.guard.http().replaced_routes.status(self.policy.shared_name(), request);
        if context.purpose == Purpose::Enforce {
            let may_change_status = matches!(status, RouteStatus::New | RouteStatus::Replaced);
            RequestState::of(request)
                .replaced
                .add_limit(self.policy.shared_name(), may_change_status);
        }
        match status {
            RouteStatus::Replaced => Err(NotChecked::Exempt(Exemption::Handler)),
            status => Ok(status == RouteStatus::New),
        }
    }

    /// Returns whether the guard knows that the handler of the request replaces this limit.
    #[cfg(feature = "test-util")]
    pub(super) fn is_replaced(&self, guard: &RateGuard, request: &HttpRequest) -> bool {
        let routes = &guard.http().replaced_routes;
        replaced_limits::is_in_use()
            && routes.status(self.policy.shared_name(), request) == RouteStatus::Replaced
    }

    /// Records whether the handler of a completed request has replaced this limit.
    pub(super) fn record_replacement(
        &self,
        guard: &RateGuard,
        request: &HttpRequest,
        replaced: &ReplacedLimits,
    ) {
        let is_replaced = replaced.contains(self.policy.name());
        guard.http().replaced_routes.record(self.policy.shared_name(), request, is_replaced);
    }

    /// Returns the settings in the policies file that override settings of the middleware.
    pub(crate) fn overrides<'a>(&self, policy_set: &'a PolicySet) -> &'a RouteOverrides {
        let named = policy_set.peek_policy(self.policy.name()).filter(|_| self.is_of_guard);
        named.map_or(RouteOverrides::NONE, |named| &named.overrides)
    }

    /// Returns the current policy of the limit, and the settings in the policies file that override settings of the
    /// middleware.
    ///
    /// # Errors
    ///
    /// [`NotChecked::Misconfigured`] if the limit uses a policy by name and the guard does not have this policy.
    fn policy<'a>(
        &'a self,
        context: &LimitContext<'a>,
    ) -> Result<(&'a Policy, &'a RouteOverrides), NotChecked> {
        if !self.is_of_guard {
            return Ok((&self.policy, RouteOverrides::NONE));
        }
        let (file, line) = (self.location.file(), self.location.line());
        let user = format_args!("the middleware at {file}:{line}");
        let named = context.named_policy(self.policy.name(), user)?;
        Ok((&named.policy, &named.overrides))
    }

    /// Returns an error if each request has the same cost, and this cost is zero or above the quotas. Such a limit
    /// would allow every request, or deny every request.
    fn validate_cost(&self, policy_set: &PolicySet) -> Result<(), LimitProblem> {
        let max = self.policy.max_cost();
        match self.overrides(policy_set).cost.or(self.cost.constant()) {
            Some(0) => Err(LimitProblem::NoCost),
            Some(cost) if self.plan.is_none() && cost > max => {
                Err(LimitProblem::Cost { cost, max })
            }
            _ => Ok(()),
        }
    }

    /// Records the cost if it is the same for each request. A reload of the policies file then rejects a policy
    /// whose quotas can never allow this cost.
    fn record_cost(&self, policy_set: &PolicySet) {
        if self.is_of_guard
            && let Some(cost) = self.cost.constant()
        {
            policy_set.record_cost(self.policy.name(), cost);
        }
    }
}
