//! Tests leases of token buckets in the script: random traces, and cases with numbers that follow from the protocol.

use std::time::Duration;

use actix_rateguard::{
    Key,
    store::{Bucket, BucketRequest, Operation, Receipt, Verdict},
};

use super::{token_bucket_model::TokenBucket, traces};
use crate::{
    support::{
        lua::{SOURCE, Script, with_test_clock},
        redis_server::RedisServer,
    },
    trace_runner::START,
};

/// The bucket regains a token in 500 ms.
pub(super) const LEASED: &str = "8/4s token_bucket lease 4 for 1s";
pub(super) const PLAIN: &str = "8/4s token_bucket";

/// Returns the first difference between the script and the model for random traces.
pub fn difference(source: &str) -> Option<String> {
    let quotas = [
        LEASED,
        "8/4s token_bucket lease 3 for 500ms",
        "8/4s token_bucket burst 12 lease 3 for 1s",
        "12/5s token_bucket burst 8 lease 4 for 700ms",
        PLAIN,
        "12/5s token_bucket burst 10",
    ];
    traces::difference::<TokenBucket>(source, &quotas)
        .or_else(|| traces::difference::<TokenBucket>(source, &quotas[..2]))
}

#[test]
fn script_and_model_agree_on_leases_of_token_buckets() {
    assert_eq!(difference(SOURCE), None);
}

/// A bucket in Redis, whose time is that of the test.
pub(super) struct TestBucket<'a> {
    pub(super) script: Script<'a>,
    pub(super) name: String,
    key: Key,
}

impl<'a> TestBucket<'a> {
    pub(super) fn new(client: &'a mut redis::Connection, source: &str, prefix: &str) -> Self {
        let key = Key::global();
        let name = Bucket::new("leases", 0, &key).storage_key(prefix);
        let script = Script::new(client, &with_test_clock(source), prefix.to_owned());
        Self { script, name, key }
    }

    pub(super) fn call(
        &mut self,
        operation: Operation,
        (quota, cost): (&str, u32),
        at: u64,
        (receipt, uses): (Receipt, &[u32]),
    ) -> redis::RedisResult<Verdict> {
        let bucket = Bucket::new("leases", 0, &self.key);
        let mut request = BucketRequest::new(bucket, quota.parse().unwrap(), cost);
        (request.receipt, request.uses) = (receipt, uses);
        let now = Duration::from_micros(START) + Duration::from_millis(at);
        self.script.call(operation, &[request], Some(now))
    }

    pub(super) fn apply(
        &mut self,
        operation: Operation,
        quota: &str,
        cost: u32,
        at: u64,
    ) -> Verdict {
        self.call(operation, (quota, cost), at, (Receipt::default(), &[])).unwrap()
    }

    /// Takes tokens at this time in milliseconds, and returns whether they fit and the receipt.
    pub(super) fn lease(&mut self, quota: &str, cost: u32, at: u64) -> (bool, Receipt) {
        let verdict = self.apply(Operation::Lease, quota, cost, at);
        (verdict.is_allowed(), verdict.receipts().next().unwrap())
    }

    pub(super) fn check(&mut self, quota: &str, cost: u32, at: u64) -> bool {
        self.apply(Operation::Check, quota, cost, at).is_allowed()
    }

    /// Returns a lease of these tokens, of which the process has used some.
    pub(super) fn give_back(&mut self, (receipt, cost): (Receipt, u32), used: u32, at: u64) {
        let mut uses = vec![7; used as usize];
        uses.push(0);
        self.call(Operation::Return, (LEASED, cost), at, (receipt, &uses)).unwrap();
    }

    pub(super) fn remaining(&mut self, quota: &str, at: u64) -> u32 {
        let verdict = self.apply(Operation::Peek, quota, 1, at);
        verdict.statuses().next().unwrap().remaining
    }

    /// Returns the time in milliseconds until this cost fits.
    pub(super) fn wait(&mut self, cost: u32, at: u64) -> u128 {
        let verdict = self.apply(Operation::Peek, LEASED, cost, at);
        verdict.statuses().next().unwrap().retry_after.unwrap().as_millis()
    }
}

