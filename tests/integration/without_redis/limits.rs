//! Tests the limits that are passed to a middleware. The settings of a limit must apply only to this limit. If a
//! limit has several errors, the middleware must report the first error.

use std::panic::{AssertUnwindSafe, catch_unwind};

use actix_rateguard::{
    Ban, Count, Limit, MemoryStore, MissingKey, OnError, Plan, Policy, Quota, Quotas, RateGuard,
    RateLimit, StoreError, error::LimitError, key, test_util::FaultyStore,
};
use actix_web::{
    App, HttpRequest, HttpResponse,
    http::Method,
    test::{TestRequest, init_service},
    web,
};

use crate::support::app::{from_client, get, send};

fn guard() -> RateGuard {
    let search = Policy::new("search", "3/minute").unwrap();
    RateGuard::builder().policy(search).for_attributes(false).build().unwrap()
}

/// Returns invalid limits, each with the start of the expected message.
fn invalid_limits() -> Vec<(Limit, &'static str)> {
    let limit = || Limit::new("5/minute").name("api");
    let by_policy = || Limit::policy("search");
    vec![
        (
            Limit::new("5/minut"),
            "the limit without a name: unknown unit of time `minut`; did you mean",
        ),
        (
            Limit::new("0/minute").name("api"),
            "limit `api`: expected a limit that is a whole number",
        ),
        (Limit::from("five"), "the limit without a name: expected a rate such as"),
        (
            Limit::new("5/minute").name("a b"),
            "`name` of the limit without a name: expected a name of 1 to 200",
        ),
        (
            limit().key("headr:X"),
            "`key` of limit `api`: unknown key `headr:X`; did you mean `header:X`?",
        ),
        (limit().missing_key("403"), "`missing_key` of limit `api`: expected \"ip\""),
        (limit().count("401"), "`count` of limit `api`: expected one of \"all\", \"success\""),
        (limit().methods("post"), "`methods` of limit `api`: expected methods in capital letters"),
        (limit().ban("5 for 1m"), "`ban` of limit `api`: expected a rate such as"),
        (limit().candidate("3"), "`candidate` of limit `api`: expected a rate such as"),
        (limit().on_error("close"), "`on_error` of limit `api`: expected \"open\" (admit)"),
        (
            limit().candidate("3/minute").shadow(),
            "`candidate` of limit `api`: a policy in shadow cannot have a candidate",
        ),
        (limit().rollout(50), "`rollout` of limit `api`: expected a rollout from 0 to 100 percent"),
        (
            limit().candidate("3/minute").rollout(101),
            "`rollout` of limit `api`: expected a rollout from 0 to 100 percent",
        ),
        (limit().cost(6), "limit `api` allows a maximum cost of 5, but each request costs 6"),
        (
            limit().candidate("3/minute").cost(4),
            "limit `api` allows a maximum cost of 3, but each request costs 4",
        ),
        (limit().cost(0), "`cost` of limit `api`: expected at least 1, found 0"),
        (
            limit().methods([]),
            "`methods` of limit `api`: expected at least one method, found an empty",
        ),
        (by_policy().cost(4), "limit `search` allows a maximum cost of 3, but each request"),
        (
            Limit::policy("searhc"),
            "the guard has no policy named `searhc`, which the middleware uses; did you mean `search`? expected one of `search`. Add",
        ),
        (
            Limit::policy(""),
            "the guard has no policy named ``, which the middleware uses; expected one of `search`. Add",
        ),
        (
            by_policy().name("a"),
            "`name` of limit `search`: the policy `search` already sets this; remove `name`",
        ),
        (
            by_policy().ban("5/hour for 1m"),
            "`ban` of limit `search`: the policy `search` already sets this; remove `ban`",
        ),
        (
            by_policy().shadow(),
            "`shadow` of limit `search`: the policy `search` already sets this; remove `shadow`",
        ),
        (
            by_policy().candidate("2/minute"),
            "`candidate` of limit `search`: the policy `search` already sets this; remove",
        ),
        (
            by_policy().rollout(5),
            "`rollout` of limit `search`: the policy `search` already sets this; remove",
        ),
        (
            by_policy().on_error("open"),
            "`on_error` of limit `search`: the policy `search` already sets this; remove",
        ),
        (
            Limit::new("5/minute").name("search"),
            "two limits are named `search` but have different quotas: 3/minute in the policies of the guard, and 5/minute",
        ),
        (
            Limit::plan(|_: &HttpRequest| Plan::Unlimited).name(""),
            "`name` of the limit without a name: expected",
        ),
    ]
}

