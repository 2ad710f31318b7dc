//! The parts of a request: limits, which consist of a policy and a key, and their bucket requests.

use crate::{Key, Policy, policy::QuotaVariant, store::BucketRequest};

/// A policy, a key and the number of units that the request asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestedLimit<'a> {
    pub(super) policy: &'a Policy,
    /// The key after hashing, as the store counts it.
    pub(super) key: Key,
    pub(super) cost: u32,
    /// Whether the guard does not count a denial as an offence.
    pub(super) is_exempt_from_ban: bool,
    /// The variant of the policy's quotas that the guard enforces for this key.
    pub(super) variant: QuotaVariant,
}

/// A bucket request, with the limit for which the guard sends it.
#[derive(Clone, Copy)]
pub(super) struct LimitBucket<'a> {
    /// The index of the limit in the request.
    pub(super) limit: usize,
    pub(super) request: BucketRequest<'a>,
    /// Whether the bucket counts for an enforced quota. Other buckets belong to a ban or to a quota variant in shadow.
    pub(super) is_quota: bool,
}
