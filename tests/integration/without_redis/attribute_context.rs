//! Tests the rate limit attribute on handlers with different names, with different guards, and in code that uses the
//! same names as the code that the attribute generates.

use std::sync::{Arc, LazyLock, RwLock, TryLockError};

use actix_rateguard::{RateGuard, rate_limit};
use actix_web::{App, HttpMessage, HttpRequest, get, test::init_service, web};

use crate::support::{
    app::{attribute_guard, get, statuses},
    log_lines,
};

#[get("/below")]
#[rate_limit(limit = 1, window = 60)]
async fn below() -> &'static str {
    "below"
}

mod twin {
    #[actix_web::get("/twin")]
    #[actix_rateguard::rate_limit(rate = "1/minute")]
    pub(super) async fn below() -> &'static str {
        "twin"
    }
}

#[get("/named/a")]
#[rate_limit(rate = "1/minute", name = "shared")]
async fn named_a() -> &'static str {
    "a"
}

#[get("/named/b")]
#[rate_limit(rate = "1/minute", name = "shared")]
async fn named_b() -> &'static str {
    "b"
}

#[actix_web::test]
async fn handlers_share_buckets_only_with_the_same_name() {
    let app = app!(RateGuard::in_memory(), below, twin::below, named_a, named_b);
    assert_eq!(get(&app, 1, "/below").await.status, 200);
    assert_eq!(get(&app, 1, "/twin").await.status, 200);
    assert_eq!(get(&app, 1, "/named/a").await.status, 200);
    assert_eq!(get(&app, 1, "/named/b").await.status, 429);
}

static GUARD: LazyLock<RateGuard> = LazyLock::new(RateGuard::in_memory);

fn new_guard() -> RateGuard {
    RateGuard::in_memory()
}

#[get("/static")]
#[rate_limit(rate = "1/minute", limiter = GUARD)]
async fn with_static_guard() -> &'static str {
    "ok"
}

#[get("/function")]
#[rate_limit(rate = "1/minute", limiter = new_guard())]
async fn with_function_guard() -> &'static str {
    "ok"
}

#[actix_web::test]
async fn limiter_argument_selects_the_guard() {
    let app =
        init_service(App::new().service(with_static_guard).service(with_function_guard)).await;
    assert_eq!(statuses(&app, 1, "/static", 2).await, [200, 429]);
    // The function creates a new guard for each request. A new guard has no counts, so it denies no request.
    assert_eq!(statuses(&app, 1, "/function", 2).await, [200, 200]);
}

static REPLACEABLE_GUARD: LazyLock<RwLock<RateGuard>> =
    LazyLock::new(|| RwLock::new(RateGuard::in_memory()));

/// Returns whether a program can replace the guard, or would have to wait for the lock.
fn can_replace_guard() -> &'static str {
    match REPLACEABLE_GUARD.try_write() {
        Ok(_) => "yes",
        Err(TryLockError::WouldBlock) => "no",
        Err(TryLockError::Poisoned(_)) => "poisoned",
    }
}

/// The result of [`can_replace_guard`] during the check.
#[derive(Clone)]
struct DuringCheck(&'static str);

async fn key_that_tests_the_lock(request: &HttpRequest) -> &'static str {
    request.extensions_mut().insert(DuringCheck(can_replace_guard()));
    "one key"
}

#[get("/replaceable")]
#[rate_limit(
    rate = "1/minute",
    key = key_that_tests_the_lock,
    limiter = REPLACEABLE_GUARD.read().unwrap()
)]
async fn with_replaceable_guard(during_check: web::ReqData<DuringCheck>) -> String {
    format!("{} {}", during_check.0, can_replace_guard())
}

#[actix_web::test]
async fn lock_in_the_limiter_argument_is_free_during_check_and_handler() {
    let app = init_service(App::new().service(with_replaceable_guard)).await;
    assert_eq!(get(&app, 1, "/replaceable").await.body, "yes yes");
    assert_eq!(get(&app, 1, "/replaceable").await.status, 429);
    *REPLACEABLE_GUARD.write().unwrap() = RateGuard::in_memory();
    assert_eq!(get(&app, 1, "/replaceable").await.body, "yes yes");
}

