//! Tests the rules that the contract of `Store` has for refunds, debits and resets.

use super::{
    check::{LONG, SHORT},
    subject::{BucketReply, Subject, request, require},
};
use crate::{
    Key, Quota,
    store::{BucketRequest, Operation, Receipt},
};

pub(super) async fn check_all(subject: &mut Subject<'_>) {
    refunded_units_can_be_taken(subject).await;
    expired_units_are_not_refunded(subject).await;
    debit_ignores_the_limit(subject).await;
    reset_clears_the_count(subject).await;
}

fn refund<'a>(key: &'a Key, quota: Quota, units: u32, receipt: Receipt) -> BucketRequest<'a> {
    let mut request = request(key, quota, units);
    request.receipt = receipt;
    request
}

async fn refunded_units_can_be_taken(subject: &mut Subject<'_>) {
    let (key, quota) = (subject.key(), subject.quota(10, LONG));
    let first = subject.check(request(&key, quota, 4)).await;
    let second = subject.check(request(&key, quota, 5)).await;
    let verdict = subject.apply(Operation::Refund, &[refund(&key, quota, 3, first.receipt)]).await;
    // A token bucket may have regained a fraction of a unit after the check. The refund does not return this
    // fraction again, so one whole unit may be missing.
    let remaining = BucketReply::of(&verdict).status.remaining;
    require((3..=4).contains(&remaining), "a refund returns the requested units");
    let verdict = subject.apply(Operation::Refund, &[refund(&key, quota, 5, second.receipt)]).await;
    let remaining = BucketReply::of(&verdict).status.remaining;
    require((8..=9).contains(&remaining), "a refund can return all units of a check");
    let reply = subject.check(request(&key, quota, 8)).await;
    require(reply.allowed, "refunded units can be taken again");

    let verdict = subject.apply(Operation::Refund, &[refund(&key, quota, 8, reply.receipt)]).await;
    require(verdict.is_allowed(), "a refund is always admitted");
    // No request has taken units from the bucket of the key `other`, so a refund must not add units to this bucket.
    let other = subject.key();
    let verdict =
        subject.apply(Operation::Refund, &[refund(&other, quota, 8, reply.receipt)]).await;
    let remaining = BucketReply::of(&verdict).status.remaining;
    require(remaining == 10, "a refund does not exceed the capacity");
}

async fn expired_units_are_not_refunded(subject: &mut Subject<'_>) {
    let (key, quota) = (subject.key(), subject.quota(2, SHORT));
    let first = subject.check(request(&key, quota, 2)).await;
    require(first.allowed, "a check within the limit is admitted");
    subject.time.advance(3 * SHORT).await;
    let (long_key, long) = (subject.key(), subject.quota(2, LONG));
    // The units of the first check have expired, and now another check takes the same number of units. A refund for
    // the first check must not return the units of the other check.
    let others = subject.check(request(&key, quota, 2)).await;
    require(others.allowed, "units expire after at most two windows");
    let verdict = subject.apply(Operation::Refund, &[refund(&key, quota, 2, first.receipt)]).await;
    if subject.time.is_manual() {
        let remaining = BucketReply::of(&verdict).status.remaining;
        require(remaining == 0, "a refund returns no expired units and no units of other checks");
    }
    let reply = subject.check(request(&long_key, long, 2)).await;
    require(reply.allowed && reply.status.remaining == 0, "a check within the limit is admitted");
}

async fn debit_ignores_the_limit(subject: &mut Subject<'_>) {
    let (key, quota) = (subject.key(), subject.quota(5, LONG));
    let reply = BucketReply::of(&subject.apply(Operation::Debit, &[request(&key, quota, 3)]).await);
    require(reply.allowed && reply.status.remaining == 2, "a debit takes its cost");
    let reply = BucketReply::of(&subject.apply(Operation::Debit, &[request(&key, quota, 9)]).await);
    require(
        reply.allowed && reply.status.remaining == 0,
        "a debit takes its cost even if the bucket has no room",
    );
    let reply = subject.check(request(&key, quota, 1)).await;
    require(!reply.allowed, "debited units count");
}

async fn reset_clears_the_count(subject: &mut Subject<'_>) {
    let (key, other) = (subject.key(), subject.key());
    let quota = subject.quota(2, LONG);
    for key in [&key, &other] {
        subject.check(request(key, quota, 2)).await;
    }
    let reply = BucketReply::of(&subject.apply(Operation::Reset, &[request(&key, quota, 1)]).await);
    require(reply.status.remaining == 2, "a reset clears the count");
    let reply = subject.check(request(&key, quota, 2)).await;
    require(reply.allowed, "the full limit is available after a reset");
    let reply = subject.check(request(&other, quota, 1)).await;
    require(!reply.allowed, "a reset does not affect other keys");
}
