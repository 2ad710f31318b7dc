//! Which limits there are for a request, whose it is, and why.

use actix_web::{
    App, HttpMessage, HttpRequest, error::ErrorImATeapot, get, test::TestRequest,
    test::init_service, web,
};
use rateguard::{
    AccessList, Caller, ClientAddress, CountedBy, Exemption, Explanation, Key, Outcome, Plan,
    Policy, RateGuard, RateLimit, RefusedBy, UserId, WalkEnd, WhyUnknown, key, rate_limit,
};
use serde_json::{Value, json};

use super::{endpoints, of_limit, post, told};
use crate::support::{
    app::{from_client, get as get_of},
    redis_server::RedisServer,
    server::{self, Server},
};

#[get("/op-skips")]
#[rate_limit(rate = "2/minute", name = "op-skips", methods = "GET", skip = |request: &HttpRequest| request.query_string() == "free")]
async fn skips() -> &'static str {
    "ok"
}

#[get("/op-denies")]
#[rate_limit(rate = "2/minute", key = "user", missing = "deny", name = "op-denies")]
async fn denies() -> &'static str {
    "ok"
}

#[get("/op-passes")]
#[rate_limit(rate = "2/minute", key = "user", missing = "skip", name = "op-passes")]
async fn passes() -> &'static str {
    "ok"
}

async fn looked_up(request: &HttpRequest) -> Result<Caller, actix_web::Error> {
    actix_web::rt::task::yield_now().await;
    Ok(match request.query_string() {
        "exempt" => Caller::Exempt,
        "teapot" => return Err(ErrorImATeapot("short and stout")),
        "nobody" => Caller::Unknown,
        "panic" => panic!("as if the application's data were missing"),
        other => Caller::Known(Key::from(other)),
    })
}

#[get("/op-function")]
#[rate_limit(quota = |request: &HttpRequest| request.headers().get("X-Unlimited").map_or(Plan::of("2/minute; 5/hour"), |_| Plan::Unlimited), key = looked_up, cost = |request: &HttpRequest| if request.query_string() == "costly" { 9 } else { 2 }, name = "op-function")]
async fn by_function() -> &'static str {
    "ok"
}

#[rate_limit(rate = "2/minute", key = by_type::<T>, name = "op-generic")]
async fn generic<T: Default + 'static>() -> &'static str {
    let _ = T::default();
    "ok"
}

fn by_type<T>(_: &HttpRequest) -> &'static str {
    std::any::type_name::<T>()
}

#[get("/op-part")]
#[rate_limit(rate = "2/minute", key = "path:id+session:who", name = "op-part")]
async fn by_parts() -> &'static str {
    "ok"
}

#[get("/op-socket")]
#[rate_limit(rate = "2/hour", name = "op-socket")]
async fn over_a_socket() -> &'static str {
    "ok"
}

#[get("/op-twice-a")]
#[rate_limit(rate = "2/minute", name = "op-twice")]
async fn twice_a() -> &'static str {
    "ok"
}

#[get("/op-twice-b")]
#[rate_limit(rate = "3/minute", name = "op-twice")]
async fn twice_b() -> &'static str {
    "ok"
}

async fn explained(guard: &RateGuard, request: TestRequest, name: &str) -> Explanation {
    guard.explain_request(&from_client(1, request).to_http_request(), &[name]).await
}

async fn outcome(guard: &RateGuard, request: TestRequest, name: &str) -> Outcome {
    let explanation = explained(guard, request, name).await;
    assert_eq!(explanation.limits().len(), 1, "{name}: {explanation}");
    explanation.limits()[0].outcome.clone()
}

fn uri(uri: &str) -> TestRequest {
    TestRequest::with_uri(uri)
}