#[actix_web::test]
async fn guard_in_web_data_is_used() {
    let data = web::Data::new(RateGuard::in_memory());
    let app = init_service(App::new().app_data(data).service(below)).await;
    assert_eq!(statuses(&app, 1, "/below", 2).await, [200, 429]);
}

#[actix_web::test]
async fn guard_of_a_scope_overrides_that_of_the_application() {
    let inner = web::scope("/inner").app_data(RateGuard::in_memory()).service(below);
    let app = app!(RateGuard::in_memory(), inner, below);
    assert_eq!(statuses(&app, 1, "/below", 2).await, [200, 429]);
    assert_eq!(statuses(&app, 1, "/inner/below", 2).await, [200, 429]);
}

#[actix_web::test]
async fn guard_in_web_data_of_a_scope_overrides_that_of_the_application() {
    let data = || web::Data::new(RateGuard::in_memory());
    let inner = web::scope("/inner").app_data(data()).service(below);
    let app = init_service(App::new().app_data(data()).service(inner).service(below)).await;
    assert_eq!(statuses(&app, 1, "/below", 2).await, [200, 429]);
    assert_eq!(statuses(&app, 1, "/inner/below", 2).await, [200, 429]);
}

#[actix_web::test]
async fn one_guard_in_both_forms_is_used() {
    let guard = RateGuard::in_memory();
    let inner = web::scope("/inner").app_data(web::Data::new(guard.clone())).service(below);
    let app = app!(guard, inner, below);
    assert_eq!(statuses(&app, 1, "/below", 1).await, [200]);
    assert_eq!(statuses(&app, 1, "/inner/below", 1).await, [429]);
}

#[get("/two-forms")]
#[rate_limit(rate = "1/minute", name = "two-forms")]
async fn two_forms() -> &'static str {
    "must not be reached"
}

#[actix_web::test]
async fn different_guards_in_both_forms_return_500_and_log_an_error() {
    log_lines::collect();
    let guard = RateGuard::in_memory;
    let data = || web::Data::new(RateGuard::in_memory());
    let inner_data = web::scope("/inner").app_data(data()).service(two_forms);
    let app = app!(guard(), inner_data);
    assert_eq!(statuses(&app, 1, "/inner/two-forms", 3).await, [500; 3]);
    let inner_guard = web::scope("/inner").app_data(guard()).service(two_forms);
    let app = init_service(App::new().app_data(data()).service(inner_guard)).await;
    assert_eq!(statuses(&app, 1, "/inner/two-forms", 3).await, [500; 3]);
    let lines = log_lines::with(
        "attribute_context::two_forms` is rate-limited, but the application's data",
    );
    assert!(!lines.is_empty() && lines[0].starts_with("ERROR"), "{lines:?}");
}

#[get("/unguarded")]
#[rate_limit(rate = "1/minute", name = "forgotten")]
async fn unguarded() -> &'static str {
    "must not be reached"
}

#[get("/unguarded-custom")]
#[rate_limit(rate = "1/minute", on_reject = |_, rejection| {
    Some(actix_web::HttpResponse::ImATeapot().body(format!("{rejection:?}")))
})]
async fn unguarded_custom() -> &'static str {
    "must not be reached"
}

#[actix_web::test]
async fn attribute_without_a_guard_returns_500_and_logs_once() {
    log_lines::collect();
    let app = init_service(App::new().service(unguarded).service(unguarded_custom)).await;
    for _ in 0..20 {
        let response = get(&app, 1, "/unguarded").await;
        assert_eq!((response.status, &*response.body), (500, "Internal server error.\n"));
        assert_eq!(response.numbers(), None);
    }
    let lines = log_lines::with(
        "attribute_context::unguarded` is rate-limited, but there is no `RateGuard`",
    );
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("ERROR"));
    // There is no guard, so only the function of the attribute can respond.
    let custom = get(&app, 1, "/unguarded-custom").await;
    assert_eq!((custom.status, &*custom.body), (418, "Misconfigured(NoGuard)"));
}

#[get("/wrapped")]
#[rate_limit(rate = "1/minute", name = "guard-in-a-wrapper")]
async fn wrapped_guard() -> &'static str {
    "must not be reached"
}

