//! The way of an explanation.

#[cfg(feature = "operator")]
use std::net::IpAddr;

use actix_web::HttpRequest;
use futures_util::{StreamExt, stream};

use super::{
    Exemption, ExplainedLimit, Explanation, Outcome, RefusedBy, WhyUnknown,
    look::{Question, look},
    unknown::{has_functions, key_parts},
};
#[cfg(feature = "operator")]
use crate::client::{ResolvedClient, canonical};
use crate::{
    AccessList, Key, KnownLimit, Policy, RateGuard,
    access::Access,
    guard::InForce,
    http::{client, inventory::Source, refusal::Refusal, terms::admitted},
};

/// So many limits are asked for at once: one deadline is enough for most guards, and no request finds its place taken.
const AT_ONCE: usize = 16;

/// Whether a request is one that came, or one that somebody has described.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    Real,
    #[cfg(feature = "operator")]
    Described,
}

impl RateGuard {
    /// What would come of one more request of `key` under `policy`, and why. It takes nothing.
    ///
    /// Keys on the guard's [list](crate::RateGuardBuilder::access) are told as such. What else exempts requests (methods, `skip`, the
    /// lists of addresses and those of one middleware) is known of a [request](Self::explain_request) alone.
    ///
    /// ```
    /// # use rateguard::{Key, Policy, RateGuard};
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
    /// As [`check`](Self::check).
    pub async fn explain(&self, policy: &Policy, key: &Key) -> Outcome {
        self.explain_key(policy, key, || false).await
    }

    async fn explain_key(
        &self,
        policy: &Policy,
        key: &Key,
        is_unreliable: impl Fn() -> bool,
    ) -> Outcome {
        match self.admitted_now(|list| list.of_key(key, &is_unreliable)) {
            Ok(true) => Outcome::Exempt(Exemption::KeyAllowed),
            Err(_) => Outcome::Refused(RefusedBy::KeyDenied),
            Ok(false) => self.peeked(policy, key, 1).await,
        }
    }

    /// The same of a client at this address, who may be on the guard's list by that.
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
        match self.admitted_now(|list| list.of_client(client)) {
            Ok(true) => Outcome::Exempt(Exemption::AddressAllowed),
            Err(_) => Outcome::Refused(RefusedBy::AddressDenied),
            Ok(false) => self.explain_key(policy, key, || client.is_unreliable_key(key)).await,
        }
    }

    /// Whether the lists that are in force free from limits.
    fn admitted_now(&self, access: impl Fn(&AccessList) -> Access) -> Result<bool, Refusal> {
        admitted(&[&self.in_force().access, &self.http().access], access)
    }

    /// What the limits of these names in the [inventory](Self::inventory) would do with this request, all of them if none
    /// is named: how the address of its client is found, which key each reads, and how its quotas stand. It takes nothing. It
    /// lasts no longer than the guard's deadline for every 16 limits, besides what the functions of the limits take, which it calls.
    ///
    /// Each limit is looked at for itself. A denial that would begin a [ban](Policy::ban) is told as the denial that it is by now,
    /// and of limits that share a policy and a key, each as if the request met it alone.
    ///
    /// # Panics
    ///
    /// As [`check`](Self::check).
    pub async fn explain_request(&self, request: &HttpRequest, limits: &[&str]) -> Explanation {
        self.explain_for(Of::Real, request, limits).await
    }

    pub(crate) async fn explain_for(
        &self,
        of: Of,
        request: &HttpRequest,
        limits: &[&str],
    ) -> Explanation {
        let is_asked =
            |limit: &KnownLimit| limits.is_empty() || limits.contains(&limit.name.as_str());
        // The same for all of them, also if a file changes meanwhile.
        let in_force = self.in_force();
        let known = self.known_limits(&in_force).into_iter().filter(|(limit, _)| is_asked(limit));
        let mut asked = Vec::new();
        for (limit, source) in known {
            let question = self.question(of, &in_force, &limit, &source, request).await;
            asked.push((limit, question));
        }
        let explain = async |(limit, question)| {
            let is_guess = of != Of::Real && has_functions(&limit);
            match question {
                Ok(Question { policy, key, cost, counted_by }) => ExplainedLimit {
                    limit,
                    counted_by: Some(counted_by),
                    cost: Some(cost),
                    is_rolled_out: self.is_rolled_out(&policy, &key),
                    is_guess,
                    outcome: self.peeked(&policy, &key, cost).await,
                },
                Err(outcome) => ExplainedLimit {
                    limit,
                    counted_by: None,
                    cost: None,
                    is_rolled_out: None,
                    is_guess,
                    outcome,
                },
            }
        };
        let limits = stream::iter(asked).map(explain).buffered(AT_ONCE).collect().await;
        Explanation { client: client::walk(self, request), limits }
    }

    async fn question(
        &self,
        of: Of,
        in_force: &InForce,
        limit: &KnownLimit,
        source: &Source,
        request: &HttpRequest,
    ) -> Result<Question, Outcome> {
        // A function that was called before may have asked another guard.
        client::find_quietly(self, request);
        let question = look(self, in_force, source, request).await;
        let has_read_key = matches!(
            question,
            Ok(_) | Err(Outcome::Exempt(Exemption::NoKey) | Outcome::Refused(RefusedBy::NoKey))
        );
        if of != Of::Real && has_read_key {
            let unknown = key_parts(limit, request);
            if !unknown.is_empty() {
                return Err(Outcome::Unknown(WhyUnknown::KeyParts(unknown)));
            }
        }
        question
    }

    async fn peeked(&self, policy: &Policy, key: &Key, cost: u32) -> Outcome {
        match self.request(policy, key).cost(cost).peek().await {
            Ok(decision) => Outcome::Decided(decision),
            Err(unavailable) => Outcome::Unavailable(unavailable),
        }
    }
}
