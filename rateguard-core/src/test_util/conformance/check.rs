//! Tests the rules that the contract of `Store` has for checks and peeks. A peek reads a status without taking
//! units.

use std::time::Duration;

use futures_util::future::join_all;

use super::subject::{BucketReply, Subject, quota, request, require};
use crate::{
    Algorithm, StoreError,
    store::{Bucket, BucketRequest, Operation},
};

/// A window that is longer than the duration of the suite, so no units expire during the suite.
pub(super) const LONG: Duration = Duration::from_secs(86_400);
/// A window that is short enough for the suite to wait until it ends.
pub(super) const SHORT: Duration = Duration::from_millis(400);
const TICK: Duration = Duration::from_micros(1);

pub(super) async fn check_all(subject: &mut Subject<'_>) {
    limit_is_enforced(subject).await;
    peek_takes_no_units(subject).await;
    cost_is_taken_as_a_whole(subject).await;
    all_buckets_or_none_are_taken(subject).await;
    check_only_bucket_needs_room_and_loses_no_units(subject).await;
    buckets_have_separate_counts(subject).await;
    retry_after_is_exact(subject).await;
    concurrent_checks_are_serialized(subject).await;
    pending_operation_starts_when_polled(subject).await;
}

async fn limit_is_enforced(subject: &mut Subject<'_>) {
    let (key, quota) = (subject.key(), subject.quota(5, LONG));
    for remaining in (0..5).rev() {
        let reply = subject.check(request(&key, quota, 1)).await;
        require(reply.allowed, "a check is admitted while the bucket has room");
        require(reply.status.remaining == remaining, "each admitted unit reduces `remaining` by 1");
        require(
            !reply.status.reset_after.is_zero(),
            "`reset_after` is not zero after units were taken",
        );
        let is_correct =
            reply.status.retry_after.is_some_and(|wait| wait.is_zero() == (remaining > 0));
        require(
            is_correct,
            "`retry_after` of an admitted check is zero only if the same cost has room again",
        );
    }
    for _ in 0..3 {
        let reply = subject.check(request(&key, quota, 1)).await;
        require(!reply.allowed, "a check is denied when the limit is used up");
        require(reply.status.remaining == 0, "`remaining` is 0 when a check of one unit is denied");
        require(reply.retry_after() <= 2 * LONG, "`retry_after` is at most two windows");
    }
}

async fn peek_takes_no_units(subject: &mut Subject<'_>) {
    let (key, quota) = (subject.key(), subject.quota(2, LONG));
    for _ in 0..3 {
        let reply = subject.peek(request(&key, quota, 1)).await;
        require(reply.allowed && reply.status.remaining == 2, "a peek takes no units");
        require(reply.status.reset_after.is_zero(), "`reset_after` of an empty bucket is zero");
    }
    subject.check(request(&key, quota, 2)).await;
    let reply = subject.peek(request(&key, quota, 1)).await;
    require(!reply.allowed, "a peek returns the decision of a check");
    reply.retry_after();
}

async fn cost_is_taken_as_a_whole(subject: &mut Subject<'_>) {
    let (key, quota) = (subject.key(), subject.quota(10, LONG));
    let reply = subject.check(request(&key, quota, 7)).await;
    require(reply.allowed && reply.status.remaining == 3, "an admitted check takes its whole cost");
    let reply = subject.check(request(&key, quota, 4)).await;
    require(!reply.allowed && reply.status.remaining == 3, "a denied check takes no units");
    reply.retry_after();
    let reply = subject.check(request(&key, quota, 11)).await;
    require(
        !reply.allowed && reply.status.retry_after.is_none(),
        "a cost above the capacity is denied without `retry_after`",
    );
    require(reply.status.remaining == 3, "a check above the capacity takes no units");
    let reply = subject.check(request(&key, quota, 3)).await;
    require(
        reply.allowed && reply.status.remaining == 0,
        "a check of the remaining units is admitted",
    );
    let reply = subject.check(request(&key, quota, 0)).await;
    require(reply.allowed, "a check with cost 0 is admitted");
}

async fn all_buckets_or_none_are_taken(subject: &mut Subject<'_>) {
    let (narrow, wide) = (subject.quota(1, LONG), subject.quota(5, LONG));
    let (key, other) = (subject.key(), subject.key());
    let of_one_key = [
        BucketRequest::new(Bucket::new("conformance", 0, &key), wide, 2),
        BucketRequest::new(Bucket::new("conformance", 1, &key), narrow, 1),
    ];
    let of_two_keys = [request(&key, wide, 1), request(&other, narrow, 1)];
    let first = subject.apply(Operation::Check, &of_one_key).await;
    require(first.is_allowed(), "a check of several buckets is admitted if all have room");
    let second = subject.apply(Operation::Check, &of_one_key).await;
    require(!second.is_allowed(), "a check of several buckets is denied if one has no room");
    let statuses: Vec<_> = second.statuses().collect();
    require(statuses[0].remaining == 3, "a denied check takes no units from buckets with room");
    require(
        statuses[0].retry_after == Some(Duration::ZERO),
        "`retry_after` of a bucket with room is zero in a denial",
    );
    require(
        statuses[1].retry_after.is_some_and(|wait| !wait.is_zero()),
        "`retry_after` of a bucket without room is not zero",
    );

    match subject.try_apply(Operation::Check, &of_two_keys).await {
        // The contract allows a store to reject a check of several keys, as Redis Cluster does if the keys are in
        // different cluster slots.
        Err(StoreError::CrossSlot) => return,
        Err(error) => require(false, &format!("expected a reply of the store, found: {error}")),
        Ok(verdict) => {
            require(verdict.is_allowed(), "a check of several keys is admitted if all have room");
        }
    }
    let verdict = subject.apply(Operation::Check, &of_two_keys).await;
    require(!verdict.is_allowed(), "a check of several keys is denied if one has no room");
    let remaining = subject.peek(request(&key, wide, 1)).await.status.remaining;
    require(remaining == 2, "a denied check takes no units from keys with room");
}

