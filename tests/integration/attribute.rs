//! The attribute on every kind of handler that actix-web takes.

use std::{marker::PhantomData, sync::LazyLock};

use actix_web::{
    App, Either, Error, HttpRequest, HttpResponse, Responder, delete, error, get, patch, post, put,
    route, routes,
    test::{TestRequest, init_service},
    web,
};
use rateguard::{RateGuard, rate_limit};
use serde::Deserialize;

use crate::support::{
    app::{from_client, get, send, statuses},
    log_lines,
};

/// An application with this guard and these routes.
macro_rules! app {
    ($guard:expr, $($service:expr),* $(,)?) => {
        init_service(App::new().app_data($guard.clone())$(.service($service))*).await
    };
}

#[get("/below")]
#[rate_limit(limit = 1, window = 60)]
async fn below() -> impl Responder {
    "below"
}

#[rate_limit(limit = 1, window = 60)]
#[get("/above")]
async fn above() -> impl Responder {
    "above"
}

#[actix_web::test]
async fn it_works_above_and_below_the_route() {
    let app = app!(RateGuard::in_memory(), below, above);
    for path in ["/below", "/above"] {
        assert_eq!(statuses(&app, 1, path, 3).await, [200, 429, 429], "{path}");
        assert_eq!(get(&app, 2, path).await.body, path[1..]);
    }
}

#[rate_limit(rate = "1/minute")]
#[post("/verbs")]
async fn create() -> &'static str {
    "post"
}

#[put("/verbs")]
#[rate_limit(rate = "1/minute")]
async fn replace() -> &'static str {
    "put"
}

#[rate_limit(rate = "1/minute")]
#[patch("/verbs")]
async fn change() -> &'static str {
    "patch"
}

#[delete("/verbs")]
#[rate_limit(rate = "1/minute")]
async fn remove() -> &'static str {
    "delete"
}

#[rate_limit(rate = "2/minute")]
#[route("/several-methods", method = "GET", method = "POST")]
async fn several_methods() -> &'static str {
    "both"
}

#[rate_limit(rate = "2/minute")]
#[routes]
#[get("/one")]
#[get("/other")]
async fn several_paths() -> &'static str {
    "either"
}

#[actix_web::test]
async fn it_works_with_every_kind_of_route() {
    let app = app!(
        RateGuard::in_memory(),
        create,
        replace,
        change,
        remove,
        several_methods,
        several_paths
    );
    for request in [TestRequest::post, TestRequest::put, TestRequest::patch, TestRequest::delete] {
        for status in [200, 429] {
            let request = from_client(1, request().uri("/verbs"));
            assert_eq!(send(&app, request).await.status, status);
        }
    }
    for (request, status) in
        [(TestRequest::get(), 200), (TestRequest::post(), 200), (TestRequest::get(), 429)]
    {
        let request = from_client(1, request.uri("/several-methods"));
        assert_eq!(send(&app, request).await.status, status);
    }
    for (path, status) in [("/one", 200), ("/other", 200), ("/one", 429)] {
        assert_eq!(get(&app, 1, path).await.status, status, "{path}");
    }
}

#[rate_limit(rate = "1/minute")]
async fn plain(name: web::Path<String>) -> String {
    format!("hello {name}")
}

struct Api;

impl Api {
    #[rate_limit(rate = "1/minute")]
    async fn list() -> &'static str {
        "listed"
    }
}

struct OtherApi;

impl OtherApi {
    #[rate_limit(rate = "2/minute")]
    async fn list() -> &'static str {
        "listed elsewhere"
    }
}

fn local_list() -> impl actix_web::dev::HttpServiceFactory {
    #[get("/local-list")]
    #[rate_limit(rate = "3/minute")]
    async fn list() -> &'static str {
        "listed locally"
    }
    list
}

#[actix_web::test]
async fn it_works_on_plain_handlers() {
    let app = app!(
        RateGuard::in_memory(),
        web::resource("/hello/{name}").route(web::get().to(plain)),
        web::resource("/list").route(web::get().to(Api::list)),
        web::resource("/other-list").route(web::get().to(OtherApi::list)),
        local_list(),
    );
    assert_eq!(get(&app, 1, "/hello/ann").await.body, "hello ann");
    assert_eq!(get(&app, 1, "/hello/bob").await.status, 429);
    // Functions of one name in one module are three limits.
    assert_eq!(statuses(&app, 1, "/list", 2).await, [200, 429]);
    assert_eq!(statuses(&app, 1, "/other-list", 3).await, [200, 200, 429]);
    assert_eq!(statuses(&app, 1, "/local-list", 4).await, [200, 200, 200, 429]);
}

#[get("/several")]
#[rate_limit(rate = "3/minute")]
#[rate_limit(rate = "1/minute", key = "header:X-Api-Key")]
async fn several() -> &'static str {
    "ok"
}

use rateguard::rate_limit as another_limit;

#[get("/alias")]
#[rate_limit(rate = "3/minute")]
#[another_limit(rate = "9/hour")]
async fn alias() -> &'static str {
    "ok"
}

