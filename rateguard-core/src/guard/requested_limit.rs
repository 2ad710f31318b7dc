//! One policy and key of a request, and its bucket requests.

use crate::{Key, Policy, policy::QuotaVariant, store::BucketRequest};

#[derive(Clone, Copy, Debug)]
pub(super) struct RequestedLimit<'a> {
    pub(super) policy: &'a Policy,
    /// As it stands in the store.
    pub(super) key: Key,
    pub(super) cost: u32,
    /// Being denied is no offence.
    pub(super) is_exempt_from_ban: bool,
    /// Which of the policy's quotas are enforced for this key.
    pub(super) side: QuotaVariant,
}

/// A charge, and the place of the limit that it is of.
#[derive(Clone, Copy)]
pub(super) struct LimitCharge<'a> {
    pub(super) limit: usize,
    pub(super) charge: BucketRequest<'a>,
    /// And not of its ban.
    pub(super) is_of_quota: bool,
}
