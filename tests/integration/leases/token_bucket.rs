//! Tests leases of token buckets in the script: random traces, and cases with numbers that follow from the protocol.

use std::time::Duration;

use actix_rateguard::{
    Key, Quota,
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
const LEASED: &str = "8/4s token_bucket lease 4 for 1s";
const PLAIN: &str = "8/4s token_bucket";

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
struct TestBucket<'a> {
    script: Script<'a>,
    name: String,
    key: Key,
}

impl<'a> TestBucket<'a> {
    fn new(client: &'a mut redis::Connection, source: &str, prefix: &str) -> Self {
        let key = Key::global();
        let name = Bucket::new("leases", 0, &key).storage_key(prefix);
        let script = Script::new(client, &with_test_clock(source), prefix.to_owned());
        Self { script, name, key }
    }

    fn call(
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

    fn apply(&mut self, operation: Operation, quota: &str, cost: u32, at: u64) -> Verdict {
        self.call(operation, (quota, cost), at, (Receipt::default(), &[])).unwrap()
    }

    /// Takes tokens at this time in milliseconds, and returns whether they fit and the receipt.
    fn lease(&mut self, quota: &str, cost: u32, at: u64) -> (bool, Receipt) {
        let verdict = self.apply(Operation::Lease, quota, cost, at);
        (verdict.is_allowed(), verdict.receipts().next().unwrap())
    }

    fn check(&mut self, quota: &str, cost: u32, at: u64) -> bool {
        self.apply(Operation::Check, quota, cost, at).is_allowed()
    }

    /// Returns a lease of these tokens, of which the process has used some.
    fn give_back(&mut self, (receipt, cost): (Receipt, u32), used: u32, at: u64) {
        let mut uses = vec![7; used as usize];
        uses.push(0);
        self.call(Operation::Return, (LEASED, cost), at, (receipt, &uses)).unwrap();
    }

    fn remaining(&mut self, quota: &str, at: u64) -> u32 {
        let verdict = self.apply(Operation::Peek, quota, 1, at);
        verdict.statuses().next().unwrap().remaining
    }

    /// Returns the time in milliseconds until this cost fits.
    fn wait(&mut self, cost: u32, at: u64) -> u128 {
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

/// Returns a defect of the script that the traces do not find: a record or an expiry that is wrong, too many leases, or
/// a change of the algorithm that loses held tokens.
pub fn defect(source: &str) -> Option<String> {
    let server = RedisServer::start();
    let (mut client, mut other) = (server.client(), server.client());
    let algorithms =
        ["8/4s", "8/4s fixed_window", "8/4s sliding_window_counter", PLAIN, "8/4s lease 3 for 1s"];
    let mut with = |prefix, test: &mut TestOfBucket<'_>| {
        test(&mut TestBucket::new(&mut client, source, prefix), &mut other)
    };
    with("record", &mut record_defect)
        .or_else(|| with("many", &mut |bucket, _| too_many_leases(bucket)))
        .or_else(|| with("log", &mut |bucket, _| log_defect(bucket)))
        .or_else(|| with("lengths", &mut |bucket, _| length_defect(bucket)))
        .or_else(|| {
            algorithms
                .into_iter()
                .find_map(|quota| with(quota, &mut |bucket, _| algorithm_defect(bucket, quota)))
        })
        .or_else(|| with("failed", &mut roll_back_defect))
}

/// A test that also gets a connection to the server. It returns a defect.
type TestOfBucket<'a> =
    dyn FnMut(&mut TestBucket<'_>, &mut redis::Connection) -> Option<String> + 'a;

#[test]
fn leases_have_no_defect_in_records_bounds_and_changes() {
    assert_eq!(defect(SOURCE), None);
}

fn record_defect(bucket: &mut TestBucket<'_>, client: &mut redis::Connection) -> Option<String> {
    let name = bucket.name.clone();
    let mut record = || {
        let bytes: Vec<u8> = redis::cmd("GET").arg(&name).query(client).unwrap();
        // The test clock adds one hour to each lifetime.
        let lifetime: i64 = redis::cmd("PTTL").arg(&name).query(client).unwrap();
        (bytes.len(), bytes[0], lifetime - 3_600_000)
    };
    bucket.check(LEASED, 1, 0);
    let without = record();
    let (_, receipt) = bucket.lease(LEASED, 4, 10);
    let with_hold = record();
    bucket.give_back((receipt, 4), 4, 20);
    let returned = record();
    bucket.lease(LEASED, 1, 30);
    bucket.check(LEASED, 1, 2_000);
    let expired = record();
    let is_plain = |record: (usize, u8, i64)| (record.0, record.1) == (43, 247) && record.2 > 0;
    // The lease ends after one second. Five tokens come back in 2.5 seconds.
    let is_right = is_plain(without)
        && is_plain(returned)
        && is_plain(expired)
        && with_hold.1 == 248
        && (3_300..4_600).contains(&with_hold.2);
    (!is_right).then(|| format!("{without:?}, {with_hold:?}, {returned:?}, {expired:?}"))
}

fn too_many_leases(bucket: &mut TestBucket<'_>) -> Option<String> {
    let quota = "4000/40s token_bucket lease 10 for 10s";
    let receipts: Vec<_> = (0..128).map(|_| bucket.lease(quota, 10, 0)).collect();
    if !receipts.iter().all(|(is_granted, _)| *is_granted) {
        return Some("fewer than 128 leases".to_owned());
    }
    let refused = bucket.lease(quota, 10, 0).0;
    let is_admitted = bucket.check(quota, 10, 0);
    bucket.call(Operation::Return, (quota, 10), 0, (receipts[77].1, &[])).unwrap();
    let granted = bucket.lease(quota, 10, 0).0;
    let remaining = bucket.remaining(quota, 0);
    let found = (refused, is_admitted, granted, remaining);
    (found != (false, true, true, 4_000 - 1_290)).then(|| format!("{found:?}"))
}

fn algorithm_defect(bucket: &mut TestBucket<'_>, other: &str) -> Option<String> {
    let leased = bucket.lease(LEASED, 4, 0).1;
    let mut found = vec![u32::from(bucket.check(other, 1, 0)), bucket.remaining(other, 400)];
    // A process with leases of another algorithm gets none, because the bucket would stay a token bucket.
    let has_lease = other.parse::<Quota>().unwrap().lease().is_some();
    found.push(u32::from(has_lease && bucket.lease(other, 1, 400).0));
    found.push(bucket.remaining(LEASED, 500));
    bucket.give_back((leased, 4), 3, 500);
    // Three used tokens count. The fourth token is back.
    found.push(bucket.remaining(other, 500));
    let second = bucket.lease(LEASED, 1, 500).0;
    found.extend([u32::from(second), bucket.remaining(other, 600)]);
    // After the lease, the bucket changes to the other algorithm, and gives nobody tokens back.
    found.extend([u32::from(bucket.check(other, 1, 1_500)), bucket.remaining(other, 1_500)]);
    (found != [1, 3, 0, 4, 5, 1, 4, 1, 5]).then(|| format!("{other}: {found:?}"))
}

/// Returns a defect if the bucket is a log with leases.
fn log_defect(bucket: &mut TestBucket<'_>) -> Option<String> {
    let log = "8/4s lease 3 for 1s";
    let first = bucket.lease(log, 3, 0).0;
    let refused = bucket.lease(LEASED, 2, 500).0;
    let remaining = bucket.remaining(LEASED, 999);
    let granted = bucket.lease(LEASED, 2, 1_001).0;
    let found = (first, refused, remaining, granted, bucket.remaining(LEASED, 1_001));
    (found != (true, false, 5, true, 3)).then(|| format!("log: {found:?}"))
}

/// Returns a defect if a process with a log takes a record of any length for a log.
fn length_defect(bucket: &mut TestBucket<'_>) -> Option<String> {
    let quota = "400/40s token_bucket lease 4 for 10s";
    // An entry of a log has 13 bytes, and the length of a hold is no multiple of it.
    let mut remaining = 400;
    (0..13).find_map(|leases| {
        let is_granted = bucket.lease(quota, 2, 0).0;
        let found = ["400/40s", "4000/40s"].map(|log| {
            // One of two calls can be decided without the code of the other algorithms.
            (bucket.check(log, 1, 0), bucket.check(log, 1, 0), bucket.remaining(log, 0))
        });
        remaining -= 6;
        let expected = [(true, true, remaining + 2), (true, true, remaining + 3_600)];
        (!is_granted || found != expected).then(|| format!("{leases} leases: {found:?}"))
    })
}

/// Returns a defect if a lease remains after a batch that fails. A request for another key fails after the lease is
/// written, because the user of Redis must not use the command `ZADD`.
fn roll_back_defect(bucket: &mut TestBucket<'_>, client: &mut redis::Connection) -> Option<String> {
    bucket.check(LEASED, 1, 0);
    let _: () = redis::cmd("ACL").arg(&["SETUSER", "default", "-zadd"]).query(client).unwrap();
    let (key, other) = (Key::global(), Key::from("other"));
    let with = |key, quota: &str, cost| {
        [BucketRequest::new(Bucket::new("leases", 0, key), quota.parse().unwrap(), cost)]
    };
    let (lease, check) = (with(&key, LEASED, 3), with(&key, LEASED, 2));
    let failing = with(&other, "8/4s lease 3 for 1s", 1);
    let batch = [
        (Operation::Lease, &lease[..]),
        (Operation::Check, &check[..]),
        (Operation::Check, &failing[..]),
    ];
    let failed = bucket.script.batch(&batch, Some(Duration::from_micros(START))).is_err();
    let _: () = redis::cmd("ACL").arg(&["SETUSER", "default", "+zadd"]).query(client).unwrap();
    let found = (failed, bucket.remaining(LEASED, 0), bucket.remaining(LEASED, 500));
    (found != (true, 7, 8)).then(|| format!("after a failed batch: {found:?}"))
}
