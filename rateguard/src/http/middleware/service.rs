//! The middleware as actix-web calls it.

use std::rc::Rc;

use actix_web::{
    Error, HttpRequest,
    body::{EitherBody, MessageBody},
    dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready},
    http::{
        Method,
        header::{ACCESS_CONTROL_REQUEST_METHOD, ORIGIN},
    },
};
use futures_util::future::{LocalBoxFuture, Ready, ready};

use super::limit::{Limit, RateLimit, named_apart, payable};
#[cfg(feature = "test-util")]
use crate::http::survey::Survey;
use crate::{
    guard::{Claim, InForce},
    http::{
        client,
        enforce::{AskedList, Passed, enforce},
        failure::LimitedError,
        in_force::in_force,
        kept::write_decided,
        legal,
        refusal::Refusal,
        terms::address_admitted,
    },
};

/// # Panics
///
/// When the application starts: if another limit of the same name on the same guard has another quota or ban, if two have
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
        let in_force = self.guard.in_force();
        for limit in &*self.limits {
            let Limit { policy, is_of_guard, unnamed_at, .. } = limit;
            if !is_of_guard {
                let is_fixed = limit.plan.is_none();
                legal(self.guard.claim(Claim { policy, is_fixed, unnamed_at: *unnamed_at }));
            }
            legal(payable(limit, &in_force));
            limit.note_use(&in_force);
        }
        self.guard.http().middlewares.note(&self.guard, &in_force, self);
        ready(Ok(RateLimitMiddleware { service: Rc::new(service), limit: Rc::new(self.clone()) }))
    }
}

/// A service behind a [`RateLimit`].
#[doc(hidden)]
pub struct RateLimitMiddleware<S> {
    service: Rc<S>,
    limit: Rc<RateLimit>,
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
        let limit = Rc::clone(&self.limit);
        Box::pin(async move {
            let in_force = in_force(&limit.guard, request.request());
            #[cfg(feature = "test-util")]
            if let Some(survey) = Survey::of(request.request()) {
                let is_for =
                    |limit: &Limit| limit.terms.apply_to(limit.said(&in_force), request.request());
                survey.note(limit.limits.iter().any(is_for));
                if survey.has_met_a_limit() {
                    return Ok(request.into_response(Survey::answer()).map_into_right_body());
                }
            }
            let mut passed = match admit(&limit, &in_force, request.request()).await {
                Ok(passed) => passed,
                Err(refusal) => {
                    let refusal = refusal.answer(limit.guard.http(), request.request());
                    let mut response = request.into_response(refusal).map_into_right_body();
                    tell(&limit, &mut response);
                    return Ok(response);
                }
            };
            // No clone of the request may live while the inner service routes it.
            match service.call(request).await {
                Ok(response) => {
                    let mut response = response.map_into_left_body();
                    passed.answered(response.status()).await;
                    tell(&limit, &mut response);
                    Ok(response)
                }
                Err(error) if passed.is_uncounted() => {
                    // Its answer is not given for what is in shadow.
                    passed.answered(error.as_response_error().status_code()).await;
                    Err(error)
                }
                Err(error) => {
                    // Its answer decides, which it may give only once.
                    let response = error.error_response();
                    passed.answered(response.status()).await;
                    // What other limits have decided, they tell themselves.
                    match passed.decision() {
                        Some(decision) => {
                            let guard = limit.guard.clone();
                            Err(LimitedError::new(error, response, decision, guard).into())
                        }
                        None => Err(error),
                    }
                }
            }
        })
    }
}

async fn admit<'a>(
    limit: &'a RateLimit,
    in_force: &'a InForce,
    request: &HttpRequest,
) -> Result<Passed<'a>, Refusal> {
    let RateLimit { guard, limits, access, counts_preflights } = limit;
    client::find(guard, request);
    let lists = [&in_force.access, &guard.http().access, &**access];
    let is_free = address_admitted(&lists, request)?;
    if is_free || (!counts_preflights && is_preflight(request)) {
        return Ok(Passed::uncounted(guard));
    }
    let mut asked = AskedList::new();
    for limit in &**limits {
        asked.extend(limit.asked(in_force, &lists, request).await?);
    }
    enforce(guard, in_force, asked, request).await
}

/// Whether a browser asks what it may ask for (Fetch standard, section 3.2.2): a script can neither see nor prevent it.
pub(in crate::http) fn is_preflight(request: &HttpRequest) -> bool {
    let has = |name| request.headers().contains_key(name);
    *request.method() == Method::OPTIONS && has(ORIGIN) && has(ACCESS_CONTROL_REQUEST_METHOD)
}

/// Tells the client what was decided.
fn tell<B>(limit: &RateLimit, response: &mut ServiceResponse<B>) {
    let request = response.request().clone();
    write_decided(&limit.guard, &request, response.headers_mut());
}
