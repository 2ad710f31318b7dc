//! Tests how the endpoints report shadow limits and candidate quotas. The endpoints must not report decisions of
//! these limits and quotas as denials of the requests.

use actix_rateguard::{
    Key, Limit, MemoryStore, Policy, RateGuard, RateLimit, StoreError, error::BanError, key,
    rate_limit, test_util::FaultyStore,
};
use actix_web::{
    App, get,
    test::{TestRequest, init_service},
    web,
};
use serde_json::{Value, json};

use super::{endpoints, explain_json, explanation_of, parse_json, post, post_json};
use crate::support::app::{from_client, get as send_get, send, statuses};

#[get("/op-shadow")]
#[rate_limit(
    rate = "2/365d",
    name = "op-shadow",
    shadow = true,
    on_error = "closed",
    ban = "3/hour for 15m"
)]
async fn in_shadow() -> &'static str {
    "ok"
}

#[actix_web::test]
async fn shadow_limit_admits_and_reports_would_deny() {
    let faults = FaultyStore::new(MemoryStore::new());
    let guard = RateGuard::builder().store(faults.clone()).build().unwrap();
    let app = init_service(
        App::new().app_data(guard.clone()).service(in_shadow).service(endpoints(&guard)),
    )
    .await;
    let explain =
        async || explain_json(&guard, from_client(1, TestRequest::get()), &["op-shadow"]).await;
    for (admitted, would_deny) in [(0, false), (1, false), (2, true), (3, true)] {
        let explanation = explain().await;
        assert_eq!(explanation["passes"], true, "{explanation:#}");
        assert_eq!(explanation["retry_after_seconds"], Value::Null);
        let limit = explanation_of(&explanation, "op-shadow");
        assert_eq!((&limit["outcome"], &limit["passes"]), (&json!("decided"), &json!(true)));
        assert_eq!(
            (&limit["is_in_shadow"], &limit["would_deny"]),
            (&json!(true), &json!(would_deny))
        );
        assert_eq!(limit["limit"]["is_in_shadow"], true);
        assert_eq!(limit["is_rolled_out"], Value::Null);
        assert_eq!(limit["statuses"][0]["remaining"], 2 - admitted.min(2));
        assert_eq!(statuses(&app, 1, "/op-shadow", 1).await, [200]);
    }
    // An explanation that selects the client by address, and the explanation as text, must report the same result.
    let selector = json!({ "policy": "op-shadow", "address": "192.0.2.1" });
    let by_address = post_json(&app, "explain", &selector).await;
    assert_eq!(
        (&by_address["passes"], &by_address["would_deny"], &by_address["is_in_shadow"]),
        (&json!(true), &json!(true), &json!(true))
    );
    let request_of_client = from_client(1, TestRequest::get()).to_http_request();
    let text = guard.explain_request(&request_of_client, &["op-shadow"]).await.to_string();
    assert!(text.contains("allowed because it is in shadow, but would be denied"), "{text}");
    assert!(guard.inventory().to_string().contains("2/365 days, in shadow"));
    // The shadow report counts requests, but it must not count explanations.
    let health = parse_json(&send_get(&app, 1, "/operator/health").await);
    let counts = json!([{ "policy": "op-shadow", "allowed": 2, "would_deny": 2, "undecided": 0 }]);
    assert_eq!(health["shadow"], counts);
    // A shadow limit denies no request, so the endpoint must reject a manual ban.
    let ban = json!({ "policy": "op-shadow", "address": "192.0.2.1", "for_seconds": 60 });
    assert_eq!(post(&app, "ban", &ban).await.status, 409);
    let policy = guard.policy_of_limit("op-shadow").unwrap();
    let banned = guard.ban(&policy, &Key::from("x"), std::time::Duration::from_secs(60)).await;
    assert_eq!(banned, Err(BanError::Shadow));
    // If the store does not reply, a shadow limit must admit the request, even if the limit has `on_error =
    // "closed"`.
    faults.fail(StoreError::Unreachable(None));
    let explanation = guard.explain_request(&request_of_client, &["op-shadow"]).await;
    assert_eq!(explanation.passes(), Some(true));
    assert_eq!(statuses(&app, 1, "/op-shadow", 1).await, [200]);
}

#[actix_web::test]
async fn explanation_reports_the_rollout_state_of_a_key() {
    let guard = RateGuard::builder().for_attributes(false).build().unwrap();
    let limit = Limit::new("3/365d").name("op-rolled").key(key::header("X-User"));
    let limit = RateLimit::new(&guard, limit.candidate("2/365d").rollout(50));
    let app = init_service(
        App::new()
            .service(web::resource("/op-rolled").wrap(limit).to(async || "ok"))
            .service(endpoints(&guard)),
    )
    .await;
    let inventory = parse_json(&send_get(&app, 1, "/operator/inventory").await);
    let limit = &inventory["limits"][0];
    assert_eq!((&limit["is_in_shadow"], &limit["rollout_percent"]), (&json!(false), &json!(50)));
    assert_eq!(
        (&limit["quotas"][0]["limit"], &limit["candidate"][0]["limit"]),
        (&json!(3), &json!(2))
    );
    let mut checks_by_variant = [0; 2];
    for number in 0..20 {
        let user = format!("user-{number}");
        for _ in 0..4 {
            let request = || TestRequest::get().uri("/op-rolled").insert_header(("X-User", &*user));
            let explanation = explain_json(&guard, request(), &[]).await;
            let limit = explanation_of(&explanation, "op-rolled");
            let selector = json!({ "policy": "op-rolled", "key": user });
            let by_key = post_json(&app, "explain", &selector).await;
            let response = send(&app, request()).await;
            let limit_in_force = response.numbers().unwrap()[0];
            let is_rolled_out = json!(limit_in_force == 2);
            for explained in [limit, &by_key] {
                assert_eq!(explained["is_rolled_out"], is_rolled_out, "{user}: {explained:#}");
                assert_eq!(explained["statuses"][0]["limit"], limit_in_force);
                assert_eq!(explained["passes"], response.status == 200, "{user}: {explained:#}");
            }
            checks_by_variant[usize::from(limit_in_force == 2)] += 1;
        }
    }
    assert!(checks_by_variant.iter().all(|times| *times >= 4), "{checks_by_variant:?}");
}

#[actix_web::test]
async fn reset_clears_the_counts_of_the_candidate() {
    let policy = Policy::new("op-both", "5/365d").unwrap().candidate("2/365d").unwrap();
    let guard = RateGuard::builder().policy(policy.clone()).for_attributes(false).build().unwrap();
    let app = init_service(App::new().service(endpoints(&guard))).await;
    let (key, enforced) = (Key::from("ann"), policy.clone().rollout(100).unwrap());
    for _ in 0..3 {
        assert!(guard.allows(&policy, &key).await);
    }
    assert_eq!(guard.peek(&enforced, &key).await.unwrap().remaining(), 0);
    post_json(&app, "reset", &json!({ "policy": "op-both", "key": "ann" })).await;
    assert_eq!(guard.peek(&enforced, &key).await.unwrap().remaining(), 2);
    assert_eq!(guard.peek(&policy, &key).await.unwrap().remaining(), 5);
}
