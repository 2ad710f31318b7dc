//! A limit for each user, by a closure of your own, and one for those who have not logged in.
//!
//! ```sh
//! cargo run --example per_user
//! curl -i -H 'Authorization: Bearer alice-token' 127.0.0.1:8080/orders  # 3 a minute for alice
//! curl -i -H 'Authorization: Bearer bob-token' 127.0.0.1:8080/orders    # and 3 for bob
//! curl -i 127.0.0.1:8080/orders                                         # nobody: 401, by address
//! ```

use actix_web::{
    App, Error, HttpMessage, HttpRequest, HttpResponse, HttpServer, Responder,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    get,
    middleware::{Next, from_fn},
};
use env_logger::Env;
use rateguard::{Decision, RateGuard, rate_limit};

/// Whom the application's authentication has recognised.
#[derive(Clone)]
struct User {
    id: u64,
    name: &'static str,
}

/// Stands for your authentication: it looks the token up and keeps the user with the request.
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

/// The key: who it is. A request of nobody has none and is counted by its address.
fn user_id(request: &HttpRequest) -> Option<u64> {
    request.extensions().get::<User>().map(|user| user.id)
}

#[get("/orders")]
#[rate_limit(rate = "3/minute", key = user_id)]
async fn orders(request: HttpRequest, decision: Decision) -> impl Responder {
    match request.extensions().get::<User>() {
        Some(user) => HttpResponse::Ok().body(format!(
            "No orders, {}. You may ask {} times more.\n",
            user.name,
            decision.remaining()
        )),
        None => HttpResponse::Unauthorized().body("Who are you?\n"),
    }
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    env_logger::init_from_env(Env::default().default_filter_or("warn"));
    let guard = RateGuard::in_memory();
    HttpServer::new(move || {
        App::new().app_data(guard.clone()).wrap(from_fn(authenticate)).service(orders)
    })
    .bind(("127.0.0.1", 8080))?
    .run()
    .await
}
