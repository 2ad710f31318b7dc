//! Attributes that cannot be below the limit. They have the names of attributes of utoipa, paperclip and apistos.

use actix_rateguard::rate_limit;
use actix_web::{get as api_v2_operation, get as api_operation};

mod utoipa {
    pub use actix_web::get as path;
}

#[rate_limit(rate = "5/minute")]
#[utoipa::path("/documented")]
async fn documented() -> &'static str {
    "ok"
}

#[rate_limit(rate = "5/minute")]
#[api_v2_operation("/paperclip")]
async fn paperclip() -> &'static str {
    "ok"
}

#[rate_limit(rate = "5/minute")]
#[api_operation("/apistos")]
async fn apistos() -> &'static str {
    "ok"
}

fn main() {}