#[actix_web::test]
async fn what_frees_a_request_and_what_refuses_it_is_told() {
    let guard = RateGuard::in_memory();
    let of = async |request, name| outcome(&guard, request, name).await;
    let exempt = |why| Outcome::Exempt(why);
    assert_eq!(of(uri("/?free"), "op-skips").await, exempt(Exemption::Skip));
    assert_eq!(of(TestRequest::post(), "op-skips").await, exempt(Exemption::Method));
    assert_eq!(of(uri("/"), "op-passes").await, exempt(Exemption::NoKey));
    assert_eq!(of(uri("/?exempt"), "op-function").await, exempt(Exemption::KeyFunction));
    let unlimited = uri("/?ann").insert_header(("X-Unlimited", "1"));
    assert_eq!(of(unlimited, "op-function").await, exempt(Exemption::Plan));
    let refused = |by| Outcome::Refused(by);
    assert_eq!(of(uri("/"), "op-denies").await, refused(RefusedBy::NoKey));
    assert_eq!(of(uri("/?teapot"), "op-function").await, refused(RefusedBy::Function(418)));
    assert_eq!(of(uri("/?panic"), "op-function").await, Outcome::Unknown(WhyUnknown::Panicked));
    assert_eq!(of(uri("/"), "op-generic").await, Outcome::Unknown(WhyUnknown::InHandler));

    let explanation = explained(&guard, uri("/?nobody"), "op-function").await;
    let limit = &explanation.limits()[0];
    assert_eq!((limit.counted_by, limit.cost), (Some(CountedBy::Address), Some(2)));
    let explanation = explained(&guard, uri("/?ann"), "op-function").await;
    let limit = &explanation.limits()[0];
    assert_eq!((limit.counted_by, limit.is_guess), (Some(CountedBy::Key), false));
    assert_eq!(limit.outcome.decision().unwrap().standings().len(), 2);
    assert_eq!(explanation.passes(), Some(true));
    let costly = of(uri("/?costly"), "op-function").await;
    assert!(costly.decision().unwrap().is_too_costly());
    assert_eq!((costly.passes(), costly.retry_after()), (Some(false), None));
}

#[actix_web::test]
async fn of_two_limits_of_one_name_the_second_is_told_to_refuse_as_it_does() {
    let guard = RateGuard::in_memory();
    let app =
        init_service(App::new().app_data(guard.clone()).service(twice_a).service(twice_b)).await;
    let outcomes = async || {
        let explanation = explained(&guard, uri("/"), "op-twice").await;
        assert_eq!(explanation.limits().len(), 2, "{explanation}");
        let mut outcomes: Vec<_> =
            explanation.limits().iter().map(|it| (it.limit.line, it.outcome.clone())).collect();
        outcomes.sort_by_key(|(line, _)| *line);
        outcomes.into_iter().map(|(_, outcome)| outcome).collect::<Vec<_>>()
    };
    // Who comes first has the name. To be explained is not to come.
    assert!(outcomes().await.iter().all(|it| it.passes() == Some(true)));
    assert_eq!(get_of(&app, 1, "/op-twice-b").await.status, 200);
    assert_eq!(get_of(&app, 1, "/op-twice-a").await.status, 500);
    let [of_a, of_b] = &outcomes().await[..] else { panic!("there are two") };
    assert_eq!(*of_a, Outcome::Refused(RefusedBy::NameConflict));
    assert_eq!(of_b.decision().unwrap().remaining(), 2);
}

#[actix_web::test]
async fn all_limits_are_explained_however_few_may_ask_at_once() {
    let server = RedisServer::start();
    let settings = server.settings("op").max_in_flight(16).for_attributes(false);
    let guard = settings.build().unwrap();
    let all = |config: &mut web::ServiceConfig| {
        for number in 0..40 {
            let limit = RateLimit::new(&guard, "2/minute").name(format!("op-many-{number}"));
            config.service(web::resource(format!("/{number}")).wrap(limit).to(async || "ok"));
        }
    };
    let _app = init_service(App::new().configure(all)).await;
    let request = from_client(1, TestRequest::get()).to_http_request();
    let explanation = guard.explain_request(&request, &[]).await;
    assert_eq!(explanation.limits().len(), 40);
    assert_eq!(explanation.passes(), Some(true), "{explanation}");
    // In the order of the inventory.
    let known = guard.inventory();
    let names = known.limits().iter().map(|limit| &limit.name);
    assert!(explanation.limits().iter().map(|it| &it.limit.name).eq(names));
}

