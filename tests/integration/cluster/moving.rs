//! Slots that are moved from master to master under load.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use rateguard::{Key, Policy, RateGuard, store::Bucket};
use redis::{Commands, Connection};

use super::{guard, placed, slot};
use crate::support::{
    PATIENCE, eventually,
    process::Hammer,
    redis_cluster::{RedisCluster, cluster_command, id},
    redis_server::RedisServer,
};

/// A slot on its way from one master to another.
struct Move<'a> {
    slot: String,
    from: &'a RedisServer,
    to: &'a RedisServer,
}

impl<'a> Move<'a> {
    /// From now on the source sends whom it cannot serve to the target.
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

    /// Moves so many keys, and says how many it found.
    fn keys(&self, most: u32) -> usize {
        let mut client = self.from.client();
        let most = most.to_string();
        let keys: Vec<String> =
            cluster_command(&["GETKEYSINSLOT", &self.slot, &most]).query(&mut client).unwrap();
        if !keys.is_empty() {
            let mut migrate = redis::cmd("MIGRATE");
            migrate.arg("127.0.0.1").arg(self.to.port()).arg("").arg(0).arg(10_000).arg("KEYS");
            migrate.arg(&keys).exec(&mut client).unwrap();
        }
        keys.len()
    }

    /// From now on the target serves the slot.
    fn end(self, cluster: &RedisCluster) {
        while self.keys(100) > 0 {}
        let owner = id(self.to);
        for node in [self.to, self.from].into_iter().chain(&cluster.nodes[..3]) {
            cluster_command(&["SETSLOT", &self.slot, "NODE", &owner])
                .exec(&mut node.client())
                .unwrap();
        }
    }
}

/// The slots on this node that have keys with this prefix.
fn used_slots(client: &mut Connection, prefix: &str) -> Vec<u16> {
    let names: Vec<String> = client.keys(format!("{prefix}:*")).unwrap();
    let mut slots: Vec<u16> = names.iter().map(|name| slot(client, name)).collect();
    slots.sort_unstable();
    slots.dedup();
    slots
}

#[test]
fn while_slots_move_every_check_is_answered_and_no_limit_is_exceeded() {
    const KEYS: usize = 40;
    const LIMIT: u64 = 150;
    let cluster = Arc::new(RedisCluster::start());
    let (url, rate) = (cluster.url(), format!("{LIMIT}/hour"));
    let mut hammers = [(); 2].map(|()| Hammer::start(&url, "moving", &rate, KEYS, 8, 2_000));
    hammers.iter_mut().for_each(Hammer::go);

    let stop = Arc::new(AtomicBool::new(false));
    let moving = thread::spawn({
        let (cluster, stop) = (cluster.clone(), stop.clone());
        move || {
            let mut moved = 0;
            while !stop.load(SeqCst) {
                for (from, to) in [(0, 1), (1, 2), (2, 0)] {
                    let [from, to] = [from, to].map(|number: usize| &cluster.nodes[number]);
                    for slot in used_slots(&mut from.client(), "moving").into_iter().take(4) {
                        let way = Move::begin(slot, from, to);
                        // Those who come meanwhile find some keys here and some there.
                        thread::sleep(Duration::from_millis(5));
                        way.keys(1);
                        thread::sleep(Duration::from_millis(5));
                        way.end(&cluster);
                        moved += 1;
                    }
                }
            }
            moved
        }
    });
    let tallies = hammers.map(Hammer::tally);
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
async fn a_key_with_several_quotas_is_decided_on_before_amid_and_after_its_move() {
    let cluster = RedisCluster::start();
    let guard = guard(&cluster, "several");
    let places = placed(&cluster, &guard, "several", 30).await;
    let number = places.iter().position(|place| *place == 0).unwrap();
    let key = Key::from(number as u32);
    let policy = Policy::new("p", "10/hour; 20/day").unwrap();
    let left = async || guard.check(&policy, &key).await.unwrap().remaining();
    assert_eq!([left().await, left().await], [9, 8]);

    let name = Bucket::new("p", 0, &key).storage_key("several");
    let slot = slot(&mut cluster.nodes[0].client(), &name);
    let way = Move::begin(slot, &cluster.nodes[0], &cluster.nodes[1]);
    assert_eq!(left().await, 7);
    // Its keys are in two places: the answer comes when they are in one.
    way.keys(1);
    let checked = tokio::spawn({
        let (guard, policy) = (guard.clone(), policy.clone());
        async move { guard.check(&policy, &key).await }
    });
    tokio::time::sleep(Duration::from_millis(2)).await;
    while way.keys(100) > 0 {}
    // Whether it came in time for that or gave up before: it counts as often as it was admitted.
    let admitted = u32::from(checked.await.unwrap().is_ok());
    assert_eq!(left().await, 6 - admitted);
    // The target has forgotten the script: it is sent along with the question.
    redis::cmd("SCRIPT").arg("FLUSH").exec(&mut cluster.nodes[1].client()).unwrap();
    assert_eq!(left().await, 5 - admitted);
    way.end(&cluster);
    assert_eq!(left().await, 4 - admitted);
    eventually("the map is right again", || guard.health().is_good().then_some(()));
}

#[tokio::test]
async fn who_is_not_answered_while_a_slot_moves_keeps_nobody_from_the_source() {
    let cluster = RedisCluster::start_with(&["--cluster-require-full-coverage", "no"]);
    let places = placed(&cluster, &guard(&cluster, "alone"), "alone", 30).await;
    let mut on_source =
        (0..30_u32).zip(places).filter(|(_, place)| *place == 0).map(|(key, _)| Key::from(key));
    let [moving, staying] = [(); 2].map(|()| on_source.next().unwrap());
    let name = |key: &Key| Bucket::new("new", 0, key).storage_key("alone");
    let mut client = cluster.nodes[0].client();
    let [moving_slot, its_slot] = [&moving, &staying].map(|key| slot(&mut client, &name(key)));
    assert_ne!(moving_slot, its_slot);
    let _way = Move::begin(moving_slot, &cluster.nodes[0], &cluster.nodes[1]);
    let settings = RateGuard::redis(cluster.url()).prefix("alone").deadline(PATIENCE);
    let guard = settings.build().unwrap();
    eventually("connections to all", || guard.health().is_good().then_some(()));
    // Neither node has the new keys, so neither may decide on two of them at once.
    let two = Policy::new("new", "1000000/hour; 1000000/day").unwrap();
    let one = Policy::new("placed", "1000000/hour").unwrap();
    assert!(guard.check(&two, &moving).await.is_err());
    for _ in 0..5 {
        futures_util::future::join_all((0..20).map(|_| guard.check(&two, &moving))).await;
        assert!(guard.check(&one, &staying).await.is_ok());
    }
}
