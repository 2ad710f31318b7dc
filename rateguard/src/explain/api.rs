//! The methods of the guard that explain limits.

#[cfg(feature = "operator")]
use std::net::IpAddr;

use actix_web::HttpRequest;
use futures_util::{StreamExt, stream};

use super::{
    ExplainedLimit, Explanation, Outcome,
    evaluate::{PeekRequest, evaluate},
};
use crate::{
    Key, Policy, RateGuard, client,
    inventory::LimitInfo,
    limit_context::{LimitContext, Purpose},
    not_checked::NotChecked,
};
#[cfg(feature = "operator")]
use actix_rateguard_core::adapter::{ResolvedClient, canonical};

/// The number of limits that an explanation peeks at in parallel. With at most
/// this many limits, an explanation ends within one deadline. Each peek occupies one of the guard's checks in flight,
/// so the number is small.
const MAX_PARALLEL_PEEKS: usize = 16;

impl RateGuard {
    /// Returns the outcome that one more request of `key` would have with `policy`, and the reason. Counts nothing.
    ///
    /// `explain` applies the keys in the guard's [access list](crate::RateGuardBuilder::access). All other exemptions
    /// (methods, `skip`, address lists, the list of a middleware) depend on an HTTP request, so only
    /// [`explain_request`](Self::explain_request) applies them.
    ///
    /// ```
    /// # use actix_rateguard::{Key, Policy, RateGuard};
    /// # futures_util::FutureExt::now_or_never(async {
    /// let guard = RateGuard::in_memory();
    /// let (policy, key) = (Policy::new("emails", "2/minute")?, Key::from("user-42"));
    /// let outcome = guard.explain(&policy, &key).await;
    /// assert_eq!(outcome.passes(), Some(true));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap().unwrap();
    /// ```
    ///
    /// # Panics
    ///
    /// As [`check`](actix_rateguard_core::RateGuard::check).
    pub async fn explain(&self, policy: &Policy, key: &Key) -> Outcome {
        match self.check_lists(|context| context.check_key(key, || false)) {
            Ok(()) => self.peek_outcome(policy, key, 1).await,
            Err(outcome) => outcome,
        }
    }

    /// As [`explain`](Self::explain), for a client at this address. An access list may contain the address.
    #[cfg(feature = "operator")]
    pub(crate) async fn explain_client(
        &self,
        policy: &Policy,
        key: &Key,
        address: Option<IpAddr>,
    ) -> Outcome {
        let rule = &self.http().client_address;
        let address = address.map(canonical);
        let is_proxy = address.is_some_and(|address| rule.is_proxy(address));
        let client = ResolvedClient { address, is_proxy };
        let result = self.check_lists(|context| {
            context.check_client(client)?;
            context.check_key(key, || client.is_unreliable_key(key))
        });
        match result {
            Ok(()) => self.peek_outcome(policy, key, 1).await,
            Err(outcome) => outcome,
        }
    }

    /// Applies the current access lists of the guard.
    fn check_lists(
        &self,
        check: impl FnOnce(&LimitContext<'_>) -> Result<(), NotChecked>,
    ) -> Result<(), Outcome> {
        let (policy_set, purpose) = (&*self.policy_set(), Purpose::Explain);
        check(&LimitContext { guard: self, policy_set, middleware_access: None, purpose })
            .map_err(Outcome::from)
    }

    /// Explains what the limits in the [inventory](Self::inventory) would do with this request. Counts nothing.
    ///
    /// `limits` are the names of limits; if `limits` is empty, all limits are explained. The explanation shows how the
    /// client's address was determined, and the outcome of each limit. `explain_request` also calls the limits' own
    /// functions. Besides their time, it takes at most the guard's deadline for every 16 limits.
    ///
    /// Each limit is evaluated separately, as if there were no other limits. A denial that would start a
    /// [ban](Policy::ban) is reported as a denial without a ban.
    ///
    /// # Panics
    ///
    /// As [`check`](actix_rateguard_core::RateGuard::check).
    pub async fn explain_request(&self, request: &HttpRequest, limits: &[&str]) -> Explanation {
        let is_selected =
            |limit: &LimitInfo| limits.is_empty() || limits.contains(&limit.name.as_str());
        // All limits use one policy set, also if the policies file changes meanwhile.
        let policy_set = self.policy_set();
        let infos = self.limit_infos(&policy_set).into_iter();
        let mut evaluated = Vec::new();
        for (limit, source) in infos.filter(|(limit, _)| is_selected(limit)) {
            // A function of another limit may have used another guard, and that guard stores its own client in the
            // request.
            client::resolve_without_warning(self.http(), request);
            evaluated.push((limit, evaluate(self, &policy_set, &source, request).await));
        }
        let explain = async |(limit, result)| match result {
            Ok(PeekRequest { policy, key, cost, counted_by }) => ExplainedLimit {
                limit,
                counted_by: Some(counted_by),
                cost: Some(cost),
                is_rolled_out: self.is_rolled_out(&policy, &key),
                outcome: self.peek_outcome(&policy, &key, cost).await,
            },
            Err(outcome) => {
                ExplainedLimit { limit, counted_by: None, cost: None, is_rolled_out: None, outcome }
            }
        };
        let limits =
            stream::iter(evaluated).map(explain).buffered(MAX_PARALLEL_PEEKS).collect().await;
        Explanation { client: client::trace_address(self.http(), request), limits }
    }

    async fn peek_outcome(&self, policy: &Policy, key: &Key, cost: u32) -> Outcome {
        match self.request(policy, key).cost(cost).peek().await {
            Ok(decision) => Outcome::Decided(decision),
            Err(unavailable) => Outcome::Unavailable(unavailable),
        }
    }
}
