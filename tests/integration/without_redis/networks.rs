//! Tests that a limit counts IPv6 clients by network. A single client can use all addresses of its /64 network.

use std::{
    collections::HashSet,
    net::{IpAddr, Ipv6Addr, SocketAddr},
};

use actix_rateguard::{ClientAddress, RateGuard, rate_limit};
use actix_web::{get, test::TestRequest};

use crate::support::app::send;

const CLIENTS: u64 = 10_000;

#[get("/")]
#[rate_limit(rate = "1/day", key = "ip")]
async fn once() -> &'static str {
    "ok"
}

/// Sends a request for each of these clients, and returns how many are admitted. Half of the clients connect directly
/// to the server, and half of them through a trusted proxy.
async fn admitted(rule: ClientAddress, clients: impl Iterator<Item = u128>) -> usize {
    let app = app!(RateGuard::builder().client_address(rule).build().unwrap(), once);
    let mut admitted = 0;
    for (index, client) in clients.enumerate() {
        let client = Ipv6Addr::from(client);
        let request = TestRequest::get().uri("/");
        let request = if index % 2 == 0 {
            request.peer_addr(SocketAddr::new(IpAddr::V6(client), 40_000))
        } else {
            let proxy = SocketAddr::from(([192, 0, 2, 1], 40_000));
            request.peer_addr(proxy).insert_header(("X-Forwarded-For", client.to_string()))
        };
        match send(&app, request).await.status {
            200 => admitted += 1,
            status => assert_eq!(status, 429, "{client}"),
        }
    }
    admitted
}

fn rule() -> ClientAddress {
    ClientAddress::behind(["192.0.2.1"]).unwrap()
}

/// Returns the same rule as [`rule`], but without a maximum number of keys for each network.
fn uncapped() -> ClientAddress {
    rule().max_ipv6_keys_per_48(0).max_ipv6_keys_per_32(0)
}

/// Returns pseudorandom numbers (SplitMix64). The same seed gives the same numbers.
fn random_numbers(seed: u64) -> impl Iterator<Item = u64> {
    (1_u64..).map(move |index| {
        let mut it = seed.wrapping_add(index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        it ^ (it >> 31)
    })
}

/// Returns an address whose first 64 bits are `network` and whose last 64 bits are `host`.
fn address(network: u64, host: u64) -> u128 {
    u128::from(network) << 64 | u128::from(host)
}

const NETWORK: u64 = 0x2001_0db8_00aa_bb00;

fn client_count() -> usize {
    usize::try_from(CLIENTS).unwrap()
}

#[actix_web::test]
async fn addresses_of_one_network_share_one_bucket() {
    let hosts = || random_numbers(1).take(client_count());
    assert_eq!(hosts().collect::<HashSet<_>>().len(), client_count());
    assert_eq!(admitted(rule(), hosts().map(|host| address(NETWORK, host))).await, 1);
    // These are the first and the last addresses of the network. They would show an error of one bit in the network
    // mask.
    let edges = [0, 1, u64::MAX >> 1, 1 << 63, u64::MAX - 1, u64::MAX];
    assert_eq!(admitted(rule(), edges.map(|host| address(NETWORK, host)).into_iter()).await, 1);
}

#[actix_web::test]
async fn different_networks_have_separate_buckets() {
    let networks = (0..CLIENTS).map(|network| address(NETWORK + network, 0));
    assert_eq!(admitted(uncapped(), networks).await, client_count());
    // The second request from each network has a different address, but it must be denied.
    let hosts = random_numbers(2);
    let twice = (0..2 * CLIENTS).zip(hosts).map(|(index, host)| address(NETWORK + index / 2, host));
    assert_eq!(admitted(uncapped(), twice).await, client_count());
    // If two networks differ in only one bit, they must have separate keys.
    let bits = (0..64).map(|bit| address(NETWORK ^ 1 << bit, 7));
    assert_eq!(admitted(rule(), bits.chain([address(NETWORK, 7)])).await, 65);
}

#[actix_web::test]
async fn ipv6_prefix_sets_the_size_of_a_client_network() {
    let wide_rule = || rule().ipv6_prefix(56).unwrap();
    let within = || {
        let hosts = random_numbers(3).zip(random_numbers(4)).take(client_count());
        hosts.map(|(subnet, host)| address(NETWORK | subnet & 0xff, host))
    };
    assert_eq!(admitted(wide_rule(), within()).await, 1);
    // By default, each /64 network is one client. A /56 network has 256 of them.
    assert_eq!(admitted(rule(), within()).await, 256);
    let networks = (0..CLIENTS).zip(random_numbers(5));
    let networks =
        networks.map(|(network, rest)| address(NETWORK + (network << 8) + rest % 256, rest));
    assert_eq!(admitted(wide_rule(), networks).await, client_count());
    // With the prefix length 128, each address is one client.
    let by_address = uncapped().ipv6_prefix(128).unwrap();
    let hosts = random_numbers(6).take(client_count()).map(|host| address(NETWORK, host));
    assert_eq!(admitted(by_address, hosts).await, client_count());
}

#[actix_web::test]
async fn nat64_clients_are_counted_by_ipv4_address() {
    let prefix = "64:ff9b::".parse::<Ipv6Addr>().unwrap().to_bits();
    let clients = (0..100).map(|host| prefix | (0xc000_0200 + host));
    assert_eq!(admitted(rule(), clients).await, 100);
}

#[actix_web::test]
async fn link_local_clients_are_counted_by_full_address() {
    let link = "fe80::".parse::<Ipv6Addr>().unwrap().to_bits();
    assert_eq!(admitted(rule(), (1..=100).map(|host| link | host)).await, 100);
    assert_eq!(admitted(rule(), [link | 1, link | 1].into_iter()).await, 1);
    // One host can invent addresses, so a link has as many keys as a /48: 1,024 own and 256 shared ones.
    assert!(admitted(rule(), (1..=10_000).map(|host| link | host)).await <= 1_280);
}

#[actix_web::test]
async fn addresses_of_one_6to4_site_share_one_bucket() {
    let site = "2002:c000:207::".parse::<Ipv6Addr>().unwrap().to_bits();
    assert_eq!(admitted(rule(), (0..100).map(|subnet| site | subnet << 64)).await, 1);
}
