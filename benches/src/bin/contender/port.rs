//! A middleware for limiters that have none for actix-web.

use actix_web::{
    Error, HttpResponse,
    body::{EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    error::{ErrorBadRequest, ErrorInternalServerError},
    http::header::RETRY_AFTER,
    middleware::Next,
    web,
};
use rateguard_benches::BenchResult;

use super::{headers, key_of};

/// A limiter without a middleware.
pub(crate) trait Port: 'static {
    /// Checks one request.
    async fn check(&self, key: String) -> BenchResult<PortDecision>;
}

/// The decision of a limiter.
pub(crate) struct PortDecision {
    pub(crate) is_allowed: bool,
    /// The seconds until the client may send again, after a denial.
    pub(crate) retry_after: u64,
    /// The values of the three headers: limit, remaining requests, and seconds until more are available. Not all
    /// limiters report them.
    pub(crate) headers: Option<(u32, u64, u64)>,
}

/// The middleware.
pub(crate) async fn limit<P: Port, B: MessageBody>(
    port: web::Data<P>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let key = key_of(&request).ok_or_else(|| ErrorBadRequest("no key"))?;
    let decision = port.check(key).await.map_err(ErrorInternalServerError)?;
    let mut response = if decision.is_allowed {
        next.call(request).await?.map_into_left_body()
    } else {
        let mut rejection = HttpResponse::TooManyRequests();
        let rejection = rejection.insert_header((RETRY_AFTER, decision.retry_after)).finish();
        request.into_response(rejection).map_into_right_body()
    };
    if let Some((limit, remaining, reset_after)) = decision.headers {
        headers::write(response.headers_mut(), limit, remaining, reset_after);
    }
    Ok(response)
}
