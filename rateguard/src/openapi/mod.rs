//! Documents the limits of a guard in an OpenAPI document (feature `utoipa`).
//!
//! [`LimitResponses`] adds the responses of the limits to a document that [utoipa](https://docs.rs/utoipa) has
//! generated:
//!
//! ```
//! # mod program {
//! use actix_rateguard::{RateGuard, openapi::LimitResponses, rate_limit};
//! use actix_web::get;
//! use utoipa::{Modify, OpenApi};
//!
//! #[utoipa::path(get, path = "/books", responses((status = 200, body = String)))]
//! #[get("/books")]
//! #[rate_limit(rate = "5/minute")]
//! async fn search_books() -> String {
//!     String::new()
//! }
//!
//! #[derive(OpenApi)]
//! #[openapi(paths(search_books))]
//! struct Api;
//!
//! pub fn api(guard: &RateGuard) -> utoipa::openapi::OpenApi {
//!     let mut api = Api::openapi();
//!     LimitResponses::of(guard).modify(&mut api); // `GET /books` now has a response 429
//!     api
//! }
//! # }
//! # let api = program::api(&actix_rateguard::RateGuard::in_memory());
//! # assert!(api.to_json().unwrap().contains("At most 5/minute."));
//! ```
//!
//! Write `#[utoipa::path]` above `#[rate_limit]`, because it reads the arguments of the handler. In the other order,
//! the program does not compile.

mod limit_responses;
mod operations;
mod responses;

pub use limit_responses::LimitResponses;
