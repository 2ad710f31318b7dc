//! Tests explanations. An explanation reports which limits apply to a request, which client address the guard finds,
//! and why.

use actix_rateguard::{
    AccessList, Caller, ClientAddress, Key, Limit, Plan, Policy, RateGuard, RateLimit, UserId,
    client_address::StopReason,
    explain::{Exemption, Explanation, KeySource, Outcome, RejectReason, UnknownReason},
    key, rate_limit,
};
use actix_web::{
    App, HttpMessage, HttpRequest, error::ErrorImATeapot, get, test::TestRequest,
    test::init_service, web,
};
use serde_json::{Value, json};

use super::{endpoints, explain_json, explanation_of, post_json};
use crate::support::{
    app::from_client,
    redis_server::RedisServer,
    server::{self, Server},
};

#[get("/op-skips")]
#[rate_limit(rate = "2/minute", name = "op-skips", methods = "GET", skip = |request: &HttpRequest| request.query_string() == "free")]
async fn skips() -> &'static str {
    "ok"
}

#[get("/op-denies")]
#[rate_limit(rate = "2/minute", key = "user", missing_key = "deny", name = "op-denies")]
async fn denies() -> &'static str {
    "ok"
}

#[get("/op-passes")]
#[rate_limit(rate = "2/minute", key = "user", missing_key = "skip", name = "op-passes")]
async fn passes() -> &'static str {
    "ok"
}

async fn key_of_query(request: &HttpRequest) -> Result<Caller, actix_web::Error> {
    actix_web::rt::task::yield_now().await;
    Ok(match request.query_string() {
        "exempt" => Caller::Exempt,
        "teapot" => return Err(ErrorImATeapot("short and stout")),
        "unknown" => Caller::Unknown,
        "panic" => panic!("as if the application's data were missing"),
        other => Caller::Known(Key::from(other)),
    })
}

#[get("/op-function")]
#[rate_limit(plan = |request: &HttpRequest| request.headers().get("X-Unlimited").map_or(Plan::of("2/minute; 5/hour"), |_| Plan::Unlimited), key = key_of_query, cost = |request: &HttpRequest| if request.query_string() == "costly" { 9 } else { 2 }, name = "op-function")]
async fn by_function() -> &'static str {
    "ok"
}

#[rate_limit(rate = "2/minute", key = by_type::<T>, name = "op-generic")]
async fn generic<T: Default + 'static>() -> &'static str {
    let _ = T::default();
    "ok"
}

/// A type with a short name. The attribute must not treat this name as the name of a type parameter.
struct DB;

impl DB {
    fn key(_: &HttpRequest) -> &'static str {
        "tenant"
    }
}

#[rate_limit(rate = "2/minute", key = DB::key, name = "op-short-type")]
async fn by_short_type() -> &'static str {
    "ok"
}

fn by_type<T>(_: &HttpRequest) -> &'static str {
    std::any::type_name::<T>()
}

#[get("/op-part")]
#[rate_limit(rate = "2/minute", key = "path:id+session:user", name = "op-part")]
async fn by_parts() -> &'static str {
    "ok"
}

#[get("/op-socket")]
#[rate_limit(rate = "2/hour", name = "op-socket")]
async fn over_a_socket() -> &'static str {
    "ok"
}

async fn explain(guard: &RateGuard, request: TestRequest, name: &str) -> Explanation {
    guard.explain_request(&from_client(1, request).to_http_request(), &[name]).await
}

async fn outcome(guard: &RateGuard, request: TestRequest, name: &str) -> Outcome {
    let explanation = explain(guard, request, name).await;
    assert_eq!(explanation.limits().len(), 1, "{name}: {explanation}");
    explanation.limits()[0].outcome.clone()
}

fn uri(uri: &str) -> TestRequest {
    TestRequest::with_uri(uri)
}

