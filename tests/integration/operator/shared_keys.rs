//! Tests the operator endpoints for clients of an IPv6 network that share one key.

use actix_rateguard::{ClientAddress, RateGuard, rate_limit};
use actix_web::{
    App, get,
    test::{TestRequest, init_service},
};
use serde_json::json;

use super::{endpoints, post, post_json};
use crate::support::app::send;

#[get("/op-shared-key")]
#[rate_limit(rate = "2/minute", key = "ip", ban = "9/minute for 30s", name = "op-shared-key")]
async fn limited() -> &'static str {
    "ok"
}

#[actix_web::test]
async fn ban_of_a_shared_network_key_is_rejected() {
    let rule = ClientAddress::peer().max_ipv6_keys_per_48(1);
    let guard = RateGuard::builder().client_address(rule).build().unwrap();
    let app = init_service(
        App::new().app_data(guard.clone()).service(limited).service(endpoints(&guard)),
    )
    .await;
    let status = async |client: u8| {
        let peer = format!("[2001:db8:1:{client}::1]:1").parse().unwrap();
        send(&app, TestRequest::get().uri("/op-shared-key").peer_addr(peer)).await.status
    };
    let selector = |client: u8| json!({"policy": "op-shared-key", "address": format!("2001:db8:1:{client}::1")});
    // The first client has its own key. The network may have only one such key, so the second and the third client
    // share a key.
    assert_eq!(
        [status(1).await, status(2).await, status(3).await, status(3).await],
        [200, 200, 200, 429]
    );
    assert_eq!(post_json(&app, "explain", &selector(2)).await["passes"], false);
    assert_eq!(post_json(&app, "explain", &selector(1)).await["passes"], true);

    let mut ban = selector(2);
    ban["for_seconds"] = 60.into();
    let response = post(&app, "ban", &ban).await;
    assert_eq!(response.status, 409, "{}", response.body);
    assert!(
        response.body.contains("deny its address in an access list instead"),
        "{}",
        response.body
    );
    ban["address"] = "2001:db8:1:1::1".into();
    post_json(&app, "ban", &ban).await;

    post_json(&app, "reset", &selector(2)).await;
    assert_eq!(
        [status(1).await, status(2).await, status(3).await, status(3).await],
        [429, 200, 200, 429]
    );
}
