use actix_rateguard::rate_limit;
use actix_web::get;

#[get("/")]
#[rate_limit(rate = "5/minute")]
async fn handler() -> f32 {
    0.5
}

fn main() {}