#[actix_web::test]
async fn explanation_names_the_reason_of_exemption_or_rejection() {
    let guard = RateGuard::in_memory();
    let outcome_of = async |request, name| outcome(&guard, request, name).await;
    let exempt = |why| Outcome::Exempt(why);
    assert_eq!(outcome_of(uri("/?free"), "op-skips").await, exempt(Exemption::Skip));
    assert_eq!(outcome_of(TestRequest::post(), "op-skips").await, exempt(Exemption::Method));
    assert_eq!(outcome_of(uri("/"), "op-passes").await, exempt(Exemption::NoKey));
    assert_eq!(outcome_of(uri("/?exempt"), "op-function").await, exempt(Exemption::KeyFunction));
    let unlimited = uri("/?ann").insert_header(("X-Unlimited", "1"));
    assert_eq!(outcome_of(unlimited, "op-function").await, exempt(Exemption::Plan));
    let rejected = |by| Outcome::Rejected(by);
    assert_eq!(outcome_of(uri("/"), "op-denies").await, rejected(RejectReason::NoKey));
    assert_eq!(
        outcome_of(uri("/?teapot"), "op-function").await,
        rejected(RejectReason::Function(418))
    );
    assert_eq!(
        outcome_of(uri("/?panic"), "op-function").await,
        Outcome::Unknown(UnknownReason::Panicked)
    );
    assert_eq!(
        outcome_of(uri("/"), "op-generic").await,
        Outcome::Unknown(UnknownReason::InHandler)
    );
    assert!(matches!(outcome_of(uri("/"), "op-short-type").await, Outcome::Decided(_)));

    let explanation = explain(&guard, uri("/?unknown"), "op-function").await;
    let limit = &explanation.limits()[0];
    assert_eq!((limit.counted_by, limit.cost), (Some(KeySource::Address), Some(2)));
    let explanation = explain(&guard, uri("/?ann"), "op-function").await;
    let limit = &explanation.limits()[0];
    assert_eq!(limit.counted_by, Some(KeySource::Key));
    assert_eq!(limit.outcome.decision().unwrap().statuses().len(), 2);
    assert_eq!(explanation.passes(), Some(true));
    let costly = outcome_of(uri("/?costly"), "op-function").await;
    assert!(costly.decision().unwrap().is_too_costly());
    assert_eq!((costly.passes(), costly.retry_after()), (Some(false), None));
}

#[actix_web::test]
async fn explanation_covers_more_limits_than_max_in_flight() {
    let server = RedisServer::start();
    let settings = server.settings("op").max_in_flight(16).for_attributes(false);
    let guard = settings.build().unwrap();
    let add_routes = |config: &mut web::ServiceConfig| {
        for number in 0..40 {
            let limit =
                RateLimit::new(&guard, Limit::new("2/minute").name(format!("op-many-{number}")));
            config.service(web::resource(format!("/{number}")).wrap(limit).to(async || "ok"));
        }
    };
    let _app = init_service(App::new().configure(add_routes)).await;
    let request = from_client(1, TestRequest::get()).to_http_request();
    let explanation = guard.explain_request(&request, &[]).await;
    assert_eq!(explanation.limits().len(), 40);
    assert_eq!(explanation.passes(), Some(true), "{explanation}");
    // The explanation must list the limits in the same order as the inventory.
    let inventory = guard.inventory();
    let names = inventory.limits().iter().map(|limit| &limit.name);
    assert!(explanation.limits().iter().map(|it| &it.limit.name).eq(names));
}

