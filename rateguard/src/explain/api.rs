//! The methods of [`RateGuard`] that explain what limits would do with a request.

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

/// The maximum number of limits whose counts an explanation reads in parallel. The explanation reads the counts of
/// 16 limits within the deadline of one check. The number is small, because each of these parallel calls uses one of
/// the `max_in_flight` slots of the guard.
const MAX_PARALLEL_PEEKS: usize = 16;

impl RateGuard {
    /// Returns the outcome that one more request with `key` would have under `policy`, and the reason. This method
    /// counts nothing.
    ///
    /// `explain` applies the entries for keys in the guard's [access list](crate::RateGuardBuilder::access). `explain`
    /// does not apply the settings `methods` and `skip`, the entries for addresses, or the access list of a middleware,
    /// because all of these need an HTTP request. [`explain_request`](Self::explain_request) applies them.
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
    /// The method panics if [`check`](actix_rateguard_core::RateGuard::check) would panic.
    pub async fn explain(&self, policy: &Policy, key: &Key) -> Outcome {
        match self.check_lists(|context| context.check_key(key, || false)) {
            Ok(()) => self.peek_outcome(policy, key, 1).await,
            Err(outcome) => outcome,
        }
    }

    /// Does the same as [`explain`](Self::explain) for a client with this address. Also applies the entries for
    /// addresses in the guard's access list.
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
            // Without an address, the operator asks about a key, whatever the address of its client is.
            if client.address.is_some() {
                context.check_client(client)?;
            }
            context.check_key(key, || client.is_unreliable_key(key))
        });
        match result {
            Ok(()) => self.peek_outcome(policy, key, 1).await,
            Err(outcome) => outcome,
        }
    }

    /// Calls `check` with the guard's current access lists. If an access list decides, returns the outcome as an
    /// error.
    fn check_lists(
        &self,
        check: impl FnOnce(&LimitContext<'_>) -> Result<(), NotChecked>,
    ) -> Result<(), Outcome> {
        let (policy_set, purpose) = (&*self.policy_set(), Purpose::Explain);
        let (middleware_access, is_body_read) = (None, false);
        check(&LimitContext { guard: self, policy_set, middleware_access, purpose, is_body_read })
            .map_err(Outcome::from)
    }

    /// Explains what the limits in the [inventory](Self::inventory) would do with this request. This method counts
    /// nothing.
    ///
    /// `limits` contains the names of the limits to explain. If `limits` is empty, the method explains all limits.
    /// The explanation shows how the guard determined the client's address, and the outcome of each limit.
    ///
    /// `explain_request` also calls the functions of the application that the limits use, such as key functions. These
    /// functions have no time limit. For the calls to the store, the method needs at most one
    /// [`deadline`](crate::RateGuardBuilder::deadline) of the guard for every 16 limits.
    ///
    /// An explanation does not read the body of the request. If a limit reads its key from the body, its outcome is
    /// [`UnknownReason::Body`](crate::explain::UnknownReason::Body), unless a limit of the request has read the body
    /// before.
    ///
    /// The method evaluates each limit separately, as if the guard had no other limits. If a denial of the request
    /// would start a [ban](Policy::ban), the explanation reports a denial without a ban.
    ///
    /// # Panics
    ///
    /// The method panics if [`check`](actix_rateguard_core::RateGuard::check) would panic.
    pub async fn explain_request(&self, request: &HttpRequest, limits: &[&str]) -> Explanation {
        let is_selected =
            |limit: &LimitInfo| limits.is_empty() || limits.contains(&limit.name.as_str());
        // All limits use the same policy set, even if the policies file changes during the explanation.
        let policy_set = self.policy_set();
        let infos = self.limit_infos(&policy_set).into_iter();
        let mut evaluated = Vec::new();
        for (limit, source) in infos.filter(|(limit, _)| is_selected(limit)) {
            // A function of the previous limit may have used a second guard, and the second guard may have replaced
            // the client that is stored in the request. So this guard stores the client again.
            client::resolve_without_warning(self.http(), request);
            evaluated.push((limit, evaluate(self, &policy_set, &source, request).await));
        }
        let explain = async |(limit, result)| match result {
            Ok(PeekRequest { policy, key, cost, counted_by }) => ExplainedLimit {
                limit,
                counted_by: Some(counted_by),
                cost: Some(cost),
                is_rolled_out: self.is_rolled_out(&policy, &key),
                is_overridden: Some(self.override_of(&policy, &key).is_some()),
                outcome: self.peek_outcome(&policy, &key, cost).await,
            },
            Err(outcome) => {
                let (counted_by, cost, is_rolled_out, is_overridden) = (None, None, None, None);
                ExplainedLimit { limit, counted_by, cost, is_rolled_out, is_overridden, outcome }
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
