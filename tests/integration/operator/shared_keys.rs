//! The endpoints, for clients of a wide IPv6 network that share a key.

use actix_web::{
    App, get,
    test::{TestRequest, init_service},
};
use rateguard::{ClientAddress, RateGuard, rate_limit};
use serde_json::json;

use super::{endpoints, post, told};
use crate::support::app::send;

#[get("/op-shared-key")]
#[rate_limit(rate = "2/minute", key = "ip", ban = "9/minute for 30s", name = "op-shared-key")]
async fn limited() -> &'static str {
    "ok"
}

#[actix_web::test]
async fn address_means_the_shared_key_and_a_ban_of_it_is_refused() {
    let rule = ClientAddress::peer().max_ipv6_keys_per_48(1);
    let guard = RateGuard::builder().client_address(rule).build().unwrap();
    let app = init_service(
        App::new().app_data(guard.clone()).service(limited).service(endpoints(&guard)),
    )
    .await;
    let ask = async |client: u8| {
        let peer = format!("[2001:db8:1:{client}::1]:1").parse().unwrap();
        send(&app, TestRequest::get().uri("/op-shared-key").peer_addr(peer)).await.status
    };
    let somebody = |client: u8| json!({"policy": "op-shared-key", "address": format!("2001:db8:1:{client}::1")});
    // The first has a key of its own, and the two others share the one that is left.
    assert_eq!([ask(1).await, ask(2).await, ask(3).await, ask(3).await], [200, 200, 200, 429]);
    assert_eq!(told(&app, "explain", &somebody(2)).await["passes"], false);
    assert_eq!(told(&app, "explain", &somebody(1)).await["passes"], true);

    let mut ban = somebody(2);
    ban["for_seconds"] = 60.into();
    let answer = post(&app, "ban", &ban).await;
    assert_eq!(answer.status, 409, "{}", answer.body);
    assert!(answer.body.contains("deny its address instead"), "{}", answer.body);
    ban["address"] = "2001:db8:1:1::1".into();
    told(&app, "ban", &ban).await;

    told(&app, "reset", &somebody(2)).await;
    assert_eq!([ask(1).await, ask(2).await, ask(3).await, ask(3).await], [429, 200, 200, 429]);
}
