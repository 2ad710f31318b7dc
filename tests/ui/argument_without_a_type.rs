use actix_rateguard::rate_limit;

#[rate_limit(rate = "5/minute")]
async fn handler(request: impl actix_web::FromRequest) -> &'static str {
    let _ = request;
    "ok"
}

fn main() {}
