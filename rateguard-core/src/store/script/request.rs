//! A request to the script, with its buckets and costs.

use smallvec::SmallVec;

use super::{BucketRequest, Operation, Receipt, RedisLog};
use crate::{Algorithm, Quota};

/// One operation on one or more buckets. The script applies the operation to all of these buckets or to none.
#[derive(Debug)]
pub(crate) struct ScriptRequest {
    pub(super) operation: Operation,
    pub(super) parts: SmallVec<[RequestPart; 1]>,
    /// The number that groups requests in the fair queue. The number depends only on the keys, so all requests for one
    /// key are in one group, for any policies.
    #[cfg(feature = "redis")]
    pub(in crate::store) flow: u64,
    /// Whether the request has low priority, such as shadow traffic. The dispatcher sends such a request only while no
    /// other request waits.
    #[cfg(feature = "redis")]
    pub(in crate::store) is_low_priority: bool,
}

/// One bucket of a request, with the parameters of the operation.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RequestPart {
    /// The key of the bucket in Redis.
    pub(super) key: String,
    pub(super) params: BucketParams,
    pub(super) receipt: Receipt,
}

/// The quota, the algorithm and the cost for one bucket. Requests with equal parameters for all buckets share a shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BucketParams {
    pub(super) quota: Quota,
    /// The name that the script uses for the algorithm.
    pub(super) algorithm: &'static str,
    pub(super) cost: u32,
    pub(super) is_check_only: bool,
}

impl ScriptRequest {
    pub(in crate::store) fn new(
        prefix: &str,
        log: RedisLog,
        operation: Operation,
        requests: &[BucketRequest<'_>],
    ) -> Self {
        let part = |request: &BucketRequest<'_>| RequestPart {
            key: request.bucket.storage_key(prefix),
            params: BucketParams {
                quota: request.quota,
                algorithm: algorithm(request.quota.algorithm(), log),
                cost: request.cost,
                is_check_only: request.check_only,
            },
            receipt: request.receipt,
        };
        Self {
            operation,
            parts: requests.iter().map(part).collect(),
            #[cfg(feature = "redis")]
            flow: flow_of(requests),
            #[cfg(feature = "redis")]
            is_low_priority: requests.iter().any(|request| request.low_priority),
        }
    }

    #[cfg(feature = "redis")]
    pub(in crate::store) fn is_reset(&self) -> bool {
        self.operation == Operation::Reset
    }

    /// Returns the hash tag of all keys, or `None` if the tags differ. In a cluster, the hash tag determines the
    /// cluster slot.
    #[cfg(feature = "redis")]
    pub(in crate::store) fn hash_tag(&self) -> Option<&str> {
        let mut tags = self.parts.iter().map(RequestPart::hash_tag);
        let first = tags.next()?;
        tags.all(|tag| tag == first).then_some(first)
    }

    /// Returns the maximum number of entries that the request adds to sliding-window logs.
    #[cfg(feature = "redis")]
    pub(in crate::store) fn entries(&self) -> u32 {
        let adds = |BucketParams { quota, cost, is_check_only, .. }: BucketParams| {
            // The script denies a cost above the maximum, and adds no entry.
            let is_taken = !is_check_only && cost <= quota.max_cost();
            if is_taken && quota.algorithm().is_log() { cost } else { 0 }
        };
        self.parts.iter().map(|part| adds(part.params)).fold(0, u32::saturating_add)
    }

    /// Whether both requests are the same check of the same buckets. The script takes no units for a denial, so a
    /// second check immediately after a denied check is denied too.
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
impl RequestPart {
    fn hash_tag(&self) -> &str {
        let tag = self.key.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
        tag.map_or(&self.key, |(tag, _)| tag)
    }
}

/// Returns the number of the fair queue's group: the sum of the first 8 bytes of the digests of all distinct keys.
/// Clients cannot construct digest collisions, so different keys have different numbers except by chance.
#[cfg(feature = "redis")]
fn flow_of(requests: &[BucketRequest<'_>]) -> u64 {
    let mut flow = 0_u64;
    for (index, request) in requests.iter().enumerate() {
        let key = request.bucket.key();
        // Add each key only once. A key may occur several times, in any order: for each quota, and again for a ban.
        if requests[..index].iter().all(|earlier| earlier.bucket.key() != key) {
            let digest = request.bucket.digest();
            let (first, _) = digest.as_chunks::<8>();
            let part = first.first().map_or(0, |bytes| u64::from_ne_bytes(*bytes));
            flow = flow.wrapping_add(part);
        }
    }
    flow
}

/// Returns the name that the script uses for the algorithm.
fn algorithm(algorithm: Algorithm, log: RedisLog) -> &'static str {
    match (algorithm, log) {
        (Algorithm::SlidingWindow, RedisLog::SortedSet) => "sliding_window_sorted_set",
        (
            Algorithm::SlidingWindow
            | Algorithm::SlidingWindowCounter
            | Algorithm::FixedWindow
            | Algorithm::TokenBucket,
            _,
        ) => algorithm.name(),
    }
}

#[cfg(all(test, feature = "redis"))]
mod tests {
    use super::*;
    use crate::{Key, store::Bucket};

    #[test]
    fn flow_depends_only_on_the_keys() {
        let quota = "5/minute".parse().unwrap();
        let [one, other] = [Key::from("one"), Key::from("other")].map(|key| key.digested());
        let flow = |buckets: &[(&str, usize, &Key)]| {
            let requests = buckets.iter().map(|(name, index, key)| {
                BucketRequest::new(Bucket::new(name, *index, key), quota, 1)
            });
            flow_of(&requests.collect::<Vec<_>>())
        };
        let of_one = flow(&[("p", 0, &one)]);
        assert_eq!(flow(&[("p", 0, &one), ("p", 1, &one), ("q", 0, &one)]), of_one);
        assert_ne!(flow(&[("p", 0, &other)]), of_one);
        // Both keys occur again in the buckets of their bans, but this must not change the number.
        let of_both = flow(&[("p", 0, &one), ("q", 0, &other)]);
        let bans =
            [("p", 0, &one), ("q", 0, &other), ("p{banned}", 0, &one), ("q{banned}", 0, &other)];
        assert_eq!(flow(&bans), of_both);
        assert!(of_both != 0 && of_both != of_one && of_both != flow(&[("p", 0, &other)]));
    }
}
