//! The code that a handler with a macro attribute runs for each request. The macro expands to a call of [`limited`]
//! with one or more [`HandlerLimit`]s.

mod app_guard;
mod handler_name;
mod key_input;
mod limited_handler;

use std::{
    panic::Location,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use actix_rateguard_core::adapter::{
    LimitOrigin, NameRegistration, PLACEHOLDER_QUOTA, PolicySet, RouteOverrides, ShadowSpec,
};
use actix_web::{Error, HttpRequest, HttpResponse, dev::Payload, http::Method, web};

pub use self::{
    key_input::KeyInput,
    limited_handler::{LimitedHandler, handler, handler_with_decision},
};
pub use crate::on_reject::OnRejectFn;

use self::{app_guard::guard_of, handler_name::handler_name};
use crate::{
    Ban, Caller, Count, MissingKey, OnError, Plan, Policy, Quotas, RateGuard, Rejection,
    admission::Admission,
    applicability::LimitScope,
    body_checks::PartialChecks,
    client,
    count_rule::CountRule,
    enforce::enforce,
    inventory::LimitKind,
    key_probe::KeyProbe,
    limit_check::{LimitCheck, LimitChecks},
    limit_context::{LimitContext, Purpose},
    missing_key_warning::{ProbedLimit, record_key},
    not_checked::{Exemption, NotChecked, RejectReason},
    on_reject::OnReject,
    replaced_limits::Replacement,
    request_policies::policy_set,
    request_state::RequestState,
    response::{EarlyResponse, hold_until_end, unless_head},
    settings::HttpSettings,
};

/// The settings of a macro attribute that do not depend on the request.
pub struct Settings {
    /// The name of the limit. `None` if the macro attribute sets no name.
    pub name: Option<&'static str>,
    /// The position of this limit in the list of the handler's limits. The first limit has the position 1.
    pub number: usize,
    /// The source of the quotas.
    pub allowance: Allowance,
    /// The escalating ban. `None` if the limit bans no clients.
    pub ban: Option<Ban>,
    /// The part of the limit that is in shadow mode: the whole limit, or only its candidate quotas. `None` if the
    /// limit has no part in shadow mode.
    pub shadow: Option<ShadowSpec>,
    /// The failure mode, which determines the decision while the store does not answer. `None` if the limit uses
    /// the failure mode of the guard.
    pub on_error: Option<OnError>,
    /// Determines which responses make a request count.
    pub count: Count,
    /// Determines how the limit treats a request without a key.
    pub missing: MissingKey,
    /// The methods that the limit applies to. If the list is empty, the limit applies to all methods.
    pub methods: &'static [&'static str],
    /// The quotas for requests whose plan is not known.
    pub plan_fallback: Option<Quotas>,
    /// Whether the header fields of a response do not report the limit.
    pub hides_headers: bool,
    /// Whether a request that the limit denies still reaches the handler.
    pub is_permissive: bool,
    /// The maximum time that a request waits for room. Zero if the limit denies it immediately.
    pub wait: Duration,
}

/// The source of a limit's quotas.
pub enum Allowance {
    /// The limit has the same quotas for all requests.
    Fixed(Quotas),
    /// A function chooses the limit's quotas for each request.
    PerRequest,
    /// The limit has the quotas of the guard's policy with this name.
    Named(&'static str),
}

/// The limit of one macro attribute. The macro stores this value in a `static` inside the handler.
pub struct HandlerLimit {
    pub(crate) policy: PolicySource,
    pub(crate) scope: LimitScope,
    pub(crate) location: &'static Location<'static>,
    has_name: bool,
    /// The id of the guard at which this limit last registered its name.
    pub(crate) registered_guard: AtomicU64,
    key_probe: KeyProbe,
}

/// The policy of a limit, or the name of the policy if it is a policy of the guard.
pub(crate) enum PolicySource {
    Fixed(Policy),
    /// The policy has placeholder quotas. For each request, a function chooses quotas, which replace the placeholder
    /// quotas.
    PerRequest(Policy),
    /// The limit has the quotas of the guard's policy with this name.
    Named(&'static str),
}

impl HandlerLimit {
    /// Creates the limit of a macro attribute. If `settings` has no name, the limit's name is the path of the
    /// handler that contains the function `_handler`. For the second and each further limit of a handler, `#` and
    /// the number of the limit follow the path.
    #[track_caller]
    pub fn new<F>(settings: Settings, _handler: F) -> Self {
        let Settings { name, number, ban, shadow, on_error, .. } = settings;
        let policy = |quotas| {
            let policy = match (name, number) {
                (Some(name), _) => Policy::of_attribute(name, quotas, on_error),
                (None, number) => {
                    let mut name = handler_name::<F>();
                    if number > 1 {
                        name = format!("{name}#{number}");
                    }
                    Policy::of_attribute(&name, quotas, on_error).named_by_path()
                }
            };
            policy.with_ban(ban).with_shadow_spec(shadow)
        };
        let policy = match settings.allowance {
            Allowance::Fixed(quotas) => PolicySource::Fixed(policy(quotas)),
            Allowance::PerRequest => {
                PolicySource::PerRequest(policy(Quotas::from(PLACEHOLDER_QUOTA)))
            }
            Allowance::Named(name) => PolicySource::Named(name),
        };
        // The macro rejects invalid methods at compile time, so the filter removes no method here.
        let methods =
            settings.methods.iter().filter_map(|it| Method::from_bytes(it.as_bytes()).ok());
        let scope = LimitScope {
            methods: methods.collect(),
            missing: settings.missing,
            count: CountRule::Status(settings.count),
            plan_fallback: settings.plan_fallback.map(Arc::new),
            hides_headers: settings.hides_headers,
            is_permissive: settings.is_permissive,
            wait: settings.wait,
            ..LimitScope::default()
        };
        let location = Location::caller();
        Self {
            policy,
            scope,
            location,
            has_name: name.is_some(),
            registered_guard: AtomicU64::new(0),
            key_probe: KeyProbe::default(),
        }
    }

