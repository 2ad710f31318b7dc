//! Slots that nobody serves, and nodes of the URL that hang: no harm to what others serve.

use std::{
    env, fs,
    time::{Duration, Instant},
};

use rateguard::{Key, Policy, RateGuard, StoreError, store::Bucket};

use super::{guard, placed, slot};
use crate::support::{
    PATIENCE, eventually,
    redis_cluster::{RedisCluster, cluster_command},
    redis_server::{RedisServer, free_port},
};

const NO_FULL_COVERAGE: [&str; 2] = ["--cluster-require-full-coverage", "no"];

fn policy() -> Policy {
    Policy::new("placed", "1000000/hour").unwrap()
}

#[tokio::test]
async fn a_slot_that_nobody_serves_keeps_nobody_from_the_others() {
    let cluster = RedisCluster::start_with(&NO_FULL_COVERAGE);
    let guard = guard(&cluster, "gap");
    let places = placed(&cluster, &guard, "gap", 30).await;
    eventually("connections to all", || guard.health().is_good().then_some(()));
    let lost = Key::from(places.iter().position(|place| *place == 2).unwrap() as u32);
    let name = Bucket::new("placed", 0, &lost).storage_key("gap");
    let lost_slot = slot(&mut cluster.nodes[0].client(), &name);
    let is_lost = |key: u32| {
        let name = Bucket::new("placed", 0, &Key::from(key)).storage_key("gap");
        slot(&mut cluster.nodes[0].client(), &name) == lost_slot
    };
    let served: Vec<u32> = (0..30).filter(|key| !is_lost(*key)).collect();
    let begun = Instant::now();
    loop {
        // First the owner, so that it tells nobody that it still is.
        for number in [2, 0, 1] {
            let mut client = cluster.nodes[number].client();
            let _ = cluster_command(&["DELSLOTS", &lost_slot.to_string()]).exec(&mut client);
        }
        let mut are_served = true;
        for key in &served {
            are_served &= guard.check(&policy(), &Key::from(*key)).await.is_ok();
        }
        // All are there, and the slot is missed.
        if are_served && guard.health().cause() == Some(StoreError::NotReady) {
            break;
        }
        // Whoever asks for it has the map asked for anew.
        assert!(guard.check(&policy(), &lost).await.is_err());
        assert!(begun.elapsed() < PATIENCE, "the map is the old one");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // The connection to the last owner may just be a new one, as it said that it does not serve the slot.
    for key in served.into_iter().filter(|key| places[*key as usize] != 2) {
        for _ in 0..6 {
            assert!(guard.check(&policy(), &lost).await.is_err());
        }
        guard.check(&policy(), &Key::from(key)).await.unwrap();
    }
}

#[tokio::test]
async fn a_cluster_that_serves_no_slot_is_not_well() {
    let folder = env::temp_dir().join(format!("rateguard-{}-{}", std::process::id(), free_port()));
    fs::create_dir(&folder).unwrap();
    let args = ["--dir", folder.to_str().unwrap(), "--cluster-enabled", "yes"];
    let server = RedisServer::start_with(&args);
    let guard = RateGuard::redis(server.url().replace("redis:", "redis+cluster:")).build().unwrap();
    // Until its map has been read, it is not known to be there.
    eventually("it is there", || {
        assert!(!guard.health().is_good());
        (guard.health().cause() == Some(StoreError::NotReady)).then_some(())
    });
    let slots: Vec<u16> = (0..16_384).collect();
    redis::cmd("CLUSTER").arg("ADDSLOTS").arg(slots).exec(&mut server.client()).unwrap();
    // Also if nobody asks for anything.
    let begun = Instant::now();
    eventually("it is well", || guard.health().is_good().then_some(()));
    println!("it was well after {:?}", begun.elapsed());
    drop(server);
    fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn a_node_of_the_url_that_hangs_holds_nobody_up_at_the_start() {
    let cluster = RedisCluster::start_with(&NO_FULL_COVERAGE);
    let places = placed(&cluster, &guard(&cluster, "start"), "start", 30).await;
    let key = Key::from(places.iter().position(|place| *place == 0).unwrap() as u32);
    cluster.nodes[1].freeze();
    // One of several, as the machine may be busy. Who waits for the one that hangs waits for a second.
    let mut took = Vec::new();
    let is_soon = |took: &Vec<Duration>| took.iter().any(|it| *it < Duration::from_millis(800));
    while took.len() < 20 && !is_soon(&took) {
        let guard = guard(&cluster, "start");
        let begun = Instant::now();
        guard.check(&policy(), &key).await.unwrap();
        took.push(begun.elapsed());
    }
    println!("decided after {took:?}");
    assert!(is_soon(&took), "{took:?}");
}
