//! Clients of a wide IPv6 network have keys of their own up to a cap, and share a bounded number of keys beyond it.

use std::{
    collections::HashSet,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use actix_web::{App, get, test::TestRequest, test::init_service};
use rateguard::{
    AccessList, ClientAddress, MemoryStore, Outcome, RateGuard, RateGuardBuilder, RateLimit, key,
    rate_limit,
    store::{Answer, Charge, Operation, Store},
    test_util::ManualClock,
};

use crate::support::{
    app::{self, from_client, send},
    log_lines,
};

/// Collects the keys that it is asked for.
struct Collector {
    store: MemoryStore,
    keys: Arc<Mutex<HashSet<[u8; 16]>>>,
}

impl Store for Collector {
    fn apply<'a>(&'a self, operation: Operation, charges: &'a [Charge<'a>]) -> Answer<'a> {
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

/// The /48 of this number in 2001:db8::/32, and the next /32 networks.
fn site(number: u64) -> u64 {
    (0x2001_0db8_0000 + number) << 16
}

/// A request of the client with these leading 64 bits.
fn from_network(network: u64, path: &str) -> TestRequest {
    let address = Ipv6Addr::from(u128::from(network) << 64 | 1);
    TestRequest::get().uri(path).peer_addr(SocketAddr::new(IpAddr::V6(address), 40_000))
}

/// How many keys these clients make.
async fn keys_of(builder: RateGuardBuilder, clients: impl Iterator<Item = u64>) -> usize {
    let keys = Arc::<Mutex<HashSet<_>>>::default();
    let store = Collector { store: MemoryStore::new(), keys: Arc::clone(&keys) };
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
async fn network_of_48_bits_makes_a_bounded_number_of_keys() {
    let site = || (0..20_000).map(|client| site(1) + client);
    assert_eq!(keys_of(RateGuard::builder(), site()).await, 1_024 + 256);
    let fewer = || ClientAddress::peer().max_ipv6_keys_per_48(8);
    assert_eq!(keys_of(rule(fewer()), site().take(1_000)).await, 8 + 2);
    assert_eq!(keys_of(rule(fewer().max_ipv6_keys_per_48(0)), site().take(3_000)).await, 3_000);
    // Networks of 56 bits are 256 clients of a /48 by themselves.
    let wider = fewer().ipv6_prefix(56).unwrap();
    assert_eq!(keys_of(rule(wider), site()).await, 8 + 2);
    // Where a /48 is one client, it has one key.
    let as_wide = fewer().ipv6_prefix(48).unwrap();
    assert_eq!(keys_of(rule(as_wide), site().take(1_000)).await, 1);
}

#[actix_web::test]
async fn network_of_32_bits_makes_a_bounded_number_of_keys() {
    let sites = || (0..60_000).map(site);
    assert_eq!(keys_of(RateGuard::builder(), sites().take(30_000)).await, 16_384 + 1_024);
    let fewer = || ClientAddress::peer().max_ipv6_keys_per_32(64);
    assert_eq!(keys_of(rule(fewer()), sites().take(2_000)).await, 64 + 4);
    // The shared keys of the /48 networks that are full come to it.
    let both = fewer().max_ipv6_keys_per_48(16);
    let clients = (0..10).flat_map(|number| (0..200).map(move |client| site(number) + client));
    assert!(keys_of(rule(both), clients).await <= 64 + 4 + 4 * 4);
}

#[actix_web::test]
async fn clients_below_the_cap_have_keys_of_their_own() {
    let clock = ManualClock::new();
    let store = MemoryStore::new().clock(clock.clone());
    let app = app!(RateGuard::builder().store(store).build().unwrap(), once);
    for status in [200, 429] {
        for client in 0..1_024 {
            assert_eq!(send(&app, from_network(site(1) + client, "/once")).await.status, status);
        }
    }
    // Those of other networks, too, whatever the first one does.
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
            let answer = send(&app, from_network(site(1) + client, "/once")).await;
            *admitted += u32::from(answer.status == 200);
        }
        clock.advance(Duration::from_secs(61));
    }
    // All shared keys have room again: none is banned for the many denials.
    assert_eq!(admitted, [1_024 + 256, 1_024 + 256]);
}

#[actix_web::test]
async fn access_lists_of_keys_hold_for_clients_that_share_a_key() {
    let [denied, allowed] = ["2001:db8:1:ffff::1", "2001:db8:1:fffe::1"];
    let list =
        AccessList::new().deny_keys(key::ip().key_of(denied)).allow_keys(key::ip().key_of(allowed));
    let guard = rule(ClientAddress::peer().max_ipv6_keys_per_48(4)).access(list).build().unwrap();
    let by_both = RateLimit::new(&guard, "1/day").by(key::ip().and(key::global())).name("both");
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
async fn explanation_names_the_shared_key_and_assigns_none() {
    let guard = RateGuard::in_memory();
    let limit = RateLimit::new(&guard, "100/day").name("nf-explained");
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
    // So many that by chance no shared key is without several of them.
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
    let answer = send(&app, from_network(site(1) + 9_000, "/")).await;
    let remaining = answer.numbers().unwrap()[1];
    assert_eq!(u64::from(decision.remaining()), remaining + 1);
    assert!(remaining < 99, "others use it, too");
}

#[actix_web::test]
async fn log_says_once_that_a_network_is_over_its_cap_without_naming_it() {
    log_lines::collect();
    let lines = || log_lines::with("`ClientAddress::max_ipv6_keys_per_48` greater");
    let guard = rule(ClientAddress::peer().max_ipv6_keys_per_48(7)).build().unwrap();
    let app = app!(guard, generous);
    for client in 0..100 {
        send(&app, from_network(site(1) + client, "/")).await;
    }
    let lines: Vec<_> = lines().into_iter().filter(|line| line.contains("the 7 that")).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("WARN a /48 network of IPv6 has more clients"), "{lines:?}");
    assert!(!lines[0].contains("2001"), "{lines:?}");
}

#[actix_web::test]
async fn ipv4_clients_have_no_cap() {
    let keys = Arc::<Mutex<HashSet<_>>>::default();
    let store = Collector { store: MemoryStore::new(), keys: Arc::clone(&keys) };
    let app = app!(RateGuard::builder().store(store).build().unwrap(), generous);
    for client in 0..=255 {
        send(&app, from_client(client, TestRequest::get().uri("/"))).await;
        let mapped = format!("[::ffff:192.0.2.{client}]:1").parse().unwrap();
        send(&app, TestRequest::get().uri("/").peer_addr(mapped)).await;
    }
    assert_eq!(keys.lock().unwrap().len(), 256);
}
