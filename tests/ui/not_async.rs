use actix_rateguard::rate_limit;

#[rate_limit(rate = "5/minute")]
fn handler() -> &'static str {
    "ok"
}

#[actix_web::get("/above")]
#[rate_limit(rate = "5/minute")]
fn route_above() -> &'static str {
    "ok"
}

#[rate_limit(rate = "5/minute")]
#[actix_web::get("/below")]
fn route_below() -> &'static str {
    "ok"
}

fn main() {}
