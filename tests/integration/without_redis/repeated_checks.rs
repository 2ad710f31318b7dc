//! Tests requests that pass the same limit several times. The limit counts such a request once.

use actix_rateguard::{
    CheckResult, Limit, MemoryStore, OnError, Penalty, Plan, Policy, RateGuard, RateLimit,
    StoreError, key, rate_limit, test_util::FaultyStore,
};
use actix_web::{
    App, HttpRequest, HttpResponse, Responder,
    dev::ServiceRequest,
    get,
    middleware::{Next, from_fn},
    test::{TestRequest, init_service},
    web,
};

use crate::support::{
    app::{Response, attribute_guard, from_client, get, send, set_attribute_guard, statuses},
    log_lines,
};

async fn ok() -> &'static str {
    "ok"
}

/// Responds with the status from the path, after it has added the penalty from the path.
async fn respond(path: web::Path<(u16, u32)>, penalty: Penalty) -> HttpResponse {
    let (status, units) = path.into_inner();
    penalty.add(units);
    HttpResponse::build(status.try_into().unwrap()).finish()
}

#[get("/attribute")]
#[rate_limit(policy = "search", limiter = attribute_guard())]
async fn attribute(result: CheckResult) -> impl Responder {
    result.into_decision().unwrap().remaining().to_string()
}

/// Returns the remaining units of client 1.
async fn remaining(guard: &RateGuard, name: &str, quotas: &str) -> u32 {
    let client = key::ip().key_of("192.0.2.1").unwrap();
    guard.peek(&Policy::new(name.to_owned(), quotas).unwrap(), &client).await.unwrap().remaining()
}

fn has_each_header_once(response: &Response) -> bool {
    ["x-ratelimit-limit", "ratelimit", "ratelimit-policy"].into_iter().all(|name| {
        let mut values = response.headers.get_all(name);
        let value = values.next().unwrap().to_str().unwrap();
        values.next().is_none() && !value.contains(',')
    })
}

#[actix_web::test]
async fn request_counts_once_under_a_policy_of_application_scope_and_handler() {
    use actix_rateguard::headers::HeaderDialect::{Draft, XRateLimit};

    let policy = Policy::new("search", "3/365d").unwrap();
    let guard = RateGuard::builder().policy(policy).headers([XRateLimit, Draft]).build().unwrap();
    set_attribute_guard(&guard);
    let limit = || RateLimit::new(&guard, Limit::policy("search"));
    let scope = web::scope("").wrap(limit()).service(attribute);
    let app = init_service(App::new().service(scope).wrap(limit())).await;
    for left in [2, 1, 0] {
        let response = get(&app, 1, "/attribute").await;
        assert_eq!((response.status, response.body.parse()), (200, Ok(left)));
        assert!(has_each_header_once(&response), "{response:?}");
    }
    let denied = get(&app, 1, "/attribute").await;
    assert_eq!(denied.status, 429);
    assert!(has_each_header_once(&denied), "{denied:?}");
}

