use actix_rateguard::rate_limit;
use actix_web::get;

struct Session;

#[get("/")]
#[rate_limit(rate = "5/minute")]
async fn handler(_: Session) -> &'static str {
    "ok"
}

fn main() {}
