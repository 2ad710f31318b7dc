//! Tests a Redis Cluster with three masters. Each master has one replica.

mod basics;
mod failover;
mod gaps;
mod redirects;
mod slot_migration;

use std::{collections::BTreeMap, time::Duration};

use actix_rateguard::{
    Key, RateGuard,
    store::{Bucket, BucketRequest, Operation},
};
use redis::Commands;

use crate::support::{
    TEST_TIMEOUT,
    redis_cluster::{RedisCluster, cluster_command},
};

/// Returns a guard on this cluster that has a long deadline and no denial cache.
fn guard(cluster: &RedisCluster, prefix: &str) -> RateGuard {
    let settings = RateGuard::redis(cluster.url()).prefix(prefix).deadline(TEST_TIMEOUT);
    settings.denial_cache_ttl(Duration::ZERO).build().unwrap()
}

/// Takes one unit from each key from 0 to `keys - 1`. Returns, for each key, the index of the master that stores it.
async fn masters_of_keys(
    cluster: &RedisCluster,
    guard: &RateGuard,
    prefix: &str,
    keys: u32,
) -> Vec<usize> {
    let quota = "1000000/hour".parse().unwrap();
    let keys: Vec<Key> = (0..keys).map(Key::from).collect();
    for key in &keys {
        let request = [BucketRequest::new(Bucket::new("placed", 0, key), quota, 1)];
        guard.store().apply(Operation::Check, &request).get().await.unwrap();
    }
    let mut masters = BTreeMap::new();
    for (number, node) in cluster.nodes[..3].iter().enumerate() {
        let stored: Vec<String> = node.client().keys(format!("{prefix}:*")).unwrap();
        masters.extend(stored.into_iter().map(|name| (name, number)));
    }
    let name = |key: &Key| Bucket::new("placed", 0, key).storage_key(prefix);
    keys.iter().map(|key| masters[&name(key)]).collect()
}

/// Returns the cluster slot for a key, as a node computes it.
fn slot(client: &mut redis::Connection, name: &str) -> u16 {
    cluster_command(&["KEYSLOT", name]).query(client).unwrap()
}