#[actix_web::test]
async fn explanation_reports_access_lists() {
    let list = AccessList::new()
        .allow_addresses(["192.0.2.1"])
        .and_then(|list| list.deny_addresses(["192.0.2.2"]))
        .unwrap()
        .allow_keys(key::user().key_of("friend"))
        .deny_keys(key::user().key_of("foe"));
    let guard = RateGuard::builder().access(list).for_attributes(false).build().unwrap();
    let limit = RateLimit::new(&guard, Limit::new("2/minute").key(key::user()).name("op-lists"));
    let _app = init_service(App::new().wrap(limit)).await;
    let outcome_of = async |client, user: &str| {
        let request = from_client(client, TestRequest::get()).to_http_request();
        request.extensions_mut().insert(UserId::new(user));
        let explanation = guard.explain_request(&request, &[]).await;
        explanation.limits()[0].outcome.clone()
    };
    assert_eq!(outcome_of(1, "foe").await, Outcome::Exempt(Exemption::AddressAllowed));
    assert_eq!(outcome_of(2, "friend").await, Outcome::Rejected(RejectReason::AddressDenied));
    assert_eq!(outcome_of(3, "friend").await, Outcome::Exempt(Exemption::KeyAllowed));
    assert_eq!(outcome_of(3, "foe").await, Outcome::Rejected(RejectReason::KeyDenied));
    assert!(outcome_of(3, "ann").await.decision().is_some());
    let policy = Policy::new("x", "1/minute").unwrap();
    let outcome_of_key =
        async |user| guard.explain(&policy, &key::user().key_of(user).unwrap()).await;
    assert_eq!(outcome_of_key("friend").await, Outcome::Exempt(Exemption::KeyAllowed));
    assert_eq!(outcome_of_key("foe").await, Outcome::Rejected(RejectReason::KeyDenied));

    let operator = init_service(App::new().service(endpoints(&guard))).await;
    for (address, outcome, because) in [
        ("192.0.2.1", "exempt", json!("address_allowed")),
        ("::ffff:192.0.2.2", "rejected", json!("address_denied")),
        ("192.0.2.3", "decided", Value::Null),
    ] {
        let body = json!({"policy": "op-lists", "by": "ip", "address": address});
        let explanation = post_json(&operator, "explain", &body).await;
        assert_eq!((&explanation["outcome"], &explanation["because"]), (&json!(outcome), &because));
    }
}

#[actix_web::test]
async fn dropped_middleware_is_explained_as_unknown() {
    let guard = RateGuard::builder().for_attributes(false).build().unwrap();
    let limit = RateLimit::new(&guard, Limit::new("2/minute").name("op-gone"));
    drop(init_service(App::new().wrap(limit)).await);
    let request = TestRequest::get().to_http_request();
    let explanation = guard.explain_request(&request, &[]).await;
    assert_eq!(explanation.limits()[0].outcome, Outcome::Unknown(UnknownReason::NotRunning));
    assert_eq!(explanation.passes(), None);
}

#[actix_web::test]
async fn explanation_lists_the_proxy_hops_of_the_client() {
    let rule = ClientAddress::behind(["10.0.0.0/8"]).unwrap().ipv6_prefix(56).unwrap();
    let guard = RateGuard::builder().client_address(rule).for_attributes(false).build().unwrap();
    let trace = async |peer: &str, lines: &[&str]| {
        let request = TestRequest::get().peer_addr(format!("{peer}:1").parse().unwrap());
        let request = lines
            .iter()
            .fold(request, |request, line| request.append_header(("X-Forwarded-For", *line)));
        guard.explain_request(&request.to_http_request(), &[]).await.client().clone()
    };
    let client = trace("10.0.0.1", &["1.1.1.1, 2001:db8::1", "10.0.0.3, 10.0.0.2"]).await;
    assert_eq!((client.is_peer_trusted, client.header.as_deref()), (true, Some("x-forwarded-for")));
    let hops: Vec<_> = client.hops.iter().map(|hop| (hop.text.as_str(), hop.is_trusted)).collect();
    assert_eq!(hops, [("10.0.0.2", true), ("10.0.0.3", true), ("2001:db8::1", false)]);
    assert_eq!((client.end, client.network.as_str()), (StopReason::HopIsNoProxy, "2001:db8::/56"));
    assert_eq!(client.address, "2001:db8::1".parse().ok());

    let client = trace("10.0.0.1", &["1.1.1.1, <script>"]).await;
    assert_eq!(client.end, StopReason::NotAnAddress);
    assert_eq!((client.hops[0].text.as_str(), client.hops[0].address), ("<script>", None));
    assert_eq!(client.address, "10.0.0.1".parse().ok());
    let client = trace("10.0.0.1", &[]).await;
    assert_eq!((client.end, client.hops.len()), (StopReason::NothingLeft, 0));
    let client = trace("192.0.2.1", &["1.1.1.1"]).await;
    assert_eq!((client.end, client.is_peer_trusted), (StopReason::PeerIsNoProxy, false));

    // The explanation must store at most 32 hops, and must read at most 1,024 bytes of the header.
    let client = trace("10.0.0.1", &[&vec!["10.0.0.9"; 1_000].join(",")]).await;
    assert_eq!((client.hops.len(), client.hops_omitted), (32, 1_024 / 9 - 32));
    assert_eq!(client.end, StopReason::TooLong);
    let client = trace("10.0.0.1", &[&"x".repeat(1_000)]).await;
    assert_eq!(client.hops[0].text.len(), 100);
    let client = trace("10.0.0.1", &[&"x".repeat(5_000)]).await;
    assert_eq!((client.hops.len(), client.end), (0, StopReason::TooLong));
}