#[actix_web::test]
async fn lists_and_preflights_are_told_as_they_are_enforced() {
    let list = AccessList::new()
        .allow_addresses(["192.0.2.1"])
        .and_then(|list| list.deny_addresses(["192.0.2.2"]))
        .unwrap()
        .allow_keys(key::user().key_of("friend"))
        .deny_keys(key::user().key_of("foe"));
    let guard = RateGuard::builder().access(list).for_attributes(false).build().unwrap();
    let limit = RateLimit::new(&guard, "2/minute").by(key::user()).name("op-lists");
    let _app = init_service(App::new().wrap(limit)).await;
    let of = async |client, user: &str| {
        let request = from_client(client, TestRequest::get()).to_http_request();
        request.extensions_mut().insert(UserId::new(user));
        let explanation = guard.explain_request(&request, &[]).await;
        explanation.limits()[0].outcome.clone()
    };
    assert_eq!(of(1, "foe").await, Outcome::Exempt(Exemption::AddressAllowed));
    assert_eq!(of(2, "friend").await, Outcome::Refused(RefusedBy::AddressDenied));
    assert_eq!(of(3, "friend").await, Outcome::Exempt(Exemption::KeyAllowed));
    assert_eq!(of(3, "foe").await, Outcome::Refused(RefusedBy::KeyDenied));
    assert!(of(3, "ann").await.decision().is_some());
    let policy = Policy::new("x", "1/minute").unwrap();
    let of_key = async |user| guard.explain(&policy, &key::user().key_of(user).unwrap()).await;
    assert_eq!(of_key("friend").await, Outcome::Exempt(Exemption::KeyAllowed));
    assert_eq!(of_key("foe").await, Outcome::Refused(RefusedBy::KeyDenied));

    let operator = init_service(App::new().service(endpoints(&guard))).await;
    for (address, outcome, because) in [
        ("192.0.2.1", "exempt", json!("address_allowed")),
        ("::ffff:192.0.2.2", "refused", json!("address_denied")),
        ("192.0.2.3", "decided", Value::Null),
    ] {
        let body = json!({"policy": "op-lists", "by": "ip", "address": address});
        let told = told(&operator, "explain", &body).await;
        assert_eq!((&told["outcome"], &told["because"]), (&json!(outcome), &because));
    }

    let preflight = TestRequest::with_uri("/")
        .method(actix_web::http::Method::OPTIONS)
        .insert_header(("Origin", "x"))
        .insert_header(("Access-Control-Request-Method", "GET"));
    let request = from_client(3, preflight).to_http_request();
    let explanation = guard.explain_request(&request, &[]).await;
    assert_eq!(explanation.limits()[0].outcome, Outcome::Exempt(Exemption::Preflight));
}

#[actix_web::test]
async fn a_middleware_that_no_longer_runs_is_not_guessed() {
    let guard = RateGuard::builder().for_attributes(false).build().unwrap();
    let limit = RateLimit::new(&guard, "2/minute").name("op-gone");
    drop(init_service(App::new().wrap(limit)).await);
    let request = TestRequest::get().to_http_request();
    let explanation = guard.explain_request(&request, &[]).await;
    assert_eq!(explanation.limits()[0].outcome, Outcome::Unknown(WhyUnknown::NotRunning));
    assert_eq!(explanation.passes(), None);
}

#[actix_web::test]
async fn the_way_to_the_client_is_told_hop_by_hop() {
    let rule = ClientAddress::behind(["10.0.0.0/8"]).unwrap().ipv6_prefix(56).unwrap();
    let guard = RateGuard::builder().client_address(rule).for_attributes(false).build().unwrap();
    let walk = async |peer: &str, lines: &[&str]| {
        let request = TestRequest::get().peer_addr(format!("{peer}:1").parse().unwrap());
        let request = lines
            .iter()
            .fold(request, |request, line| request.append_header(("X-Forwarded-For", *line)));
        guard.explain_request(&request.to_http_request(), &[]).await.client().clone()
    };
    let told = walk("10.0.0.1", &["1.1.1.1, 2001:db8::1", "10.0.0.3, 10.0.0.2"]).await;
    assert_eq!((told.is_peer_trusted, told.header.as_deref()), (true, Some("x-forwarded-for")));
    let hops: Vec<_> = told.hops.iter().map(|hop| (hop.text.as_str(), hop.is_trusted)).collect();
    assert_eq!(hops, [("10.0.0.2", true), ("10.0.0.3", true), ("2001:db8::1", false)]);
    assert_eq!((told.end, told.network.as_str()), (WalkEnd::HopIsNoProxy, "2001:db8::/56"));
    assert_eq!(told.address, "2001:db8::1".parse().ok());

    let told = walk("10.0.0.1", &["1.1.1.1, <script>"]).await;
    assert_eq!(told.end, WalkEnd::NotAnAddress);
    assert_eq!((told.hops[0].text.as_str(), told.hops[0].address), ("<script>", None));
    assert_eq!(told.address, "10.0.0.1".parse().ok());
    let told = walk("10.0.0.1", &[]).await;
    assert_eq!((told.end, told.hops.len()), (WalkEnd::NothingLeft, 0));
    let told = walk("192.0.2.1", &["1.1.1.1"]).await;
    assert_eq!((told.end, told.is_peer_trusted), (WalkEnd::PeerIsNoProxy, false));

    // However long it is, what is kept of it is not.
    let told = walk("10.0.0.1", &[&vec!["10.0.0.9"; 1_000].join(",")]).await;
    assert_eq!((told.hops.len(), told.hops_left_out), (32, 1_024 / 9 - 32));
    assert_eq!(told.end, WalkEnd::TooLong);
    let told = walk("10.0.0.1", &[&"x".repeat(1_000)]).await;
    assert_eq!(told.hops[0].text.len(), 100);
    let told = walk("10.0.0.1", &[&"x".repeat(5_000)]).await;
    assert_eq!((told.hops.len(), told.end), (0, WalkEnd::TooLong));
}

