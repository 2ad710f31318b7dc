//! Tests the settings of `docs/proxies.md` with the headers that the proxies send.

use std::net::{IpAddr, SocketAddr};

use actix_rateguard::{ClientAddress, RateGuard, rate_limit};
use actix_web::{HttpRequest, get, test::TestRequest, web};

use crate::support::app::send;

#[get("/attribute")]
#[rate_limit(rate = "1/minute", key = "ip")]
async fn attribute() -> &'static str {
    "ok"
}

const FORWARDED_FOR: &str = "X-Forwarded-For";

/// Some of the networks of Cloudflare.
const CLOUDFLARE: [&str; 3] = ["162.158.0.0/15", "172.64.0.0/13", "2606:4700::/32"];

fn behind(proxies: &[&str]) -> ClientAddress {
    ClientAddress::behind(proxies).unwrap()
}

/// Sends a request of each of these peers with this value of the header, and compares the statuses. The limit is one
/// request for each client. `None` is the peer of a Unix socket.
async fn assert_statuses(
    rule: ClientAddress,
    header: &'static str,
    requests: &[(Option<&str>, &'static str, u16)],
) {
    let app = app!(RateGuard::builder().client_address(rule).build().unwrap(), attribute);
    for (peer, value, expected) in requests {
        let mut request = TestRequest::get().uri("/attribute").insert_header((header, *value));
        if let Some(peer) = peer {
            let peer: IpAddr = peer.parse().unwrap();
            request = request.peer_addr(SocketAddr::from((peer, 40_000)));
        }
        assert_eq!(send(&app, request).await.status, *expected, "{peer:?} {header}: {value}");
    }
}

#[actix_web::test]
async fn aws_application_load_balancer() {
    let (zone_a, zone_b) = (Some("10.0.1.17"), Some("10.0.2.30"));
    assert_statuses(
        behind(&["10.0.1.0/24", "10.0.2.0/24"]),
        FORWARDED_FOR,
        &[
            (zone_a, "198.51.100.1", 200),
            (zone_b, "198.51.100.1", 429),
            (zone_a, "203.0.113.66, 198.51.100.1", 429),
            (zone_a, "198.51.100.2:41234", 200),
            (zone_a, "198.51.100.2:41235", 429),
            (zone_a, "[2001:db8::2]:41234", 200),
            (zone_a, "2001:db8::2", 429),
        ],
    )
    .await;
}

#[actix_web::test]
async fn google_load_balancer_appends_its_own_address() {
    let front_end = Some("35.191.8.9");
    let networks = ["35.191.0.0/16", "130.211.0.0/22", "192.0.2.80"];
    assert_statuses(
        behind(&networks),
        FORWARDED_FOR,
        &[
            (front_end, "198.51.100.1, 192.0.2.80", 200),
            (front_end, "203.0.113.66,198.51.100.1,192.0.2.80", 429),
            (front_end, "198.51.100.2,192.0.2.80", 200),
        ],
    )
    .await;
    // Without the address of the load balancer, all clients are counted by it.
    assert_statuses(
        behind(&networks[..2]),
        FORWARDED_FOR,
        &[
            (front_end, "198.51.100.1, 192.0.2.80", 200),
            (front_end, "198.51.100.2, 192.0.2.80", 429),
        ],
    )
    .await;
}

#[actix_web::test]
async fn load_balancer_in_front_of_nginx() {
    let nginx = Some("10.0.5.4");
    assert_statuses(
        behind(&["10.0.1.0/24", "10.0.5.4"]),
        FORWARDED_FOR,
        &[
            (nginx, "198.51.100.1, 10.0.1.17", 200),
            (nginx, "203.0.113.66, 198.51.100.1, 10.0.1.18", 429),
            (nginx, "198.51.100.2, 10.0.1.17", 200),
            // A client that reaches nginx without the load balancer cannot choose an address.
            (nginx, "198.51.100.3, 10.0.1.17, 203.0.113.5", 200),
            (nginx, "198.51.100.4, 10.0.1.17, 203.0.113.5", 429),
            (nginx, "198.51.100.3, 10.0.1.17", 200),
        ],
    )
    .await;
}

#[actix_web::test]
async fn cloudflare() {
    let (edge, attacker) = (Some("172.70.1.2"), Some("203.0.113.5"));
    assert_statuses(
        behind(&CLOUDFLARE).header("CF-Connecting-IP").unwrap(),
        "CF-Connecting-IP",
        &[
            (edge, "198.51.100.1", 200),
            (Some("162.158.3.4"), "198.51.100.1", 429),
            (edge, "198.51.100.2", 200),
            (edge, "2001:db8::2", 200),
            // A client that reaches the server without Cloudflare cannot choose an address.
            (attacker, "198.51.100.3", 200),
            (attacker, "198.51.100.4", 429),
            (edge, "198.51.100.3", 200),
        ],
    )
    .await;
}

#[actix_web::test]
async fn cloudflare_in_front_of_nginx() {
    let nginx = Some("127.0.0.1");
    assert_statuses(
        behind(&["127.0.0.1", CLOUDFLARE[0], CLOUDFLARE[1], CLOUDFLARE[2]]),
        FORWARDED_FOR,
        &[
            (nginx, "198.51.100.1, 172.70.1.2", 200),
            (nginx, "203.0.113.66, 198.51.100.1, 162.158.3.4", 429),
            // A client that reaches nginx without Cloudflare cannot choose an address.
            (nginx, "198.51.100.3, 172.70.1.2, 203.0.113.5", 200),
            (nginx, "198.51.100.4, 172.70.1.2, 203.0.113.5", 429),
        ],
    )
    .await;
}

#[actix_web::test]
async fn kubernetes_ingress() {
    let (controller, other_controller) = (Some("10.244.1.9"), Some("10.244.3.2"));
    assert_statuses(
        behind(&["10.244.0.0/16"]),
        FORWARDED_FOR,
        &[
            (controller, "198.51.100.1", 200),
            (other_controller, "198.51.100.1", 429),
            (controller, "203.0.113.66, 198.51.100.1", 429),
            (controller, "198.51.100.2", 200),
        ],
    )
    .await;
}

#[actix_web::test]
async fn forwarded() {
    let proxy = Some("10.0.0.7");
    assert_statuses(
        behind(&["10.0.0.7"]).header("Forwarded").unwrap(),
        "Forwarded",
        &[
            (proxy, "for=198.51.100.1;proto=https", 200),
            (proxy, "for=203.0.113.66, for=198.51.100.1;by=10.0.0.7", 429),
            (proxy, "for=\"[2001:db8::7]:4711\"", 200),
            (proxy, "for=\"[2001:db8::8]\"", 429),
        ],
    )
    .await;
}

#[actix_web::test]
async fn nginx_over_a_unix_socket() {
    assert_statuses(
        ClientAddress::peer().trust_unix_sockets(),
        FORWARDED_FOR,
        &[
            (None, "198.51.100.1", 200),
            (None, "203.0.113.66, 198.51.100.1", 429),
            (None, "198.51.100.2", 200),
        ],
    )
    .await;
    assert_statuses(
        ClientAddress::peer(),
        FORWARDED_FOR,
        &[(None, "198.51.100.1", 200), (None, "198.51.100.2", 429)],
    )
    .await;
}

#[actix_web::test]
async fn explanation_shows_each_hop_as_in_the_document() {
    let guard = RateGuard::builder().client_address(behind(&["10.0.0.7"])).build().unwrap();
    let explaining = guard.clone();
    let explain = move |request: HttpRequest| {
        let guard = explaining.clone();
        async move {
            let address = guard.client_ip(&request).unwrap();
            format!("{address}\n{}", guard.explain_request(&request, &[]).await.client())
        }
    };
    let app = app!(guard, web::resource("/address").to(explain));
    let request = TestRequest::get().uri("/address").insert_header((FORWARDED_FOR, "198.51.100.1"));
    let shown = send(&app, request.peer_addr(SocketAddr::from(([10, 0, 0, 7], 40_000)))).await.body;
    let document = include_str!("../../../docs/proxies.md");
    assert!(document.contains(&format!("```text\n{}\n```", shown.trim_end())), "{shown}");
}
