//! The plain port as a middleware: a connection of a pool for each request, a script, three headers.

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
    Outcome,
    plain::{self, Plain},
};

use super::{headers, key_of};

pub(crate) struct PlainPort {
    pool: Pool,
    limit: u32,
    plain: Plain,
}

impl PlainPort {
    pub(crate) fn new(url: &str, limit: (u32, Duration)) -> Outcome<Self> {
        Ok(Self { pool: plain::pool(url)?, limit: limit.0, plain: Plain::new(limit) })
    }
}

pub(crate) async fn limit<B: MessageBody>(
    port: web::Data<PlainPort>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let key = key_of(&request).ok_or_else(|| ErrorBadRequest("no key"))?;
    let mut connection = port.pool.get().await.map_err(ErrorInternalServerError)?;
    let decided = port.plain.check(&mut connection, &key).await;
    // Others wait for it.
    drop(connection);
    let decided = decided.map_err(ErrorInternalServerError)?;

    let mut answer = if decided.is_allowed {
        next.call(request).await?.map_into_left_body()
    } else {
        let mut refusal = HttpResponse::TooManyRequests();
        let refusal = refusal.insert_header((RETRY_AFTER, decided.reset_after)).finish();
        request.into_response(refusal).map_into_right_body()
    };
    headers::write(answer.headers_mut(), port.limit, decided.remaining, decided.reset_after);
    Ok(answer)
}
