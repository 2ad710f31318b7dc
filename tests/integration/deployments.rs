//! Tests several ways to deploy Redis: a Unix socket, the connection pool of an application, a user with minimal
//! permissions, and a primary that is demoted.

use actix_rateguard::{Algorithm, Key, Policy, RateGuard, StoreError};
use futures_util::future::join_all;

use crate::support::{
    TEST_TIMEOUT, eventually,
    folder::Folder,
    redis_server::{RedisServer, total_connections},
};

/// docs/redis.md lists these Redis commands: the Redis user of the guard needs the permission to run them.
pub const COMMANDS: &[&str] = &[
    "evalsha", "eval", "time", "type", "del", "pexpire", "pttl", "append", "getrange", "set",
    "setrange", "strlen", "role",
];

fn policies() -> Vec<Policy> {
    Algorithm::NAMES
        .into_iter()
        .map(|(_, algorithm)| {
            let quotas = format!("5/hour {algorithm}; 1000/day {algorithm}");
            let quotas = quotas.replace(" sliding_window;", ";");
            let policy =
                Policy::new(algorithm, quotas.trim_end_matches(" sliding_window").to_owned());
            policy.unwrap().ban("3/hour for 1m up to 1h").unwrap()
        })
        .collect()
}

/// Uses every operation of the guard, with every algorithm and with bans.
pub async fn use_all_operations(guard: &RateGuard) {
    for policy in policies() {
        let key = Key::from("ann");
        let checks = join_all((0..30).map(|_| guard.check(&policy, &key))).await;
        let admitted = checks.into_iter().filter(|it| it.as_ref().unwrap().is_allowed()).count();
        assert_eq!(admitted, 5, "{policy:?}");
        assert!(guard.check(&policy, &key).await.unwrap().banned_for().is_some());
        guard.reset(&policy, &key).await.unwrap();
        let reservation = guard.request(&policy, &key).cost(3).reserve().await.unwrap();
        assert_eq!(reservation.refund().await.unwrap().remaining(), 5);
        assert_eq!(guard.request(&policy, &key).cost(4).debit().await.unwrap().remaining(), 1);
        assert!(guard.peek(&policy, &key).await.unwrap().is_allowed());
        guard.reset(&policy, &key).await.unwrap();
    }
}

#[tokio::test]
async fn guard_works_over_a_unix_socket() {
    let folder = Folder::new();
    let path = format!("{}/redis.sock", folder.text());
    let _redis = RedisServer::start_with(&["--unixsocket", &path]);
    let url = format!("redis+unix://{path}?db=3");
    let guard = RateGuard::redis(url).prefix("test").deadline(TEST_TIMEOUT).build().unwrap();
    use_all_operations(&guard).await;
}

#[tokio::test]
async fn redis_pool_supplies_settings_but_no_connections() {
    let redis = RedisServer::start();
    let pool = deadpool_redis::Config::from_url(redis.url())
        .builder()
        .unwrap()
        .max_size(1)
        .runtime(deadpool_redis::Runtime::Tokio1)
        .build()
        .unwrap();
    // The test holds the only connection of the pool, so the guard must open its own connection.
    let _connection = pool.get().await.unwrap();
    let guard =
        RateGuard::redis_pool(pool.clone()).prefix("test").deadline(TEST_TIMEOUT).build().unwrap();
    use_all_operations(&guard).await;
    assert_eq!(pool.status().size, 1);
}

#[tokio::test]
async fn least_privileged_user_runs_all_operations_without_reconnecting() {
    let redis = RedisServer::start();
    let mut client = redis.client();
    let mut user = redis::cmd("ACL");
    user.arg("SETUSER").arg("limiter").arg("reset").arg("on").arg(">secret").arg("~app:*");
    for command in COMMANDS {
        user.arg(format!("+{command}"));
    }
    user.exec(&mut client).unwrap();
    let before = total_connections(&mut client);
    let url = format!("redis://limiter:secret@127.0.0.1:{}", redis.port());
    let guard = RateGuard::redis(&url).prefix("app").deadline(TEST_TIMEOUT).build().unwrap();
    use_all_operations(&guard).await;
    // The pause is longer than the interval between two heartbeats, so the guard also sends heartbeats as this user.
    tokio::time::sleep(std::time::Duration::from_millis(2_500)).await;
    use_all_operations(&guard).await;
    // The I/O thread and this worker have one connection each.
    assert_eq!(total_connections(&mut client) - before, 2);
    assert!(guard.health().is_good());

    // The user has no permission for keys with another prefix. An error about permissions must not make the guard
    // reconnect.
    let other = RateGuard::redis(&url).prefix("other").deadline(TEST_TIMEOUT).build().unwrap();
    for _ in 0..10 {
        let unavailable = other.check(&policies()[0], &Key::global()).await.unwrap_err();
        assert_eq!(unavailable.cause(), StoreError::Permission);
    }
    assert!(total_connections(&mut client) - before <= 4);
}

#[tokio::test]
async fn demoted_primary_is_detected_without_writes() {
    let primary = RedisServer::start();
    let demoted = RedisServer::start();
    let guard = demoted.settings("demoted").deadline(TEST_TIMEOUT).build().unwrap();
    let (policy, key) = (Policy::new("p", "1/hour").unwrap(), Key::global());
    assert!(guard.check(&policy, &key).await.unwrap().is_allowed());
    assert!(!guard.check(&policy, &key).await.unwrap().is_allowed());
    let mut client = demoted.client();
    let mut replicate = |host: &str, port: &str| {
        redis::cmd("REPLICAOF").arg(host).arg(port).exec(&mut client).unwrap();
    };
    replicate("127.0.0.1", &primary.port().to_string());
    // The guard sends no commands that write, so it gets no read-only error. Only a heartbeat can detect the
    // demotion.
    eventually("the demotion is detected", || (!guard.health().is_good()).then_some(()));
    replicate("NO", "ONE");
    eventually("the server is used again", || guard.health().is_good().then_some(()));
}