    /// Returns whether the methods of the limit include the method of this request.
    pub fn applies_to(&self, policy_set: &PolicySet, request: &HttpRequest) -> bool {
        self.scope.has_method(self.overrides(policy_set), request)
    }

    /// Reads the request's key if the policies file sets a key for this limit. The key in the file overrides the
    /// key of the macro attribute. The result is `None` if the file sets no key.
    pub fn key(&self, policy_set: &PolicySet, request: &HttpRequest) -> Option<KeyInput> {
        let recipe = self.overrides(policy_set).key.as_ref()?;
        Some(KeyInput::of_recipe(recipe, request))
    }

    /// Returns the cost that the policies file sets. This cost overrides the cost of the macro attribute. The
    /// result is `None` if the file sets no cost.
    pub fn cost(&self, policy_set: &PolicySet) -> Option<u32> {
        self.overrides(policy_set).cost
    }

    /// Returns the settings in the policies file that override settings of the macro attribute.
    pub(crate) fn overrides<'a>(&self, policy_set: &'a PolicySet) -> &'a RouteOverrides {
        match &self.policy {
            PolicySource::Named(name) => {
                policy_set.peek_policy(name).map_or(RouteOverrides::NONE, |it| &it.overrides)
            }
            PolicySource::Fixed(_) | PolicySource::PerRequest(_) => RouteOverrides::NONE,
        }
    }

    /// Returns the limit's policy. If a function chooses the quotas for each request, the policy has placeholder
    /// quotas.
    ///
    /// Before the limit checks its first request with a guard, the function registers the limit's name at this
    /// guard.
    ///
    /// # Errors
    ///
    /// [`NotChecked::Misconfigured`] if the limit names a policy that the guard does not have, or if another limit
    /// has the same name, but a different quota, ban or shadow setting.
    fn policy<'a>(&'a self, context: &LimitContext<'a>) -> Result<&'a Policy, NotChecked> {
        let registration = match self.name_registration() {
            Ok(registration) => registration,
            Err(name) => {
                let user = format_args!("the attribute at {}", self.location);
                // The guard has already registered the name, because it is the name of a policy of the guard.
                let policy = context.named_policy(name, user).map(|named| &named.policy)?;
                self.mark_registered(context);
                return Ok(policy);
            }
        };
        let policy = registration.policy;
        if !self.is_registered_with(context.guard) {
            context.register_name(registration)?;
            self.mark_registered(context);
        }
        Ok(policy)
    }

    /// Returns the data with which the limit registers its name at a guard.
    ///
    /// # Errors
    ///
    /// If the limit uses a policy of the guard, returns the name of this policy as the error.
    pub(crate) fn name_registration(&self) -> Result<NameRegistration<'_>, &'static str> {
        let (policy, is_fixed) = match &self.policy {
            PolicySource::Fixed(policy) => (policy, true),
            PolicySource::PerRequest(policy) => (policy, false),
            PolicySource::Named(name) => return Err(name),
        };
        let origin = LimitOrigin { location: self.location, has_name: self.has_name };
        Ok(NameRegistration { policy, is_fixed, origin })
    }
}

/// The values that the functions of a limit return for one request: the key, the plan and the cost.
pub struct LimitInputs {
    limit: &'static HandlerLimit,
    /// Whether the limit applies to this request.
    pub(crate) applies: bool,
    key: KeyInput,
    pub(crate) plan: Option<Result<Plan, Error>>,
    pub(crate) cost: Result<u32, Error>,
}

