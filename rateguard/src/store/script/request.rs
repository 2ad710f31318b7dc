//! One request to the script.

use smallvec::SmallVec;

use super::{Charge, Operation, Receipt, RedisLog};
use crate::{Algorithm, Quota};

/// An operation on one bucket or several: on all of them or on none.
#[derive(Debug)]
pub(in crate::store) struct ScriptRequest {
    pub(super) operation: Operation,
    pub(super) parts: SmallVec<[Part; 1]>,
    /// The keys that the request is for, whatever the policies: a fair queue serves one flow after the other.
    #[cfg(feature = "redis")]
    pub(in crate::store) flow: u64,
    /// Other requests go first.
    #[cfg(feature = "redis")]
    pub(in crate::store) is_low_priority: bool,
}

/// A bucket, and what is asked of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// The name of the bucket in Redis.
    pub(super) key: String,
    pub(super) params: BucketParams,
    pub(super) receipt: Receipt,
}

/// What is asked of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BucketParams {
    pub(super) quota: Quota,
    /// The script's name of the algorithm.
    pub(super) algorithm: &'static str,
    pub(super) cost: u32,
    pub(super) is_check_only: bool,
}

impl ScriptRequest {
    pub(in crate::store) fn new(
        prefix: &str,
        log: RedisLog,
        operation: Operation,
        charges: &[Charge<'_>],
    ) -> Self {
        let part = |charge: &Charge<'_>| Part {
            key: charge.bucket.storage_key(prefix),
            params: BucketParams {
                quota: charge.quota,
                algorithm: algorithm(charge.quota.algorithm(), log),
                cost: charge.cost,
                is_check_only: charge.is_gate,
            },
            receipt: charge.receipt,
        };
        Self {
            operation,
            parts: charges.iter().map(part).collect(),
            #[cfg(feature = "redis")]
            flow: flow_of(charges),
            #[cfg(feature = "redis")]
            is_low_priority: charges.iter().any(|charge| charge.is_tried),
        }
    }

    /// The part of the keys that decides their slot in a cluster, unless they are in several slots.
    #[cfg(feature = "redis")]
    pub(in crate::store) fn hash_tag(&self) -> Option<&str> {
        let mut tags = self.parts.iter().map(Part::hash_tag);
        let first = tags.next()?;
        tags.all(|tag| tag == first).then_some(first)
    }

    /// How many entries the request may add to logs.
    #[cfg(feature = "redis")]
    pub(in crate::store) fn entries(&self) -> u32 {
        let of_logs = |part: &&Part| part.params.quota.algorithm() == Algorithm::SlidingWindow;
        let costs = self.parts.iter().filter(of_logs).map(|part| part.params.cost);
        costs.fold(0, u32::saturating_add)
    }

    /// Whether the denial of one request denies the other as well: a denial takes nothing, so right after it the same check
    /// of the same buckets is denied with the same numbers.
    #[cfg(feature = "redis")]
    pub(in crate::store) fn is_same_check(&self, other: &Self) -> bool {
        let is_check = matches!(self.operation, Operation::Check | Operation::Peek);
        is_check && self.operation == other.operation && self.parts == other.parts
    }

    /// Whether the script can be told both requests as one shape.
    pub(super) fn has_shape_of(&self, other: &Self) -> bool {
        self.operation == other.operation
            && self.parts.len() == other.parts.len()
            && self.parts.iter().zip(&other.parts).all(|(one, other)| one.params == other.params)
    }
}

#[cfg(feature = "redis")]
impl Part {
    fn hash_tag(&self) -> &str {
        let tag = self.key.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
        tag.map_or(&self.key, |(tag, _)| tag)
    }
}

/// A number for the keys of these charges. Keys are digests, so different keys have different numbers but for chance.
#[cfg(feature = "redis")]
fn flow_of(charges: &[Charge<'_>]) -> u64 {
    let (mut flow, mut last) = (0, None);
    for charge in charges {
        let key = charge.bucket.key();
        if last != Some(key) {
            let digest = charge.bucket.digest();
            let (first, _) = digest.as_chunks::<8>();
            flow ^= first.first().map_or(0, |bytes| u64::from_ne_bytes(*bytes));
            last = Some(key);
        }
    }
    flow
}

/// The script's name of the algorithm.
fn algorithm(algorithm: Algorithm, log: RedisLog) -> &'static str {
    match (algorithm, log) {
        (Algorithm::SlidingWindow, RedisLog::SortedSet) => "sliding_window_sorted_set",
        _ => algorithm.name(),
    }
}
