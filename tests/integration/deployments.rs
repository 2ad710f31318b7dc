//! Redis as it is run: over a Unix socket, and for a user who may do no more than has to be.

use futures_util::future::join_all;
use rateguard::{Key, Policy, RateGuard, StoreError};

use crate::support::{
    PATIENCE, eventually,
    folder::Folder,
    redis_server::{RedisServer, connections_so_far},
};

/// What the README says that a user needs.
pub const COMMANDS: &[&str] = &[
    "evalsha", "eval", "time", "type", "del", "pexpire", "pttl", "append", "getrange", "set",
    "setrange", "strlen", "hget", "hmget", "hset", "role",
];

fn policies() -> Vec<Policy> {
    ["sliding_window", "sliding_window_counter", "fixed_window", "token_bucket"]
        .into_iter()
        .map(|algorithm| {
            let quotas = format!("5/hour {algorithm}; 1000/day {algorithm}");
            let quotas = quotas.replace(" sliding_window;", ";");
            let policy =
                Policy::new(algorithm, quotas.trim_end_matches(" sliding_window").to_owned());
            policy.unwrap().ban("3/hour for 1m up to 1h").unwrap()
        })
        .collect()
}

/// Does all that there is to do.
pub async fn use_everything(guard: &RateGuard) {
    for policy in policies() {
        let key = Key::from("ann");
        let checks = join_all((0..30).map(|_| guard.check(&policy, &key))).await;
        let admitted = checks.into_iter().filter(|it| it.as_ref().unwrap().is_allowed()).count();
        assert_eq!(admitted, 5, "{policy:?}");
        assert!(guard.check(&policy, &key).await.unwrap().banned_for().is_some());
        guard.reset(&policy, &key).await.unwrap();
        let reservation = guard.request(&policy, &key).cost(3).reserve().await.unwrap();
        assert_eq!(reservation.refund().await.unwrap().remaining(), 5);
        assert_eq!(guard.request(&policy, &key).cost(4).charge().await.unwrap().remaining(), 1);
        assert!(guard.peek(&policy, &key).await.unwrap().is_allowed());
        guard.reset(&policy, &key).await.unwrap();
    }
}

#[tokio::test]
async fn a_unix_socket_is_as_good_as_a_port() {
    let folder = Folder::new();
    let path = format!("{}/redis.sock", folder.text());
    let _redis = RedisServer::start_with(&["--unixsocket", &path]);
    let url = format!("redis+unix://{path}?db=3");
    let guard = RateGuard::redis(url).deadline(PATIENCE).build().unwrap();
    use_everything(&guard).await;
}

#[tokio::test]
async fn the_pool_of_an_application_says_how_to_connect_and_keeps_its_connections() {
    let redis = RedisServer::start();
    let pool = deadpool_redis::Config::from_url(redis.url())
        .builder()
        .unwrap()
        .max_size(1)
        .runtime(deadpool_redis::Runtime::Tokio1)
        .build()
        .unwrap();
    // The only one is in use.
    let _held = pool.get().await.unwrap();
    let guard = RateGuard::redis_pool(pool.clone()).deadline(PATIENCE).build().unwrap();
    use_everything(&guard).await;
    assert_eq!(pool.status().size, 1);
}

#[tokio::test]
async fn a_user_with_the_least_rights_can_do_everything_on_one_connection() {
    let redis = RedisServer::start();
    let mut client = redis.client();
    let mut user = redis::cmd("ACL");
    user.arg("SETUSER").arg("limiter").arg("reset").arg("on").arg(">secret").arg("~app:*");
    for command in COMMANDS {
        user.arg(format!("+{command}"));
    }
    user.exec(&mut client).unwrap();
    let before = connections_so_far(&mut client);
    let url = format!("redis://limiter:secret@127.0.0.1:{}", redis.port());
    let guard = RateGuard::redis(&url).prefix("app").deadline(PATIENCE).build().unwrap();
    use_everything(&guard).await;
    // Longer than it takes to test the connection.
    tokio::time::sleep(std::time::Duration::from_millis(2_500)).await;
    use_everything(&guard).await;
    assert_eq!(connections_so_far(&mut client) - before, 1);
    assert!(guard.health().is_good());

    // Other keys are not its business, which is no reason to connect anew.
    let other = RateGuard::redis(&url).prefix("other").deadline(PATIENCE).build().unwrap();
    for _ in 0..10 {
        let refused = other.check(&policies()[0], &Key::global()).await.unwrap_err();
        assert_eq!(refused.cause(), StoreError::Permission);
    }
    assert_eq!(connections_so_far(&mut client) - before, 2);
}

#[tokio::test]
async fn a_primary_that_became_a_replica_answers_no_more_denials_from_its_copy() {
    let primary = RedisServer::start();
    let demoted = RedisServer::start();
    let guard = demoted.settings("demoted").deadline(PATIENCE).build().unwrap();
    let (policy, key) = (Policy::new("p", "1/hour").unwrap(), Key::global());
    assert!(guard.check(&policy, &key).await.unwrap().is_allowed());
    assert!(!guard.check(&policy, &key).await.unwrap().is_allowed());
    let mut client = demoted.client();
    let mut replicate = |host: &str, port: &str| {
        redis::cmd("REPLICAOF").arg(host).arg(port).exec(&mut client).unwrap();
    };
    replicate("127.0.0.1", &primary.port().to_string());
    // Nobody writes, so nobody is told that it is read-only.
    eventually("it is noticed", || (!guard.health().is_good()).then_some(()));
    replicate("NO", "ONE");
    eventually("it is used again", || guard.health().is_good().then_some(()));
}
