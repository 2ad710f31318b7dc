//! Tests cross-slot checks. Such a check has several keys that one call of the script cannot access together, as on
//! Redis Cluster.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::SeqCst},
};

use actix_rateguard::{
    Key, MemoryStore, Policy, RateGuard, StoreError,
    store::{Bucket, BucketRequest, Operation, Store, StoreFuture},
};
use futures_util::{FutureExt, future::join_all};

use crate::support::cluster_node::ClusterNode;

fn policies() -> [Policy; 2] {
    [("user", "3/day; 5/day fixed_window"), ("tenant", "2/day")]
        .map(|(name, quotas)| Policy::new(name, quotas).unwrap())
}

#[tokio::test]
async fn cross_slot_denial_refunds_earlier_keys() {
    let cluster = ClusterNode::start_single();
    let guard = cluster.server().guard("cross-slot");
    let [per_user, per_tenant] = policies();
    let (user, tenant) = (Key::from("user"), Key::from("tenant"));
    let both = guard.request(&per_user, &user).and(&per_tenant, &tenant);
    let left = |decision: &actix_rateguard::Decision| {
        decision.statuses().iter().map(|it| it.remaining()).collect::<Vec<_>>()
    };
    assert_eq!(left(&both.peek().await.unwrap()), [3, 5, 2]);
    assert_eq!(left(&both.check().await.unwrap()), [2, 4, 1]);
    assert_eq!(left(&both.check().await.unwrap()), [1, 3, 0]);
    for _ in 0..4 {
        let denied = both.check().await.unwrap();
        assert_eq!((denied.is_allowed(), denied.policy()), (false, "tenant"));
        assert_eq!(left(&denied), [1, 3, 0]);
    }
    // The first key denies the request, so the guard takes no units from the second key.
    let denied = guard
        .request(&per_user, &user)
        .cost(2)
        .and(&per_tenant, &Key::from("another"))
        .check()
        .await
        .unwrap();
    assert_eq!((denied.policy(), left(&denied)), ("user", vec![1, 3, 2]));

    let reservation = guard
        .request(&per_user, &user)
        .and(&per_tenant, &Key::from("another"))
        .reserve()
        .await
        .unwrap();
    assert_eq!(left(&reservation.refund().await.unwrap()), [1, 3, 2]);
    both.reset().await.unwrap();
    assert_eq!(left(&both.peek().await.unwrap()), [3, 5, 2]);
}

#[tokio::test]
async fn cross_slot_checks_never_exceed_limits() {
    let cluster = ClusterNode::start_single();
    let guard = cluster.server().guard("many");
    let per_user = Policy::new("user", "1000/day").unwrap();
    let per_tenant = Policy::new("tenant", "25/day").unwrap();
    let tenant = Key::from("tenant");
    let checks = (0..200_u32).map(|number| {
        let (guard, per_user, per_tenant) = (&guard, &per_user, &per_tenant);
        async move {
            let user = Key::from(number % 7);
            let request = guard.request(per_tenant, &tenant).and(per_user, &user);
            request.check().await.unwrap().is_allowed()
        }
    });
    let admitted = join_all(checks).await.into_iter().filter(|allowed| *allowed).count();
    assert_eq!(admitted, 25);
}

/// A memory store in which the buckets of the policies `user` and `tenant` are in different slots. Checks of the
/// tenant fail while `fails_for_tenants` is set.
struct CrossSlotStore {
    store: MemoryStore,
    fails_for_tenants: AtomicBool,
}

impl Store for CrossSlotStore {
    fn apply<'a>(
        &'a self,
        operation: Operation,
        requests: &'a [BucketRequest<'a>],
    ) -> StoreFuture<'a> {
        let is_of = |name: &str| requests.iter().any(|request| request.bucket.name() == name);
        if is_of("user") && is_of("tenant") {
            return StoreFuture::Ready(Err(StoreError::CrossSlot));
        }
        if is_of("tenant") && operation == Operation::Check && self.fails_for_tenants.load(SeqCst) {
            return StoreFuture::Ready(Err(StoreError::Permission));
        }
        self.store.apply(operation, requests)
    }
}

