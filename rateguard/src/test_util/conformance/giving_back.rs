//! Refund, charge and reset.

use super::{
    deciding::{LONG, SHORT},
    subject::{One, Subject, charge, kept},
};
use crate::{
    Key, Quota,
    store::{Charge, Operation, Receipt},
};

pub(super) async fn check_all(subject: &mut Subject<'_>) {
    what_is_given_back_can_be_taken(subject).await;
    what_is_over_is_not_given_back(subject).await;
    what_was_used_is_charged(subject).await;
    a_reset_forgets(subject).await;
}

fn refund<'a>(key: &'a Key, quota: Quota, units: u32, receipt: Receipt) -> Charge<'a> {
    let mut charge = charge(key, quota, units);
    charge.receipt = receipt;
    charge
}

async fn what_is_given_back_can_be_taken(subject: &mut Subject<'_>) {
    let (key, quota) = (subject.key(), subject.quota(10, LONG));
    let first = subject.check(charge(&key, quota, 4)).await;
    let second = subject.check(charge(&key, quota, 5)).await;
    let verdict = subject.apply(Operation::Refund, &[refund(&key, quota, 3, first.receipt)]).await;
    // Of a token bucket, what has come back by itself is a unit that is there before long.
    let left = One::of(&verdict).level.remaining;
    kept((3..=4).contains(&left), "as much is given back as was asked for");
    let verdict = subject.apply(Operation::Refund, &[refund(&key, quota, 5, second.receipt)]).await;
    let left = One::of(&verdict).level.remaining;
    kept((8..=9).contains(&left), "all that a check took can be given back");
    let one = subject.check(charge(&key, quota, 8)).await;
    kept(one.allowed, "what was given back can be taken");

    let verdict = subject.apply(Operation::Refund, &[refund(&key, quota, 8, one.receipt)]).await;
    kept(verdict.is_allowed(), "a refund is always admitted");
    // A bucket that holds nothing.
    let other = subject.key();
    let verdict = subject.apply(Operation::Refund, &[refund(&other, quota, 8, one.receipt)]).await;
    let left = One::of(&verdict).level.remaining;
    kept(left == 10, "nothing is given back beyond the capacity");
}

async fn what_is_over_is_not_given_back(subject: &mut Subject<'_>) {
    let (key, quota) = (subject.key(), subject.quota(2, SHORT));
    let first = subject.check(charge(&key, quota, 2)).await;
    kept(first.allowed, "as many are admitted as the limit says");
    subject.time.pass(3 * SHORT).await;
    let (long_key, long) = (subject.key(), subject.quota(2, LONG));
    // By now it counts no longer, and others have come.
    let others = subject.check(charge(&key, quota, 2)).await;
    kept(others.allowed, "what was admitted counts for no longer than two windows");
    let verdict = subject.apply(Operation::Refund, &[refund(&key, quota, 2, first.receipt)]).await;
    if subject.time.is_manual() {
        let left = One::of(&verdict).level.remaining;
        kept(left == 0, "what is over is not given back, nor what others took");
    }
    let one = subject.check(charge(&long_key, long, 2)).await;
    kept(one.allowed && one.level.remaining == 0, "as many are admitted as the limit says");
}

async fn what_was_used_is_charged(subject: &mut Subject<'_>) {
    let (key, quota) = (subject.key(), subject.quota(5, LONG));
    let one = One::of(&subject.apply(Operation::Charge, &[charge(&key, quota, 3)]).await);
    kept(one.allowed && one.level.remaining == 2, "a charge takes its cost");
    let one = One::of(&subject.apply(Operation::Charge, &[charge(&key, quota, 9)]).await);
    kept(one.allowed && one.level.remaining == 0, "a charge takes its cost without room for it");
    kept(!subject.check(charge(&key, quota, 1)).await.allowed, "what was charged counts");
}

async fn a_reset_forgets(subject: &mut Subject<'_>) {
    let (key, other) = (subject.key(), subject.key());
    let quota = subject.quota(2, LONG);
    for key in [&key, &other] {
        subject.check(charge(key, quota, 2)).await;
    }
    let one = One::of(&subject.apply(Operation::Reset, &[charge(&key, quota, 1)]).await);
    kept(one.level.remaining == 2, "a reset forgets what was counted");
    let one = subject.check(charge(&key, quota, 2)).await;
    kept(one.allowed, "after a reset all of the limit is there");
    let one = subject.check(charge(&other, quota, 1)).await;
    kept(!one.allowed, "a reset forgets nothing of other keys");
}
