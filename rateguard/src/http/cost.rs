//! What a request costs.

use actix_web::HttpRequest;

/// What a request costs: a number, or a closure or function over `&HttpRequest` that returns one.
///
/// ```
/// # use actix_web::HttpRequest;
/// # use rateguard::{RateGuard, RateLimit};
/// # let guard = RateGuard::in_memory();
/// let fixed = RateLimit::new(&guard, "100/minute").cost(5);
/// let by_size = RateLimit::new(&guard, "10000/minute").cost(|request: &HttpRequest| {
///     let length = request.headers().get("Content-Length");
///     let length = length.and_then(|it| it.to_str().ok()?.parse::<u32>().ok());
///     1 + length.unwrap_or(0) / 1_024
/// });
/// ```
pub trait RequestCost: Send + Sync + 'static {
    /// How many units this request costs. 0 is admitted always; more than the limit never.
    fn cost(&self, request: &HttpRequest) -> u32;

    /// The cost, if it is the same for all requests.
    fn constant(&self) -> Option<u32> {
        None
    }
}

impl RequestCost for u32 {
    fn cost(&self, _: &HttpRequest) -> u32 {
        *self
    }

    fn constant(&self) -> Option<u32> {
        Some(*self)
    }
}

impl<F> RequestCost for F
where
    F: Fn(&HttpRequest) -> u32 + Send + Sync + 'static,
{
    fn cost(&self, request: &HttpRequest) -> u32 {
        self(request)
    }
}