#[actix_web::test]
async fn guard_in_a_wrapper_is_named_in_the_message() {
    log_lines::collect();
    let guard = RateGuard::in_memory();
    let wrapped = web::Data::new(web::Data::new(guard.clone()));
    let app = init_service(App::new().app_data(wrapped).service(wrapped_guard)).await;
    assert_eq!(get(&app, 1, "/wrapped").await.status, 500);
    let lines = log_lines::with(
        "attribute_context::wrapped_guard` is rate-limited, but the application's data has a `web::Data<web::Data<RateGuard>>` in place of a `RateGuard`",
    );
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("`.app_data(guard.clone())`"), "{lines:?}");
    let apps = [
        init_service(App::new().app_data(Arc::new(guard.clone())).service(wrapped_guard)).await,
        init_service(
            App::new().app_data(web::Data::new(Arc::new(guard.clone()))).service(wrapped_guard),
        )
        .await,
        init_service(App::new().app_data(Some(guard.clone())).service(wrapped_guard)).await,
    ];
    for app in &apps {
        assert_eq!(get(app, 1, "/wrapped").await.status, 500);
    }
}

#[get("/clash/3-an-hour")]
#[rate_limit(rate = "3/hour", name = "clash", limiter = attribute_guard())]
async fn clash_hour() -> &'static str {
    "ok"
}

#[get("/clash/9-a-second")]
#[rate_limit(rate = "9/second", name = "clash", limiter = attribute_guard())]
async fn clash_second() -> &'static str {
    "must not be reached"
}

#[actix_web::test]
async fn second_quota_under_one_name_returns_500() {
    log_lines::collect();
    let app = app!(RateGuard::in_memory(), clash_hour, clash_second);
    assert_eq!(statuses(&app, 1, "/clash/3-an-hour", 2).await, [200, 200]);
    assert_eq!(statuses(&app, 1, "/clash/9-a-second", 3).await, [500, 500, 500]);
    assert_eq!(statuses(&app, 1, "/clash/3-an-hour", 2).await, [200, 429]);
    let lines = log_lines::with("two limits are named `clash` but have different quotas");
    assert_eq!(lines.len(), 1, "{lines:?}");
}

/// This handler has a doc comment and the attribute `deprecated`. The rate limit attribute must not remove them.
#[rate_limit(rate = "1/minute")]
#[deprecated = "the compiler must warn about uses"]
async fn deprecated() -> &'static str {
    "old"
}

const POLICY: &str = "a constant with a name that the expansion uses too";

#[get("/hygiene")]
#[rate_limit(rate = "9/minute", key = |req| { let _ = POLICY; req.path() })]
async fn hygiene(req: HttpRequest, payload: web::Payload) -> &'static str {
    let _ = (req, payload);
    POLICY
}

#[rate_limit(rate = "9/minute")]
async fn request(body: String) -> String {
    body
}

#[rate_limit(rate = "9/minute")]
async fn payload(it: HttpRequest) -> String {
    it.path().to_owned()
}

#[get("/handler")]
#[rate_limit(rate = "9/minute")]
async fn handler(here: HttpRequest, limit: String) -> String {
    limit + here.path()
}

#[actix_web::test]
async fn expansion_does_not_shadow_names_in_handlers() {
    #[expect(deprecated)]
    let old = web::get().to(deprecated);
    let app = app!(
        RateGuard::in_memory(),
        hygiene,
        handler,
        web::resource("/request").route(web::get().to(request)),
        web::resource("/payload").route(web::get().to(payload)),
        web::resource("/old").route(old),
    );
    for path in ["/payload", "/handler"] {
        assert_eq!(get(&app, 1, path).await.body, path);
    }
    assert_eq!(get(&app, 1, "/request").await.status, 200);
    assert_eq!(get(&app, 1, "/hygiene").await.body, POLICY);
    assert_eq!(get(&app, 1, "/old").await.body, "old");
}

/// Items whose names the expansion of the attribute could use too, and items that need a type or `Self`.
mod user_names {
    use actix_rateguard::{Rejection, rate_limit};
    use actix_web::{HttpRequest, HttpResponse};

    pub const LIMIT: usize = 9_000;
    const KEY: &str = "key";
    #[allow(dead_code)]
    const COST: u8 = 1;

    fn limit(_: &HttpRequest) -> u32 {
        1
    }

    fn here(request: &HttpRequest) -> bool {
        request.uri().path().len() > LIMIT
    }

