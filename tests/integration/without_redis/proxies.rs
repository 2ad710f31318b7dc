//! Tests clients behind proxies: which clients have the same bucket, and which clients have different buckets. Unit
//! tests cover the syntax of each header.

use std::net::SocketAddr;

use actix_rateguard::{ClientAddress, Limit, RateGuard, RateLimit, key, rate_limit};
use actix_web::{
    App, HttpRequest, get,
    test::{TestRequest, init_service},
    web,
};

use crate::support::{
    app::{from_client, send},
    log_lines,
};

#[get("/attribute")]
#[rate_limit(rate = "1/minute", key = "ip")]
async fn attribute() -> &'static str {
    "ok"
}

#[get("/missing")]
#[rate_limit(rate = "1/minute", key = "header:X-Api-Key")]
async fn missing() -> &'static str {
    "ok"
}

fn guard_behind_proxies(header: &str) -> RateGuard {
    let rule = ClientAddress::behind(["192.0.2.0/24"]).unwrap().header(header).unwrap();
    RateGuard::builder().client_address(rule).build().unwrap()
}

#[actix_web::test]
async fn clients_behind_a_trusted_proxy_have_separate_buckets() {
    for header in ["X-Forwarded-For", "X-Real-IP"] {
        let guard = guard_behind_proxies(header);
        let app = init_service(
            App::new().app_data(guard.clone()).service(attribute).service(missing).service(
                web::resource("/middleware")
                    .wrap(RateLimit::new(&guard, Limit::new("1/minute").key(key::ip())))
                    .route(web::get().to(async || "ok")),
            ),
        )
        .await;
        for path in ["/attribute", "/middleware", "/missing"] {
            let status_of = async |proxy, addresses: &str| {
                let request = TestRequest::get().uri(path).insert_header((header, addresses));
                send(&app, from_client(proxy, request)).await.status
            };
            assert_eq!(
                [status_of(1, "198.51.100.1").await, status_of(1, "198.51.100.2").await],
                [200, 200]
            );
            // A client must stay in its bucket in both cases: if it uses a different proxy, and if the header contains
            // a forged address before the address of the client.
            assert_eq!(status_of(2, "198.51.100.1").await, 429, "{path}");
            assert_eq!(status_of(1, "7.7.7.7, 198.51.100.2").await, 429, "{path}");
            // A client with an IPv6 address must be counted by its network.
            assert_eq!(
                [status_of(1, "2001:db8::1").await, status_of(1, "2001:db8::2").await],
                [200, 429],
                "{path}"
            );
            // The guard does not use the header `Forwarded`. Therefore it treats the proxy itself as the client.
            let request = TestRequest::get().uri(path).insert_header(("Forwarded", "for=8.8.8.8"));
            assert_eq!(send(&app, from_client(1, request)).await.status, 200);
            let request = TestRequest::get().uri(path).insert_header(("Forwarded", "for=9.9.9.9"));
            assert_eq!(send(&app, from_client(1, request)).await.status, 429, "{path}");
        }
    }
}

#[actix_web::test]
async fn client_ip_is_the_address_that_the_key_counts() {
    let guard = guard_behind_proxies("X-Forwarded-For");
    let address_of = |request: TestRequest| {
        let address = guard.client_ip(&request.to_http_request());
        address.map(|address| address.to_string())
    };
    let forwarded = |addresses: &str| {
        from_client(1, TestRequest::get().insert_header(("X-Forwarded-For", addresses)))
    };
    let text = |address: &str| Some(address.to_owned());
    assert_eq!(address_of(forwarded("198.51.100.1")), text("198.51.100.1"));
    assert_eq!(address_of(forwarded("7.7.7.7, 198.51.100.2")), text("198.51.100.2"));
    assert_eq!(address_of(forwarded("::ffff:198.51.100.3")), text("198.51.100.3"));
    assert_eq!(address_of(forwarded("2001:db8::1")), text("2001:db8::1"));
    // The address of a proxy that reports no client.
    assert_eq!(address_of(from_client(1, TestRequest::get())), text("192.0.2.1"));
    let untrusted_peer = SocketAddr::from(([203, 0, 113, 9], 40_000));
    assert_eq!(
        address_of(forwarded("198.51.100.1").peer_addr(untrusted_peer)),
        text("203.0.113.9")
    );
    assert_eq!(address_of(TestRequest::get()), None);
}

#[actix_web::test]
async fn address_key_can_be_combined_with_other_values() {
    let guard = guard_behind_proxies("X-Forwarded-For");
    let per_path = |request: &HttpRequest| {
        key::ip().read(request).map(|client| (client, request.path().to_owned()))
    };
    let limit = Limit::new("1/minute").key(per_path).name("per-path");
    let app = App::new().default_service(web::get().to(async || "ok"));
    let app = init_service(app.wrap(RateLimit::new(&guard, limit))).await;
    for (address, path, status) in [
        ("198.51.100.1", "/one", 200),
        ("198.51.100.1", "/two", 200),
        ("198.51.100.2", "/one", 200),
        ("198.51.100.1", "/one", 429),
    ] {
        let request = TestRequest::get().uri(path).insert_header(("X-Forwarded-For", address));
        assert_eq!(send(&app, from_client(1, request)).await.status, status, "{address} {path}");
    }
}