fn with_bucket(test: impl FnOnce(&mut TestBucket<'_>)) {
    let server = RedisServer::start();
    test(&mut TestBucket::new(&mut server.client(), SOURCE, "bucket"));
}

#[test]
fn held_tokens_are_not_refilled_until_the_lease_ends() {
    with_bucket(|bucket| {
        assert!(bucket.lease(LEASED, 4, 0).0);
        assert_eq!(
            [0, 999, 1_000, 1_499, 1_500].map(|at| bucket.remaining(LEASED, at)),
            [4, 4, 4, 4, 5]
        );
        assert_eq!((bucket.wait(5, 0), bucket.wait(5, 1_200)), (1_500, 300));
        assert_eq!((bucket.wait(8, 0), bucket.wait(4, 0)), (3_000, 0));
        // The other tokens are refilled as usual.
        assert!(bucket.check(LEASED, 4, 0));
        assert_eq!([499, 500, 1_000, 1_500].map(|at| bucket.remaining(LEASED, at)), [0, 1, 2, 3]);
        assert!(!bucket.lease(LEASED, 3, 1_000).0 && bucket.lease(LEASED, 2, 1_000).0);
    });
}

#[test]
fn leases_end_one_after_another() {
    with_bucket(|bucket| {
        let short = "8/4s token_bucket lease 3 for 500ms";
        assert!(bucket.lease(LEASED, 4, 0).0 && bucket.lease(short, 2, 100).0);
        // The second lease ends at 600 ms. From then on, its tokens come back, and after 1,000 ms also those of the first
        // lease.
        let times = [599, 600, 1_100, 1_600, 2_000, 3_600];
        assert_eq!(times.map(|at| bucket.remaining(LEASED, at)), [2, 2, 3, 4, 4, 8]);
        assert_eq!(times.map(|at| bucket.wait(7, at)), [2_501, 2_500, 2_000, 1_500, 1_100, 0]);
    });
    with_bucket(|bucket| {
        let short = "8/4s token_bucket lease 3 for 500ms";
        assert!(bucket.lease(LEASED, 4, 0).0 && bucket.lease(short, 1, 100).0);
        // The token of the second lease comes back at 1,100 ms, after the end of the first lease. So no time is lost.
        assert_eq!([1_099, 1_100, 1_600].map(|at| bucket.remaining(LEASED, at)), [3, 4, 5]);
        assert!(bucket.lease(short, 1, 1_600).0 && bucket.lease(LEASED, 4, 1_600).0);
        assert_eq!([2_100, 2_599, 2_600].map(|at| bucket.wait(5, at)), [2_000, 1_501, 1_500]);
    });
}

#[test]
fn return_before_the_end_counts_the_used_tokens_once() {
    with_bucket(|bucket| {
        let (_, first) = bucket.lease(LEASED, 4, 0);
        let (_, second) = bucket.lease(LEASED, 2, 0);
        bucket.give_back((first, 4), 1, 100);
        assert_eq!(bucket.remaining(LEASED, 100), 5);
        bucket.give_back((first, 4), 0, 100);
        assert_eq!(bucket.remaining(LEASED, 100), 5);
        bucket.give_back((second, 2), 2, 100);
        assert_eq!((bucket.remaining(LEASED, 100), bucket.wait(6, 100)), (5, 500));
    });
}

#[test]
fn return_after_the_end_changes_nothing() {
    with_bucket(|bucket| {
        let (_, receipt) = bucket.lease(LEASED, 4, 0);
        bucket.give_back((receipt, 4), 0, 1_000);
        assert_eq!([1_000, 1_499, 1_500].map(|at| bucket.remaining(LEASED, at)), [4, 4, 5]);
    });
}

#[test]
fn reset_and_refund_keep_held_tokens() {
    with_bucket(|bucket| {
        let (_, receipt) = bucket.lease(LEASED, 3, 0);
        let taken = bucket.apply(Operation::Check, LEASED, 4, 0).receipts().next().unwrap();
        let refund = (taken, &[][..]);
        bucket.call(Operation::Refund, (LEASED, 4), 100, refund).unwrap();
        // The refill since the check may have returned a fifth of a token.
        assert_eq!((bucket.remaining(LEASED, 100), bucket.wait(5, 100)), (5, 0));
        bucket.call(Operation::Refund, (LEASED, 4), 110, refund).unwrap();
        assert_eq!(bucket.remaining(LEASED, 110), 5);
        assert!(bucket.check(LEASED, 5, 200));
        bucket.apply(Operation::Reset, LEASED, 1, 300);
        assert_eq!(bucket.remaining(LEASED, 300), 5);
        bucket.give_back((receipt, 3), 1, 400);
        assert_eq!(bucket.remaining(LEASED, 400), 7);
    });
}

#[test]
fn lease_ends_at_most_its_duration_after_a_clock_that_was_set_back() {
    with_bucket(|bucket| {
        let (_, receipt) = bucket.lease(LEASED, 4, 60_000);
        assert!(bucket.check(LEASED, 1, 0));
        assert_eq!([0, 999, 1_499, 1_500].map(|at| bucket.remaining(LEASED, at)), [3, 4, 4, 5]);
        bucket.give_back((receipt, 4), 0, 400);
        assert_eq!([400, 500].map(|at| bucket.remaining(LEASED, at)), [7, 8]);
    });
}

#[test]
fn changed_rate_converts_the_debt_and_keeps_held_tokens() {
    with_bucket(|bucket| {
        // A token comes back in 250 ms.
        let faster = "16/4s token_bucket burst 8 lease 4 for 1s";
        let (_, receipt) = bucket.lease(LEASED, 4, 0);
        assert!(bucket.check(LEASED, 4, 0));
        assert!(bucket.check(faster, 1, 500));
        assert_eq!([500, 750, 1_000, 1_250].map(|at| bucket.remaining(faster, at)), [0, 1, 2, 3]);
        let mut uses = vec![9, 9, 9];
        uses.push(0);
        bucket.call(Operation::Return, (faster, 4), 750, (receipt, &uses)).unwrap();
        assert_eq!(bucket.remaining(faster, 750), 2);
        // A process without the lease uses its own rate too. It regains a token in a second.
        let plain = "4/4s token_bucket burst 8";
        assert!(bucket.lease(faster, 2, 750).0 && bucket.check(plain, 0, 1_000));
        assert_eq!([1_000, 1_999, 2_000].map(|at| bucket.remaining(plain, at)), [1, 1, 2]);
    });
}