impl LimitInputs {
    /// Creates the inputs of a limit that applies to the request. `plan` is `None` if the limit has the same quotas
    /// for all requests.
    #[must_use]
    pub fn new(
        limit: &'static HandlerLimit,
        key: impl Into<KeyInput>,
        plan: Option<Result<Plan, Error>>,
        cost: Result<u32, Error>,
    ) -> Self {
        Self { limit, applies: true, key: key.into(), plan, cost }
    }

    /// Creates the inputs of a limit that does not apply to the request.
    #[must_use]
    pub fn exempt(limit: &'static HandlerLimit) -> Self {
        Self { applies: false, ..Self::new(limit, Ok(Caller::Exempt), None, Ok(0)) }
    }

    /// Creates the inputs of a limit whose `skip` function has returned this error.
    #[must_use]
    pub fn failed(limit: &'static HandlerLimit, error: Error) -> Self {
        Self::new(limit, Err(error), None, Ok(0))
    }

    /// Returns whether the limit applies to the request and reads its key from the body.
    pub(crate) fn needs_body(&self) -> bool {
        self.applies && matches!(self.key, KeyInput::InBody(_))
    }

    /// Reads the key from the body, which RateGuard has read.
    pub(crate) async fn with_body_key(self, request: &HttpRequest) -> Self {
        Self { key: self.key.resolve(request).await.into(), ..self }
    }

    /// Builds the check that compares the request with the limit. If the key is in the body, call
    /// [`with_body_key`](Self::with_body_key) before.
    ///
    /// # Errors
    ///
    /// [`NotChecked`] if the limit exempts or rejects the request without a check of the counts.
    pub(crate) fn into_check(
        self,
        context: &LimitContext<'_>,
        request: &HttpRequest,
    ) -> Result<LimitCheck, NotChecked> {
        let HandlerLimit { scope, .. } = self.limit;
        let policy = self.limit.policy(context)?;
        let overrides = self.limit.overrides(context.policy_set);
        if !self.applies {
            let has_method = scope.has_method(overrides, request);
            let exemption = if has_method { Exemption::Skip } else { Exemption::Method };
            return Err(NotChecked::Exempt(exemption));
        }
        let caller = match self.key {
            KeyInput::Caller(caller) => caller.map_err(NotChecked::Failed)?,
            KeyInput::InBody(_) => Caller::Unknown,
        };
        record_key(context, &self.limit.key_probe, &caller, request, || ProbedLimit {
            limit: self.limit.limit_name(),
            kind: LimitKind::Attribute,
            key: match &overrides.key {
                Some(key) => key.notation().into(),
                None => self.limit.key_notation().into(),
            },
            missing: overrides.missing.unwrap_or(scope.missing),
        });
        // The access lists are applied before the plan. So if an access list denies the key, the request is
        // rejected even if the client's plan is unlimited.
        let key = scope.key(context, overrides, caller, request)?;
        let policy = match self.plan {
            None => policy.clone(),
            Some(plan) => {
                context.with_plan(policy, &key.key, plan, scope, self.limit.limit_name())?
            }
        };
        let cost = self.cost.map_err(NotChecked::Failed)?;
        Ok(scope.check(overrides, policy, key, cost))
    }
}

/// Checks the request against the limits, then runs the extractors and the handler.
///
/// `replacements` are the limits of middlewares that the handler replaces. If `guard` is `None`, the function uses the guard in the application's data. If the application's data has no
/// guard, or two different guards in two forms, the function rejects the request with 500. `on_reject` has an entry for
/// each limit.
pub async fn limited<H: LimitedHandler<Args>, Args, const LIMITS: usize>(
    guard: Option<&RateGuard>,
    replacements: &[Replacement],
    on_reject: [Option<OnRejectFn>; LIMITS],
    limits: impl AsyncFnOnce(&PolicySet, &HttpRequest) -> [LimitInputs; LIMITS],
    handler: H,
    request: HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    let Some(guard) = guard.or_else(|| guard_of::<H>(&request)) else {
        let rejection = Rejection::Misconfigured(RejectReason::NoGuard);
        let early_response = EarlyResponse::rejection(rejection, first(&on_reject));
        return early_response.into_response(&HttpSettings::default(), &request);
    };

    if !replacements.is_empty() {
        let state = RequestState::of(&request);
        replacements.iter().for_each(|it| state.replaced.add_replacement(*it));
    }
    let policy_set = policy_set(guard, &request);
    #[cfg(feature = "test-util")]
    if let Some(probe) = crate::route_probe::RouteProbe::of(&request) {
        client::resolve_without_warning(guard.http(), &request);
        probe.record(limits(&policy_set, &request).await.iter().any(|inputs| inputs.applies));
        return crate::route_probe::RouteProbe::response();
    }
    let mut payload = payload.into_inner();
    let admitted = admit(guard, &policy_set, &on_reject, limits, &request, &mut payload).await;
    let mut response = match admitted {
        Err(early_response) => early_response.into_response(guard.http(), &request),
        Ok(mut admission) => {
            let (response, body) = handler.respond(&request, payload).await.into_parts();
            admission.on_response(guard, &response).await;
            let permit = unless_head(&request, admission.take_permit());
            response.set_body(hold_until_end(body, permit))
        }
    };
    if let Some(state) = RequestState::existing(&request) {
        let jitter = state.retry_jitter(guard.http(), &request);
        let status = response.status();
        state.write_decisions(guard.http(), jitter, status, response.headers_mut());
    }
    response
}