#[actix_web::test]
async fn headers_report_the_last_numbers_of_each_quota_once_if_the_costs_differ() {
    use actix_rateguard::headers::HeaderDialect::{Draft, XRateLimit};

    // Each case has the costs of three checks, from the outermost to the innermost check, and the numbers that are left.
    for (costs, status, left) in [
        ([1, 5, 7], 200, 20),
        ([1, 5, 7], 404, 13),
        ([7, 5, 1], 404, 13),
        ([1, 7, 5], 200, 20),
        ([1, 21, 1], 429, 19),
        ([19, 20, 1], 404, 0),
    ] {
        let guard = RateGuard::builder().headers([XRateLimit, Draft]).build().unwrap();
        let limit = |cost: u32| {
            let limit = Limit::new("20/365d; 90/365d").name("repeated").count("failure");
            RateLimit::new(&guard, limit.cost(move |_: &HttpRequest| cost))
        };
        // The second limit counts every response.
        let other = || Limit::new("50/365d").name("other").key(key::global());
        let [outer, middle, inner] = costs.map(limit);
        let resource = web::resource("/{status}/{penalty}");
        let resource =
            resource.wrap(inner.and(other().cost(3))).wrap(middle).wrap(outer.and(other()));
        let app = init_service(App::new().service(resource.to(respond))).await;
        let response =
            get(&app, 1, &format!("/{}/0", if status == 429 { 200 } else { status })).await;
        assert_eq!(response.status, status, "{costs:?}");
        assert_eq!(response.numbers().unwrap()[1], left, "{costs:?} {status}");
        let policies = response.headers.get("ratelimit-policy").unwrap().to_str().unwrap();
        let names = policies.split(", ").map(|it| it.split_once(';').unwrap().0);
        let names: Vec<_> = names.collect();
        assert_eq!(names, [r#""repeated""#, r#""repeated{2}""#, r#""other""#], "{costs:?}");
        if status != 429 {
            let numbers = response.headers.get("ratelimit").unwrap().to_str().unwrap();
            let numbers: Vec<_> = numbers.split(';').filter(|it| it.starts_with("r=")).collect();
            let expected = [left, left + 70, 47].map(|left| format!("r={left}"));
            assert_eq!(numbers, expected, "{costs:?} {status}");
        }
    }
}

#[actix_web::test]
async fn request_counts_once_under_two_clones_of_a_middleware() {
    let guard = RateGuard::in_memory();
    let limit = RateLimit::new(&guard, Limit::new("2/365d").name("clone"));
    let resource = web::resource("/").wrap(limit.clone()).wrap(limit).to(ok);
    let app = init_service(App::new().service(resource)).await;
    assert_eq!(statuses(&app, 1, "/", 3).await, [200, 200, 429]);
}

#[actix_web::test]
async fn limits_with_other_keys_or_guards_count_separately() {
    let (guard, other) = (RateGuard::in_memory(), RateGuard::in_memory());
    let limit = || Limit::new("9/365d").name("repeated");
    let by_header = limit().key("header:X-User");
    let app = init_service(
        App::new()
            .service(
                web::resource("/")
                    .wrap(RateLimit::new(&guard, by_header))
                    .wrap(RateLimit::new(&other, limit()))
                    .to(ok),
            )
            .wrap(RateLimit::new(&guard, limit())),
    )
    .await;
    let request = from_client(1, TestRequest::get().uri("/").insert_header(("X-User", "ann")));
    assert_eq!(send(&app, request).await.status, 200);
    assert_eq!(remaining(&guard, "repeated", "9/365d").await, 8);
    assert_eq!(remaining(&other, "repeated", "9/365d").await, 8);
    let user = key::header("X-User").key_of("ann").unwrap();
    let policy = Policy::new("repeated", "9/365d").unwrap();
    assert_eq!(guard.peek(&policy, &user).await.unwrap().remaining(), 8);
}

#[actix_web::test]
async fn request_takes_the_highest_cost_of_repeated_checks() {
    for (outer, inner) in [(1, 5), (5, 1), (5, 5)] {
        let guard = RateGuard::in_memory();
        let limit = |cost: u32| {
            let cost = move |_: &HttpRequest| cost;
            RateLimit::new(&guard, Limit::new("12/365d").name("repeated").cost(cost))
        };
        let resource = web::resource("/").wrap(limit(inner)).wrap(limit(outer)).to(ok);
        let app = init_service(App::new().service(resource)).await;
        assert_eq!(statuses(&app, 1, "/", 1).await, [200]);
        assert_eq!(remaining(&guard, "repeated", "12/365d").await, 7, "{outer} {inner}");
    }
}

#[actix_web::test]
async fn cost_above_the_limit_in_a_repeated_check_is_denied_for_ever() {
    let guard = RateGuard::in_memory();
    let limit = |cost: u32| {
        let cost = move |_: &HttpRequest| cost;
        RateLimit::new(&guard, Limit::new("10/365d").name("repeated").cost(cost))
    };
    let resource = web::resource("/").wrap(limit(11)).wrap(limit(1)).to(ok);
    let app = init_service(App::new().service(resource)).await;
    let denied = get(&app, 1, "/").await;
    assert_eq!((denied.status, denied.headers.get("retry-after")), (429, None));
}

#[actix_web::test]
async fn stricter_plan_of_a_repeated_name_applies() {
    let guard = RateGuard::in_memory();
    let limit = |quotas: &'static str| {
        let plan = move |_: &HttpRequest| Plan::of(quotas);
        RateLimit::new(&guard, Limit::plan(plan).name("repeated"))
    };
    let resource = web::resource("/").wrap(limit("4/365d")).wrap(limit("90/365d")).to(ok);
    let app = init_service(App::new().service(resource)).await;
    // The two limits share one count, and each of them counts the request.
    assert_eq!(statuses(&app, 1, "/", 3).await, [200, 200, 429]);
}

#[actix_web::test]
async fn responses_are_offences_only_under_a_rule_for_some_responses() {
    for (outer, inner, status, expected) in [
        ("failure", "all", 200, [200; 4]),
        ("all", "failure", 200, [200; 4]),
        ("failure", "all", 404, [404, 404, 429, 429]),
        ("all", "failure", 404, [404, 404, 429, 429]),
    ] {
        let guard = RateGuard::in_memory();
        let limit = |count: &'static str| {
            let limit = Limit::new("90/365d").name("repeated").ban("2/hour for 1h");
            RateLimit::new(&guard, limit.count(count))
        };
        let resource = web::resource("/{status}/{penalty}");
        let resource = resource.wrap(limit(inner)).wrap(limit(outer)).to(respond);
        let app = init_service(App::new().service(resource)).await;
        let statuses = statuses(&app, 1, &format!("/{status}/0"), 4).await;
        assert_eq!(statuses, expected, "{outer} {inner}");
    }
}

