//! Tests batches that contain a bucket that the script cannot use. The script decides such a batch again without this
//! bucket.

use crate::{
    support::{
        lua::{SOURCE, with_test_clock},
        redis_server::RedisServer,
    },
    trace_runner::START,
};

const FIXED: &str = "fixed_window 60000000 5 12000000 1";
const TOKENS: &str = "token_bucket 60000000 5 12000000 1";
const SORTED_SET: &str = "sliding_window_sorted_set 60000000 5 0 1";
const WRONGTYPE: &str = "WRONGTYPE";

/// Calls the script with the buckets `count` and `broken`. The Redis key of `broken` is a list, so the script cannot
/// use this bucket.
///
/// `quotas`, `shapes` and `requests` are arguments of the script. A shape consists of an operation, the positions of
/// its quotas, and its costs.
fn call_script(
    connection: &mut redis::Connection,
    quotas: &[&str],
    shapes: &[&str],
    requests: &str,
) -> redis::Value {
    let mut command = redis::cmd("EVAL");
    command
        .arg(SOURCE)
        .arg(2)
        .arg("count")
        .arg("broken")
        .arg("process")
        .arg(1)
        .arg("bytes")
        .arg("mixed");
    for list in [quotas, shapes] {
        command.arg(list.len());
        for argument in list.iter().flat_map(|it| it.split(' ')) {
            command.arg(argument);
        }
    }
    command.arg(requests).query(connection).unwrap()
}

fn with_broken_bucket(server: &RedisServer) -> redis::Connection {
    let mut connection = server.client();
    let _: i64 = redis::cmd("RPUSH").arg("broken").arg("x").query(&mut connection).unwrap();
    connection
}

/// Returns the numbers of a reply that consists of numbers and an error text. The error text must contain one of
/// `errors`, because servers have different texts for the same error.
fn reply_numbers(reply: redis::Value, errors: &[&str]) -> Vec<i64> {
    let (bytes, texts): (Vec<u8>, Vec<String>) = match reply {
        redis::Value::Array(values) => {
            let mut values = values.into_iter();
            let bytes = redis::from_redis_value(values.next().unwrap()).unwrap();
            (bytes, values.map(|text| redis::from_redis_value(text).unwrap()).collect())
        }
        other => panic!("expected a reply with an error text, found {other:?}"),
    };
    assert!(texts.len() == 1 && errors.iter().any(|error| texts[0].contains(error)), "{texts:?}");
    let (numbers, _) = bytes.as_chunks::<8>();
    numbers.iter().map(|it| i64::from_be_bytes(*it)).collect()
}

#[test]
fn key_expiry_is_preserved_when_batch_is_rerun() {
    let server = RedisServer::start();
    let mut connection = with_broken_bucket(&server);
    use_up_count(&mut connection);
    // The first check is denied, and converts the count of the fixed window to tokens. The peek has a different quota
    // for the same bucket. The second check uses the bucket that the script cannot use.
    let higher = FIXED.replace(" 5 ", " 6 ");
    let shapes = ["check 0 1 1 1", "peek 0 1 2 1", "check 0 1 3 1"];
    let reply = call_script(&mut connection, &[TOKENS, &higher, FIXED], &shapes, "1 1 2 1 3 2");
    assert_eq!(reply_numbers(reply, &[WRONGTYPE]).last(), Some(&-2));
    let left: i64 = redis::cmd("PTTL").arg("count").query(&mut connection).unwrap();
    assert!(left > 0, "{left}");
}

/// Uses up the quota of `count` with a fixed window.
fn use_up_count(connection: &mut redis::Connection) {
    let reply = call_script(connection, &[FIXED], &["debit 0 1 1 5"], "1 1");
    assert!(matches!(reply, redis::Value::BulkString(_)), "{reply:?}");
}

