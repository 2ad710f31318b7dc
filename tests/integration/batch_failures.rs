//! Tests batches that contain a bucket that the script cannot use. The script decides such a batch again without this
//! bucket.

use crate::support::{lua::SOURCE, redis_server::RedisServer};

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
