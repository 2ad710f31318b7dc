//! Functions that other macros have changed: operations of paperclip and apistos, and methods of async-trait.

use std::pin::Pin;

use actix_rateguard::rate_limit;

#[rate_limit(rate = "5/minute")]
fn operation() -> impl Future<Output = &'static str> + Send {
    async { "ok" }
}

trait Api {
    fn list() -> Pin<Box<dyn Future<Output = &'static str> + Send>>;
}

struct Shop;

impl Api for Shop {
    #[rate_limit(rate = "5/minute")]
    fn list() -> Pin<Box<dyn Future<Output = &'static str> + Send>> {
        Box::pin(async { "ok" })
    }
}

fn main() {}