#[rate_limit(rate = "2/minute")]
#[get("/around")]
#[rate_limit(rate = "3/minute")]
async fn around() -> &'static str {
    "ok"
}

#[actix_web::test]
async fn several_on_one_handler_all_apply() {
    let app = app!(RateGuard::in_memory(), several, around, alias);
    let ask = async |key: &str| {
        let request = TestRequest::get().uri("/several").insert_header(("X-Api-Key", key));
        send(&app, from_client(1, request)).await
    };
    assert_eq!(ask("a").await.status, 200);
    // By key: 1 a minute.
    assert_eq!(ask("a").await.numbers().unwrap()[..2], [1, 0]);
    assert_eq!(ask("b").await.status, 200);
    // By address: 3 a minute, of which the one that the key's limit refused was one.
    let refused = ask("c").await;
    assert_eq!((refused.status, refused.numbers().unwrap()[0]), (429, 3));

    assert_eq!(statuses(&app, 1, "/around", 3).await, [200, 200, 429]);
    assert_eq!(statuses(&app, 1, "/alias", 4).await, [200, 200, 200, 429]);
}

trait Greeting: 'static {
    const TEXT: &'static str;
}

struct English;
struct French;

impl Greeting for English {
    const TEXT: &'static str = "hello";
}

impl Greeting for French {
    const TEXT: &'static str = "bonjour";
}

#[rate_limit(rate = "2/minute")]
async fn greet<G, const TIMES: usize>(_: web::Data<PhantomData<G>>) -> String
where
    G: Greeting,
{
    G::TEXT.repeat(TIMES)
}

/// Nothing but what the body needs is said of the parameters.
#[rate_limit(rate = "9/minute")]
async fn extract<T, R>(value: T, _: web::Data<PhantomData<R>>) -> Option<R>
where
    R: From<T>,
{
    Some(R::from(value))
}

#[rate_limit(rate = "9/minute")]
async fn with_lifetime<'a>(_: HttpRequest) -> &'a str {
    "borrowed for ever"
}

#[actix_web::test]
async fn generic_handlers_need_no_more_bounds_than_without_it() {
    let app = app!(
        RateGuard::in_memory(),
        web::resource("/extract")
            .app_data(web::Data::new(PhantomData::<String>))
            .route(web::get().to(extract::<String, String>)),
        web::resource("/lifetime").route(web::get().to(with_lifetime)),
    );
    assert_eq!(get(&app, 1, "/extract").await.status, 200);
    assert_eq!(get(&app, 1, "/lifetime").await.body, "borrowed for ever");
}

#[actix_web::test]
async fn it_works_on_generic_handlers_which_share_one_limit() {
    let app = app!(
        RateGuard::in_memory(),
        web::resource("/en")
            .app_data(web::Data::new(PhantomData::<English>))
            .route(web::get().to(greet::<English, 1>)),
        web::resource("/fr")
            .app_data(web::Data::new(PhantomData::<French>))
            .route(web::get().to(greet::<French, 2>)),
    );
    assert_eq!(get(&app, 1, "/en").await.body, "hello");
    assert_eq!(get(&app, 1, "/fr").await.body, "bonjourbonjour");
    assert_eq!(get(&app, 1, "/en").await.status, 429);
}

type Any = Option<web::Path<String>>;

#[rate_limit(rate = "1/minute")]
#[allow(clippy::too_many_arguments)]
async fn sixteen(
    _a1: HttpRequest,
    _a2: Any,
    _a3: Any,
    _a4: Any,
    _a5: Any,
    _a6: Any,
    _a7: Any,
    _a8: Any,
    _a9: Any,
    _a10: Any,
    _a11: Any,
    _a12: Any,
    _a13: Any,
    _a14: Any,
    _a15: web::Payload,
    _a16: String,
) -> &'static str {
    "sixteen"
}

#[actix_web::test]
async fn a_handler_may_have_sixteen_arguments() {
    let app = app!(RateGuard::in_memory(), web::resource("/").route(web::get().to(sixteen)));
    assert_eq!(statuses(&app, 1, "/", 2).await, [200, 429]);
}

#[derive(Deserialize)]
struct Id {
    id: u32,
}

#[rate_limit(rate = "9/minute")]
async fn result(id: web::Query<Id>) -> Result<HttpResponse, Error> {
    match id.id {
        0 => Err(error::ErrorNotFound("nobody")),
        id => Ok(HttpResponse::Created().body(id.to_string())),
    }
}

#[rate_limit(rate = "9/minute")]
async fn option() -> Option<String> {
    None
}

#[rate_limit(rate = "9/minute")]
async fn either() -> Either<&'static str, HttpResponse> {
    Either::Right(HttpResponse::Accepted().finish())
}

#[rate_limit(rate = "9/minute")]
async fn with_status() -> (String, actix_web::http::StatusCode) {
    ("tea".to_owned(), actix_web::http::StatusCode::IM_A_TEAPOT)
}