#[actix_web::test]
async fn a_described_request_is_explained_and_what_it_lacks_is_said() {
    let guard = RateGuard::in_memory();
    let app = init_service(App::new().service(endpoints(&guard))).await;
    let ask = async |request: Value, name: &str| {
        let body = json!({ "request": request, "limits": [name] });
        let told = told(&app, "explain", &body).await;
        assert_eq!(told["version"], 1);
        of_limit(&told, name).clone()
    };
    let of = ask(json!({"path": "/op-denies", "peer": "192.0.2.1"}), "op-denies").await;
    assert_eq!((&of["outcome"], &of["because"]), (&"unknown".into(), &"key_parts".into()));
    assert_eq!((&of["unknown_parts"], &of["passes"]), (&json!(["user"]), &Value::Null));
    let request = json!({"path": "/op-denies", "peer": "192.0.2.1:80", "user": "ann"});
    let of = ask(request, "op-denies").await;
    assert_eq!((&of["outcome"], &of["passes"]), (&"decided".into(), &true.into()));
    assert_eq!((&of["counted_by"], &of["is_guess"]), (&"key".into(), &false.into()));
    let of =
        ask(json!({"path": "/", "peer": "unix", "path_parameters": {"id": "7"}}), "op-part").await;
    assert_eq!(of["unknown_parts"], json!(["session:who"]));
    let of = ask(json!({"path": "/", "peer": "unix"}), "op-part").await;
    assert_eq!(of["unknown_parts"], json!(["path:id", "session:who"]));
    let of = ask(json!({"path": "/?ann", "peer": "unix"}), "op-function").await;
    assert_eq!((&of["is_guess"], &of["cost"]), (&true.into(), &2.into()));
    let of = ask(json!({"path": "/?panic", "peer": "unix"}), "op-function").await;
    assert_eq!((&of["outcome"], &of["because"]), (&"unknown".into(), &"panicked".into()));
    let of = ask(json!({"path": "/?free", "peer": "unix", "method": "GET"}), "op-skips").await;
    assert_eq!((&of["outcome"], &of["because"]), (&"exempt".into(), &"skip".into()));

    // Somebody by key.
    let body = json!({"policy": "op-denies", "key": "ann"});
    let told = told(&app, "explain", &body).await;
    assert_eq!((&told["passes"], &told["by"]), (&true.into(), &"user".into()));
    assert_eq!(told["standings"][0]["remaining"], 2);
    // The explanation of a real request is written in the same way.
    let explanation = explained(&guard, uri("/?free"), "op-skips").await;
    let written = serde_json::to_value(&explanation).unwrap();
    assert_eq!((&written["version"], &written["passes"]), (&1.into(), &true.into()));
    assert!(explanation.to_string().contains("op-skips"), "{explanation}");
}

#[actix_web::test]
async fn without_names_all_limits_are_explained_whatever_their_functions_do() {
    let guard = RateGuard::in_memory();
    let app = init_service(
        App::new()
            .service(endpoints(&guard))
            .service((skips, denies, passes, by_function, by_parts))
            .service(web::resource("/generic").to(generic::<String>)),
    )
    .await;
    let body = json!({"request": {"path": "/?panic", "peer": "192.0.2.1"}});
    let answer = post(&app, "explain", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let told = super::parsed(&answer);
    assert_eq!(told["limits"].as_array().unwrap().len(), guard.inventory().limits().len());
}

#[test]
fn over_a_socket_it_is_the_client_at_the_other_end() {
    let guard = RateGuard::in_memory();
    let server = Server::start(move |config| {
        config.app_data(guard.clone()).service(over_a_socket).service(endpoints(&guard));
    });
    let explain = || {
        let body = json!({"policy": "op-socket", "address": "127.0.0.1"}).to_string();
        let answer = server::post(&server.url("/operator/explain"), "application/json", &body);
        assert_eq!(answer.status, 200, "{answer:?}");
        serde_json::from_str::<Value>(&answer.body).unwrap()
    };
    for left in [2, 1] {
        let told = explain();
        assert_eq!(
            (&told["passes"], &told["standings"][0]["remaining"]),
            (&json!(true), &json!(left))
        );
        assert_eq!(server::get(&server.url("/op-socket")).status, 200);
    }
    let (told, answer) = (explain(), server::get(&server.url("/op-socket")));
    assert_eq!((&told["passes"], answer.status), (&json!(false), 429));
    // Time passes between them.
    assert!(
        told["retry_after_seconds"].as_f64().unwrap().ceil() >= answer.number("retry-after") as f64
    );
}