/// Returns the message without the place of the limit in this file.
fn without_place(message: &str) -> String {
    let mut parts = message.split(" at tests/integration/without_redis/limits.rs:");
    let mut text = parts.next().unwrap().to_owned();
    for part in parts {
        let has_no_digit = |it: char| !it.is_ascii_digit();
        let part = part.trim_start_matches(|it: char| it.is_ascii_digit());
        // A conflict also has the column.
        let part = match part.strip_prefix(':') {
            Some(column) if column.starts_with(|it: char| it.is_ascii_digit()) => {
                &column[column.find(has_no_digit).unwrap_or(column.len())..]
            }
            _ => part,
        };
        text.push_str(part);
    }
    text
}

#[test]
fn invalid_limit_is_an_error_that_names_it() {
    let guard = guard();
    for (limit, expected) in invalid_limits() {
        let error = RateLimit::try_new(&guard, limit.clone()).unwrap_err();
        assert!(without_place(&error.to_string()).starts_with(expected), "{error}");
        assert!(
            error.to_string().contains(" at tests/integration/without_redis/limits.rs:"),
            "{error}"
        );
        assert_eq!(format!("{error:?}"), error.to_string());
        // An invalid limit must also cause this error if a valid limit precedes it.
        let after_other = RateLimit::new(&guard, Limit::new("9/minute").name("other"));
        let message = after_other.clone().try_and(limit.clone()).unwrap_err().to_string();
        assert_eq!(without_place(&message), without_place(&error.to_string()));
        // The methods `new` and `and` cannot return the error. They must panic with the same message.
        let panics: [&dyn Fn() -> RateLimit; 2] =
            [&|| RateLimit::new(&guard, limit.clone()), &|| after_other.clone().and(limit.clone())];
        for panic in panics {
            let panic = catch_unwind(AssertUnwindSafe(panic)).unwrap_err();
            let panic = panic.downcast_ref::<String>().unwrap();
            assert_eq!(without_place(panic), without_place(&error.to_string()));
        }
    }
}

#[test]
fn later_error_does_not_replace_the_first_one() {
    let limit = Limit::new("5/minute").count("never").key("nothing").ban("never").name("a b");
    let limit = limit.candidate("none").count(Count::All).rollout(7).on_error("never");
    let error = RateLimit::try_new(&guard(), limit).unwrap_err();
    let text = without_place(&error.to_string());
    assert!(text.starts_with("`count` of the limit without a name: "), "{error}");
    let error =
        RateLimit::try_new(&guard(), Limit::new("5").ban("never").name("late")).unwrap_err();
    assert_eq!(error.limit(), "late");
    let text = without_place(&error.to_string());
    assert!(text.starts_with("limit `late`: expected a rate"), "{error}");
}

#[test]
fn two_limits_of_one_name_in_a_middleware_are_an_error() {
    let middleware = RateLimit::new(&guard(), Limit::new("5/minute").name("api"));
    let error = middleware.try_and(Limit::new("5/minute").name("api")).unwrap_err();
    assert_eq!(
        without_place(&error.to_string()),
        "two limits of the middleware are named `api`; give each its own name"
    );
}

#[actix_web::test]
async fn conflict_with_another_middleware_is_an_error() {
    let guard = guard();
    let create = |limit| -> Result<RateLimit, LimitError> { RateLimit::try_new(&guard, limit) };
    let named = |quotas: &str| Limit::new(quotas).name("api");
    let first = create(named("5/minute")).unwrap();
    let expect_conflict = || {
        let error = create(named("6/minute")).unwrap_err().to_string();
        let start = "two limits are named `api` but have different quotas";
        assert!(error.starts_with(start), "{error}");
    };
    expect_conflict();
    init_service(App::new().wrap(first)).await;
    expect_conflict();
    assert!(create(named("5/minute")).is_ok(), "limits with the same settings share their counts");
}

#[test]
fn order_of_settings_does_not_matter() {
    let limit = Limit::new("5/minute").rollout(50).candidate("3/minute").name("api");
    assert!(RateLimit::try_new(&guard(), limit).is_ok());
}

#[test]
fn key_in_notation_returns_an_error_instead_of_a_panic() {
    for (text, expected) in [
        ("header:X Api", "expected the name of a header"),
        ("ip/24", "expected an IPv6 prefix length"),
        ("cookie:", "expected the name of a cookie"),
        ("user+user", "duplicate part in key `user+user`"),
    ] {
        let error: key::KeyError = text.parse::<key::BuiltinKey>().unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
        assert_eq!(format!("{error:?}"), error.to_string());
    }
    let key: key::BuiltinKey = "user".parse().unwrap();
    assert_eq!(key.key_of("42"), key::user().key_of("42"));
}

