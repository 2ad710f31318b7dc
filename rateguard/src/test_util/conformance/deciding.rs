//! Check and peek.

use std::time::Duration;

use futures_util::future::join_all;

use super::subject::{One, Subject, charge, kept, quota};
use crate::{
    Algorithm, StoreError,
    store::{Bucket, Charge, Operation},
};

/// So long that nothing comes back while the suite runs.
pub(super) const LONG: Duration = Duration::from_secs(86_400);
/// So short that the suite can wait for it.
pub(super) const SHORT: Duration = Duration::from_millis(400);
const TICK: Duration = Duration::from_micros(1);

pub(super) async fn check_all(subject: &mut Subject<'_>) {
    no_more_than_the_limit(subject).await;
    a_peek_takes_nothing(subject).await;
    a_cost_is_taken_whole_or_not_at_all(subject).await;
    all_buckets_or_none(subject).await;
    a_gate_has_to_be_open_and_is_not_used_up(subject).await;
    buckets_are_apart(subject).await;
    who_waits_as_told_gets_in(subject).await;
    many_at_once_are_one_after_the_other(subject).await;
    what_is_not_polled_has_not_begun(subject).await;
}

async fn no_more_than_the_limit(subject: &mut Subject<'_>) {
    let (key, quota) = (subject.key(), subject.quota(5, LONG));
    for left in (0..5).rev() {
        let one = subject.check(charge(&key, quota, 1)).await;
        kept(one.allowed, "as many are admitted as the limit says");
        kept(one.level.remaining == left, "what remains is one fewer with each");
        kept(!one.level.reset_after.is_zero(), "what was taken comes back later");
        let more = one.level.retry_after.is_some_and(|wait| wait.is_zero() == (left > 0));
        kept(more, "after a check, `retry_after` says when as much is admitted once more");
    }
    for _ in 0..3 {
        let one = subject.check(charge(&key, quota, 1)).await;
        kept(!one.allowed, "no more are admitted than the limit says");
        kept(one.level.remaining == 0, "a denial of one unit leaves none");
        kept(one.wait() <= 2 * LONG, "nobody waits for longer than two windows");
    }
}

async fn a_peek_takes_nothing(subject: &mut Subject<'_>) {
    let (key, quota) = (subject.key(), subject.quota(2, LONG));
    for _ in 0..3 {
        let one = subject.peek(charge(&key, quota, 1)).await;
        kept(one.allowed && one.level.remaining == 2, "a peek takes nothing");
        kept(one.level.reset_after.is_zero(), "an untouched bucket has nothing to come back");
    }
    subject.check(charge(&key, quota, 2)).await;
    let one = subject.peek(charge(&key, quota, 1)).await;
    kept(!one.allowed, "a peek says what a check would");
    one.wait();
}

async fn a_cost_is_taken_whole_or_not_at_all(subject: &mut Subject<'_>) {
    let (key, quota) = (subject.key(), subject.quota(10, LONG));
    let one = subject.check(charge(&key, quota, 7)).await;
    kept(one.allowed && one.level.remaining == 3, "a cost is taken as a whole");
    let one = subject.check(charge(&key, quota, 4)).await;
    kept(!one.allowed && one.level.remaining == 3, "a denied cost takes nothing");
    one.wait();
    let one = subject.check(charge(&key, quota, 11)).await;
    kept(!one.allowed && one.level.retry_after.is_none(), "a cost above the capacity never passes");
    kept(one.level.remaining == 3, "and takes nothing");
    let one = subject.check(charge(&key, quota, 3)).await;
    kept(one.allowed && one.level.remaining == 0, "what remains can be taken");
    let one = subject.check(charge(&key, quota, 0)).await;
    kept(one.allowed, "a cost of 0 always has room");
}

async fn all_buckets_or_none(subject: &mut Subject<'_>) {
    let (narrow, wide) = (subject.quota(1, LONG), subject.quota(5, LONG));
    let (key, other) = (subject.key(), subject.key());
    let of_one_key = [
        Charge::new(Bucket::new("conformance", 0, &key), wide, 2),
        Charge::new(Bucket::new("conformance", 1, &key), narrow, 1),
    ];
    let of_two_keys = [charge(&key, wide, 1), charge(&other, narrow, 1)];
    let first = subject.apply(Operation::Check, &of_one_key).await;
    kept(first.is_allowed(), "several buckets are admitted if all have room");
    let second = subject.apply(Operation::Check, &of_one_key).await;
    kept(!second.is_allowed(), "one bucket without room denies all");
    let levels: Vec<_> = second.levels().collect();
    kept(levels[0].remaining == 3, "a denial takes nothing of the buckets that have room");
    kept(levels[0].retry_after == Some(Duration::ZERO), "a bucket with room says so in a denial");
    kept(levels[1].retry_after.is_some_and(|wait| !wait.is_zero()), "and one without says when");

    match subject.try_apply(Operation::Check, &of_two_keys).await {
        // Such a store never takes several keys in one step.
        Err(StoreError::Apart) => return,
        Err(error) => kept(false, &format!("a store that is there answers: {error}")),
        Ok(verdict) => kept(verdict.is_allowed(), "several keys are admitted if all have room"),
    }
    let verdict = subject.apply(Operation::Check, &of_two_keys).await;
    kept(!verdict.is_allowed(), "one key without room denies all");
    let left = subject.peek(charge(&key, wide, 1)).await.level.remaining;
    kept(left == 2, "a denial takes nothing of the keys that have room");
}

