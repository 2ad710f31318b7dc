//! Tests how a middleware learns the routes of exempt handlers.

use actix_rateguard::{Limit, RateGuard, RateLimit, rate_limit};
use actix_web::{
    App, Error, HttpRequest, HttpResponse,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    get,
    http::Method,
    middleware::{Next, from_fn},
    test::{TestRequest, call_service, init_service},
    web,
};

use super::{health, items};
use crate::support::redis_server::RedisServer;

/// Rejects requests without the header `X-Token`.
async fn authenticate(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    if request.headers().contains_key("X-Token") {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    Ok(request.into_response(HttpResponse::Unauthorized().finish()))
}

#[actix_web::test]
async fn middleware_of_an_app_learns_the_route_when_the_handler_runs() {
    let redis = RedisServer::start();
    let guard = redis.guard("replaced-app-level");
    let limit = Limit::new("2/hour").key("global").name("replaced-whole-app");
    let app = App::new()
        .service(web::scope("/inner").wrap(from_fn(authenticate)).service((health, items)))
        .service(health)
        .wrap(RateLimit::new(&guard, limit));
    let app = init_service(app).await;
    let status = async |method: Method, path: &str, token: bool| {
        let mut request = TestRequest::with_uri(path).method(method);
        if token {
            request = request.insert_header(("X-Token", "1"));
        }
        call_service(&app, request.to_request()).await.status().as_u16()
    };
    // The first request does not reach the handler, so it counts.
    assert_eq!(status(Method::GET, "/inner/health", false).await, 401);
    assert_eq!(status(Method::GET, "/inner/health", true).await, 200);
    // The limit is used up, but the route is known now, also for requests that do not reach the handler.
    assert_eq!(status(Method::GET, "/inner/health", false).await, 401);
    assert_eq!(status(Method::GET, "/inner/health", true).await, 200);
    assert_eq!(status(Method::GET, "/inner/items/1", true).await, 429);
    // The same handler at another route is unknown, and the middleware denies its first request.
    assert_eq!(status(Method::GET, "/health", false).await, 429);
    // A client cannot avoid the limit with an invented method or an unknown path.
    let invented = Method::from_bytes(b"INVENTED").unwrap();
    assert_eq!(status(invented, "/inner/health", true).await, 429);
    assert_eq!(status(Method::GET, "/inner/unknown", true).await, 429);
}

#[get("/explain")]
#[rate_limit(exempt)]
async fn explain(request: HttpRequest, guard: web::Data<RateGuard>) -> String {
    guard.explain_request(&request, &["replaced-explained"]).await.to_string()
}

#[actix_web::test]
async fn explanation_names_the_handler_as_the_reason() {
    let guard = RateGuard::in_memory();
    let limit = Limit::new("1/hour").key("global").name("replaced-explained");
    let app = App::new()
        .app_data(web::Data::new(guard.clone()))
        .service(explain)
        .wrap(RateLimit::new(&guard, limit));
    let app = init_service(app).await;
    let mut explanations = Vec::new();
    for _ in 0..2 {
        let response = call_service(&app, TestRequest::with_uri("/explain").to_request()).await;
        let body = actix_web::test::read_body(response).await;
        explanations.push(String::from_utf8(body.to_vec()).unwrap());
    }
    let reason = "the handler of the route replaces the limit";
    assert!(!explanations[0].contains(reason), "{explanations:?}");
    assert!(explanations[1].contains(reason), "{explanations:?}");
}

#[actix_web::test]
async fn units_of_a_failed_first_request_to_an_exempt_handler_are_refunded() {
    #[get("/failing")]
    #[rate_limit(exempt)]
    async fn failing() -> Result<String, Error> {
        Err(actix_web::error::ErrorBadGateway("failed"))
    }

    let guard = RateGuard::in_memory();
    let limit = Limit::new("1/hour").key("global").name("replaced-failing");
    let app = App::new().service((failing, items)).wrap(RateLimit::new(&guard, limit));
    let app = init_service(app).await;
    let status = async |path: &str| {
        call_service(&app, TestRequest::with_uri(path).to_request()).await.status().as_u16()
    };
    assert_eq!([status("/failing").await, status("/failing").await], [502, 502]);
    assert_eq!([status("/items/1").await, status("/items/2").await], [200, 429]);
}