#[tokio::test]
async fn cross_slot_failure_refunds_earlier_keys() {
    let store = Arc::new(CrossSlotStore {
        store: MemoryStore::new(),
        fails_for_tenants: AtomicBool::new(true),
    });
    let guard = RateGuard::builder().store(Arc::clone(&store)).build().unwrap();
    let [per_user, per_tenant] = policies();
    let (user, tenant) = (Key::from("user"), Key::from("tenant"));
    let both = guard.request(&per_user, &user).and(&per_tenant, &tenant);
    for _ in 0..5 {
        let unavailable = both.check().now_or_never().unwrap().unwrap_err();
        assert_eq!(unavailable.cause(), StoreError::Permission);
    }
    let left = guard.peek(&per_user, &user).await.unwrap().remaining();
    assert_eq!(left, 3);
    store.fails_for_tenants.store(false, SeqCst);
    assert!(both.check().await.unwrap().is_allowed());
}

#[tokio::test]
async fn cross_slot_denial_starts_no_ban_for_refunded_units() {
    let cluster = ClusterNode::start_single();
    let guard = cluster.server().guard("cross-slot");
    let policy = |name, quota, ban| Policy::new(name, quota).unwrap().ban(ban).unwrap();
    let per_tenant = policy("tenant", "5/hour", "5/hour for 1h");
    let per_user = policy("user", "1/hour", "5/hour for 1h");
    let (tenant, user) = (Key::from("acme"), Key::from("ann"));
    assert!(guard.check(&per_user, &user).await.unwrap().is_allowed());
    let both = guard.request(&per_tenant, &tenant).and(&per_user, &user);
    for denied in join_all((0..60).map(|_| both.check())).await {
        let denied = denied.unwrap();
        assert_eq!((denied.is_allowed(), denied.banned_for()), (false, None));
    }
    let tenant = guard.peek(&per_tenant, &tenant).await.unwrap();
    assert_eq!((tenant.banned_for(), tenant.remaining()), (None, 5));
    // The denied cross-slot checks above are not offences. The denied checks below have only one key, so each of them
    // is an offence, and the fifth offence starts the ban.
    for _ in 0..4 {
        assert_eq!(guard.check(&per_user, &user).await.unwrap().banned_for(), None);
    }
    assert!(guard.check(&per_user, &user).await.unwrap().banned_for().is_some());
}

/// A memory store with cross-slot keys. One of the keys cannot be reached.
struct PartlyUnreachableStore(MemoryStore, Key);

impl Store for PartlyUnreachableStore {
    fn apply<'a>(
        &'a self,
        operation: Operation,
        requests: &'a [BucketRequest<'a>],
    ) -> StoreFuture<'a> {
        let digest = |key: &Key| Bucket::new("", 0, key).digest();
        let first = requests[0].bucket.digest();
        if requests.iter().any(|request| request.bucket.digest() != first) {
            StoreFuture::Ready(Err(StoreError::CrossSlot))
        } else if first == digest(&self.1) {
            StoreFuture::Ready(Err(StoreError::Unreachable(None)))
        } else {
            self.0.apply(operation, requests)
        }
    }
}

#[tokio::test]
async fn full_key_is_denied_although_another_key_is_unreachable() {
    let (full, unreachable, free) =
        (Key::from("full"), Key::from("unreachable"), Key::from("free"));
    let guard = RateGuard::builder()
        .store(PartlyUnreachableStore(MemoryStore::new(), unreachable))
        .build()
        .unwrap();
    let [few, many] =
        ["2/hour", "100/hour"].map(|rate| Policy::new(rate.replace('/', "-"), rate).unwrap());
    assert!(guard.request(&few, &full).cost(2).check().await.unwrap().is_allowed());
    for request in [
        guard.request(&few, &full).and(&many, &unreachable),
        guard.request(&many, &unreachable).and(&few, &full),
        guard.request(&many, &free).and(&many, &unreachable).and(&few, &full),
    ] {
        for denial in [request.peek().await.unwrap(), request.check().await.unwrap()] {
            assert!(!denial.is_allowed());
            assert_eq!((denial.limit(), denial.remaining()), (2, 0));
            // The decision has no status for the key that cannot be reached.
            let limits: Vec<_> = denial.statuses().iter().map(|it| it.quota().limit()).collect();
            assert!(
                limits.iter().filter(|limit| **limit == 2).count() == 1 && limits.len() < 3,
                "{limits:?}"
            );
        }
    }
    // If none of the reachable keys denies the request, the whole check fails, and the guard takes no units.
    for request in [
        guard.request(&many, &free).and(&many, &unreachable),
        guard.request(&many, &unreachable).and(&many, &free),
    ] {
        assert_eq!(request.check().await.unwrap_err().cause(), StoreError::Unreachable(None));
    }
    assert_eq!(guard.peek(&many, &free).await.unwrap().remaining(), 100);
}
