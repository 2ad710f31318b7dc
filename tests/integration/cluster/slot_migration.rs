//! Tests the migration of cluster slots from one master to another while clients send checks.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use actix_rateguard::{Key, Policy, RateGuard, store::Bucket};
use redis::{Commands, Connection};

use super::{guard, masters_of_keys, slot};
use crate::support::{
    TEST_TIMEOUT, eventually,
    process::LoadGenerator,
    redis_cluster::{RedisCluster, cluster_command, id},
    redis_server::RedisServer,
};

/// The migration of a cluster slot from one master to another.
struct Migration<'a> {
    slot: String,
    from: &'a RedisServer,
    to: &'a RedisServer,
}

impl<'a> Migration<'a> {
    /// Starts the migration. After this call, the source redirects a request to the target if the source does not have
    /// the requested key.
    fn begin(slot: u16, from: &'a RedisServer, to: &'a RedisServer) -> Self {
        let slot = slot.to_string();
        let set = |node: &RedisServer, state: &str, other: &RedisServer| {
            let words = ["SETSLOT", &slot, state, &id(other)];
            cluster_command(&words).exec(&mut node.client()).unwrap();
        };
        set(to, "IMPORTING", from);
        set(from, "MIGRATING", to);
        Self { slot, from, to }
    }

    /// Moves up to `max` keys of the slot, and returns how many keys were moved.
    fn move_keys(&self, max: u32) -> usize {
        let mut client = self.from.client();
        let max = max.to_string();
        let keys: Vec<String> =
            cluster_command(&["GETKEYSINSLOT", &self.slot, &max]).query(&mut client).unwrap();
        if !keys.is_empty() {
            let mut migrate = redis::cmd("MIGRATE");
            migrate.arg("127.0.0.1").arg(self.to.port()).arg("").arg(0).arg(10_000).arg("KEYS");
            migrate.arg(&keys).exec(&mut client).unwrap();
        }
        keys.len()
    }

    /// Moves the remaining keys, and then makes the target the owner of the slot.
    fn finish(self, cluster: &RedisCluster) {
        while self.move_keys(100) > 0 {}
        let owner = id(self.to);
        for node in [self.to, self.from].into_iter().chain(&cluster.nodes[..3]) {
            cluster_command(&["SETSLOT", &self.slot, "NODE", &owner])
                .exec(&mut node.client())
                .unwrap();
        }
    }
}

/// Returns the cluster slots in which this node stores keys with the prefix `prefix`.
fn used_slots(client: &mut Connection, prefix: &str) -> Vec<u16> {
    let names: Vec<String> = client.keys(format!("{prefix}:*")).unwrap();
    let mut slots: Vec<u16> = names.iter().map(|name| slot(client, name)).collect();
    slots.sort_unstable();
    slots.dedup();
    slots
}

#[test]
fn slot_migration_under_load_answers_all_and_respects_limits() {
    const KEYS: usize = 40;
    const LIMIT: u64 = 150;
    let cluster = Arc::new(RedisCluster::start());
    let (url, rate) = (cluster.url(), format!("{LIMIT}/hour"));
    let mut generators =
        [(); 2].map(|()| LoadGenerator::start(&url, "moving", &rate, KEYS, 8, 2_000));
    generators.iter_mut().for_each(LoadGenerator::go);

    let stop = Arc::new(AtomicBool::new(false));
    let moving = thread::spawn({
        let (cluster, stop) = (cluster.clone(), stop.clone());
        move || {
            let mut moved = 0;
            while !stop.load(SeqCst) {
                for (from, to) in [(0, 1), (1, 2), (2, 0)] {
                    let [from, to] = [from, to].map(|number: usize| &cluster.nodes[number]);
                    for slot in used_slots(&mut from.client(), "moving").into_iter().take(4) {
                        let migration = Migration::begin(slot, from, to);
                        // During these pauses, some keys of the slot are on the source and some are on the target.
                        thread::sleep(Duration::from_millis(5));
                        migration.move_keys(1);
                        thread::sleep(Duration::from_millis(5));
                        migration.finish(&cluster);
                        moved += 1;
                    }
                }
            }
            moved
        }
    });
    let tallies = generators.map(LoadGenerator::tally);
    stop.store(true, SeqCst);
    let moved = moving.join().unwrap();
    println!("moved {moved} slots under load");
    assert!(moved >= 5, "{moved}");
    for key in 0..KEYS {
        let admitted: u64 = tallies.iter().map(|tally| tally.admitted[key]).sum();
        assert_eq!(admitted, LIMIT, "key {key}");
    }
    assert_eq!(tallies.map(|tally| tally.unanswered), [0, 0]);
}