#[test]
fn units_count_once_when_batch_is_rerun() {
    let server = RedisServer::start();
    let mut connection = with_broken_bucket(&server);
    let shapes = ["check 0 1 1 1", "check 0 1 2 1"];
    // Requests with two different quotas for one key alternate, as if two processes had different settings.
    let reply = call_script(&mut connection, &[FIXED, TOKENS], &shapes, "1 1 2 1 1 1 1 2");
    let numbers = reply_numbers(reply, &[WRONGTYPE]);
    let remaining: Vec<_> = numbers[1..13].chunks(4).map(|it| it[1]).collect();
    assert_eq!(remaining, [4, 3, 2]);
}

#[test]
fn check_before_reset_is_denied_when_batch_is_rerun() {
    let server = RedisServer::start();
    let mut connection = with_broken_bucket(&server);
    use_up_count(&mut connection);
    let shapes = ["check 0 1 1 1", "reset 0 1 1 1"];
    let reply = call_script(&mut connection, &[FIXED], &shapes, "1 1 2 1 1 2");
    let numbers = reply_numbers(reply, &[WRONGTYPE]);
    assert_eq!(numbers[1], 0, "expected a denial of the first check");
}

/// If the script fails for a whole batch, the batch is sent again. Then the resets and refunds in the batch would be
/// applied twice. Therefore, if the script cannot set an expiry for one request, only this request may fail.
#[test]
fn failed_expiry_fails_no_reset_in_its_batch() {
    let server = RedisServer::start();
    let mut connection = server.client();
    call_script(&mut connection, &[SORTED_SET], &["debit 0 1 1 5"], "1 1");
    let _: () =
        redis::cmd("ACL").arg(&["SETUSER", "default", "-pexpire"]).query(&mut connection).unwrap();
    // Without the permission for `PEXPIRE`, the script cannot set the expiry of a sorted set. A reset sets no expiry, so
    // it succeeds. The check creates a key, which needs an expiry, so the check fails.
    let shapes = ["reset 0 1 1 1", "check 0 1 1 1"];
    let reply = call_script(&mut connection, &[SORTED_SET], &shapes, "1 1 2 2");
    let numbers = reply_numbers(reply, &["can't run this command", "no permissions to run"]);
    assert_eq!((numbers[1], numbers[2]), (1, 5), "expected a full bucket");
    assert_eq!(numbers[5], -2, "expected a failed check");
}

/// Calls the script at the time `now`, in microseconds, with one unit check of a sliding window of 20 units in 1,000 s.
/// Returns the numbers of the reply.
fn unit_check(connection: &mut redis::Connection, flag: &str, now: u64) -> Vec<i64> {
    let reply = call_with_unit_check(connection, flag, now);
    let redis::Value::BulkString(bytes) = reply else { panic!("expected bytes, found {reply:?}") };
    bytes.as_chunks::<8>().0.iter().map(|it| i64::from_be_bytes(*it)).collect()
}

fn call_with_unit_check(connection: &mut redis::Connection, flag: &str, now: u64) -> redis::Value {
    let mut command = redis::cmd("EVAL");
    command.arg(with_test_clock(SOURCE)).arg(1).arg("log").arg("process").arg(1).arg("bytes");
    command.arg(flag).arg(1).arg("sliding_window").arg(1_000_000_000).arg(20).arg(0).arg(0);
    command.arg(1).arg("check").arg(0).arg(1).arg(1).arg(1).arg("");
    command.arg(now % 1_000_000).arg(now / 1_000_000).query(connection).unwrap()
}

