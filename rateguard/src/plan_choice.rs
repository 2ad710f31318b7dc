//! Applies the plan that a function has chosen for a request to the policy of a limit.

use std::{fmt::Display, sync::Arc};

use actix_rateguard_grammar::escape_for_display;
use actix_web::Error;

use crate::{
    Key, Plan, Policy, Quotas,
    applicability::LimitScope,
    error::RateError,
    limit_context::{LimitContext, Purpose, missing},
    not_checked::{Exemption, NotChecked, RejectReason},
    plan_text,
};

/// The reason why the function of a limit has chosen no valid plan.
enum PlanError {
    /// The function returned this error.
    Function(Error),
    /// The guard has no plan with this name.
    UnknownName(String),
    /// The text is neither the name of a plan nor quotas.
    InvalidText { text: String, error: RateError },
}

impl LimitContext<'_> {
    /// Returns a copy of the policy with the quotas of the chosen plan. If the function of the limit has chosen no valid
    /// plan, the copy has the fallback quotas of the limit. If the plan is unlimited and the key has an override, the copy
    /// has the quotas of the override. `limit` describes the limit for the log message.
    ///
    /// # Errors
    ///
    /// [`Exemption::Plan`] if the plan is unlimited and the key has no override. If there is no valid plan and no fallback,
    /// returns [`NotChecked::Failed`] if the function returned an error, and otherwise [`RejectReason::NoPlan`].
    pub(crate) fn with_plan(
        &self,
        policy: &Policy,
        key: &Key,
        plan: Result<Plan, Error>,
        scope: &LimitScope,
        limit: impl Display,
    ) -> Result<Policy, NotChecked> {
        let error = match plan.map_err(PlanError::Function).and_then(|plan| self.quotas_of(plan)) {
            Ok(Some(quotas)) => return Ok(policy.with_quotas(quotas)),
            Ok(None) => {
                let overridden = self.guard.override_of(policy, key);
                let exempt = NotChecked::Exempt(Exemption::Plan);
                return overridden.map(Arc::unwrap_or_clone).ok_or(exempt);
            }
            Err(error) => error,
        };
        self.log_plan_error(&error, scope, limit);
        match (&scope.plan_fallback, error) {
            (Some(quotas), _) => Ok(policy.with_quotas(Arc::clone(quotas))),
            (None, PlanError::Function(error)) => Err(NotChecked::Failed(error)),
            (None, _) => Err(NotChecked::Misconfigured(RejectReason::NoPlan)),
        }
    }

    /// Returns the quotas of a plan. `None` if the plan is unlimited.
    fn quotas_of(&self, plan: Plan) -> Result<Option<Arc<Quotas>>, PlanError> {
        let plan = match plan {
            Plan::Named(name) => match self.named_plan(&name) {
                Some(plan) => plan.clone(),
                None => return Err(PlanError::UnknownName(name.into_owned())),
            },
            Plan::Text(text) => match self.named_plan(&text) {
                Some(plan) => plan.clone(),
                None => plan_text::parse(&text)
                    .map_err(|error| PlanError::InvalidText { text: text.into_owned(), error })?,
            },
            plan => plan,
        };
        match plan {
            Plan::Limited(quotas) => Ok(Some(quotas)),
            // A named plan and a parsed text have quotas or are unlimited, so this plan is unlimited.
            _ => Ok(None),
        }
    }

    fn named_plan(&self, name: &str) -> Option<&Plan> {
        match self.purpose {
            Purpose::Enforce => self.policy_set.plan(name),
            Purpose::Explain => self.policy_set.peek_plan(name),
        }
    }

    fn log_plan_error(&self, error: &PlanError, scope: &LimitScope, limit: impl Display) {
        let has_fallback = scope.plan_fallback.is_some();
        // Without a fallback, the error of a function becomes the response, and the application can log it.
        let is_silent = matches!(error, PlanError::Function(_)) && !has_fallback;
        if is_silent || !self.may_log(&scope.plan_error_log) {
            return;
        }
        let consequence = match has_fallback {
            true => "The limit used its `plan_fallback`",
            false => "The request was rejected with 500",
        };
        match error {
            // The error may contain data of the application, so the log has only its status.
            PlanError::Function(error) => {
                let status = error.as_response_error().status_code().as_u16();
                log::error!(
                    target: "rateguard",
                    "the plan function of {limit} returned an error with the status {status}. {consequence}"
                );
            }
            // A function may have read the name or the text from the request, so they are escaped.
            PlanError::UnknownName(name) => {
                let missing = missing("plan", "plans", name, &self.policy_set.plan_names());
                log::error!(
                    target: "rateguard",
                    "the function of {limit} chose the plan `{}`, but {missing}. {consequence}. Add the plan with `RateGuard::builder().plan(…)` or under `[plans]` in the policies file",
                    escape_for_display(name)
                );
            }
            PlanError::InvalidText { text, error } => log::error!(
                target: "rateguard",
                "the function of {limit} chose the plan text `{}`, expected the name of a plan, \"unlimited\" or quotas: {error}. {consequence}",
                escape_for_display(text)
            ),
        }
    }
}
