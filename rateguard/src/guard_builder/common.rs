//! The settings of the limiter for every store.

use super::core_settings::core_settings;
use crate::{Plan, Policy};

core_settings! {
    /// Settings of the limiter. The builder of `actix-rateguard-core` has the same methods, and its documentation has
    /// more details.
    impl[S] for S;

    /// The secret that the guard hashes keys with, at least 16 bytes. Every application server needs the same secret,
    /// or the servers do not share counts. Default: none. A shorter secret is an error of [`build`](Self::build).
    ///
    /// Without a secret, a reader of the store can find the client of a key by hashing all candidates: to hash all IPv4
    /// addresses takes minutes. A new secret resets all counts to zero, because it changes every hash.
    key_secret(secret: impl AsRef<[u8]>);

    /// Adds a policy that limits use by its name: `#[rate_limit(policy = "search")]`, and
    /// [`RateLimit::policy`](crate::RateLimit::policy). Limits that use one policy share its counts.
    ///
    /// A guard with policies must have every policy that a macro attribute of the program names; otherwise
    /// [`build`](Self::build) fails. `build` ignores macro attributes with a `limiter`, because each request determines
    /// their guard. [`for_attributes`](Self::for_attributes) can disable this validation.
    policy(policy: Policy);

    /// Adds a plan that a function can return by its name for a request: [`Plan::named`].
    ///
    /// ```
    /// # use actix_rateguard::{Plan, RateGuard};
    /// let guard = RateGuard::builder()
    ///     .plan("free", Plan::of("10/minute; 100/day"))
    ///     .plan("enterprise", Plan::Unlimited)
    ///     .build()?;
    /// # Ok::<(), actix_rateguard::BuildError>(())
    /// ```
    plan(name: impl Into<String>, plan: impl Into<Plan>);
}
