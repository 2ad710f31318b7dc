//! Tests the documents of the built-in stores with the conformance suite.

use actix_rateguard::{
    MemoryStore,
    test_util::{FaultyStore, ManualClock, Time, conformance},
};

use crate::support::{redis_server::RedisServer, rest_server::RestServer};

#[tokio::test]
async fn documents_of_built_in_stores_conform() {
    let redis = RedisServer::start();
    let rest = RestServer::start(&redis.url());
    conformance(redis.guard("documents").store(), Time::Real, &[]).await;
    conformance(rest.guard("documents").store(), Time::Real, &[]).await;
    let clock = ManualClock::new();
    let store = MemoryStore::new().clock(clock.clone());
    conformance(&FaultyStore::new(store), Time::Manual(clock), &[]).await;
}
