use actix_rateguard::rate_limit;

#[rate_limit(rate = "5/minute")]
struct Handler;

#[rate_limit(rate = "5/minute")]
impl Handler {
    async fn handler() -> &'static str {
        "ok"
    }
}

#[rate_limit(rate = "5/minute")]
mod handlers {}

trait Handlers {
    #[rate_limit(rate = "5/minute")]
    async fn handler() -> &'static str;
}

fn main() {}
