use actix_rateguard::rate_limit;

use actix_web::HttpRequest as R;

#[rate_limit(rate = "5/minute")]
async fn handler(
    _: R, _: R, _: R, _: R, _: R, _: R, _: R, _: R, _: R, _: R, _: R, _: R, _: R, _: R, _: R, _: R, _: R,
) -> &'static str {
    "ok"
}

fn main() {}
