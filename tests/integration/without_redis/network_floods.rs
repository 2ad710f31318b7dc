//! Tests the maximum number of keys for an IPv6 network. Until a network has reached this maximum, each client in it
//! gets a separate key. After that, all new clients of the network share a bounded number of keys.

use std::{
    collections::HashSet,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use actix_rateguard::{
    AccessList, ClientAddress, Limit, MemoryStore, RateGuard, RateGuardBuilder, RateLimit,
    explain::Outcome,
    key, rate_limit,
    store::{BucketRequest, Operation, Store, StoreFuture},
    test_util::ManualClock,
};
use actix_web::{App, get, test::TestRequest, test::init_service};

use crate::support::{
    app::{self, from_client, send},
    log_lines,
};

/// A memory store that records all keys that it receives from a guard.
struct KeyCollector {
    store: MemoryStore,
    keys: Arc<Mutex<HashSet<[u8; 16]>>>,
}

impl Store for KeyCollector {
    fn apply<'a>(
        &'a self,
        operation: Operation,
        charges: &'a [BucketRequest<'a>],
    ) -> StoreFuture<'a> {
        let keys = charges.iter().map(|charge| charge.bucket.digest());
        self.keys.lock().unwrap().extend(keys);
        self.store.apply(operation, charges)
    }
}

#[get("/")]
#[rate_limit(rate = "1000000/day", key = "ip", name = "generous")]
async fn generous() -> &'static str {
    "ok"
}

#[get("/once")]
#[rate_limit(rate = "1/minute", key = "ip", ban = "1/minute for 1h", name = "once")]
async fn once() -> &'static str {
    "ok"
}

/// Returns the first 64 bits of the /48 network with this number. The network with the number 0 is 2001:db8::/48.
fn site(number: u64) -> u64 {
    (0x2001_0db8_0000 + number) << 16
}

/// Creates a request of a client whose address begins with these 64 bits.
fn from_network(network: u64, path: &str) -> TestRequest {
    let address = Ipv6Addr::from(u128::from(network) << 64 | 1);
    TestRequest::get().uri(path).peer_addr(SocketAddr::new(IpAddr::V6(address), 40_000))
}

/// Sends a request for each of these clients, and returns the number of different keys that they have.
async fn count_keys(builder: RateGuardBuilder, clients: impl Iterator<Item = u64>) -> usize {
    let keys = Arc::<Mutex<HashSet<_>>>::default();
    let store = KeyCollector { store: MemoryStore::new(), keys: Arc::clone(&keys) };
    let app = app!(builder.store(store).build().unwrap(), generous);
    for client in clients {
        assert_eq!(send(&app, from_network(client, "/")).await.status, 200);
    }
    let keys = keys.lock().unwrap();
    keys.len()
}

fn rule(rule: ClientAddress) -> RateGuardBuilder {
    RateGuard::builder().client_address(rule)
}

#[actix_web::test]
async fn network_of_48_bits_has_a_bounded_number_of_keys() {
    let site = || (0..20_000).map(|client| site(1) + client);
    assert_eq!(count_keys(RateGuard::builder(), site()).await, 1_024 + 256);
    let low_cap = || ClientAddress::peer().max_ipv6_keys_per_48(8);
    assert_eq!(count_keys(rule(low_cap()), site().take(1_000)).await, 8 + 2);
    assert_eq!(
        count_keys(rule(low_cap().max_ipv6_keys_per_48(0)), site().take(3_000)).await,
        3_000
    );
    // With this setting, each /56 network is one client. Therefore a /48 network has only 256 clients.
    let wide_clients = low_cap().ipv6_prefix(56).unwrap();
    assert_eq!(count_keys(rule(wide_clients), site()).await, 8 + 2);
    // With this setting, each /48 network is one client. Therefore a /48 network has only one key.
    let site_clients = low_cap().ipv6_prefix(48).unwrap();
    assert_eq!(count_keys(rule(site_clients), site().take(1_000)).await, 1);
}

#[actix_web::test]
async fn network_of_32_bits_has_a_bounded_number_of_keys() {
    let sites = || (0..60_000).map(site);
    assert_eq!(count_keys(RateGuard::builder(), sites().take(30_000)).await, 16_384 + 1_024);
    let low_cap = || ClientAddress::peer().max_ipv6_keys_per_32(64);
    assert_eq!(count_keys(rule(low_cap()), sites().take(2_000)).await, 64 + 4);
    // A /48 network with too many keys gets some shared keys. The shared keys must not count toward the maximum
    // number of keys for the /32 network.
    let both_caps = low_cap().max_ipv6_keys_per_48(16);
    let clients = (0..10).flat_map(|number| (0..200).map(move |client| site(number) + client));
    assert!(count_keys(rule(both_caps), clients).await <= 64 + 4 + 4 * 4);
}

#[actix_web::test]
async fn clients_below_the_cap_have_separate_keys() {
    let clock = ManualClock::new();
    let store = MemoryStore::new().clock(clock.clone());
    let app = app!(RateGuard::builder().store(store).build().unwrap(), once);
    for status in [200, 429] {
        for client in 0..1_024 {
            assert_eq!(send(&app, from_network(site(1) + client, "/once")).await.status, status);
        }
    }
    // Many more clients of the first network send requests. These requests must not affect the clients of other
    // networks.
    for client in 1_024..3_000 {
        send(&app, from_network(site(1) + client, "/once")).await;
    }
    for client in 0..100 {
        assert_eq!(send(&app, from_network(site(2) + client, "/once")).await.status, 200);
    }
    assert_eq!(app::get(&app, 1, "/once").await.status, 200);
}

