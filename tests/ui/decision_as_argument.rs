use actix_rateguard::{Decision, rate_limit};
use actix_web::get;

#[get("/")]
#[rate_limit(rate = "5/minute")]
async fn handler(_path: actix_web::web::Path<String>, _decision: Decision) -> &'static str {
    "ok"
}

fn main() {}
