//! IPv6 clients choose among more addresses than anybody can count; what counts is their network.

use std::{
    collections::HashSet,
    net::{IpAddr, Ipv6Addr, SocketAddr},
};

use actix_web::{get, test::TestRequest};
use rateguard::{ClientAddress, RateGuard, rate_limit};

use crate::support::app::send;

const MANY: u64 = 10_000;

#[get("/")]
#[rate_limit(rate = "1/day", key = "ip")]
async fn once() -> &'static str {
    "ok"
}

/// How many of these clients were admitted, who are either peers or told by a trusted proxy.
async fn admitted(rule: ClientAddress, clients: impl Iterator<Item = u128>) -> usize {
    let app = app!(RateGuard::builder().client_address(rule).build().unwrap(), once);
    let mut admitted = 0;
    for (turn, client) in clients.enumerate() {
        let client = Ipv6Addr::from(client);
        let request = TestRequest::get().uri("/");
        let request = if turn % 2 == 0 {
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

/// Numbers without a pattern, always the same ones (SplitMix64).
fn scattered(seed: u64) -> impl Iterator<Item = u64> {
    (1_u64..).map(move |turn| {
        let mut it = seed.wrapping_add(turn.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        it ^ (it >> 31)
    })
}

/// An address in the network with these leading 64 bits.
fn address(network: u64, host: u64) -> u128 {
    u128::from(network) << 64 | u128::from(host)
}

const NETWORK: u64 = 0x2001_0db8_00aa_bb00;

fn many() -> usize {
    usize::try_from(MANY).unwrap()
}

#[actix_web::test]
async fn ten_thousand_addresses_of_a_network_are_one_bucket() {
    let hosts = || scattered(1).take(many());
    assert_eq!(hosts().collect::<HashSet<_>>().len(), many());
    assert_eq!(admitted(rule(), hosts().map(|host| address(NETWORK, host))).await, 1);
    // The first and the last ones, where a mask may be off by one.
    let edges = [0, 1, u64::MAX >> 1, 1 << 63, u64::MAX - 1, u64::MAX];
    assert_eq!(admitted(rule(), edges.map(|host| address(NETWORK, host)).into_iter()).await, 1);
}

#[actix_web::test]
async fn ten_thousand_networks_are_as_many_buckets() {
    let networks = (0..MANY).map(|network| address(NETWORK + network, 0));
    assert_eq!(admitted(rule(), networks).await, many());
    // Each of them once more, from another address: nobody comes in a second time.
    let hosts = scattered(2);
    let twice = (0..2 * MANY).zip(hosts).map(|(turn, host)| address(NETWORK + turn / 2, host));
    assert_eq!(admitted(rule(), twice).await, many());
    // Networks that differ in any one bit.
    let bits = (0..64).map(|bit| address(NETWORK ^ 1 << bit, 7));
    assert_eq!(admitted(rule(), bits.chain([address(NETWORK, 7)])).await, 65);
}

#[actix_web::test]
async fn a_wider_network_is_one_bucket_if_it_is_said_so() {
    let wider = || rule().ipv6_prefix(56).unwrap();
    let within = || {
        let hosts = scattered(3).zip(scattered(4)).take(many());
        hosts.map(|(subnet, host)| address(NETWORK | subnet & 0xff, host))
    };
    assert_eq!(admitted(wider(), within()).await, 1);
    // By default they are as many as there are networks of 64 bits in it.
    assert_eq!(admitted(rule(), within()).await, 256);
    let networks = (0..MANY).zip(scattered(5));
    let networks =
        networks.map(|(network, rest)| address(NETWORK + (network << 8) + rest % 256, rest));
    assert_eq!(admitted(wider(), networks).await, many());
    // Every address alone.
    let alone = rule().ipv6_prefix(128).unwrap();
    let hosts = scattered(6).take(many()).map(|host| address(NETWORK, host));
    assert_eq!(admitted(alone, hosts).await, many());
}
