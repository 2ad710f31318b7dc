//! Tests the script with calendar periods that the client has estimated wrongly, and after clock steps.

use std::time::Duration;

use actix_rateguard::{
    Key, Quota,
    store::{Bucket, BucketRequest, Operation},
};

use crate::support::{
    lua::{SOURCE, Script, with_test_clock},
    redis_server::RedisServer,
};

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;
/// The start of a day in UTC, in seconds since 1970.
const MIDNIGHT: u64 = 20_000 * DAY;

fn days(first: u64) -> Option<[Duration; 4]> {
    Some([0, 1, 2, 3].map(|day| Duration::from_secs(MIDNIGHT + (first + day) * DAY)))
}

#[test]
fn script_uses_the_period_of_its_own_time_and_refuses_times_outside() {
    let server = RedisServer::start();
    let (mut client, source) = (server.client(), with_test_clock(SOURCE));
    let quota: Quota = "2/calendar day".parse().unwrap();
    let key = Key::global();
    let request = BucketRequest::new(Bucket::new("p", 0, &key), quota, 1);
    let mut script = Script::new(&mut client, &source, "outside".to_owned());
    // The client expects the second of three days.
    for (first, hours, remaining) in [
        (0, 0, Some(1)),
        (0, 23, Some(0)),
        (0, 24, Some(1)),
        (0, 71, Some(1)),
        (0, 72, None),
        (1, 23, None),
        (1, 72, Some(1)),
    ] {
        script.periods = days(first);
        let now = Duration::from_secs(MIDNIGHT + hours * HOUR);
        let verdict = script.call(Operation::Check, &[request], Some(now)).ok();
        let found = verdict.map(|verdict| verdict.statuses().next().unwrap().remaining);
        assert_eq!(found, remaining, "periods from day {first}, at hour {hours}");
    }
}

#[test]
fn units_count_in_an_earlier_period_after_a_clock_step_back() {
    let server = RedisServer::start();
    let (mut client, source) = (server.client(), with_test_clock(SOURCE));
    let quota: Quota = "2/calendar day".parse().unwrap();
    let key = Key::global();
    let request = BucketRequest::new(Bucket::new("p", 0, &key), quota, 1);
    let mut script = Script::new(&mut client, &source, "back".to_owned());
    let mut check = |hours: u64| {
        let now = Duration::from_secs(MIDNIGHT + hours * HOUR);
        let verdict = script.call(Operation::Check, &[request], Some(now)).unwrap();
        let status = verdict.statuses().next().unwrap();
        (verdict.is_allowed(), status.retry_after.unwrap().as_secs() / HOUR)
    };
    assert_eq!(check(25), (true, 0));
    assert_eq!(check(26), (true, 22));
    // The clock goes back to the previous day: the units count until its end.
    assert_eq!(check(20), (false, 4));
    assert_eq!(check(23), (false, 1));
    assert_eq!(check(24), (true, 0));
}

/// Finds a change of the period after which a key would expire long before or long after its units.
pub fn wrong_lifetime(source: &str) -> Option<String> {
    let server = RedisServer::start();
    let (mut client, mut ttl) = (server.client(), server.client());
    let source = with_test_clock(source);
    let key = Key::global();
    let mut script = Script::new(&mut client, &source, "lives".to_owned());
    // Each period is longer than the previous one, and the last two checks are denied.
    for (index, (limit, unit, hours)) in
        [(9, "hour", 1), (9, "day", 24), (1, "week", 3 * 24), (1, "month", 28 * 24)]
            .into_iter()
            .enumerate()
    {
        let quota: Quota = format!("{limit}/calendar {unit}").parse().unwrap();
        let bucket = Bucket::new("p", 0, &key);
        let request = BucketRequest::new(bucket, quota, 1);
        let now = Duration::from_secs(MIDNIGHT);
        let verdict = script.call(Operation::Check, &[request], Some(now)).ok()?;
        assert_eq!(verdict.is_allowed(), index < 2);
        let name = bucket.storage_key("lives");
        let millis: i64 = redis::cmd("PTTL").arg(&name).query(&mut ttl).unwrap();
        // The test clock adds an hour to each expiry, and a slow test may last for a minute.
        let expected = (hours * HOUR * 1_000 + 3_600_000).cast_signed();
        if !(expected - 60_000..=expected).contains(&millis) {
            return Some(format!("{quota}: {millis} ms in place of {expected} ms"));
        }
    }
    None
}

#[test]
fn key_expires_at_the_end_of_the_period() {
    assert_eq!(wrong_lifetime(SOURCE), None);
}
