//! The parts of a request: a limit (policy and key), and its bucket requests.

use crate::{Key, Policy, policy::QuotaVariant, store::BucketRequest};

/// A policy, a key and the number of units that a request takes of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestedLimit<'a> {
    pub(super) policy: &'a Policy,
    /// Hashed, as in the store.
    pub(super) key: Key,
    pub(super) cost: u32,
    /// A denial is not counted as an offence.
    pub(super) is_exempt_from_ban: bool,
    /// The quotas of the policy that are enforced for this key.
    pub(super) variant: QuotaVariant,
}

/// A bucket request, with the limit to which it belongs.
#[derive(Clone, Copy)]
pub(super) struct LimitBucket<'a> {
    /// The index of the limit in the request.
    pub(super) limit: usize,
    pub(super) request: BucketRequest<'a>,
    /// Whether the bucket counts under an enforced quota. The other buckets belong to a ban or to a shadow variant.
    pub(super) is_quota: bool,
}
