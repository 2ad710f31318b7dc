//! The settings that a builder has for every store.

use super::core_settings::core_settings;
use crate::{Plan, Policy, error::RateError};

core_settings! {
    /// Settings for every store. The builder of `actix-rateguard-core` has the same methods, and the documentation
    /// of that builder has more details.
    impl[S] for S;

    /// Sets the secret with which the guard hashes keys. Only application servers with the same secret share their
    /// counts. Default: no secret. If the secret has fewer than 16 bytes, [`build`](Self::build) returns an error.
    ///
    /// Without a secret, an attacker who can read the store can find the address from which a stored hash was computed.
    /// To do this, the attacker hashes all possible addresses, which takes minutes for IPv4. A new secret resets all
    /// counts to zero, because it changes the hash of every key.
    key_secret(secret: impl AsRef<[u8]>);

    /// Sets whether the guard has overrides, with which
    /// [`set_override`](actix_rateguard_core::RateGuard::set_override) replaces the quotas of a policy for one key on
    /// every application server. Default: false, because a guard on Redis or Upstash with overrides reads their version
    /// about 7 times a second, in the background. If a [`store`](crate::RateGuardBuilder::store) of your own has no
    /// documents, [`build`](Self::build) returns an error.
    overrides(has_overrides: bool);

    /// Adds a policy. A limit uses the policy by its name: `#[rate_limit(policy = "search")]`, or
    /// [`Limit::policy`](crate::Limit::policy). All limits that use the same policy share its counts.
    ///
    /// If a macro attribute of the program refers to a policy that the guard does not have, [`build`](Self::build)
    /// returns an error. `build` ignores macro attributes with a `limiter` argument, because the request determines
    /// which guard they use. [`for_attributes`](Self::for_attributes) can disable this validation.
    policy(policy: Policy);

    /// Adds a plan with this name. A function that chooses the plan of a request can return [`Plan::named`] with the
    /// name. The plan is a [`Plan`], a [`Quota`](crate::Quota), [`Quotas`](crate::Quotas), or text such as
    /// `"10/minute; 100/day"` or `"unlimited"`. If the text is invalid, [`build`](Self::build) returns an error.
    ///
    /// ```
    /// # use actix_rateguard::{Plan, RateGuard};
    /// let guard = RateGuard::builder()
    ///     .plan("free", "10/minute; 100/day")
    ///     .plan("enterprise", Plan::Unlimited)
    ///     .build()?;
    /// # Ok::<(), actix_rateguard::BuildError>(())
    /// ```
    plan(name: impl Into<String>, plan: impl TryInto<Plan, Error: Into<RateError>>);

    /// Sets the maximum number of requests that wait in this process, because a limit has a
    /// [`wait`](crate::Limit::wait). Above this number, a request is denied immediately. Default: 10,000, because each
    /// waiting request occupies a connection and a few kilobytes of memory. With 0, no request waits.
    max_waiting(requests: usize);

    /// Sets the maximum number of requests that wait in this process for the same limit and key, so that one client
    /// cannot use up the bound of the guard. See [`max_waiting`](Self::max_waiting). Default: 100.
    max_waiting_per_key(requests: usize);
}
