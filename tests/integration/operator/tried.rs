//! What is tried is told as such, and never said to refuse.

use actix_web::{
    App, get,
    test::{TestRequest, init_service},
    web,
};
use rateguard::{
    BanningError, Key, MemoryStore, Policy, RateGuard, RateLimit, StoreError, key, rate_limit,
    test_util::FaultyStore,
};
use serde_json::{Value, json};

use super::{endpoints, of_limit, parsed, post, told};
use crate::support::app::{from_client, get as ask, send, statuses};

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

fn request(path: &str, user: &str, limits: &[&str]) -> Value {
    let request = json!({ "path": path, "peer": "192.0.2.1", "headers": [["X-User", user]] });
    json!({ "request": request, "limits": limits })
}

#[actix_web::test]
async fn a_limit_in_shadow_would_deny_and_lets_pass() {
    let faults = FaultyStore::new(MemoryStore::new());
    let guard = RateGuard::builder().store(faults.clone()).build().unwrap();
    let app = init_service(
        App::new().app_data(guard.clone()).service(in_shadow).service(endpoints(&guard)),
    )
    .await;
    let explained = async || told(&app, "explain", &request("/", "ann", &["op-shadow"])).await;
    for (asked, would_deny) in [(0, false), (1, false), (2, true), (3, true)] {
        let explanation = explained().await;
        assert_eq!(explanation["passes"], true, "{explanation:#}");
        assert_eq!(explanation["retry_after_seconds"], Value::Null);
        let limit = of_limit(&explanation, "op-shadow");
        assert_eq!((&limit["outcome"], &limit["passes"]), (&json!("decided"), &json!(true)));
        assert_eq!(
            (&limit["is_in_shadow"], &limit["would_deny"]),
            (&json!(true), &json!(would_deny))
        );
        assert_eq!(limit["limit"]["is_in_shadow"], true);
        assert_eq!(limit["is_rolled_out"], Value::Null);
        assert_eq!(limit["standings"][0]["remaining"], 2 - asked.min(2));
        assert_eq!(statuses(&app, 1, "/op-shadow", 1).await, [200]);
    }
    // By its address, and for people.
    let somebody = json!({ "policy": "op-shadow", "address": "192.0.2.1" });
    let told = told(&app, "explain", &somebody).await;
    assert_eq!(
        (&told["passes"], &told["would_deny"], &told["is_in_shadow"]),
        (&json!(true), &json!(true), &json!(true))
    );
    let real = from_client(1, TestRequest::get()).to_http_request();
    let text = guard.explain_request(&real, &["op-shadow"]).await.to_string();
    assert!(text.contains("passes, as it is in shadow, and would be denied"), "{text}");
    assert!(guard.inventory().to_string().contains("2/365 days, in shadow"));
    // Only requests are counted, and explanations are none.
    let health = parsed(&ask(&app, 1, "/operator/health").await);
    let counts = json!([{ "policy": "op-shadow", "allowed": 2, "would_deny": 2, "undecided": 0 }]);
    assert_eq!(health["shadow"], counts);
    // Nobody is banned under it.
    let ban = json!({ "policy": "op-shadow", "address": "192.0.2.1", "for_seconds": 60 });
    assert_eq!(post(&app, "ban", &ban).await.status, 409);
    let policy = guard.known_policy("op-shadow").unwrap();
    let banned = guard.ban(&policy, &Key::from("x"), std::time::Duration::from_secs(60)).await;
    assert_eq!(banned, Err(BanningError::Shadow));
    // It lets pass without an answer, too, whatever it says.
    faults.fail(StoreError::Unreachable);
    let explanation = guard.explain_request(&real, &["op-shadow"]).await;
    assert_eq!(explanation.passes(), Some(true));
    assert_eq!(statuses(&app, 1, "/op-shadow", 1).await, [200]);
}

#[actix_web::test]
async fn on_which_side_of_a_roll_out_a_key_is_is_told() {
    let guard = RateGuard::builder().for_attributes(false).build().unwrap();
    let limit = RateLimit::new(&guard, "3/365d").name("op-rolled").by(key::header("X-User"));
    let limit = limit.candidate("2/365d").rollout(50);
    let app = init_service(
        App::new()
            .service(web::resource("/op-rolled").wrap(limit).to(async || "ok"))
            .service(endpoints(&guard)),
    )
    .await;
    let inventory = parsed(&ask(&app, 1, "/operator/inventory").await);
    let limit = &inventory["limits"][0];
    assert_eq!((&limit["is_in_shadow"], &limit["rollout_percent"]), (&json!(false), &json!(50)));
    assert_eq!(
        (&limit["quotas"][0]["limit"], &limit["candidate"][0]["limit"]),
        (&json!(3), &json!(2))
    );
    let mut sides = [0; 2];
    for number in 0..20 {
        let user = format!("user-{number}");
        for _ in 0..4 {
            let explanation = told(&app, "explain", &request("/op-rolled", &user, &[])).await;
            let limit = of_limit(&explanation, "op-rolled");
            let somebody = json!({ "policy": "op-rolled", "key": user });
            let by_key = told(&app, "explain", &somebody).await;
            let answer =
                send(&app, TestRequest::get().uri("/op-rolled").insert_header(("X-User", &*user)))
                    .await;
            let admits = answer.numbers().unwrap()[0];
            let is_rolled_out = json!(admits == 2);
            for told in [limit, &by_key] {
                assert_eq!(told["is_rolled_out"], is_rolled_out, "{user}: {told:#}");
                assert_eq!(told["standings"][0]["limit"], admits);
                assert_eq!(told["passes"], answer.status == 200, "{user}: {told:#}");
            }
            sides[usize::from(admits == 2)] += 1;
        }
    }
    assert!(sides.iter().all(|times| *times >= 4), "{sides:?}");
}

#[actix_web::test]
async fn to_reset_a_key_resets_what_is_tried_of_it() {
    let policy = Policy::new("op-both", "5/365d").unwrap().candidate("2/365d").unwrap();
    let guard = RateGuard::builder().policy(policy.clone()).for_attributes(false).build().unwrap();
    let app = init_service(App::new().service(endpoints(&guard))).await;
    let (key, enforced) = (Key::from("ann"), policy.clone().rollout(100).unwrap());
    for _ in 0..3 {
        assert!(guard.allows(&policy, &key).await);
    }
    assert_eq!(guard.peek(&enforced, &key).await.unwrap().remaining(), 0);
    told(&app, "reset", &json!({ "policy": "op-both", "key": "ann" })).await;
    assert_eq!(guard.peek(&enforced, &key).await.unwrap().remaining(), 2);
    assert_eq!(guard.peek(&policy, &key).await.unwrap().remaining(), 5);
}
