//! Tests what random traces of leases of token buckets do not show: records, bounds, failures, and changes of the
//! algorithm.

use std::time::Duration;

use actix_rateguard::{
    Key, Quota,
    store::{Bucket, BucketRequest, Operation},
};

use super::token_bucket::{LEASED, PLAIN, TestBucket};
use crate::{
    support::{lua::SOURCE, redis_server::RedisServer},
    trace_runner::START,
};

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
