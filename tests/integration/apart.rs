//! Keys that no single step reaches: what Redis Cluster does to keys of different slots.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::SeqCst},
};

use futures_util::{FutureExt, future::join_all};
use rateguard::{
    Key, MemoryStore, Policy, RateGuard, StoreError,
    store::{Answer, Bucket, Charge, Operation, Store},
};

use crate::support::cluster_node::ClusterNode;

fn policies() -> [Policy; 2] {
    [("user", "3/day; 5/day fixed_window"), ("tenant", "2/day")]
        .map(|(name, quotas)| Policy::new(name, quotas).unwrap())
}

#[tokio::test]
async fn on_a_cluster_a_denial_gives_back_what_the_earlier_keys_took() {
    let cluster = ClusterNode::alone();
    let guard = cluster.server().guard("apart");
    let [per_user, per_tenant] = policies();
    let (user, tenant) = (Key::from("user"), Key::from("tenant"));
    let both = guard.request(&per_user, &user).and(&per_tenant, &tenant);
    let left = |decision: &rateguard::Decision| {
        decision.standings().iter().map(|it| it.remaining()).collect::<Vec<_>>()
    };
    assert_eq!(left(&both.peek().await.unwrap()), [3, 5, 2]);
    assert_eq!(left(&both.check().await.unwrap()), [2, 4, 1]);
    assert_eq!(left(&both.check().await.unwrap()), [1, 3, 0]);
    for _ in 0..4 {
        let denied = both.check().await.unwrap();
        assert_eq!((denied.is_allowed(), denied.policy()), (false, "tenant"));
        assert_eq!(left(&denied), [1, 3, 0]);
    }
    // Denied by the first key, the second is not asked for anything.
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
async fn on_a_cluster_no_more_are_admitted_than_the_limits_say() {
    let cluster = ClusterNode::alone();
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

/// A store in memory in which keys are apart, and which fails for one operation on demand.
struct Apart {
    store: MemoryStore,
    fails_for_tenants: AtomicBool,
}

impl Store for Apart {
    fn apply<'a>(&'a self, operation: Operation, charges: &'a [Charge<'a>]) -> Answer<'a> {
        let is_of = |name: &str| charges.iter().any(|charge| charge.bucket.name() == name);
        if is_of("user") && is_of("tenant") {
            return Answer::Now(Err(StoreError::Apart));
        }
        if is_of("tenant") && operation == Operation::Check && self.fails_for_tenants.load(SeqCst) {
            return Answer::Now(Err(StoreError::Permission));
        }
        self.store.apply(operation, charges)
    }
}

#[tokio::test]
async fn a_failure_half_way_gives_back_what_the_earlier_keys_took() {
    let apart =
        Arc::new(Apart { store: MemoryStore::new(), fails_for_tenants: AtomicBool::new(true) });
    let guard = RateGuard::builder().store(Arc::clone(&apart)).build().unwrap();
    let [per_user, per_tenant] = policies();
    let (user, tenant) = (Key::from("user"), Key::from("tenant"));
    let both = guard.request(&per_user, &user).and(&per_tenant, &tenant);
    for _ in 0..5 {
        let unavailable = both.check().now_or_never().unwrap().unwrap_err();
        assert_eq!(unavailable.cause(), StoreError::Permission);
    }
    let left = guard.peek(&per_user, &user).await.unwrap().remaining();
    assert_eq!(left, 3);
    apart.fails_for_tenants.store(false, SeqCst);
    assert!(both.check().await.unwrap().is_allowed());
}

#[tokio::test]
async fn on_a_cluster_nobody_is_banned_for_what_was_about_to_be_given_back() {
    let cluster = ClusterNode::alone();
    let guard = cluster.server().guard("apart");
    let of = |name, quota, ban| Policy::new(name, quota).unwrap().ban(ban).unwrap();
    let per_tenant = of("tenant", "5/hour", "5/hour for 1h");
    let per_user = of("user", "1/hour", "5/hour for 1h");
    let (tenant, user) = (Key::from("acme"), Key::from("ann"));
    assert!(guard.check(&per_user, &user).await.unwrap().is_allowed());
    let both = guard.request(&per_tenant, &tenant).and(&per_user, &user);
    for denied in join_all((0..60).map(|_| both.check())).await {
        let denied = denied.unwrap();
        assert_eq!((denied.is_allowed(), denied.banned_for()), (false, None));
    }
    let tenant = guard.peek(&per_tenant, &tenant).await.unwrap();
    assert_eq!((tenant.banned_for(), tenant.remaining()), (None, 5));
    // Asked alone, a denial is a denial.
    for _ in 0..4 {
        assert_eq!(guard.check(&per_user, &user).await.unwrap().banned_for(), None);
    }
    assert!(guard.check(&per_user, &user).await.unwrap().banned_for().is_some());
}

/// A store where each key is in a place of its own, and those of one are in none.
struct Lost(MemoryStore, Key);

impl Store for Lost {
    fn apply<'a>(&'a self, operation: Operation, charges: &'a [Charge<'a>]) -> Answer<'a> {
        let digest = |key: &Key| Bucket::new("", 0, key).digest();
        let first = charges[0].bucket.digest();
        if charges.iter().any(|charge| charge.bucket.digest() != first) {
            Answer::Now(Err(StoreError::Apart))
        } else if first == digest(&self.1) {
            Answer::Now(Err(StoreError::Unreachable))
        } else {
            self.0.apply(operation, charges)
        }
    }
}

#[tokio::test]
async fn who_has_no_room_is_denied_whether_the_other_keys_can_be_asked_or_not() {
    let (full, lost, free) = (Key::from("full"), Key::from("lost"), Key::from("free"));
    let guard = RateGuard::builder().store(Lost(MemoryStore::new(), lost)).build().unwrap();
    let [few, many] =
        ["2/hour", "100/hour"].map(|rate| Policy::new(rate.replace('/', "-"), rate).unwrap());
    assert!(guard.request(&few, &full).cost(2).check().await.unwrap().is_allowed());
    for request in [
        guard.request(&few, &full).and(&many, &lost),
        guard.request(&many, &lost).and(&few, &full),
        guard.request(&many, &free).and(&many, &lost).and(&few, &full),
    ] {
        for denial in [request.peek().await.unwrap(), request.check().await.unwrap()] {
            assert!(!denial.is_allowed());
            assert_eq!((denial.limit(), denial.remaining()), (2, 0));
            // Of the lost one there are no numbers.
            let told: Vec<_> = denial.standings().iter().map(|it| it.quota().limit()).collect();
            assert!(
                told.iter().filter(|limit| **limit == 2).count() == 1 && told.len() < 3,
                "{told:?}"
            );
        }
    }
    // Without a denial there is no decision, and nothing is taken.
    for request in [
        guard.request(&many, &free).and(&many, &lost),
        guard.request(&many, &lost).and(&many, &free),
    ] {
        assert_eq!(request.check().await.unwrap_err().cause(), StoreError::Unreachable);
    }
    assert_eq!(guard.peek(&many, &free).await.unwrap().remaining(), 100);
}
