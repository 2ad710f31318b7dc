//! Checks a request of which a limit reads the key from the body: first the limits that need no body, then all of them.

use actix_rateguard_core::{RateGuard, adapter::PolicySet};
use actix_web::{HttpRequest, dev::Payload};

use crate::{
    body_key,
    enforce::deny_early,
    limit_check::{LimitCheck, LimitChecks},
    response::EarlyResponse,
};

/// The limits of a request, in their order. Some of them wait for the body.
pub(crate) struct PartialChecks<L> {
    limits: Vec<PartialCheck<L>>,
}

#[allow(clippy::large_enum_variant, reason = "a box would need an allocation for each check")]
enum PartialCheck<L> {
    Complete(LimitCheck),
    /// The key of this limit is in the body.
    NeedsBody(L),
}

impl<L> PartialChecks<L> {
    /// Creates a list with the checks of the limits before the first one whose key is in the body.
    pub(crate) fn of(checks: LimitChecks) -> Self {
        Self { limits: checks.into_iter().map(PartialCheck::Complete).collect() }
    }

    /// Adds the check of a limit whose key is not in the body.
    pub(crate) fn push(&mut self, check: LimitCheck) {
        self.limits.push(PartialCheck::Complete(check));
    }

    /// Adds a limit whose key is in the body.
    pub(crate) fn push_limit(&mut self, limit: L) {
        self.limits.push(PartialCheck::NeedsBody(limit));
    }

    /// Reads the body if it may have a key. Before that, checks the limits that need no body, so a client that they
    /// deny does not send its body. While the client sends it, the request has taken no units and holds no permit.
    ///
    /// # Errors
    ///
    /// [`EarlyResponse`] if one of these limits denies the request.
    pub(crate) async fn read_body(
        &self,
        guard: &RateGuard,
        policy_set: &PolicySet,
        max_key_body: usize,
        request: &HttpRequest,
        payload: &mut Payload,
    ) -> Result<(), EarlyResponse> {
        if !body_key::may_have_key(request, payload, max_key_body) {
            body_key::skip(request);
            return Ok(());
        }
        let complete = self.limits.iter().filter_map(|it| match it {
            PartialCheck::Complete(check) => Some(check.clone()),
            PartialCheck::NeedsBody(_) => None,
        });
        deny_early(guard, policy_set, complete.collect(), request).await?;
        body_key::buffer(request, payload, max_key_body).await;
        Ok(())
    }

    /// Returns the checks of all limits. `check` builds the check of a limit whose key is in the body. It returns
    /// `None` if the limit exempts the request.
    ///
    /// # Errors
    ///
    /// Returns the first error of `check`.
    pub(crate) async fn complete(
        self,
        check: impl AsyncFn(L) -> Result<Option<LimitCheck>, EarlyResponse>,
    ) -> Result<LimitChecks, EarlyResponse> {
        let mut checks = LimitChecks::new();
        for limit in self.limits {
            match limit {
                PartialCheck::Complete(complete) => checks.push(complete),
                PartialCheck::NeedsBody(limit) => checks.extend(check(limit).await?),
            }
        }
        Ok(checks)
    }
}