#[actix_web::test]
async fn text_and_typed_settings_have_the_same_effect() {
    let faults = FaultyStore::new(MemoryStore::new());
    let guard = RateGuard::builder().store(faults.clone()).for_attributes(false).build().unwrap();
    let quotas: Quotas = "2/365d".parse().unwrap();
    let ban: Ban = "2/365d for 90d".parse().unwrap();
    let text = Limit::new("2/365d")
        .key("header:X-User+path:tenant")
        .missing_key("deny")
        .count("failure")
        .methods("POST, PUT")
        .ban("2/365d for 90d")
        .candidate("1/365d")
        .on_error("closed")
        .name("text");
    let typed = Limit::new(quotas)
        .key(key::header("X-User").and(key::path("tenant")))
        .missing_key(MissingKey::Deny)
        .count(Count::Failure)
        .methods([Method::POST, Method::PUT])
        .ban(ban)
        .candidate("1/365d".parse::<Quota>().unwrap())
        .on_error(OnError::Closed)
        .name("typed");
    let status_of =
        |path: web::Path<(String, u16)>| HttpResponse::build(path.1.try_into().unwrap()).finish();
    let status_of = move |path| std::future::ready(status_of(path));
    let resource = |name: &str, limit: Limit| {
        web::resource(format!("/{name}/{{tenant}}/{{status}}"))
            .wrap(RateLimit::new(&guard, limit))
            .to(status_of)
    };
    let app = App::new().service((resource("text", text), resource("typed", typed)));
    let app = init_service(app).await;
    let mut traces = Vec::new();
    for name in ["text", "typed"] {
        faults.work();
        let mut trace = Vec::new();
        for (method, user, path) in [
            (Method::GET, "ann", "a/400"),
            (Method::POST, "ann", "a/200"),
            (Method::POST, "ann", "a/400"),
            (Method::PUT, "ann", "a/400"),
            (Method::PUT, "ann", "a/200"),
            (Method::PUT, "ann", "a/200"),
            (Method::POST, "ann", "b/200"),
            (Method::POST, "", "a/200"),
            (Method::GET, "", "a/200"),
        ] {
            let mut request = TestRequest::with_uri(&format!("/{name}/{path}")).method(method);
            if !user.is_empty() {
                request = request.insert_header(("X-User", user));
            }
            trace.push(send(&app, from_client(1, request)).await.status);
        }
        faults.fail(StoreError::Unreachable(None));
        let request = TestRequest::with_uri(&format!("/{name}/c/200")).method(Method::PUT);
        let request = request.insert_header(("X-User", "ann"));
        trace.push(send(&app, from_client(1, request)).await.status);
        traces.push(trace);
    }
    assert_eq!(traces[0], [400, 200, 400, 400, 429, 429, 200, 403, 200, 503]);
    assert_eq!(traces[0], traces[1]);
    let infos = guard.inventory().limits().to_vec();
    let [text, typed] = &infos[..] else { panic!("{infos:?}") };
    let mut typed = typed.clone();
    (typed.name, typed.line) = (text.name.clone(), text.line);
    assert_eq!(*text, typed);
}

#[actix_web::test]
async fn settings_of_two_limits_do_not_affect_each_other() {
    let guard = guard();
    let per_user = Limit::new("2/365d").key("header:X-User").missing_key("skip").name("per-user");
    let writes = Limit::new("1/365d").key("global").methods("POST").cost(1).name("writes");
    for (name, middleware) in [
        (
            "user-first",
            RateLimit::new(&guard, per_user.clone().name("u1")).and(writes.clone().name("w1")),
        ),
        ("writes-first", RateLimit::new(&guard, writes.name("w2")).and(per_user.name("u2"))),
    ] {
        let app = App::new().wrap(middleware).default_service(web::route().to(async || "ok"));
        let app = init_service(app).await;
        let status = async |method: Method, user: &str| {
            let request = TestRequest::default().method(method).insert_header(("X-User", user));
            send(&app, from_client(1, request)).await.status
        };
        // Only the limit `per-user` applies to GET requests. It counts each user separately.
        assert_eq!(
            [status(Method::GET, "ann").await, status(Method::GET, "ann").await],
            [200; 2],
            "{name}"
        );
        assert_eq!(status(Method::GET, "ann").await, 429, "{name}");
        assert_eq!(status(Method::GET, "bob").await, 200, "{name}");
        // The limit `writes` counts the POST requests of all users together. No limit applies to a GET request without
        // a user.
        assert_eq!(status(Method::POST, "bob").await, 200, "{name}");
        assert_eq!(status(Method::POST, "carl").await, 429, "{name}");
        assert_eq!(get(&app, 1, "/").await.status, 200, "{name}");
    }
}