async fn a_gate_has_to_be_open_and_is_not_used_up(subject: &mut Subject<'_>) {
    let (open, closed) = (subject.key(), subject.key());
    let quota = subject.quota(2, LONG);
    let behind_gate = |key| {
        let mut gate = Charge::new(Bucket::new("conformance", 1, key), quota, 1);
        gate.is_gate = true;
        [charge(key, quota, 1), gate]
    };
    for left in [1, 0] {
        let verdict = subject.apply(Operation::Check, &behind_gate(&open)).await;
        let levels: Vec<_> = verdict.levels().collect();
        kept(verdict.is_allowed(), "an open gate lets through");
        kept(levels[0].remaining == left && levels[1].remaining == 2, "a gate is not used up");
    }
    let gate = Charge::new(Bucket::new("conformance", 1, &closed), quota, 2);
    subject.apply(Operation::Check, &[gate]).await;
    for operation in [Operation::Check, Operation::Peek] {
        let verdict = subject.apply(operation, &behind_gate(&closed)).await;
        let levels: Vec<_> = verdict.levels().collect();
        kept(!verdict.is_allowed(), "a gate that somebody has emptied is closed");
        kept(levels[0].remaining == 2, "what is behind a closed gate is not taken");
        kept(levels[1].retry_after.is_some_and(|wait| !wait.is_zero()), "and it says for how long");
    }
}

async fn buckets_are_apart(subject: &mut Subject<'_>) {
    let (key, other) = (subject.key(), subject.key());
    let quota = subject.quota(1, LONG);
    for bucket in [
        Bucket::new("conformance", 0, &key),
        Bucket::new("conformance", 0, &other),
        Bucket::new("conformance", 1, &key),
        Bucket::new("conformance-1", 0, &key),
    ] {
        let one = subject.check(Charge::new(bucket, quota, 1)).await;
        kept(one.allowed, "buckets that differ in name, place or key are apart");
    }
}

async fn who_waits_as_told_gets_in(subject: &mut Subject<'_>) {
    for cost in [1, 2, 3] {
        let (key, quota) = (subject.key(), subject.quota(3, SHORT));
        for _ in 0..3 {
            // However much came back meanwhile, in the end it is denied.
            let denied = loop {
                let one = subject.check(charge(&key, quota, cost)).await;
                if !one.allowed {
                    break one;
                }
            };
            let wait = denied.wait();
            kept(wait <= 2 * SHORT, "nobody waits for longer than two windows");
            if subject.time.is_manual() {
                subject.time.pass(wait - TICK).await;
                let early = subject.check(charge(&key, quota, cost)).await;
                kept(
                    !early.allowed && early.wait() == TICK,
                    "who comes a tick too early is denied",
                );
                subject.time.pass(TICK).await;
            } else {
                subject.time.pass(wait).await;
            }
            let one = subject.check(charge(&key, quota, cost)).await;
            kept(one.allowed, "who waits as long as told is admitted");
        }
    }
}

async fn many_at_once_are_one_after_the_other(subject: &mut Subject<'_>) {
    let (key, quota) = (subject.key(), subject.quota(50, LONG));
    let subject = &*subject;
    let checks = join_all((0..200).map(|_| subject.check(charge(&key, quota, 1)))).await;
    let mut left: Vec<_> =
        checks.iter().filter(|one| one.allowed).map(|one| one.level.remaining).collect();
    left.sort_unstable();
    kept(
        left == (0..50).collect::<Vec<_>>(),
        "of many at once, the limit and no more are admitted",
    );
}

async fn what_is_not_polled_has_not_begun(subject: &mut Subject<'_>) {
    let (key, quota) = (subject.key(), subject.quota(2, LONG));
    if subject.drop_unpolled(Operation::Check, &[charge(&key, quota, 1)]) {
        // However long it takes to do what should not be done.
        for _ in 0..20 {
            let left = subject.peek(charge(&key, quota, 1)).await.level.remaining;
            kept(left == 2, "an answer that is to come has not begun before it is polled");
        }
    }
}

pub(super) async fn a_changed_quota_is_no_refill(subject: &mut Subject<'_>, after: Algorithm) {
    let key = subject.key();
    let before = subject.quota(4, LONG);
    subject.check(charge(&key, before, 3)).await;
    let raised = quota(after, 6, LONG);
    let one = subject.peek(charge(&key, raised, 1)).await;
    kept(one.allowed && one.level.remaining == 3, "a raised limit counts what was counted");
    let one = subject.check(charge(&key, raised, 1)).await;
    kept(one.allowed && one.level.remaining == 2, "a raised limit counts what was counted");
    let lowered = quota(after, 2, LONG);
    let one: One = subject.check(charge(&key, lowered, 1)).await;
    kept(!one.allowed && one.level.remaining == 0, "a lowered limit applies at once");
    one.wait();
    let longer = quota(after, 6, 2 * LONG);
    let one = subject.check(charge(&key, longer, 1)).await;
    kept(one.allowed, "a longer window applies at once");
    kept(one.level.remaining <= 2, "a longer window is no refill");
}
