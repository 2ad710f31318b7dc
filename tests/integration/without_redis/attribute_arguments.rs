//! Tests arguments of the attribute that are not literals, and attributes that `macro_rules!` macros write.

use std::time::Duration;

use actix_rateguard::{RateGuard, rate_limit};
use actix_web::{HttpRequest, get, web};

use crate::support::app::get as send_get;

const MAX_LOGINS: u32 = 5;
const HOUR: u64 = 60 * 60;
const MINUTES: Duration = Duration::from_secs(120);

const fn half(limit: u32) -> u32 {
    limit / 2
}

#[get("/constant")]
#[rate_limit(limit = MAX_LOGINS, window = HOUR)]
async fn constant() -> &'static str {
    "ok"
}

#[get("/expression")]
#[rate_limit(limit = half(MAX_LOGINS + 1), window = 2 * HOUR)]
async fn expression() -> &'static str {
    "ok"
}

#[get("/literal-window")]
#[rate_limit(limit = u32::MAX / 2, window = "1m", algorithm = "fixed_window")]
async fn literal_window() -> &'static str {
    "ok"
}

#[get("/duration")]
#[rate_limit(limit = 8, window = MINUTES)]
async fn duration() -> &'static str {
    "ok"
}

#[get("/duration-expression")]
#[rate_limit(limit = 9, window = Duration::from_secs(HOUR))]
async fn duration_expression() -> &'static str {
    "ok"
}

#[get("/burst")]
#[rate_limit(limit = 1, window = 60, algorithm = "token_bucket", burst = MAX_LOGINS * 2, cost = 2)]
async fn burst() -> &'static str {
    "ok"
}

/// The compiler evaluates the numbers once, and not for each type parameter.
#[rate_limit(limit = MAX_LOGINS + 1, window = HOUR)]
async fn generic<T: 'static>() -> &'static str {
    std::any::type_name::<T>()
}

/// Writes a handler with the attribute above a route attribute, as a library would do it.
macro_rules! limited_route {
    ($name:ident, $path:literal, $limit:expr, $window:expr) => {
        #[rate_limit(limit = $limit, window = $window)]
        #[get($path)]
        async fn $name(_: HttpRequest) -> &'static str {
            "ok"
        }
    };
}

limited_route!(by_macro, "/macro", MAX_LOGINS + 2, HOUR);

#[actix_web::test]
async fn constant_expressions_form_the_quota() {
    let generic = web::resource("/generic").route(web::get().to(generic::<u8>));
    let guard = RateGuard::in_memory();
    let app = app!(
        guard,
        constant,
        expression,
        literal_window,
        duration,
        duration_expression,
        burst,
        by_macro,
        generic
    );
    for (path, numbers) in [
        ("/constant", [5, 4, 3_600]),
        ("/expression", [3, 2, 7_200]),
        ("/duration", [8, 7, 120]),
        ("/duration-expression", [9, 8, 3_600]),
        ("/generic", [6, 5, 3_600]),
        ("/macro", [7, 6, 3_600]),
        ("/burst", [10, 8, 60]),
    ] {
        assert_eq!(send_get(&app, 1, path).await.numbers(), Some(numbers), "{path}");
    }
    let [limit, remaining, _] = send_get(&app, 1, "/literal-window").await.numbers().unwrap();
    assert_eq!((limit, remaining), (2_147_483_647, 2_147_483_646));
}