#[actix_web::test]
async fn request_counts_if_one_of_the_repeated_checks_counts_its_response() {
    for (outer, inner, status, counted) in [
        ("failure", "all", 200, 1),
        ("all", "failure", 200, 1),
        ("success", "failure", 200, 1),
        ("failure", "success", 200, 1),
        ("failure", "status:404", 200, 0),
        ("failure", "status:404", 404, 1),
    ] {
        let guard = RateGuard::in_memory();
        let limit = |count: &'static str| {
            RateLimit::new(&guard, Limit::new("9/365d").name("repeated").count(count))
        };
        let resource = web::resource("/{status}/{penalty}");
        let resource = resource.wrap(limit(inner)).wrap(limit(outer)).to(respond);
        let app = init_service(App::new().service(resource)).await;
        assert_eq!(statuses(&app, 1, &format!("/{status}/0"), 1).await, [status]);
        let left = remaining(&guard, "repeated", "9/365d").await;
        assert_eq!(left, 9 - counted, "{outer} {inner} {status}");
    }
}

#[actix_web::test]
async fn response_is_one_offence_if_the_costs_of_repeated_checks_differ() {
    for (outer, inner) in [(1, 2), (2, 1)] {
        let guard = RateGuard::in_memory();
        let limit = |cost: u32| {
            let limit = Limit::new("100/365d").name("repeated").ban("4/hour for 15m");
            RateLimit::new(&guard, limit.cost(cost).count("status:401"))
        };
        let resource = web::resource("/{status}/{penalty}");
        let resource = resource.wrap(limit(inner)).wrap(limit(outer)).to(respond);
        let app = init_service(App::new().service(resource)).await;
        for left in [98, 96, 94, 0] {
            let response = get(&app, 1, "/401/0").await;
            let remaining = response.numbers().unwrap()[1];
            assert_eq!((response.status, remaining), (401, left), "{outer} {inner}");
        }
        assert_eq!(statuses(&app, 1, "/401/0", 1).await, [429], "{outer} {inner}");
    }
}

