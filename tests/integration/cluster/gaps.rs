//! Tests clusters in which a slot has no master or a node in the URL is frozen. In both cases, the guard must decide
//! checks of keys on the other nodes.

use std::{
    env, fs,
    time::{Duration, Instant},
};

use actix_rateguard::{Key, Policy, RateGuard, StoreError, store::Bucket};

use super::{guard, masters_of_keys, slot};
use crate::support::{
    TEST_TIMEOUT, eventually,
    redis_cluster::{RedisCluster, cluster_command},
    redis_server::{RedisServer, free_port},
};

const NO_FULL_COVERAGE: [&str; 2] = ["--cluster-require-full-coverage", "no"];

fn policy() -> Policy {
    Policy::new("placed", "1000000/hour").unwrap()
}

#[tokio::test]
async fn unserved_slot_does_not_affect_other_slots() {
    let cluster = RedisCluster::start_with(&NO_FULL_COVERAGE);
    let guard = guard(&cluster, "gap");
    let masters = masters_of_keys(&cluster, &guard, "gap", 30).await;
    eventually("connections to all masters", || guard.health().is_good().then_some(()));
    let unserved = Key::from(masters.iter().position(|master| *master == 2).unwrap() as u32);
    let name = Bucket::new("placed", 0, &unserved).storage_key("gap");
    let unserved_slot = slot(&mut cluster.nodes[0].client(), &name);
    let is_unserved = |key: u32| {
        let name = Bucket::new("placed", 0, &Key::from(key)).storage_key("gap");
        slot(&mut cluster.nodes[0].client(), &name) == unserved_slot
    };
    let served: Vec<u32> = (0..30).filter(|key| !is_unserved(*key)).collect();
    let start = Instant::now();
    loop {
        // Node 2 owns the slot, so it must delete the slot before the other nodes do. Otherwise node 2 would report to
        // the other nodes that it still owns the slot.
        for number in [2, 0, 1] {
            let mut client = cluster.nodes[number].client();
            let _ = cluster_command(&["DELSLOTS", &unserved_slot.to_string()]).exec(&mut client);
        }
        let mut are_served = true;
        for key in &served {
            are_served &= guard.check(&policy(), &Key::from(*key)).await.is_ok();
        }
        // The guard must decide the checks of all keys in other slots, and its health must report that a slot has no
        // master.
        if are_served && guard.health().cause() == Some(StoreError::NotReady(None)) {
            break;
        }
        // A check of a key in the slot without a master makes the guard refresh the cluster map.
        assert!(guard.check(&policy(), &unserved).await.is_err());
        assert!(start.elapsed() < TEST_TIMEOUT, "the map is not refreshed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // The former owner of the slot returns an error for keys in this slot, and the guard may be reconnecting because of
    // this error. Therefore the test does not use any keys of this node.
    for key in served.into_iter().filter(|key| masters[*key as usize] != 2) {
        for _ in 0..6 {
            assert!(guard.check(&policy(), &unserved).await.is_err());
        }
        guard.check(&policy(), &Key::from(key)).await.unwrap();
    }
}

#[tokio::test]
async fn cluster_without_slots_is_unhealthy() {
    let folder = env::temp_dir().join(format!("rateguard-{}-{}", std::process::id(), free_port()));
    fs::create_dir(&folder).unwrap();
    let args = ["--dir", folder.to_str().unwrap(), "--cluster-enabled", "yes"];
    let server = RedisServer::start_with(&args);
    let guard = RateGuard::redis(server.url().replace("redis:", "redis+cluster:"))
        .prefix("test")
        .build()
        .unwrap();
    // Until the guard has read the cluster map, its health reports a cause other than `NotReady`.
    eventually("the guard reads the map", || {
        assert!(!guard.health().is_good());
        (guard.health().cause() == Some(StoreError::NotReady(None))).then_some(())
    });
    let slots: Vec<u16> = (0..16_384).collect();
    redis::cmd("CLUSTER").arg("ADDSLOTS").arg(slots).exec(&mut server.client()).unwrap();
    // The guard must refresh the map without a check, and then become healthy.
    let start = Instant::now();
    eventually("the guard is healthy", || guard.health().is_good().then_some(()));
    println!("the guard was healthy after {:?}", start.elapsed());
    drop(server);
    fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn frozen_url_node_does_not_delay_startup() {
    let cluster = RedisCluster::start_with(&NO_FULL_COVERAGE);
    let masters = masters_of_keys(&cluster, &guard(&cluster, "start"), "start", 30).await;
    let key = Key::from(masters.iter().position(|master| *master == 0).unwrap() as u32);
    cluster.nodes[1].freeze();
    // Some guards connect to the frozen node first, and wait for it for a second. The test succeeds if one guard does
    // not wait. It starts several guards, because a busy machine may delay any of them.
    let mut elapsed = Vec::new();
    let any_is_quick =
        |elapsed: &Vec<Duration>| elapsed.iter().any(|it| *it < Duration::from_millis(800));
    while elapsed.len() < 20 && !any_is_quick(&elapsed) {
        let guard = guard(&cluster, "start");
        let start = Instant::now();
        guard.check(&policy(), &key).await.unwrap();
        elapsed.push(start.elapsed());
    }
    println!("decided after {elapsed:?}");
    assert!(any_is_quick(&elapsed), "{elapsed:?}");
}
