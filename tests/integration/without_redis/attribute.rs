//! Tests the rate limit attribute on every kind of handler that actix-web accepts.

use std::marker::PhantomData;

use actix_rateguard::{RateGuard, rate_limit};
use actix_web::{
    Either, Error, HttpRequest, HttpResponse, Responder, delete, error, get, patch, post, put,
    route, routes, test::TestRequest, web,
};
use serde::Deserialize;

use crate::support::app::{from_client, get, send, statuses};

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
async fn attribute_works_above_and_below_the_route() {
    let app = app!(RateGuard::in_memory(), below, above);
    for path in ["/below", "/above"] {
        assert_eq!(statuses(&app, 1, path, 3).await, [200, 429, 429], "{path}");
        assert_eq!(get(&app, 2, path).await.body, path[1..]);
    }
}

#[rate_limit(rate = "1/minute")]
#[post("/methods")]
async fn create() -> &'static str {
    "post"
}

#[put("/methods")]
#[rate_limit(rate = "1/minute")]
async fn replace() -> &'static str {
    "put"
}

#[rate_limit(rate = "1/minute")]
#[patch("/methods")]
async fn change() -> &'static str {
    "patch"
}

#[delete("/methods")]
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
async fn attribute_works_with_every_kind_of_route() {
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
            let request = from_client(1, request().uri("/methods"));
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
        "other list"
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
async fn attribute_works_on_plain_handlers() {
    let app = app!(
        RateGuard::in_memory(),
        web::resource("/hello/{name}").route(web::get().to(plain)),
        web::resource("/list").route(web::get().to(Api::list)),
        web::resource("/other-list").route(web::get().to(OtherApi::list)),
        local_list(),
    );
    assert_eq!(get(&app, 1, "/hello/ann").await.body, "hello ann");
    assert_eq!(get(&app, 1, "/hello/bob").await.status, 429);
    // Two functions in one module have the same name. Each of them must have its own limit.
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

use actix_rateguard::rate_limit as another_limit;

#[get("/alias")]
#[rate_limit(rate = "3/minute")]
#[another_limit(rate = "9/hour")]
async fn alias() -> &'static str {
    "ok"
}

#[rate_limit(rate = "2/minute")]
#[get("/above-and-below")]
#[rate_limit(rate = "3/minute")]
async fn above_and_below() -> &'static str {
    "ok"
}

#[actix_web::test]
async fn several_attributes_on_one_handler_all_apply() {
    let app = app!(RateGuard::in_memory(), several, above_and_below, alias);
    let send_with_key = async |key: &str| {
        let request = TestRequest::get().uri("/several").insert_header(("X-Api-Key", key));
        send(&app, from_client(1, request)).await
    };
    assert_eq!(send_with_key("a").await.status, 200);
    // The limit that counts by key admits 1 request per minute.
    assert_eq!(send_with_key("a").await.numbers().unwrap()[..2], [1, 0]);
    assert_eq!(send_with_key("b").await.status, 200);
    // The limit that counts by address admits 3 requests per minute. It must not count a request that the limit by
    // key denied.
    assert_eq!(send_with_key("c").await.status, 200);
    let denied = send_with_key("d").await;
    assert_eq!((denied.status, denied.numbers().unwrap()[0]), (429, 3));

    assert_eq!(statuses(&app, 1, "/above-and-below", 3).await, [200, 200, 429]);
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

/// The type parameters have only the bounds that the function needs. The attribute must not require any other bounds.
#[rate_limit(rate = "9/minute")]
async fn extract<T, R>(value: T, _: web::Data<PhantomData<R>>) -> Option<R>
where
    R: From<T>,
{
    Some(R::from(value))
}

#[rate_limit(rate = "9/minute")]
async fn with_lifetime<'a>(_: HttpRequest) -> &'a str {
    "borrowed"
}

#[actix_web::test]
async fn attribute_needs_no_additional_bounds_on_generic_handlers() {
    let app = app!(
        RateGuard::in_memory(),
        web::resource("/extract")
            .app_data(web::Data::new(PhantomData::<String>))
            .route(web::get().to(extract::<String, String>)),
        web::resource("/lifetime").route(web::get().to(with_lifetime)),
    );
    assert_eq!(get(&app, 1, "/extract").await.status, 200);
    assert_eq!(get(&app, 1, "/lifetime").await.body, "borrowed");
}

#[actix_web::test]
async fn instances_of_a_generic_handler_share_one_limit() {
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
async fn attribute_works_on_a_handler_with_sixteen_arguments() {
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
        0 => Err(error::ErrorNotFound("not found")),
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
async fn attribute_works_with_every_kind_of_return_value() {
    let app = app!(
        RateGuard::in_memory(),
        web::resource("/result").route(web::get().to(result)),
        web::resource("/option").route(web::get().to(option)),
        web::resource("/either").route(web::get().to(either)),
        web::resource("/status").route(web::get().to(with_status)),
    );
    for (path, status, body) in [
        ("/result?id=7", 201, "7"),
        ("/result?id=0", 404, "not found"),
        ("/result?id=x", 400, "Query deserialize error: invalid digit found in string"),
        ("/option", 404, ""),
        ("/either", 202, ""),
        ("/status", 418, "tea"),
    ] {
        let response = get(&app, 1, path).await;
        assert_eq!((response.status, &*response.body), (status, body), "{path}");
        assert_eq!(response.numbers().unwrap()[0], 9, "{path}");
    }
}
