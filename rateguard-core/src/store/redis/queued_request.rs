//! A request in the queues of a Redis link, with the properties by which it is queued and batched.

use std::ops::Deref;

use crate::{
    LogEncoding,
    store::{
        BucketRequest, Operation,
        script::{
            ScriptRequest,
            request::{BucketParams, RequestPart},
        },
    },
};

/// A request to the script that waits in a queue for its batch.
#[derive(Debug)]
pub(crate) struct QueuedRequest {
    request: ScriptRequest,
    /// The number that groups requests in the fair queue. The number depends only on the keys, so all requests for one
    /// key are in one group, for any policies.
    pub(super) flow: u64,
    /// Whether the request has low priority, such as shadow traffic. The dispatcher sends such a request only while no
    /// other request waits.
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

    /// Returns the hash tag of all keys, or `None` if the tags differ. In a cluster, the hash tag determines the
    /// cluster slot.
    pub(super) fn hash_tag(&self) -> Option<&str> {
        let mut tags = self.parts.iter().map(hash_tag);
        let first = tags.next()?;
        tags.all(|tag| tag == first).then_some(first)
    }

    /// Returns the maximum number of entries that the request adds to sliding-window logs.
    pub(super) fn entries(&self) -> u32 {
        let adds = |BucketParams { quota, cost, is_check_only, .. }: BucketParams| {
            // The script denies a cost above the maximum, and adds no entry.
            let is_taken = !is_check_only && cost <= quota.max_cost();
            if is_taken && quota.algorithm().is_log() { cost } else { 0 }
        };
        self.parts.iter().map(|part| adds(part.params)).fold(0, u32::saturating_add)
    }

    /// Whether both requests are the same check of the same buckets. The script takes no units for a denial, so a
    /// second check immediately after a denied check is denied too.
    pub(super) fn is_same_check(&self, other: &Self) -> bool {
        let is_check = matches!(self.operation, Operation::Check | Operation::Peek);
        is_check && self.operation == other.operation && self.parts == other.parts
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

/// Returns the number of the fair queue's group: the sum of the first 8 bytes of the digests of all distinct keys.
/// Clients cannot construct digest collisions, so different keys have different numbers except by chance.
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
        // Both keys occur again in the buckets of their bans, but this must not change the number.
        let of_both = flow(&[("p", 0, &one), ("q", 0, &other)]);
        let bans =
            [("p", 0, &one), ("q", 0, &other), ("p{banned}", 0, &one), ("q{banned}", 0, &other)];
        assert_eq!(flow(&bans), of_both);
        assert!(of_both != 0 && of_both != of_one && of_both != flow(&[("p", 0, &other)]));
    }
}
