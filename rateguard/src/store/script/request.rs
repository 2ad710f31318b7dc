//! One request to the script.

use smallvec::SmallVec;

use super::{Charge, Operation, Receipt, RedisLog};
use crate::{Algorithm, Quota};

/// One operation on one or more buckets: on all of them or on none.
#[derive(Debug)]
pub(in crate::store) struct ScriptRequest {
    pub(super) operation: Operation,
    pub(super) parts: SmallVec<[Part; 1]>,
    /// The flow of a fair queue, by the keys of the request and not by its policies.
    #[cfg(feature = "redis")]
    pub(in crate::store) flow: u64,
    /// Shadow traffic, which is sent only while no enforced request waits.
    #[cfg(feature = "redis")]
    pub(in crate::store) is_low_priority: bool,
}

/// One bucket, with the parameters of the operation.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// The name of the bucket in Redis.
    pub(super) key: String,
    pub(super) params: BucketParams,
    pub(super) receipt: Receipt,
}

/// Quota, algorithm and cost. Requests whose parts have equal parameters share a shape.
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

    #[cfg(feature = "redis")]
    pub(in crate::store) fn is_reset(&self) -> bool {
        self.operation == Operation::Reset
    }

    /// The hash tag that all keys have in common, which decides their slot in a cluster; `None` if they differ.
    #[cfg(feature = "redis")]
    pub(in crate::store) fn hash_tag(&self) -> Option<&str> {
        let mut tags = self.parts.iter().map(Part::hash_tag);
        let first = tags.next()?;
        tags.all(|tag| tag == first).then_some(first)
    }

    /// How many entries the request may add to logs.
    #[cfg(feature = "redis")]
    pub(in crate::store) fn entries(&self) -> u32 {
        let adds = |BucketParams { quota, cost, is_check_only, .. }: BucketParams| {
            // A cost above the maximum is denied.
            let is_taken = !is_check_only && cost <= quota.max_cost();
            if is_taken && quota.algorithm() == Algorithm::SlidingWindow { cost } else { 0 }
        };
        self.parts.iter().map(|part| adds(part.params)).fold(0, u32::saturating_add)
    }

    /// Whether a denial of one request also denies the other: a denial takes nothing, so right after it the same check of the
    /// same buckets has the same result.
    #[cfg(feature = "redis")]
    pub(in crate::store) fn is_same_check(&self, other: &Self) -> bool {
        let is_check = matches!(self.operation, Operation::Check | Operation::Peek);
        is_check && self.operation == other.operation && self.parts == other.parts
    }

    /// Whether both requests have the same operation, quotas and costs.
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

/// The flow of these charges: the sum of the digests of their distinct keys, in part. Digests cannot be predicted to collide, so
/// different keys are different flows but for chance.
#[cfg(feature = "redis")]
fn flow_of(charges: &[Charge<'_>]) -> u64 {
    let mut flow = 0_u64;
    for (position, charge) in charges.iter().enumerate() {
        let key = charge.bucket.key();
        // A key may be there several times, in any order: for each quota, and again for a ban.
        if charges[..position].iter().all(|earlier| earlier.bucket.key() != key) {
            let digest = charge.bucket.digest();
            let (first, _) = digest.as_chunks::<8>();
            let part = first.first().map_or(0, |bytes| u64::from_ne_bytes(*bytes));
            flow = flow.wrapping_add(part);
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

#[cfg(all(test, feature = "redis"))]
mod tests {
    use super::*;
    use crate::{Key, store::Bucket};

    #[test]
    fn the_flow_of_a_request_depends_on_its_keys_alone() {
        let quota = "5/minute".parse().unwrap();
        let [one, other] = [Key::from("one"), Key::from("other")].map(|key| key.digested());
        let flow = |buckets: &[(&str, usize, &Key)]| {
            let charges = buckets
                .iter()
                .map(|(name, place, key)| Charge::new(Bucket::new(name, *place, key), quota, 1));
            flow_of(&charges.collect::<Vec<_>>())
        };
        let of_one = flow(&[("p", 0, &one)]);
        assert_eq!(flow(&[("p", 0, &one), ("p", 1, &one), ("q", 0, &one)]), of_one);
        assert_ne!(flow(&[("p", 0, &other)]), of_one);
        // As with two keys that both have a ban.
        let of_both = flow(&[("p", 0, &one), ("q", 0, &other)]);
        let bans =
            [("p", 0, &one), ("q", 0, &other), ("p{banned}", 0, &one), ("q{banned}", 0, &other)];
        assert_eq!(flow(&bans), of_both);
        assert!(of_both != 0 && of_both != of_one && of_both != flow(&[("p", 0, &other)]));
    }
}
