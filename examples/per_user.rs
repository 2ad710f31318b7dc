//! A limit for each user, by a function of your own. Requests without a user are limited by address.
//!
//! ```sh
//! cargo run --example per_user
//! curl -i -H 'Authorization: Bearer alice-token' 127.0.0.1:8080/orders  # 3 per minute for alice
//! curl -i -H 'Authorization: Bearer bob-token' 127.0.0.1:8080/orders    # 3 per minute for bob
//! curl -i 127.0.0.1:8080/orders                                         # no user: 401, counted by address
//! ```

use actix_rateguard::{CheckResult, RateGuard, rate_limit};
use actix_web::{
    App, Error, HttpMessage, HttpRequest, HttpResponse, HttpServer, Responder,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    get,
    middleware::{Next, from_fn},
};
use env_logger::Env;

/// The authenticated user.
#[derive(Clone)]
struct User {
    id: u64,
    name: &'static str,
}

/// A placeholder for your authentication: it finds the user of the token and inserts it into the request's extensions.
async fn authenticate(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let token = request.headers().get("Authorization").map(|value| value.as_bytes());
    let user = match token {
        Some(b"Bearer alice-token") => Some(User { id: 1, name: "Alice" }),
        Some(b"Bearer bob-token") => Some(User { id: 2, name: "Bob" }),
        _ => None,
    };
    if let Some(user) = user {
        request.extensions_mut().insert(user);
    }
    next.call(request).await
}

/// The key. A request without a user has no key and is counted by its address.
fn user_id(request: &HttpRequest) -> Option<u64> {
    request.extensions().get::<User>().map(|user| user.id)
}

#[get("/orders")]
#[rate_limit(rate = "3/minute", key = user_id)]
async fn orders(request: HttpRequest, result: CheckResult) -> impl Responder {
    let extensions = request.extensions();
    let Some(user) = extensions.get::<User>() else {
        return HttpResponse::Unauthorized().body("Log in first.\n");
    };
    let remaining = match result.remaining() {
        Some(remaining) => format!("You may send {remaining} more requests."),
        // No limit has decided, for example because the limit is in shadow mode.
        None => "The limit has not decided now.".to_owned(),
    };
    HttpResponse::Ok().body(format!("No orders, {}. {remaining}\n", user.name))
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    env_logger::init_from_env(Env::default().default_filter_or("info"));
    let guard = RateGuard::in_memory();
    HttpServer::new(move || {
        App::new().app_data(guard.clone()).wrap(from_fn(authenticate)).service(orders)
    })
    .bind(("127.0.0.1", 8080))?
    .run()
    .await
}