    fn settings(_: &HttpRequest) -> Option<&'static str> {
        Some(KEY)
    }

    #[rate_limit(rate = "1/minute", name = "names-1", cost = limit, key = settings, skip = here)]
    pub async fn shadowed() -> &'static str {
        "ok"
    }

    #[rate_limit(
        rate = "1/minute",
        name = "names-2",
        key = |request| limit(request) + 1,
        skip = |request| request.uri().path().len() > LIMIT,
        on_reject = |_, _| Some(HttpResponse::Conflict().body(LIMIT.to_string())),
    )]
    pub async fn in_closures() -> &'static str {
        "ok"
    }

    fn of_type<T: 'static>(_: &HttpRequest) -> bool {
        std::any::type_name::<T>() == "never"
    }

    fn response_of<T: 'static>(_: &HttpRequest, _: &Rejection) -> Option<HttpResponse> {
        Some(HttpResponse::Conflict().body(std::any::type_name::<T>()))
    }

    #[rate_limit(rate = "1/minute", name = "names-3", skip = of_type::<T>, on_reject = response_of::<T>)]
    pub async fn generic<T: 'static>() -> &'static str {
        std::any::type_name::<T>()
    }
}

#[actix_web::test]
async fn names_in_arguments_resolve_in_the_users_module() {
    use user_names::{LIMIT, generic, in_closures, shadowed};
    let app = init_service(
        App::new()
            .app_data(RateGuard::in_memory())
            .route("/shadowed", web::get().to(shadowed))
            .route("/closures", web::get().to(in_closures))
            .route("/generic", web::get().to(generic::<u8>)),
    )
    .await;
    assert_eq!(statuses(&app, 1, "/shadowed", 2).await, [200, 429]);
    for (path, body) in [("/closures", &*LIMIT.to_string()), ("/generic", "u8")] {
        assert_eq!(get(&app, 1, path).await.status, 200);
        let denied = get(&app, 1, path).await;
        assert_eq!((denied.status, &*denied.body), (409, body));
    }
}

/// Handlers that have unusual generic parameters.
mod generic_handlers {
    use std::{fmt, future, marker::PhantomData};

    use actix_rateguard::rate_limit;
    use actix_web::{Error, FromRequest, HttpRequest, Responder, ResponseError, dev::Payload};

    #[derive(Debug)]
    pub struct Failure<E>(E);

    impl<E: fmt::Debug> fmt::Display for Failure<E> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.fmt(f)
        }
    }

    impl<E: fmt::Debug> ResponseError for Failure<E> {}

    #[rate_limit(rate = "1/minute", name = "generics-1")]
    pub async fn returning_impl<E: fmt::Debug + 'static>() -> Result<impl Responder, Failure<E>> {
        Ok("ok")
    }

    pub struct Width<const N: usize>;

    impl FromRequest for Width<4> {
        type Error = Error;
        type Future = future::Ready<Result<Self, Error>>;

        fn from_request(_: &HttpRequest, _: &mut Payload) -> Self::Future {
            future::ready(Ok(Self))
        }
    }

    #[rate_limit(rate = "1/minute", name = "generics-2")]
    pub async fn with_const<const N: usize>(_: Width<N>) -> String {
        N.to_string()
    }

    pub struct Tenant<T>(PhantomData<T>);

    impl<T: 'static> Tenant<T> {
        fn key(_: &HttpRequest) -> &'static str {
            std::any::type_name::<T>()
        }

        #[rate_limit(rate = "1/minute", name = "generics-3", key = Self::key)]
        pub async fn page() -> &'static str {
            "ok"
        }
    }
}

#[actix_web::test]
async fn handlers_with_unusual_generics_are_limited() {
    use generic_handlers::{Tenant, returning_impl, with_const};
    let app = init_service(
        App::new()
            .app_data(RateGuard::in_memory())
            .route("/impl", web::get().to(returning_impl::<u8>))
            .route("/number", web::get().to(with_const::<4>))
            .route("/bytes", web::get().to(Tenant::<u8>::page))
            .route("/words", web::get().to(Tenant::<u16>::page)),
    )
    .await;
    assert_eq!(statuses(&app, 1, "/impl", 2).await, [200, 429]);
    assert_eq!(get(&app, 1, "/number").await.body, "4");
    for path in ["/bytes", "/words"] {
        assert_eq!(statuses(&app, 1, path, 2).await, [200, 429], "{path}");
    }
}
