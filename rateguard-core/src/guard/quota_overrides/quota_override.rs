//! An override that is in effect, for lists.

use std::time::Duration;

use crate::Quotas;

/// The quotas that replace those of a policy for one key. [`RateGuard::overrides`](crate::RateGuard::overrides) lists
/// the overrides.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QuotaOverride {
    /// The name of the policy.
    pub policy: String,
    /// The digest of the key in 32 hexadecimal digits. On Redis, it is also in the names of the buckets of the key. The
    /// list cannot contain the key itself, because the store only has digests.
    pub key_digest: String,
    /// The quotas that apply in place of those of the policy.
    pub quotas: Quotas,
    /// The time until the override ends.
    pub ends_after: Duration,
    /// The text that the caller of [`set_described_override`](crate::RateGuard::set_described_override) has given.
    pub description: Option<String>,
}
