//! The middleware as actix-web calls it.

use std::rc::Rc;

use actix_web::{
    Error,
    body::{EitherBody, MessageBody},
    dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready},
};
use futures_util::future::{LocalBoxFuture, Ready, ready};
use smallvec::SmallVec;

use super::limit::{Limit, RateLimit, legal, named_apart, payable};
use crate::{
    guard::Claim,
    http::{
        client,
        enforce::{Asked, decided, enforce},
        failure::LimitedError,
        headers::write_decision,
    },
};

/// # Panics
///
/// When the application starts: if another limit of the same name on the same guard has another quota, if two have
/// no name, or if the cost is a number above the limit.
impl<S, B> Transform<S, ServiceRequest> for RateLimit
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Transform = RateLimitMiddleware<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        legal(named_apart(&self.limits));
        for limit in &*self.limits {
            let Limit { policy, unnamed_at, .. } = limit;
            legal(self.guard.claim(Claim { policy, unnamed_at: *unnamed_at }));
            legal(payable(limit));
        }
        ready(Ok(RateLimitMiddleware { service: Rc::new(service), limit: self.clone() }))
    }
}

/// A service behind a [`RateLimit`].
#[doc(hidden)]
pub struct RateLimitMiddleware<S> {
    service: Rc<S>,
    limit: RateLimit,
}

impl<S, B> Service<ServiceRequest> for RateLimitMiddleware<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self::Response, Error>>;

    forward_ready!(service);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let service = Rc::clone(&self.service);
        let RateLimit { guard, limits } = self.limit.clone();
        Box::pin(async move {
            let passed = {
                let request = request.request();
                client::find(&guard, request);
                let asked: SmallVec<[Asked<'_>; 1]> =
                    limits.iter().map(|limit| limit.asked(request)).collect();
                enforce(&guard, &asked, request).await
            };
            let passed = match passed {
                Ok(passed) => passed,
                Err(refusal) => {
                    let mut response = request.into_response(refusal).map_into_right_body();
                    write_decided(&mut response);
                    return Ok(response);
                }
            };
            // No clone of the request may live while the inner service routes it.
            match service.call(request).await {
                Ok(response) => {
                    let mut response = response.map_into_left_body();
                    if let Some(decided) = passed.answered(response.status()).await {
                        decided.remember(response.request());
                    }
                    write_decided(&mut response);
                    Ok(response)
                }
                Err(error) if passed.is_uncounted() => Err(error),
                Err(error) => {
                    // Its answer decides, which it may give only once.
                    let response = error.error_response();
                    // What other limits have decided, they tell themselves.
                    match passed.answered(response.status()).await {
                        Some(decided) => {
                            Err(LimitedError::new(error, response, decided.decision).into())
                        }
                        None => Err(error),
                    }
                }
            }
        })
    }
}

fn write_decided<B>(response: &mut ServiceResponse<B>) {
    if let Some(decision) = decided(response.request()) {
        write_decision(&decision, response.headers_mut());
    }
}
