//! Runs an operation on several keys that the store cannot use in one call. In Redis Cluster, these are keys of
//! different cluster slots.

use std::time::{Duration, Instant};

use super::{RateGuard, traffic::Traffic};
use crate::{
    StoreError,
    store::{BucketRequest, BucketStatus, Operation, Receipt, Verdict},
};

/// Runs an operation on one key after the other, with a separate store call for each key. All calls together last at
/// most as long as `deadline`.
///
/// If the store denies the check of a key or fails to decide it, the guard refunds the units of all earlier keys, and
/// only peeks at all later keys. The result is a denial if any key has no room, even if the store failed for other
/// keys.
pub(super) async fn one_after_the_other(
    guard: &RateGuard,
    operation: Operation,
    requests: &[BucketRequest<'_>],
    deadline: Duration,
) -> Result<Verdict, StoreError> {
    let mut keys = group_by_key(requests);
    let until = Instant::now() + deadline;
    let (mut is_allowed, mut failure) = (true, None);
    let mut unknown = Vec::new();
    for number in 0..keys.len() {
        let has_room = is_allowed && failure.is_none();
        let step = if has_room { operation } else { Operation::Peek };
        let result = keys[number].apply(guard, until, step).await;
        if step == Operation::Check && !matches!(result, Ok(true)) {
            for key in &mut keys[..number] {
                // If the refund fails, the count of the key is too high. The request is still denied, so no limit is
                // exceeded.
                let _ = key.apply(guard, until, Operation::Refund).await;
            }
        }
        match result {
            Ok(allowed) => is_allowed &= allowed,
            Err(cause) if matches!(operation, Operation::Check | Operation::Peek) => {
                failure.get_or_insert(cause);
                let key = &mut keys[number];
                unknown.extend_from_slice(&key.indexes);
                key.replies =
                    vec![(BucketStatus::default(), Receipt::default()); key.indexes.len()];
            }
            Err(cause) => return Err(cause),
        }
    }
    if let Some(cause) = failure.filter(|_| is_allowed) {
        return Err(cause);
    }
    let mut replies: Vec<_> =
        keys.into_iter().flat_map(|key| key.indexes.into_iter().zip(key.replies)).collect();
    replies.sort_by_key(|(index, _)| *index);
    let replies = replies.into_iter().map(|(_, reply)| reply);
    Ok(Verdict::new(is_allowed, replies).without(unknown))
}

/// The bucket requests of one key.
struct KeyGroup<'a> {
    /// The caller passes one list with the bucket requests of all keys. These are the indexes of this key's bucket
    /// requests in that list.
    indexes: Vec<usize>,
    requests: Vec<BucketRequest<'a>>,
    /// The replies of the last store call for this key.
    replies: Vec<(BucketStatus, Receipt)>,
}

impl KeyGroup<'_> {
    async fn apply(
        &mut self,
        guard: &RateGuard,
        until: Instant,
        operation: Operation,
    ) -> Result<bool, StoreError> {
        if operation == Operation::Refund {
            // Some buckets are only read by the check. The check took no units from these buckets, so the guard
            // refunds 0 units there.
            self.requests.iter_mut().for_each(|request| request.cost = request.taken());
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(guard.shared.store.timeout_cause(&self.requests));
        }
        let verdict = guard.call_store(Traffic::Enforced, operation, &self.requests, left).await?;
        self.replies = verdict.statuses().zip(verdict.receipts()).collect();
        if operation == Operation::Check {
            for (request, receipt) in self.requests.iter_mut().zip(verdict.receipts()) {
                request.receipt = receipt;
            }
        }
        Ok(verdict.is_allowed())
    }
}

fn group_by_key<'a>(requests: &[BucketRequest<'a>]) -> Vec<KeyGroup<'a>> {
    let mut keys: Vec<KeyGroup<'a>> = Vec::new();
    for (index, request) in requests.iter().enumerate() {
        let has_same_key =
            |group: &&mut KeyGroup<'a>| group.requests[0].bucket.key() == request.bucket.key();
        match keys.iter_mut().find(has_same_key) {
            Some(group) => {
                group.indexes.push(index);
                group.requests.push(*request);
            }
            None => keys.push(KeyGroup {
                indexes: vec![index],
                requests: vec![*request],
                replies: Vec::new(),
            }),
        }
    }
    keys
}
