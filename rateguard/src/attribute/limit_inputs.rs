//! The values that the functions of a limit return for one request.

use actix_web::{Error, HttpRequest};

use super::{handler_limit::HandlerLimit, key_input::KeyInput};
use crate::{
    Caller, Plan,
    inventory::LimitKind,
    limit_check::LimitCheck,
    limit_context::{LimitContext, Purpose},
    missing_key_warning::{ProbedLimit, record_key},
    not_checked::{Exemption, NotChecked},
    replaced_limits::Replacement,
    request_state::RequestState,
};

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
        if let Some(replaced) = self.limit.replaces
            && context.purpose == Purpose::Enforce
            && !policy.is_in_shadow()
        {
            let replacement = Replacement::Named(replaced);
            RequestState::of(request).replaced.add_replacement(replacement);
        }
        Ok(scope.check(overrides, policy, key, cost))
    }
}