/// Runs a handler that is exempt from limits of middlewares. `has_limits` says whether the handler has limits of its own.
pub async fn exempt<H: LimitedHandler<Args>, Args>(
    replacement: Replacement,
    #[cfg_attr(not(feature = "test-util"), allow(unused_variables))] has_limits: bool,
    handler: H,
    request: HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    #[cfg(feature = "test-util")]
    if !has_limits && crate::route_probe::RouteProbe::of(&request).is_some() {
        return crate::route_probe::RouteProbe::response();
    }
    RequestState::of(&request).replaced.add_replacement(replacement);
    handler.respond(&request, payload.into_inner()).await
}

async fn admit<const LIMITS: usize>(
    guard: &RateGuard,
    policy_set: &PolicySet,
    on_reject: &[Option<OnRejectFn>; LIMITS],
    limits: impl AsyncFnOnce(&PolicySet, &HttpRequest) -> [LimitInputs; LIMITS],
    request: &HttpRequest,
    payload: &mut Payload,
) -> Result<Admission, EarlyResponse> {
    client::resolve(guard.http(), request);
    let (purpose, is_body_read) = (Purpose::Enforce, false);
    let context =
        LimitContext { guard, policy_set, middleware_access: None, purpose, is_body_read };
    if let Err(not_checked) = context.check_address(request) {
        // An access list exempts or rejects the request for all limits of the handler. If it rejects the request, the
        // first limit that has an `on_reject` function creates the response.
        not_checked.reject_unless_exempt(request, first(on_reject).as_ref())?;
        return Ok(Admission::not_limited());
    }
    let limits = limits(policy_set, request).await;
    if limits.iter().any(LimitInputs::needs_body) {
        let limits = limits.into_iter().zip(on_reject.iter().copied()).collect();
        return Box::pin(admit_with_body(context, limits, request, payload)).await;
    }
    let mut checks = LimitChecks::new();
    for (inputs, on_reject) in limits.into_iter().zip(on_reject) {
        let on_reject = on_reject.map(OnReject::Pointer);
        match inputs.into_check(&context, request) {
            Ok(check) => checks.push(LimitCheck { on_reject, ..check }),
            Err(not_checked) => not_checked.reject_unless_exempt(request, on_reject.as_ref())?,
        }
    }
    // A preflight that reaches the attribute also reaches the handler, so the limit counts it like any request.
    let is_preflight = false;
    enforce(guard, policy_set, checks, is_preflight, request).complete(guard).await
}

/// Reads the body, and checks the request against all limits of the handler.
async fn admit_with_body(
    context: LimitContext<'_>,
    limits: Vec<(LimitInputs, Option<OnRejectFn>)>,
    request: &HttpRequest,
    payload: &mut Payload,
) -> Result<Admission, EarlyResponse> {
    let LimitContext { guard, policy_set, .. } = context;
    let check = |inputs: LimitInputs, on_reject: Option<OnRejectFn>, context: &LimitContext<'_>| {
        let on_reject = on_reject.map(OnReject::Pointer);
        match inputs.into_check(context, request) {
            Ok(check) => Ok(Some(LimitCheck { on_reject, ..check })),
            Err(not_checked) => {
                not_checked.reject_unless_exempt(request, on_reject.as_ref()).map(|()| None)
            }
        }
    };
    let mut partial = PartialChecks::of(LimitChecks::new());
    for (inputs, on_reject) in limits {
        if inputs.needs_body() {
            partial.push_limit((inputs, on_reject));
        } else if let Some(check) = check(inputs, on_reject, &context)? {
            partial.push(check);
        }
    }
    partial.read_body(guard, policy_set, guard.http().max_key_body, request, payload).await?;
    let context = LimitContext { is_body_read: true, ..context };
    let checks = partial.complete(async |(inputs, on_reject)| {
        check(inputs.with_body_key(request).await, on_reject, &context)
    });
    let checks = checks.await?;
    enforce(guard, policy_set, checks, false, request).complete(guard).await
}

/// Returns the function of the first limit that has one.
fn first(on_reject: &[Option<OnRejectFn>]) -> Option<OnReject> {
    on_reject.iter().flatten().next().copied().map(OnReject::Pointer)
}