#[actix_web::test]
async fn explanations_by_key_and_request_have_the_documented_json() {
    let guard = RateGuard::in_memory();
    let app = init_service(App::new().service(endpoints(&guard))).await;
    let explain_limit = async |request: TestRequest, name: &str| {
        let explanation = explain_json(&guard, from_client(1, request), &[name]).await;
        assert_eq!(explanation["version"], 1);
        explanation_of(&explanation, name).clone()
    };
    let limit = explain_limit(uri("/op-denies"), "op-denies").await;
    assert_eq!((&limit["outcome"], &limit["because"]), (&"rejected".into(), &"no_key".into()));
    let limit = explain_limit(uri("/op-part"), "op-part").await;
    assert_eq!((&limit["outcome"], &limit["counted_by"]), (&"decided".into(), &"address".into()));
    let limit = explain_limit(uri("/?ann"), "op-function").await;
    assert_eq!((&limit["counted_by"], &limit["cost"]), (&"key".into(), &2.into()));
    let limit = explain_limit(uri("/?panic"), "op-function").await;
    assert_eq!((&limit["outcome"], &limit["because"]), (&"unknown".into(), &"panicked".into()));
    assert_eq!(limit["passes"], Value::Null);
    let limit = explain_limit(uri("/?free"), "op-skips").await;
    assert_eq!((&limit["outcome"], &limit["because"]), (&"exempt".into(), &"skip".into()));

    // The body of this request selects the client by key.
    let body = json!({"policy": "op-denies", "key": "ann"});
    let by_key = post_json(&app, "explain", &body).await;
    assert_eq!((&by_key["passes"], &by_key["by"]), (&true.into(), &"user".into()));
    assert_eq!(by_key["statuses"][0]["remaining"], 2);
    let explanation = explain(&guard, uri("/?free"), "op-skips").await;
    let json = serde_json::to_value(&explanation).unwrap();
    assert_eq!((&json["version"], &json["passes"]), (&1.into(), &true.into()));
    assert!(explanation.to_string().contains("op-skips"), "{explanation}");
}

#[actix_web::test]
async fn explanation_without_names_covers_all_limits_despite_a_panic() {
    let guard = RateGuard::in_memory();
    let _app = init_service(
        App::new()
            .service((skips, denies, passes, by_function, by_parts))
            .service(web::resource("/generic").to(generic::<String>)),
    )
    .await;
    let explanation = explain_json(&guard, from_client(1, uri("/?panic")), &[]).await;
    assert_eq!(explanation["limits"].as_array().unwrap().len(), guard.inventory().limits().len());
}

#[test]
fn explanation_matches_requests_over_a_socket() {
    let guard = RateGuard::in_memory();
    let server = Server::start(move |config| {
        config.app_data(guard.clone()).service(over_a_socket).service(endpoints(&guard));
    });
    let explain = || {
        let body = json!({"policy": "op-socket", "address": "127.0.0.1"}).to_string();
        let response = server::post(&server.url("/operator/explain"), "application/json", &body);
        assert_eq!(response.status, 200, "{response:?}");
        serde_json::from_str::<Value>(&response.body).unwrap()
    };
    for left in [2, 1] {
        let explanation = explain();
        assert_eq!(
            (&explanation["passes"], &explanation["statuses"][0]["remaining"]),
            (&json!(true), &json!(left))
        );
        assert_eq!(server::get(&server.url("/op-socket")).status, 200);
    }
    let (explanation, response) = (explain(), server::get(&server.url("/op-socket")));
    assert_eq!((&explanation["passes"], response.status), (&json!(false), 429));
    // The request is sent after the explanation. Therefore the wait in the response must not be longer than the wait in
    // the explanation.
    assert!(
        explanation["retry_after_seconds"].as_f64().unwrap().ceil()
            >= response.number("retry-after") as f64
    );
}
