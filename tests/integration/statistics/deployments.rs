//! Tests the statistics of a fleet on each kind of server.

use actix_rateguard::{
    Key, Policy, RateGuard, RateGuardBuilder, Statistics,
    builder::StoreConfig,
    store::{StatisticsCount, StatisticsPublication},
};

use super::{fleet_until, totals};
use crate::support::{
    TEST_TIMEOUT, redis_cluster::RedisCluster, redis_server::RedisServer, rest_server::RestServer,
};

fn guard<S: StoreConfig>(builder: RateGuardBuilder<S>) -> RateGuard {
    builder.for_attributes(false).statistics(Statistics::new()).build().unwrap()
}

/// Both guards count, and each of them reads the counts of both.
async fn guards_share_statistics(guards: &[RateGuard; 2], kind: &str) {
    let policy = Policy::new("statistics-fleet", "4/hour").unwrap();
    for _ in 0..5 {
        for guard in guards {
            guard.check(&policy, &Key::from("ann")).await.unwrap();
        }
    }
    for guard in guards {
        let statistics = fleet_until(guard, |it| {
            let totals = totals(it, "statistics-fleet");
            (totals.allowed, totals.denied, it.processes.len()) == (4, 6, 2)
                && it.denied_keys.first().is_some_and(|it| it.denials == 6)
        });
        let statistics = statistics.await;
        assert!(statistics.processes[0].is_this && !statistics.processes[1].is_this);
        assert!(statistics.processes.iter().all(|it| it.store.kind == kind && it.store.is_good));
        let history = &statistics.policies[0].history;
        assert_eq!(history.iter().map(|it| it.denied).sum::<u64>(), 6);
    }
    // A guard that is closed leaves the fleet, and its counts stay.
    guards[1].close().await;
    fleet_until(&guards[0], |it| {
        it.processes.len() == 1 && totals(it, "statistics-fleet").denied == 6
    })
    .await;
}

#[tokio::test]
async fn guards_of_a_server_share_statistics() {
    let redis = RedisServer::start();
    let settings = || redis.settings("statistics").deadline(TEST_TIMEOUT);
    guards_share_statistics(&[(); 2].map(|()| guard(settings())), "redis").await;
}

#[tokio::test]
async fn guards_of_a_pool_share_statistics() {
    let redis = RedisServer::start();
    let config = deadpool_redis::Config::from_url(redis.url());
    let pool = config.create_pool(Some(deadpool_redis::Runtime::Tokio1)).unwrap();
    let settings = || {
        let settings = RateGuard::redis_pool(pool.clone()).prefix("statistics");
        settings.deadline(TEST_TIMEOUT)
    };
    guards_share_statistics(&[(); 2].map(|()| guard(settings())), "redis").await;
}

#[tokio::test]
async fn guards_on_upstash_share_statistics() {
    let redis = RedisServer::start();
    let rest = RestServer::start(&redis.url());
    let settings = || rest.settings("statistics").deadline(TEST_TIMEOUT);
    guards_share_statistics(&[(); 2].map(|()| guard(settings())), "upstash").await;
}

#[tokio::test]
async fn guards_of_a_cluster_share_statistics() {
    let cluster = RedisCluster::start();
    let settings = || RateGuard::redis(cluster.url()).prefix("statistics").deadline(TEST_TIMEOUT);
    guards_share_statistics(&[(); 2].map(|()| guard(settings())), "redis").await;
}

/// The permissions that `docs/redis.md` lists.
#[tokio::test]
async fn least_privileged_user_publishes_and_reads() {
    let redis = RedisServer::start();
    let document = include_str!("../../../docs/redis.md");
    let minimum = document.lines().find(|line| line.starts_with("ACL SETUSER limiter")).unwrap();
    let row = document.lines().find(|line| line.contains("for [statistics]")).unwrap();
    let additional = row.split('`').nth(1).unwrap();
    let line = minimum.replace(">PASSWORD", ">secret");
    let mut user = redis::cmd("ACL");
    line.split(' ').skip(1).chain(additional.split(' ')).for_each(|word| _ = user.arg(word));
    user.exec(&mut redis.client()).unwrap();
    let url = redis.url().replace("redis://", "redis://limiter:secret@");
    let settings = || RateGuard::redis(&*url).prefix("app").deadline(TEST_TIMEOUT);
    guards_share_statistics(&[(); 2].map(|()| guard(settings())), "redis").await;
}

#[tokio::test]
async fn hour_of_many_policies_is_read_on_upstash() {
    let redis = RedisServer::start();
    let rest = RestServer::start(&redis.url());
    let settings = rest.settings("statistics").deadline(TEST_TIMEOUT).for_attributes(false);
    let observer = settings.statistics(Statistics::observer()).build().unwrap();
    let store = observer.store().statistics().unwrap();
    let publication = |sequence, counts| {
        let (process, report) = ("0123456789abcdef", Some("{}"));
        store.publish(StatisticsPublication { process, sequence, report, counts })
    };
    let now = publication(1, &[]).await.unwrap().as_secs() / 20;
    for age in 0..170 {
        let counts: Vec<_> = (0..100)
            .map(|policy| {
                let counter = format!("allowed:a-long-name-of-a-policy-{policy}");
                StatisticsCount { interval: now - age, counter, number: 1 }
            })
            .collect();
        publication(2 + age, &counts).await.unwrap();
    }
    fleet_until(&observer, |it| {
        it.policies.len() == 100 && it.policies.iter().all(|it| it.totals.allowed == 170)
    })
    .await;
}
