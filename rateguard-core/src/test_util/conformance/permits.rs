//! Tests the rules that the contract of `Store` has for permits.

use std::time::Duration;

use super::subject::{BucketReply, Subject, quota, request, require};
use crate::{
    Algorithm, Key, Quota,
    store::{BucketRequest, Operation, Receipt},
};

/// The leases of the tests. A lease is at least 1 second.
const LEASE: Duration = Duration::from_secs(2);
const LONG_LEASE: Duration = Duration::from_secs(60);

pub(super) async fn check_all(subject: &mut Subject<'_>) {
    released_permits_can_be_taken(subject).await;
    permits_expire_without_renewal(subject).await;
    renewal_is_all_or_nothing(subject).await;
    denial_takes_no_permit(subject).await;
    rate_and_permits_are_separate(subject).await;
}

fn permit<'a>(key: &'a Key, quota: Quota, receipt: Receipt) -> BucketRequest<'a> {
    BucketRequest { receipt, ..request(key, quota, 1) }
}

async fn renew(subject: &Subject<'_>, requests: &[BucketRequest<'_>]) -> bool {
    subject.apply(Operation::Renew, requests).await.is_allowed()
}

async fn released_permits_can_be_taken(subject: &mut Subject<'_>) {
    let (key, quota) = (subject.key(), subject.quota(2, LONG_LEASE));
    let first = subject.check(request(&key, quota, 1)).await;
    let second = subject.check(request(&key, quota, 1)).await;
    require(first.allowed && second.allowed, "a check takes a permit that is free");
    let third = subject.check(request(&key, quota, 1)).await;
    require(!third.allowed && third.status.remaining == 0, "the number of permits is limited");
    for _ in 0..2 {
        let verdict = subject.apply(Operation::Refund, &[permit(&key, quota, first.receipt)]).await;
        let remaining = BucketReply::of(&verdict).status.remaining;
        require(remaining == 1, "a refund releases the permit of its check, and only once");
    }
    let renewed = renew(subject, &[permit(&key, quota, first.receipt)]).await;
    require(!renewed, "a renewal does not revive a permit that was released");
    require(
        subject.check(request(&key, quota, 1)).await.allowed,
        "a released permit can be taken again",
    );
    let verdict = subject.apply(Operation::Reset, &[request(&key, quota, 1)]).await;
    let remaining = BucketReply::of(&verdict).status.remaining;
    require(remaining == 2, "a reset releases all permits of a key");
    let renewed = renew(subject, &[permit(&key, quota, second.receipt)]).await;
    require(!renewed, "a renewal does not revive a permit after a reset");
}

async fn permits_expire_without_renewal(subject: &mut Subject<'_>) {
    let (key, quota) = (subject.key(), subject.quota(2, LEASE));
    let renewed = subject.check(request(&key, quota, 1)).await;
    let lost = subject.check(request(&key, quota, 1)).await;
    require(renewed.allowed && lost.allowed, "a check takes a permit that is free");
    for _ in 0..3 {
        subject.time.advance(LEASE / 2).await;
        let is_renewed = renew(subject, &[permit(&key, quota, renewed.receipt)]).await;
        require(is_renewed, "a renewal starts a new lease");
    }
    let reply = subject.peek(request(&key, quota, 1)).await;
    require(reply.status.remaining == 1, "a permit expires after its lease unless it is renewed");
    let other = subject.check(request(&key, quota, 1)).await;
    require(other.allowed, "a permit that has expired can be taken");
    let is_renewed = renew(subject, &[permit(&key, quota, lost.receipt)]).await;
    require(!is_renewed, "a renewal does not revive a permit that has expired");
    let verdict = subject.apply(Operation::Refund, &[permit(&key, quota, lost.receipt)]).await;
    let remaining = BucketReply::of(&verdict).status.remaining;
    require(remaining == 0, "the release of an expired permit releases no other permit");
}

async fn renewal_is_all_or_nothing(subject: &mut Subject<'_>) {
    let (one, other) = (subject.key(), subject.key());
    let quota = subject.quota(1, LEASE);
    let of_one = subject.check(request(&one, quota, 1)).await;
    let of_other = subject.check(request(&other, quota, 1)).await;
    let release = [permit(&other, quota, of_other.receipt)];
    let verdict = subject.apply(Operation::Refund, &release).await;
    require(verdict.is_allowed(), "a refund is always admitted");
    subject.time.advance(LEASE / 2).await;
    let both = [permit(&one, quota, of_one.receipt), permit(&other, quota, of_other.receipt)];
    if subject.try_apply(Operation::Renew, &both).await.is_ok_and(|verdict| verdict.is_allowed()) {
        require(false, "a renewal of several permits fails if one of them is lost");
    }
    subject.time.advance(LEASE / 2).await;
    let reply = subject.check(request(&one, quota, 1)).await;
    require(reply.allowed, "a renewal that fails renews no permit");
}

async fn denial_takes_no_permit(subject: &mut Subject<'_>) {
    let key = subject.key();
    let (permits, rate) =
        (subject.quota(1, LONG_LEASE), quota(Algorithm::FixedWindow, 1, LONG_LEASE));
    let rate = |cost| {
        let bucket = crate::store::Bucket::new("conformance", 1, &key);
        BucketRequest::new(bucket, rate, cost)
    };
    let verdict = subject.apply(Operation::Check, &[request(&key, permits, 1), rate(2)]).await;
    require(!verdict.is_allowed(), "a cost above the limit is denied");
    let reply = subject.peek(request(&key, permits, 1)).await;
    require(reply.status.remaining == 1, "a check that a rate denies takes no permit");
    let check_only = BucketRequest { check_only: true, ..request(&key, permits, 1) };
    for _ in 0..2 {
        require(
            subject.check(check_only).await.allowed,
            "a request that is `check_only` takes no permit",
        );
    }
}

async fn rate_and_permits_are_separate(subject: &mut Subject<'_>) {
    let (key, permits) = (subject.key(), subject.quota(1, LONG_LEASE));
    let rate = quota(Algorithm::SlidingWindow, 1, LONG_LEASE);
    let held = subject.check(request(&key, permits, 1)).await;
    require(
        subject.check(request(&key, rate, 1)).await.allowed,
        "a bucket with a rate does not count permits",
    );
    let is_renewed = renew(subject, &[permit(&key, permits, held.receipt)]).await;
    require(is_renewed, "a bucket with a rate does not change the permits of the same name");
}
