//! A batch in which a bucket cannot be used decides the other requests as if that one had not been in it.

use crate::support::{lua::SOURCE, redis_server::RedisServer};

const FIXED: &str = "fixed_window 60000000 5 12000000 1";
const TOKENS: &str = "token_bucket 60000000 5 12000000 1";

/// Calls the script for the buckets `count` and `broken`, the second of which is a list. The quotas and the shapes are the
/// script's arguments, and so is the list of requests.
fn call(
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

/// Of a reply with an error text, the numbers.
fn numbers(reply: redis::Value) -> Vec<i64> {
    let (bytes, texts): (Vec<u8>, Vec<String>) = match reply {
        redis::Value::Array(values) => {
            let mut values = values.into_iter();
            let bytes = redis::from_redis_value(values.next().unwrap()).unwrap();
            (bytes, values.map(|text| redis::from_redis_value(text).unwrap()).collect())
        }
        other => panic!("no bucket failed: {other:?}"),
    };
    assert!(texts.len() == 1 && texts[0].contains("WRONGTYPE"), "{texts:?}");
    let (numbers, _) = bytes.as_chunks::<8>();
    numbers.iter().map(|it| i64::from_be_bytes(*it)).collect()
}

#[test]
fn a_key_keeps_its_expiry_if_its_batch_is_decided_again() {
    let server = RedisServer::start();
    let mut connection = with_broken_bucket(&server);
    call_alone(&mut connection);
    // A denial that converts the count, another quota for it, and a bucket that cannot be used.
    let higher = FIXED.replace(" 5 ", " 6 ");
    let shapes = ["check 0 1 1 1", "peek 0 1 2 1", "check 0 1 3 1"];
    let reply = call(&mut connection, &[TOKENS, &higher, FIXED], &shapes, "1 1 2 1 3 2");
    assert_eq!(numbers(reply).last(), Some(&-2));
    let left: i64 = redis::cmd("PTTL").arg("count").query(&mut connection).unwrap();
    assert!(left > 0, "{left}");
}

/// Uses up the count under a fixed window.
fn call_alone(connection: &mut redis::Connection) {
    let reply = call(connection, &[FIXED], &["charge 0 1 1 5"], "1 1");
    assert!(matches!(reply, redis::Value::BulkString(_)), "{reply:?}");
}

#[test]
fn a_unit_counts_once_if_its_batch_is_decided_again() {
    let server = RedisServer::start();
    let mut connection = with_broken_bucket(&server);
    let shapes = ["check 0 1 1 1", "check 0 1 2 1"];
    // Two quotas for one key by turns, as while a limit is being changed.
    let reply = call(&mut connection, &[FIXED, TOKENS], &shapes, "1 1 2 1 1 1 1 2");
    let numbers = numbers(reply);
    let remaining: Vec<_> = numbers[1..13].chunks(4).map(|it| it[1]).collect();
    assert_eq!(remaining, [4, 3, 2]);
}

#[test]
fn a_check_before_a_reset_is_denied_if_its_batch_is_decided_again() {
    let server = RedisServer::start();
    let mut connection = with_broken_bucket(&server);
    call_alone(&mut connection);
    let shapes = ["check 0 1 1 1", "reset 0 1 1 1"];
    let numbers = numbers(call(&mut connection, &[FIXED], &shapes, "1 1 2 1 1 2"));
    assert_eq!(numbers[1], 0, "the first check finds no room");
}