#[actix_web::test]
async fn headers_of_an_untrusted_peer_are_ignored() {
    let app = app!(guard_behind_proxies("X-Forwarded-For"), attribute);
    for (address, status) in [("198.51.100.1", 200), ("198.51.100.2", 429)] {
        let untrusted_peer = SocketAddr::from(([203, 0, 113, 9], 40_000));
        let request = TestRequest::get().uri("/attribute").peer_addr(untrusted_peer);
        let request = request.insert_header(("X-Forwarded-For", address));
        assert_eq!(send(&app, request).await.status, status);
    }
}

#[actix_web::test]
async fn unconfigured_proxy_is_logged() {
    log_lines::collect();
    let app = app!(RateGuard::in_memory(), attribute);
    for client in 1..5 {
        let request = TestRequest::get().uri("/attribute");
        let request = request.insert_header(("X-Forwarded-For", "198.51.100.1"));
        assert_eq!(send(&app, from_client(client, request)).await.status, 200);
    }
    // A different test may also have written this log message.
    let lines = log_lines::with("no proxy is trusted");
    assert!(!lines.is_empty() && !lines[0].contains("198.51.100.1"), "{lines:?}");
}

/// Sends requests from this peer, each with these headers, and returns the log lines that contain the peer's address.
async fn warnings(
    rule: ClientAddress,
    peer: [u8; 4],
    headers: &[(&'static str, &'static str)],
    requests: usize,
) -> Vec<String> {
    log_lines::collect();
    let app = app!(RateGuard::builder().client_address(rule).build().unwrap(), attribute);
    for _ in 0..requests {
        let request = TestRequest::get().uri("/attribute").peer_addr(SocketAddr::from((peer, 1)));
        let request = headers.iter().fold(request, |it, header| it.insert_header(*header));
        send(&app, request).await;
    }
    log_lines::with(&SocketAddr::from((peer, 1)).ip().to_string())
}

#[actix_web::test]
async fn warning_about_a_proxy_names_its_header_and_the_setting() {
    for (peer, header, setting) in [
        ([10, 77, 0, 1], "X-Forwarded-For", r#"ClientAddress::behind(["10.77.0.1"])?)`"#),
        (
            [10, 77, 0, 2],
            "Forwarded",
            r#"ClientAddress::behind(["10.77.0.2"])?.header("Forwarded")?)`"#,
        ),
        (
            [10, 77, 0, 3],
            "CF-Connecting-IP",
            r#"ClientAddress::behind(["10.77.0.3"])?.header("CF-Connecting-IP")?)`"#,
        ),
        (
            [127, 77, 0, 4],
            "X-Real-IP",
            r#"ClientAddress::behind(["127.77.0.4"])?.header("X-Real-IP")?)`"#,
        ),
    ] {
        let lines = warnings(ClientAddress::peer(), peer, &[(header, "198.51.100.1")], 200).await;
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with("WARN") && lines[0].contains(&format!("`{header}`")));
        assert!(lines[0].contains(setting), "{lines:?}");
        assert!(!lines[0].contains("198.51.100.1"), "{lines:?}");
    }
}

#[actix_web::test]
async fn proxy_is_found_after_any_number_of_health_checks() {
    log_lines::collect();
    let app = app!(RateGuard::in_memory(), attribute);
    let send_from = async |peer: [u8; 4], is_forwarded: bool| {
        let request = TestRequest::get().uri("/attribute").peer_addr(SocketAddr::from((peer, 1)));
        let header = ("X-Forwarded-For", "198.51.100.1");
        send(&app, if is_forwarded { request.insert_header(header) } else { request }).await;
    };
    for _ in 0..5_000 {
        send_from([127, 77, 0, 5], false).await;
    }
    assert_eq!(log_lines::with("127.77.0.5"), [""; 0]);
    for _ in 0..100 {
        send_from([10, 77, 0, 6], true).await;
    }
    assert_eq!(log_lines::with("10.77.0.6").len(), 1);
}

#[actix_web::test]
async fn no_proxy_is_logged_for_health_checks_and_correct_rules() {
    let rule = || ClientAddress::behind(["10.77.1.0/24"]).unwrap();
    let header = [("X-Forwarded-For", "198.51.100.1")];
    for (rule, peer, headers) in [
        (ClientAddress::peer(), [127, 77, 1, 1], &[][..]),
        (ClientAddress::peer(), [10, 77, 2, 2], &[]),
        (rule(), [10, 77, 1, 3], &[]),
        (rule(), [10, 77, 1, 4], &header),
        (rule(), [127, 77, 1, 5], &[]),
    ] {
        assert_eq!(warnings(rule, peer, headers, 200).await, [""; 0]);
    }
}
