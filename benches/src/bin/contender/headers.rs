//! Three constant headers and no limit: the minimum cost of a limiter with headers.

use std::future::{Ready, ready};

use actix_web::{
    Error,
    dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready},
    http::header::{HeaderMap, HeaderName, HeaderValue},
};
use futures_util::future::LocalBoxFuture;

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// Writes the three headers.
pub(crate) fn write(headers: &mut HeaderMap, limit: u32, remaining: u64, reset_after: u64) {
    headers.insert(LIMIT, HeaderValue::from(limit));
    headers.insert(REMAINING, HeaderValue::from(remaining));
    headers.insert(RESET, HeaderValue::from(reset_after));
}

pub(crate) struct ThreeHeaders;

pub(crate) struct ThreeHeadersMiddleware<S> {
    service: S,
}

impl<S, B> Transform<S, ServiceRequest> for ThreeHeaders
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: 'static,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type Transform = ThreeHeadersMiddleware<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(ThreeHeadersMiddleware { service }))
    }
}

impl<S, B> Service<ServiceRequest> for ThreeHeadersMiddleware<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: 'static,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self::Response, Error>>;

    forward_ready!(service);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let future = self.service.call(request);
        Box::pin(async move {
            let mut response = future.await?;
            write(response.headers_mut(), 100_000, 12_345, 60);
            Ok(response)
        })
    }
}