#[actix_web::test]
async fn request_keeps_the_highest_cost_of_the_repeated_checks_that_count_the_response() {
    // Each case has the cost and the rule of three checks, from the outermost to the innermost check.
    for (checks, status, counted) in [
        ([(1, "failure"), (5, "failure"), (5, "all")], 200, 5),
        ([(1, "failure"), (5, "failure"), (3, "all")], 200, 3),
        ([(1, "all"), (5, "failure"), (3, "failure")], 200, 1),
        ([(1, "failure"), (5, "failure"), (3, "all")], 404, 5),
        ([(1, "failure"), (5, "failure"), (7, "failure")], 200, 0),
        ([(2, "failure"), (5, "success"), (7, "failure")], 200, 5),
        ([(5, "failure"), (3, "all"), (7, "failure")], 200, 3),
        ([(5, "failure"), (3, "all"), (4, "success")], 200, 4),
    ] {
        for is_in_shadow in [false, true] {
            let guard = RateGuard::in_memory();
            let [outer, middle, inner] = checks.map(|(cost, count)| {
                let limit = Limit::new("20/365d").name("repeated").cost(cost).count(count);
                RateLimit::new(&guard, if is_in_shadow { limit.shadow() } else { limit })
            });
            let resource = web::resource("/{status}/{penalty}");
            let resource = resource.wrap(inner).wrap(middle).wrap(outer).to(respond);
            let app = init_service(App::new().service(resource)).await;
            assert_eq!(statuses(&app, 1, &format!("/{status}/0"), 1).await, [status]);
            let left = remaining(&guard, "repeated", "20/365d").await;
            assert_eq!(20 - left, counted, "{checks:?} {status} {is_in_shadow}");
        }
    }
}

#[actix_web::test]
async fn penalty_is_charged_once_to_repeated_limits_in_shadow_and_to_the_next_enforced_limit() {
    let guard = RateGuard::in_memory();
    let limit = |name: &'static str| Limit::new("90/365d").name(name);
    let trial = |cost: u32| RateLimit::new(&guard, limit("trial").shadow().cost(cost));
    let enforced = |name| RateLimit::new(&guard, limit(name));
    let resource = web::resource("/{status}/{penalty}").wrap(trial(3)).wrap(trial(1));
    let resource = resource.wrap(enforced("next")).wrap(trial(1)).wrap(enforced("outer"));
    let app = init_service(App::new().service(resource.to(respond))).await;
    let response = get(&app, 1, "/200/4").await;
    assert_eq!((response.status, response.numbers().unwrap()[1]), (200, 85));
    for (name, left) in [("trial", 83), ("next", 85), ("outer", 89)] {
        assert_eq!(remaining(&guard, name, "90/365d").await, left, "{name}");
    }
}

#[actix_web::test]
async fn penalty_is_charged_once_to_limits_of_repeated_checks() {
    let guard = RateGuard::in_memory();
    let limit = |name: &'static str| Limit::new("90/365d").name(name);
    let app = init_service(
        App::new()
            .service(
                web::resource("/{status}/{penalty}")
                    .wrap(RateLimit::new(&guard, limit("repeated")).and(limit("inner")))
                    .to(respond),
            )
            .wrap(RateLimit::new(&guard, limit("repeated")).and(limit("outer"))),
    )
    .await;
    let response = get(&app, 1, "/200/4").await;
    assert_eq!((response.status, response.numbers().unwrap()[1]), (200, 85));
    for (name, left) in [("repeated", 85), ("inner", 85), ("outer", 89)] {
        assert_eq!(remaining(&guard, name, "90/365d").await, left, "{name}");
    }
}