#[actix_web::test]
async fn it_works_with_every_kind_of_return_value() {
    let app = app!(
        RateGuard::in_memory(),
        web::resource("/result").route(web::get().to(result)),
        web::resource("/option").route(web::get().to(option)),
        web::resource("/either").route(web::get().to(either)),
        web::resource("/status").route(web::get().to(with_status)),
    );
    for (path, status, body) in [
        ("/result?id=7", 201, "7"),
        ("/result?id=0", 404, "nobody"),
        ("/result?id=x", 400, "Query deserialize error: invalid digit found in string"),
        ("/option", 404, ""),
        ("/either", 202, ""),
        ("/status", 418, "tea"),
    ] {
        let answer = get(&app, 1, path).await;
        assert_eq!((answer.status, &*answer.body), (status, body), "{path}");
        assert_eq!(answer.numbers().unwrap()[0], 9, "{path}");
    }
}

mod twin {
    #[actix_web::get("/twin")]
    #[rateguard::rate_limit(rate = "1/minute")]
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
async fn each_handler_has_its_own_buckets_unless_they_share_a_name() {
    let app = app!(RateGuard::in_memory(), below, twin::below, named_a, named_b);
    assert_eq!(get(&app, 1, "/below").await.status, 200);
    assert_eq!(get(&app, 1, "/twin").await.status, 200);
    assert_eq!(get(&app, 1, "/named/a").await.status, 200);
    assert_eq!(get(&app, 1, "/named/b").await.status, 429);
}

static GUARD: LazyLock<RateGuard> = LazyLock::new(RateGuard::in_memory);

fn made_for_each_call() -> RateGuard {
    RateGuard::in_memory()
}

#[get("/static")]
#[rate_limit(rate = "1/minute", limiter = GUARD)]
async fn of_a_static() -> &'static str {
    "ok"
}

#[get("/function")]
#[rate_limit(rate = "1/minute", limiter = made_for_each_call())]
async fn of_a_function() -> &'static str {
    "ok"
}

#[actix_web::test]
async fn a_guard_may_come_from_elsewhere_than_the_application_data() {
    let app = init_service(App::new().service(of_a_static).service(of_a_function)).await;
    assert_eq!(statuses(&app, 1, "/static", 2).await, [200, 429]);
    // A new guard for each request has nothing to count: odd, but what was asked for.
    assert_eq!(statuses(&app, 1, "/function", 2).await, [200, 200]);
}

#[actix_web::test]
async fn a_guard_may_come_as_web_data() {
    let data = web::Data::new(RateGuard::in_memory());
    let app = init_service(App::new().app_data(data).service(below)).await;
    assert_eq!(statuses(&app, 1, "/below", 2).await, [200, 429]);
}

#[actix_web::test]
async fn the_guard_of_a_scope_wins_over_that_of_the_application() {
    let inner = web::scope("/inner").app_data(RateGuard::in_memory()).service(below);
    let app = app!(RateGuard::in_memory(), inner, below);
    assert_eq!(statuses(&app, 1, "/below", 2).await, [200, 429]);
    assert_eq!(statuses(&app, 1, "/inner/below", 2).await, [200, 429]);
}

#[get("/unguarded")]
#[rate_limit(rate = "1/minute", name = "forgotten")]
async fn unguarded() -> &'static str {
    "must not be reached"
}

#[actix_web::test]
async fn without_a_guard_it_answers_500_and_says_why_in_the_log() {
    log_lines::collect();
    let app = init_service(App::new().service(unguarded)).await;
    for _ in 0..20 {
        let answer = get(&app, 1, "/unguarded").await;
        assert_eq!((answer.status, &*answer.body), (500, "Internal server error.\n"));
        assert_eq!(answer.numbers(), None);
    }
    let lines = log_lines::with("`forgotten` is rate-limited, but there is no `RateGuard`");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("ERROR"));
}

#[get("/clash/3-an-hour")]
#[rate_limit(rate = "3/hour", name = "clash")]
async fn clash_hour() -> &'static str {
    "ok"
}

#[get("/clash/9-a-second")]
#[rate_limit(rate = "9/second", name = "clash")]
async fn clash_second() -> &'static str {
    "must not be reached"
}

#[actix_web::test]
async fn a_second_quota_under_one_name_answers_500_and_does_not_touch_the_first() {
    log_lines::collect();
    let app = app!(RateGuard::in_memory(), clash_hour, clash_second);
    assert_eq!(statuses(&app, 1, "/clash/3-an-hour", 2).await, [200, 200]);
    assert_eq!(statuses(&app, 1, "/clash/9-a-second", 3).await, [500, 500, 500]);
    assert_eq!(statuses(&app, 1, "/clash/3-an-hour", 2).await, [200, 429]);
    let lines = log_lines::with("two limits are named `clash` and have different quotas");
    assert_eq!(lines.len(), 1, "{lines:?}");
}

/// Says what it is; a test of the attribute that documentation and lints stay in place.
#[rate_limit(rate = "1/minute")]
#[deprecated = "to see that it is noticed"]
async fn deprecated() -> &'static str {
    "old"
}

const POLICY: &str = "a constant of the user's with a name that the expansion uses too";

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
async fn the_expansion_does_not_hide_names_of_the_user() {
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
