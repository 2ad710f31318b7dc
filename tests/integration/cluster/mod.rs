//! Redis Cluster, with three masters and a replica each.

mod everyday;
mod gaps;
mod losing;
mod moving;
mod redirects;

use std::{collections::BTreeMap, time::Duration};

use rateguard::{
    Key, RateGuard,
    store::{Bucket, Charge, Operation},
};
use redis::Commands;

use crate::support::{
    PATIENCE,
    redis_cluster::{RedisCluster, cluster_command},
};

/// A guard on this cluster that answers however slow the machine is, and asks it for each check.
fn guard(cluster: &RedisCluster, prefix: &str) -> RateGuard {
    let settings = RateGuard::redis(cluster.url()).prefix(prefix).deadline(PATIENCE);
    settings.remember_denials(Duration::ZERO).build().unwrap()
}

/// Which of the masters each of so many keys is on, of which a unit is taken.
async fn placed(cluster: &RedisCluster, guard: &RateGuard, prefix: &str, keys: u32) -> Vec<usize> {
    let quota = "1000000/hour".parse().unwrap();
    let keys: Vec<Key> = (0..keys).map(Key::from).collect();
    for key in &keys {
        let charge = [Charge::new(Bucket::new("placed", 0, key), quota, 1)];
        guard.store().apply(Operation::Check, &charge).get().await.unwrap();
    }
    let mut masters = BTreeMap::new();
    for (number, node) in cluster.nodes[..3].iter().enumerate() {
        let held: Vec<String> = node.client().keys(format!("{prefix}:*")).unwrap();
        masters.extend(held.into_iter().map(|name| (name, number)));
    }
    let name = |key: &Key| Bucket::new("placed", 0, key).storage_key(prefix);
    keys.iter().map(|key| masters[&name(key)]).collect()
}

/// The slot that a node says that a key is in.
fn slot(client: &mut redis::Connection, name: &str) -> u16 {
    cluster_command(&["KEYSLOT", name]).query(client).unwrap()
}