#[actix_web::test]
async fn penalty_is_charged_if_the_extra_cost_of_a_repeated_check_fails_open() {
    let store = FaultyStore::new(MemoryStore::new());
    let guard = RateGuard::builder().store(store.clone()).build().unwrap();
    let limit = |cost: u32| {
        let limit = Limit::new("90/365d").name("repeated").on_error(OnError::Open);
        RateLimit::new(&guard, limit.cost(cost))
    };
    let repair = async |store: web::Data<FaultyStore>, penalty: Penalty| {
        store.work();
        penalty.add(4);
        "ok"
    };
    let data = web::Data::new(store.clone());
    let breaks_store = from_fn(move |request: ServiceRequest, next: Next<_>| {
        store.fail(StoreError::Unreachable(None));
        next.call(request)
    });
    let resource = web::resource("/").wrap(limit(3)).wrap(breaks_store).wrap(limit(1)).to(repair);
    let app = init_service(App::new().app_data(data).service(resource)).await;
    let response = get(&app, 1, "/").await;
    assert_eq!((response.status, response.numbers().unwrap()[1]), (200, 85));
    assert_eq!(remaining(&guard, "repeated", "90/365d").await, 85);
}

#[actix_web::test]
async fn request_counts_once_under_repeated_limits_in_shadow() {
    let guard = RateGuard::in_memory();
    let limit = || RateLimit::new(&guard, Limit::new("90/365d").name("repeated").shadow());
    let resource = web::resource("/{status}/{penalty}").wrap(limit()).wrap(limit()).to(respond);
    let app = init_service(App::new().service(resource)).await;
    assert_eq!(statuses(&app, 1, "/200/4", 1).await, [200]);
    assert_eq!(remaining(&guard, "repeated", "90/365d").await, 85);
}

#[actix_web::test]
async fn repeated_check_with_a_stricter_failure_mode_rejects() {
    let store = FaultyStore::new(MemoryStore::new());
    let guard = RateGuard::builder().store(store.clone()).build().unwrap();
    let limit = |mode: OnError| {
        RateLimit::new(&guard, Limit::new("9/365d").name("repeated").on_error(mode))
    };
    let resource = web::resource("/").wrap(limit(OnError::Closed)).wrap(limit(OnError::Open));
    let app = init_service(App::new().service(resource.to(ok))).await;
    store.fail(StoreError::Unreachable(None));
    assert_eq!(statuses(&app, 1, "/", 1).await, [503]);
}

#[actix_web::test]
async fn scopes_that_share_a_limit_without_a_name_are_reported_once() {
    log_lines::collect();
    let guard = RateGuard::in_memory();
    let unnamed = || RateLimit::new(&guard, "9/365d");
    let line = line!() - 1;
    let named = || RateLimit::new(&guard, Limit::new("9/365d").name("named"));
    let messages = || log_lines::with(&format!("repeated_checks.rs:{line}:"));
    let scope = |path: &str, limit: RateLimit, name: RateLimit| {
        web::scope(path).wrap(limit).wrap(name).route("", web::get().to(ok))
    };
    // The first two applications have the limit only once each, like two workers.
    for _ in 0..2 {
        let app = init_service(App::new().service(scope("/a", unnamed(), named()))).await;
        assert_eq!(statuses(&app, 1, "/a", 2).await, [200, 200]);
        assert_eq!(messages(), [""; 0]);
    }
    let scopes = ["/a", "/b", "/c"].map(|path| scope(path, unnamed(), named()));
    let app = init_service(App::new().service(scopes.into_iter().collect::<Vec<_>>())).await;
    for path in ["/a", "/b", "/c", "/b"] {
        assert_eq!(statuses(&app, 1, path, 1).await, [200]);
    }
    let [message] = &*messages() else { panic!("{:?}", messages()) };
    assert!(message.starts_with("WARN the limit at "), "{message}");
    assert!(message.contains("share its counts as `app`"), "{message}");
    assert!(message.contains("`.name(\"…\")`"), "{message}");
}
