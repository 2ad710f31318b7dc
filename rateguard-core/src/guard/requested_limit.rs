//! Defines the parts of a request: limits and bucket requests. A limit asks for units of one key against one policy.
//! A bucket request asks the store for units of one bucket.

use std::{ops::Deref, sync::Arc};

use crate::{Key, Policy, Quota, policy::QuotaVariant, store::BucketRequest};

/// A limit of a request: a policy, a key and the number of units that the request asks for.
#[derive(Clone, Debug)]
pub(super) struct RequestedLimit<'a> {
    pub(super) policy: RequestedPolicy<'a>,
    /// The key in the form that the store uses. Usually this is the hashed key.
    pub(super) key: Key,
    pub(super) cost: u32,
    /// If true, the guard does not count a denial of this limit as an offence.
    pub(super) is_exempt_from_ban: bool,
    /// Which quotas of the policy the guard enforces for this key: the policy's own quotas or its candidate quotas.
    pub(super) variant: QuotaVariant,
    pub(super) permit_use: PermitUse,
}

/// The policy of a limit, which an override may have replaced.
#[derive(Clone, Debug)]
pub(super) enum RequestedPolicy<'a> {
    Own(&'a Policy),
    /// The key has an override.
    Overridden {
        own: &'a Policy,
        policy: Arc<Policy>,
    },
}

impl RequestedPolicy<'_> {
    /// Returns the quotas that an override has replaced.
    pub(super) fn replaced_quotas(&self) -> &[Quota] {
        match self {
            Self::Own(_) => &[],
            Self::Overridden { own, .. } => own.quotas().as_slice(),
        }
    }
}

impl Deref for RequestedPolicy<'_> {
    type Target = Policy;

    fn deref(&self) -> &Policy {
        match self {
            Self::Own(policy) => policy,
            Self::Overridden { policy, .. } => policy,
        }
    }
}

/// What a request does with a quota of the limit that limits the requests in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PermitUse {
    /// A permit must be free, but the request does not take it.
    RequireRoom,
    /// The request takes a permit, and holds it.
    Take,
    /// The request needs no permit, because the caller already holds one.
    Ignore,
}

/// A bucket request, together with the limit to which it belongs.
#[derive(Clone, Copy)]
pub(super) struct LimitBucket<'a> {
    /// The index of the limit in the request.
    pub(super) limit: usize,
    pub(super) request: BucketRequest<'a>,
    /// True if the bucket counts for an enforced quota. False if the bucket belongs to a ban or to a quota in shadow
    /// mode.
    pub(super) is_quota: bool,
}