/// The script adds a unit to a log with `APPEND`, and sometimes removes expired entries with `SET` in the same call. If
/// Redis rejects `SET`, the unit is already in the log, so the check must be admitted.
#[test]
fn check_is_admitted_if_redis_rejects_the_removal_of_expired_entries() {
    for flag in ["", "mixed"] {
        let server = RedisServer::start();
        let mut connection = server.client();
        for number in 0..15 {
            assert_eq!(unit_check(&mut connection, flag, START + number)[1], 1);
        }
        assert_eq!(unit_check(&mut connection, flag, START + 600_000_000)[1], 1);
        let _: () =
            redis::cmd("ACL").arg(&["SETUSER", "default", "-set"]).query(&mut connection).unwrap();
        // The first 15 units have expired, so the script tries to rewrite the log.
        let numbers = unit_check(&mut connection, flag, START + 1_100_000_000);
        assert_eq!(numbers[1..3], [1, 18]);
        let length: usize = redis::cmd("STRLEN").arg("log").query(&mut connection).unwrap();
        assert_eq!(length, 17 * 13, "expected all entries in the log");
        let _: () =
            redis::cmd("ACL").arg(&["SETUSER", "default", "+set"]).query(&mut connection).unwrap();
        let numbers = unit_check(&mut connection, flag, START + 1_100_000_001);
        assert_eq!(numbers[1..3], [1, 17]);
        let length: usize = redis::cmd("STRLEN").arg("log").query(&mut connection).unwrap();
        assert_eq!(length, 3 * 13, "expected only live entries in the log");
    }
}

#[test]
fn check_takes_no_unit_if_redis_rejects_the_expiry_of_a_log() {
    for flag in ["", "mixed"] {
        let server = RedisServer::start();
        let mut connection = server.client();
        unit_check(&mut connection, flag, START);
        let set_user = |connection: &mut redis::Connection, permission| {
            redis::cmd("ACL").arg(&["SETUSER", "default", permission]).exec(connection).unwrap();
        };
        set_user(&mut connection, "-pexpire");
        // The expiry was set in an earlier interval, so this check must set it again.
        let reply = call_with_unit_check(&mut connection, flag, START + 100_000_000);
        let numbers = reply_numbers(reply, &["can't run this command", "no permissions to run"]);
        assert_eq!(numbers[1..], [-2]);
        set_user(&mut connection, "+pexpire");
        let numbers = unit_check(&mut connection, flag, START + 100_000_001);
        assert_eq!(numbers[1..3], [1, 18]);
    }
}

/// If a command for one key fails, the script refunds the units of the other keys and decides their requests again. The
/// refund must also work if Redis rejects the command that it normally uses.
#[test]
fn rejected_command_of_another_key_counts_no_unit_twice() {
    // The key `broken` is a normal key here. With `-set`, the script cannot create it. With `-setrange`, it cannot
    // change its window, and cannot write to `count` again after the refund.
    let cases = [
        ("sliding_window", "1 1", "-set", 1, 2),
        ("fixed_window", "1 1", "-set", 1, 2),
        ("fixed_window", "1 2", "-setrange", -2, 4),
    ];
    for (algorithm, first, permission, result, remaining) in cases {
        let server = RedisServer::start();
        let mut connection = server.client();
        let quota = format!("{algorithm} 60000000 5 0 1");
        let check = |connection: &mut redis::Connection, requests| {
            call_script(connection, &[&quota], &["check 0 1 1 1"], requests)
        };
        check(&mut connection, first);
        let set_user = |connection: &mut redis::Connection, permission| {
            redis::cmd("ACL").arg(&["SETUSER", "default", permission]).exec(connection).unwrap();
        };
        set_user(&mut connection, permission);
        let reply = check(&mut connection, "1 1 1 2");
        let numbers = reply_numbers(reply, &["can't run this command", "no permissions to run"]);
        assert_eq!((numbers[1], numbers.last()), (result, Some(&-2)), "{algorithm} {permission}");
        set_user(&mut connection, "+@all");
        let redis::Value::BulkString(bytes) = check(&mut connection, "1 1") else {
            panic!("expected a decision");
        };
        let numbers = bytes.as_chunks::<8>().0;
        assert_eq!(i64::from_be_bytes(numbers[2]), remaining, "{algorithm} {permission}");
    }
}
