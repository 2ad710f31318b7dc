//! The plain port as a middleware: a pooled connection for each request, a script, and three headers.

use std::time::Duration;

use actix_web::{
    Error, HttpResponse,
    body::{EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    error::{ErrorBadRequest, ErrorInternalServerError},
    http::header::RETRY_AFTER,
    middleware::Next,
    web,
};
use deadpool_redis::Pool;
use rateguard_benches::{
    BenchResult,
    plain::{self, PlainLimiter},
};

use super::{headers, key_of};

pub(crate) struct PlainPort {
    pool: Pool,
    limit: u32,
    plain: PlainLimiter,
}

impl PlainPort {
    pub(crate) fn new(url: &str, limit: (u32, Duration)) -> BenchResult<Self> {
        Ok(Self { pool: plain::pool(url)?, limit: limit.0, plain: PlainLimiter::new(limit) })
    }
}

pub(crate) async fn limit<B: MessageBody>(
    port: web::Data<PlainPort>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let key = key_of(&request).ok_or_else(|| ErrorBadRequest("no key"))?;
    let mut connection = port.pool.get().await.map_err(ErrorInternalServerError)?;
    let decision = port.plain.check(&mut connection, &key).await;
    // Other requests wait for a connection.
    drop(connection);
    let decision = decision.map_err(ErrorInternalServerError)?;

    let mut response = if decision.is_allowed {
        next.call(request).await?.map_into_left_body()
    } else {
        let mut rejection = HttpResponse::TooManyRequests();
        let rejection = rejection.insert_header((RETRY_AFTER, decision.reset_after)).finish();
        request.into_response(rejection).map_into_right_body()
    };
    headers::write(response.headers_mut(), port.limit, decision.remaining, decision.reset_after);
    Ok(response)
}
