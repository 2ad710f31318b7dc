//! Defines a request to the script. The request has one or more buckets, and a cost for each bucket.

use smallvec::SmallVec;

use super::{BucketRequest, Operation, Receipt};
use crate::{Algorithm, Quota, store::log_encoding::LogEncoding};

/// One operation on one or more buckets. The script applies the operation to all of these buckets, or to none of
/// them.
#[derive(Debug)]
pub(crate) struct ScriptRequest {
    pub(in crate::store) operation: Operation,
    pub(in crate::store) parts: SmallVec<[RequestPart; 1]>,
}

/// One bucket of a request, with the parameters for this bucket.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::store) struct RequestPart {
    /// The Redis key that stores the bucket.
    pub(in crate::store) key: String,
    pub(in crate::store) params: BucketParams,
    pub(in crate::store) receipt: Receipt,
    /// The uses of the units of a lease that is returned.
    pub(in crate::store) uses: Box<[u32]>,
}

/// The quota, the algorithm and the cost for one bucket of a request. If these parameters are equal for all buckets
/// of two requests, a batch needs to send the parameters only once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct BucketParams {
    pub(in crate::store) quota: Quota,
    /// The name of the algorithm in the script.
    pub(in crate::store) algorithm: &'static str,
    pub(in crate::store) cost: u32,
    pub(in crate::store) is_check_only: bool,
}

impl ScriptRequest {
    pub(in crate::store) fn new(
        prefix: &str,
        log: LogEncoding,
        operation: Operation,
        requests: &[BucketRequest<'_>],
    ) -> Self {
        let part = |request: &BucketRequest<'_>| RequestPart {
            key: storage_key(prefix, request),
            params: BucketParams {
                quota: request.quota,
                algorithm: algorithm(request.quota, log),
                cost: request.cost,
                is_check_only: request.check_only,
            },
            receipt: request.receipt,
            uses: request.uses.into(),
        };
        Self { operation, parts: requests.iter().map(part).collect() }
    }

    /// Returns true if both requests have the same operation, the same quotas and the same costs.
    pub(super) fn has_shape_of(&self, other: &Self) -> bool {
        self.operation == other.operation
            && self.parts.len() == other.parts.len()
            && self.parts.iter().zip(&other.parts).all(|(one, other)| one.params == other.params)
    }
}

/// Returns the Redis key of the request's bucket. The permits of a bucket have a key of their own: application servers
/// with different policies files may disagree whether a quota is a rate, and then neither of them may delete the
/// permits of the other.
fn storage_key(prefix: &str, request: &BucketRequest<'_>) -> String {
    let mut key = request.bucket.storage_key(prefix);
    if request.quota.algorithm().has_permits() {
        key.push_str("{permits}");
    }
    key
}

/// The name of the algorithm in the script for a token bucket whose quota has a lease.
pub(super) const TOKEN_BUCKET_LEASES: &str = "token_bucket_leases";

/// Returns the name of the algorithm in the script. The units of a lease are from the future, and a packed log cannot
/// contain them, because its newest entry is the last one.
fn algorithm(quota: Quota, log: LogEncoding) -> &'static str {
    let algorithm = quota.algorithm();
    let has_lease = quota.lease().is_some();
    let log = if has_lease { LogEncoding::SortedSet } else { log };
    match (algorithm, log) {
        (Algorithm::SlidingWindow, LogEncoding::SortedSet) => "sliding_window_sorted_set",
        (Algorithm::TokenBucket, _) if has_lease => TOKEN_BUCKET_LEASES,
        (
            Algorithm::SlidingWindow
            | Algorithm::SlidingWindowCounter
            | Algorithm::FixedWindow
            | Algorithm::TokenBucket
            | Algorithm::Concurrency
            | Algorithm::Calendar,
            _,
        ) => algorithm.name(),
    }
}
