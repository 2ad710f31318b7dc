//! Limits by a JSON Web Token: its claims determine the key and the quota of each request.
//!
//! ```sh
//! cargo run --example jwt   # prints a token for ann with the free plan, and one for bob with the paid plan
//! curl -i -H "Authorization: Bearer $TOKEN" 127.0.0.1:8080/search  # 2 in 10 seconds for ann, 6 for bob
//! curl -i -H 'Authorization: Bearer forged' 127.0.0.1:8080/search  # 401, not counted
//! curl -i 127.0.0.1:8080/search                                    # 403: this limit needs a key
//! ```
//!
//! In a project of your own, this program also needs the dependencies `chrono = "0.4"`,
//! `jwt-compact = "0.8"` and `serde = { version = "1", features = ["derive"] }`.

#![allow(clippy::print_stdout, reason = "it prints tokens")]

use std::sync::LazyLock;

use actix_rateguard::{Plan, RateGuard, rate_limit};
use actix_web::{
    App, Error, HttpMessage, HttpRequest, HttpServer, Responder, error::ErrorUnauthorized, get,
    http::header::AUTHORIZATION,
};
use chrono::TimeDelta;
use env_logger::Env;
use jwt_compact::{
    AlgorithmExt, Claims, Header, TimeOptions, UntrustedToken, ValidationError,
    alg::{Hs256, Hs256Key},
};
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize)]
struct User {
    #[serde(rename = "sub")]
    name: String,
    pays: bool,
}

/// A real application reads this from its secret store.
static SECRET: LazyLock<Hs256Key> = LazyLock::new(|| Hs256Key::new(b"only for this example"));

static FREE: LazyLock<Plan> = LazyLock::new(|| Plan::of("2/10s; 100/day"));
static PAID: LazyLock<Plan> = LazyLock::new(|| Plan::of("6/10s"));

/// The verified claims of a request, if it has a token. An invalid or expired token is a 401.
fn user(request: &HttpRequest) -> Result<Option<User>, Error> {
    // The key and the quota both need the user, so the result is cached in the request.
    if let Some(user) = request.extensions().get::<User>() {
        return Ok(Some(user.clone()));
    }
    let token = request.headers().get(AUTHORIZATION).and_then(|it| it.to_str().ok());
    let Some(token) = token.and_then(|it| it.strip_prefix("Bearer ")) else { return Ok(None) };
    let user = verified(token).map_err(|_| ErrorUnauthorized("This token is not valid.\n"))?;
    request.extensions_mut().insert(user.clone());
    Ok(Some(user))
}

fn verified(token: &str) -> Result<User, ValidationError> {
    let token = UntrustedToken::new(token).map_err(|_| ValidationError::InvalidSignature)?;
    let token = Hs256.validator::<User>(&*SECRET).validate(&token)?;
    let claims = token.claims().validate_expiration(&TimeOptions::default())?;
    Ok(claims.custom.clone())
}

fn name_of(request: &HttpRequest) -> Result<Option<String>, Error> {
    Ok(user(request)?.map(|user| user.name))
}

fn plan_of(request: &HttpRequest) -> Result<Plan, Error> {
    let pays = user(request)?.is_some_and(|user| user.pays);
    Ok(if pays { PAID.clone() } else { FREE.clone() })
}

#[get("/search")]
#[rate_limit(plan = plan_of, key = name_of, missing_key = "deny")]
async fn search() -> impl Responder {
    "Nothing found.\n"
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    env_logger::init_from_env(Env::default().default_filter_or("info"));
    for (name, pays) in [("ann", false), ("bob", true)] {
        let claims = Claims::new(User { name: name.to_owned(), pays })
            .set_duration_and_issuance(&TimeOptions::default(), TimeDelta::hours(1));
        let token = Hs256.token(&Header::empty(), &claims, &SECRET)?;
        println!("The token of {name}, for an hour:\nTOKEN={token}");
    }
    let guard = RateGuard::in_memory();
    let server = HttpServer::new(move || App::new().app_data(guard.clone()).service(search));
    Ok(server.bind(("127.0.0.1", 8080))?.run().await?)
}