#[actix_web::test]
async fn clients_that_share_a_key_are_served_and_not_banned() {
    let clock = ManualClock::new();
    let store = MemoryStore::new().clock(clock.clone());
    let app = app!(RateGuard::builder().store(store).build().unwrap(), once);
    let mut admitted = [0, 0];
    for admitted in &mut admitted {
        for client in 0..10_000 {
            let response = send(&app, from_network(site(1) + client, "/once")).await;
            *admitted += u32::from(response.status == 200);
        }
        clock.advance(Duration::from_secs(61));
    }
    // In the second round, all shared keys admit requests again. This shows that the many denials in the first round
    // did not ban any shared key.
    assert_eq!(admitted, [1_024 + 256, 1_024 + 256]);
}

#[actix_web::test]
async fn access_lists_apply_to_clients_that_share_a_key() {
    let [denied, allowed] = ["2001:db8:1:ffff::1", "2001:db8:1:fffe::1"];
    let list =
        AccessList::new().deny_keys(key::ip().key_of(denied)).allow_keys(key::ip().key_of(allowed));
    let guard = rule(ClientAddress::peer().max_ipv6_keys_per_48(4)).access(list).build().unwrap();
    let by_both =
        RateLimit::new(&guard, Limit::new("1/day").key(key::ip().and(key::global())).name("both"));
    let app = init_service(
        App::new().app_data(guard.clone()).wrap(by_both).service(once).service(generous),
    )
    .await;
    for client in 0..100 {
        send(&app, from_network(site(1) + client, "/once")).await;
    }
    assert_eq!(send(&app, from_network(site(1) + 0xffff, "/once")).await.status, 429);
    let app = app!(guard, once);
    for _ in 0..3 {
        assert_eq!(send(&app, from_network(site(1) + 0xffff, "/once")).await.status, 403);
        assert_eq!(send(&app, from_network(site(1) + 0xfffe, "/once")).await.status, 200);
    }
}

#[actix_web::test]
async fn explanation_names_the_shared_key_without_assigning_one() {
    let guard = RateGuard::in_memory();
    let limit = RateLimit::new(&guard, Limit::new("100/day").name("nf-explained"));
    let app =
        init_service(App::new().wrap(limit).route("/", actix_web::web::get().to(async || "ok")))
            .await;
    let explain = async |client: u64| {
        let request = from_network(site(1) + client, "/").to_http_request();
        guard.explain_request(&request, &["nf-explained"]).await
    };
    for client in 0..2_000 {
        let network = explain(client).await.client().network.clone();
        assert_eq!(network, format!("2001:db8:1:{client:x}::/64").replace(":0::", "::"));
    }
    // With 8000 clients, each of the 256 shared keys has several clients.
    for client in 0..8_000 {
        assert_eq!(send(&app, from_network(site(1) + client, "/")).await.status, 200);
    }
    let explanation = explain(9_000).await;
    let network = &explanation.client().network;
    assert!(network.starts_with("2001:db8:1::/48, shared key "), "{network}");
    assert!(network.ends_with(" of 256"), "{network}");
    let Outcome::Decided(decision) = &explanation.limits()[0].outcome else {
        panic!("{explanation:?}")
    };
    let response = send(&app, from_network(site(1) + 9_000, "/")).await;
    let remaining = response.numbers().unwrap()[1];
    assert_eq!(u64::from(decision.remaining()), remaining + 1);
    assert!(remaining < 99, "other clients share the key");
}

#[actix_web::test]
async fn network_above_its_cap_is_logged_once_without_address() {
    log_lines::collect();
    let lines = || log_lines::with("increase `ClientAddress::max_ipv6_keys_per_48`");
    let guard = rule(ClientAddress::peer().max_ipv6_keys_per_48(7)).build().unwrap();
    let app = app!(guard, generous);
    for client in 0..100 {
        send(&app, from_network(site(1) + client, "/")).await;
    }
    let lines: Vec<_> =
        lines().into_iter().filter(|line| line.contains("more than 7 clients")).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("WARN an IPv6 /48 network has more than"), "{lines:?}");
    assert!(!lines[0].contains("2001"), "{lines:?}");
}

#[actix_web::test]
async fn ipv4_clients_have_no_cap() {
    let keys = Arc::<Mutex<HashSet<_>>>::default();
    let store = KeyCollector { store: MemoryStore::new(), keys: Arc::clone(&keys) };
    let app = app!(RateGuard::builder().store(store).build().unwrap(), generous);
    for client in 0..=255 {
        send(&app, from_client(client, TestRequest::get().uri("/"))).await;
        let mapped = format!("[::ffff:192.0.2.{client}]:1").parse().unwrap();
        send(&app, TestRequest::get().uri("/").peer_addr(mapped)).await;
    }
    assert_eq!(keys.lock().unwrap().len(), 256);
}