async fn check_only_bucket_needs_room_and_loses_no_units(subject: &mut Subject<'_>) {
    let (open, exhausted) = (subject.key(), subject.key());
    let quota = subject.quota(2, LONG);
    let with_check_only = |key| {
        let mut check_only = BucketRequest::new(Bucket::new("conformance", 1, key), quota, 1);
        check_only.check_only = true;
        [request(key, quota, 1), check_only]
    };
    for remaining in [1, 0] {
        let verdict = subject.apply(Operation::Check, &with_check_only(&open)).await;
        let statuses: Vec<_> = verdict.statuses().collect();
        require(verdict.is_allowed(), "a check is admitted if its check-only bucket has room");
        require(
            statuses[0].remaining == remaining && statuses[1].remaining == 2,
            "a check takes no units from a check-only bucket",
        );
    }
    let exhaust = BucketRequest::new(Bucket::new("conformance", 1, &exhausted), quota, 2);
    subject.apply(Operation::Check, &[exhaust]).await;
    for operation in [Operation::Check, Operation::Peek] {
        let verdict = subject.apply(operation, &with_check_only(&exhausted)).await;
        let statuses: Vec<_> = verdict.statuses().collect();
        require(!verdict.is_allowed(), "a check is denied if its check-only bucket has no room");
        require(
            statuses[0].remaining == 2,
            "a check that a check-only bucket denies takes no units",
        );
        require(
            statuses[1].retry_after.is_some_and(|wait| !wait.is_zero()),
            "`retry_after` of a check-only bucket without room is not zero",
        );
    }
}

async fn buckets_have_separate_counts(subject: &mut Subject<'_>) {
    let (key, other) = (subject.key(), subject.key());
    let quota = subject.quota(1, LONG);
    for bucket in [
        Bucket::new("conformance", 0, &key),
        Bucket::new("conformance", 0, &other),
        Bucket::new("conformance", 1, &key),
        Bucket::new("conformance-1", 0, &key),
    ] {
        let reply = subject.check(BucketRequest::new(bucket, quota, 1)).await;
        require(reply.allowed, "buckets that differ in name, index or key have separate counts");
    }
}

async fn retry_after_is_exact(subject: &mut Subject<'_>) {
    for cost in [1, 2, 3] {
        let (key, quota) = (subject.key(), subject.quota(3, SHORT));
        for _ in 0..3 {
            // If the store uses real time, units may become available between two checks. So the loop continues
            // until a check is denied.
            let denied = loop {
                let reply = subject.check(request(&key, quota, cost)).await;
                if !reply.allowed {
                    break reply;
                }
            };
            let wait = denied.retry_after();
            require(wait <= 2 * SHORT, "`retry_after` is at most two windows");
            if subject.time.is_manual() {
                subject.time.advance(wait - TICK).await;
                let early = subject.check(request(&key, quota, cost)).await;
                require(
                    !early.allowed && early.retry_after() == TICK,
                    "a check 1 µs before the end of `retry_after` is denied",
                );
                subject.time.advance(TICK).await;
            } else {
                subject.time.advance(wait).await;
            }
            let reply = subject.check(request(&key, quota, cost)).await;
            require(reply.allowed, "a check after `retry_after` is admitted");
        }
    }
}

async fn concurrent_checks_are_serialized(subject: &mut Subject<'_>) {
    let (key, quota) = (subject.key(), subject.quota(50, LONG));
    let subject = &*subject;
    let checks = join_all((0..200).map(|_| subject.check(request(&key, quota, 1)))).await;
    let mut remaining: Vec<_> =
        checks.iter().filter(|reply| reply.allowed).map(|reply| reply.status.remaining).collect();
    remaining.sort_unstable();
    require(
        remaining == (0..50).collect::<Vec<_>>(),
        "concurrent checks are admitted up to the limit and no further",
    );
}

async fn pending_operation_starts_when_polled(subject: &mut Subject<'_>) {
    let (key, quota) = (subject.key(), subject.quota(2, LONG));
    if subject.drop_unpolled(Operation::Check, &[request(&key, quota, 1)]) {
        // If an operation wrongly starts before it is polled, it may need some time to change the bucket. So the
        // test reads the bucket several times.
        for _ in 0..20 {
            let remaining = subject.peek(request(&key, quota, 1)).await.status.remaining;
            require(remaining == 2, "a pending operation does not start before it is polled");
        }
    }
}

pub(super) async fn changed_quota_does_not_refill(subject: &mut Subject<'_>, after: Algorithm) {
    let key = subject.key();
    let before = subject.quota(4, LONG);
    subject.check(request(&key, before, 3)).await;
    let raised = quota(after, 6, LONG);
    let reply = subject.peek(request(&key, raised, 1)).await;
    require(
        reply.allowed && reply.status.remaining == 3,
        "a raised limit includes the units that were counted before",
    );
    let reply = subject.check(request(&key, raised, 1)).await;
    require(
        reply.allowed && reply.status.remaining == 2,
        "a raised limit includes the units that were counted before",
    );
    let lowered = quota(after, 2, LONG);
    let reply: BucketReply = subject.check(request(&key, lowered, 1)).await;
    require(!reply.allowed && reply.status.remaining == 0, "a lowered limit applies immediately");
    reply.retry_after();
    let longer = quota(after, 6, 2 * LONG);
    let reply = subject.check(request(&key, longer, 1)).await;
    require(reply.allowed, "a longer window applies immediately");
    require(reply.status.remaining <= 2, "a longer window does not refill the bucket");
}
