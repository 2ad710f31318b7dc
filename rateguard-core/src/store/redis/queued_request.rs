//! Defines a request in the queue of a Redis link. It has the properties that decide how the request is queued and
//! batched.

use std::ops::Deref;

use crate::store::{
    BucketRequest, Operation,
    log_encoding::LogEncoding,
    script::{
        ScriptRequest,
        request::{BucketParams, RequestPart},
    },
};

/// A request to the script that waits in the queue of a link until it is sent in a batch.
#[derive(Debug)]
pub(crate) struct QueuedRequest {
    request: ScriptRequest,
    /// The number of the flow to which the request belongs. A flow consists of all requests for the same keys. The
    /// number therefore depends only on the keys of the request, and not on the policies.
    pub(super) flow: u64,
    /// True if the request has low priority, such as shadow traffic. The dispatcher sends such a request only while
    /// no enforced request waits.
    pub(super) is_low_priority: bool,
}

impl QueuedRequest {
    pub(super) fn new(
        prefix: &str,
        log: LogEncoding,
        operation: Operation,
        requests: &[BucketRequest<'_>],
    ) -> Self {
        Self {
            request: ScriptRequest::new(prefix, log, operation, requests),
            flow: flow_of(requests),
            is_low_priority: requests.iter().any(|request| request.low_priority),
        }
    }

    pub(super) fn is_reset(&self) -> bool {
        self.operation == Operation::Reset
    }

    /// Returns the hash tag if all keys of the request have the same hash tag, and `None` otherwise. In a cluster,
    /// the hash tag determines the cluster slot of a key.
    pub(super) fn hash_tag(&self) -> Option<&str> {
        let mut tags = self.parts.iter().map(hash_tag);
        let first = tags.next()?;
        tags.all(|tag| tag == first).then_some(first)
    }

    /// Returns the maximum number of entries that the request can add to sliding-window logs.
    pub(super) fn entries(&self) -> u32 {
        let adds = |BucketParams { quota, cost, is_check_only, .. }: BucketParams| {
            // If the cost is above the maximum, the script denies the request and adds no entry.
            let is_taken = !is_check_only && cost <= quota.max_cost();
            if is_taken && quota.algorithm().is_log() { cost } else { 0 }
        };
        self.parts.iter().map(|part| adds(part.params)).fold(0, u32::saturating_add)
    }

    /// Returns true if both requests are the same check of the same buckets. If the script denies one of them, and then
    /// runs the other one immediately, it also denies the other one, because a denial takes no units. A check of permits
    /// is different, because a release can be between both requests, and the second one could wait for it.
    pub(super) fn is_same_check(&self, other: &Self) -> bool {
        let is_check = matches!(self.operation, Operation::Check | Operation::Peek);
        let has_permits = self.parts.iter().any(|it| it.params.quota.algorithm().has_permits());
        is_check && !has_permits && self.operation == other.operation && self.parts == other.parts
    }
}

impl Deref for QueuedRequest {
    type Target = ScriptRequest;

    fn deref(&self) -> &ScriptRequest {
        &self.request
    }
}

fn hash_tag(part: &RequestPart) -> &str {
    let tag = part.key.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
    tag.map_or(&part.key, |(tag, _)| tag)
}

/// Returns the number of the flow for these requests: the first 8 bytes of each key's digest as a number, added for all
/// different keys. Clients cannot construct keys with the same digest, so different keys have different numbers except
/// by chance.
fn flow_of(requests: &[BucketRequest<'_>]) -> u64 {
    let mut flow = 0_u64;
    for (index, request) in requests.iter().enumerate() {
        let key = request.bucket.key();
        // Add each key only once. The same key may occur several times and in any order: for each quota, and again
        // for a ban.
        if requests[..index].iter().all(|earlier| earlier.bucket.key() != key) {
            let digest = request.bucket.digest();
            let (first, _) = digest.as_chunks::<8>();
            let part = first.first().map_or(0, |bytes| u64::from_ne_bytes(*bytes));
            flow = flow.wrapping_add(part);
        }
    }
    flow
}

#[cfg(test)]
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
        // The buckets of the bans use the same two keys again, but this must not change the number.
        let of_both = flow(&[("p", 0, &one), ("q", 0, &other)]);
        let bans =
            [("p", 0, &one), ("q", 0, &other), ("p{banned}", 0, &one), ("q{banned}", 0, &other)];
        assert_eq!(flow(&bans), of_both);
        assert!(of_both != 0 && of_both != of_one && of_both != flow(&[("p", 0, &other)]));
    }
}