#[tokio::test]
async fn multi_quota_key_is_decided_throughout_slot_migration() {
    let cluster = RedisCluster::start();
    let guard = guard(&cluster, "several");
    let masters = masters_of_keys(&cluster, &guard, "several", 30).await;
    let number = masters.iter().position(|master| *master == 0).unwrap();
    let key = Key::from(number as u32);
    let policy = Policy::new("p", "10/hour; 20/day").unwrap();
    let left = async || guard.check(&policy, &key).await.unwrap().remaining();
    assert_eq!([left().await, left().await], [9, 8]);

    let name = Bucket::new("p", 0, &key).storage_key("several");
    let slot = slot(&mut cluster.nodes[0].client(), &name);
    let migration = Migration::begin(slot, &cluster.nodes[0], &cluster.nodes[1]);
    assert_eq!(left().await, 7);
    // After this move, the two buckets of the check are on different nodes. No node can decide the check until it has
    // both buckets.
    migration.move_keys(1);
    let checked = tokio::spawn({
        let (guard, policy) = (guard.clone(), policy.clone());
        async move { guard.check(&policy, &key).await }
    });
    tokio::time::sleep(Duration::from_millis(2)).await;
    while migration.move_keys(100) > 0 {}
    // The check may have failed before the migration ended. It is counted only if it was admitted.
    let admitted = u32::from(checked.await.unwrap().is_ok());
    assert_eq!(left().await, 6 - admitted);
    // Now the target does not have the script any more, so the guard must send the text of the script with the request.
    redis::cmd("SCRIPT").arg("FLUSH").exec(&mut cluster.nodes[1].client()).unwrap();
    assert_eq!(left().await, 5 - admitted);
    migration.finish(&cluster);
    assert_eq!(left().await, 4 - admitted);
    eventually("the map is up to date", || guard.health().is_good().then_some(()));
}

#[tokio::test]
async fn undecidable_key_of_migrating_slot_blocks_no_other_key() {
    let cluster = RedisCluster::start_with(&["--cluster-require-full-coverage", "no"]);
    let masters = masters_of_keys(&cluster, &guard(&cluster, "blocked"), "blocked", 30).await;
    let mut on_source =
        (0..30_u32).zip(masters).filter(|(_, master)| *master == 0).map(|(key, _)| Key::from(key));
    let [moving, staying] = [(); 2].map(|()| on_source.next().unwrap());
    let name = |key: &Key| Bucket::new("new", 0, key).storage_key("blocked");
    let mut client = cluster.nodes[0].client();
    let [moving_slot, staying_slot] = [&moving, &staying].map(|key| slot(&mut client, &name(key)));
    assert_ne!(moving_slot, staying_slot);
    let _migration = Migration::begin(moving_slot, &cluster.nodes[0], &cluster.nodes[1]);
    let settings = RateGuard::redis(cluster.url()).prefix("blocked").deadline(TEST_TIMEOUT);
    let guard = settings.build().unwrap();
    eventually("connections to all masters", || guard.health().is_good().then_some(()));
    // The policy `new` has two quotas, so its check needs two Redis keys. Both are new, so neither node has them, and
    // neither node may decide the check.
    let two = Policy::new("new", "1000000/hour; 1000000/day").unwrap();
    let one = Policy::new("placed", "1000000/hour").unwrap();
    assert!(guard.check(&two, &moving).await.is_err());
    for _ in 0..5 {
        futures_util::future::join_all((0..20).map(|_| guard.check(&two, &moving))).await;
        assert!(guard.check(&one, &staying).await.is_ok());
    }
}
