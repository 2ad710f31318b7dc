//! The future of the middleware's response.

use std::{
    ops::ControlFlow,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use actix_web::{
    Error, HttpRequest, HttpResponse,
    body::EitherBody,
    dev::{Service, ServiceRequest, ServiceResponse},
};
use futures_util::future::LocalBoxFuture;
use pin_project_lite::pin_project;

use super::{
    rate_limit::RateLimit,
    request_checks::{CheckedRequest, RequestChecks},
};
use crate::{
    admission::Admission,
    replaced_limits,
    request_state::RequestState,
    response::{EarlyResponse, PermitBody, hold_until_end, store_response, unless_head},
};

type LimitedResponse<B> = Result<ServiceResponse<LimitedBody<B>>, Error>;

/// The body of a response: the body of the inner service, which can hold permits, or the body of a rejection.
pub(super) type LimitedBody<B> = EitherBody<PermitBody<B>>;

pin_project! {
    /// The future of the middleware's response. If no check of the request needs a future, this future needs no
    /// allocation.
    #[doc(hidden)]
    pub struct RateLimitFuture<S: Service<ServiceRequest>, B> {
        #[pin]
        state: State<S, B>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S: Service<ServiceRequest>, B> {
        /// The future has not been polled yet. The functions of the application run at the first poll, so that an outer
        /// middleware which wraps this future (for a span, for task-local values or to catch panics) covers them.
        Start { request: Option<ServiceRequest>, middleware: Rc<RateLimit>, service: Rc<S> },
        /// The checks of the request run.
        Check {
            checks: LocalBoxFuture<'static, CheckedRequest>,
            middleware: Rc<RateLimit>,
            service: Rc<S>,
        },
        /// The request is admitted, and the inner service runs.
        Handler { #[pin] future: S::Future, middleware: Rc<RateLimit>, admission: Option<Admission> },
        /// The handler has responded, and the guard refunds or charges units.
        Settlement { settlement: LocalBoxFuture<'static, LimitedResponse<B>> },
    }
}

impl<S: Service<ServiceRequest>, B> RateLimitFuture<S, B> {
    /// Returns a future that checks the request, and then calls the inner service.
    pub(super) fn new(request: ServiceRequest, middleware: Rc<RateLimit>, service: Rc<S>) -> Self {
        Self { state: State::Start { request: Some(request), middleware, service } }
    }

    /// Returns a future with this response.
    #[cfg(feature = "test-util")]
    pub(super) fn ready(response: ServiceResponse<LimitedBody<B>>) -> Self
    where
        B: 'static,
    {
        let settlement = Box::pin(futures_util::future::ready(Ok(response)));
        Self { state: State::Settlement { settlement } }
    }
}

impl<S, B> State<S, B>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    /// Returns the state in which the inner service runs. If the request is rejected, breaks with the response.
    fn after_checks(
        (request, result): CheckedRequest,
        middleware: &Rc<RateLimit>,
        service: &Rc<S>,
    ) -> ControlFlow<ServiceResponse<LimitedBody<B>>, Self> {
        match result {
            Ok(admission) => ControlFlow::Continue(Self::Handler {
                future: service.call(request),
                middleware: Rc::clone(middleware),
                admission: Some(admission),
            }),
            Err(early_response) => {
                ControlFlow::Break(rejected(middleware, request, early_response))
            }
        }
    }
}

impl<S, B> Future for RateLimitFuture<S, B>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    B: 'static,
{
    type Output = LimitedResponse<B>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProjection::Start { request, middleware, service } => {
                    let Some(request) = request.take() else { return Poll::Pending };
                    match RequestChecks::run(middleware, request) {
                        RequestChecks::Complete(checked) => {
                            State::<S, B>::after_checks(checked, middleware, service)
                        }
                        RequestChecks::Pending(checks) => ControlFlow::Continue(State::Check {
                            checks,
                            middleware: Rc::clone(middleware),
                            service: Rc::clone(service),
                        }),
                    }
                }
                StateProjection::Check { checks, middleware, service } => {
                    let checked = ready!(checks.as_mut().poll(context));
                    State::<S, B>::after_checks(checked, middleware, service)
                }
                StateProjection::Handler { future, middleware, admission } => {
                    let result = ready!(future.poll(context));
                    let Some(mut admission) = admission.take() else { return Poll::Pending };
                    if let Ok(response) = &result {
                        record_replacements(middleware, response.request());
                    }
                    match result {
                        Ok(response) if !admission.needs_settlement() => {
                            let response = with_permit(response, &mut admission);
                            ControlFlow::Break(with_limit_headers(middleware, response))
                        }
                        result => {
                            let settlement = settle(Rc::clone(middleware), admission, result);
                            let settlement = Box::pin(settlement);
                            ControlFlow::Continue(State::Settlement { settlement })
                        }
                    }
                }
                StateProjection::Settlement { settlement } => {
                    return settlement.as_mut().poll(context);
                }
            };
            match next {
                ControlFlow::Continue(next) => state.set(next),
                ControlFlow::Break(response) => return Poll::Ready(Ok(response)),
            }
        }
    }
}

/// Records whether the handler of a completed request has replaced limits of the middleware.
fn record_replacements(middleware: &RateLimit, request: &HttpRequest) {
    if replaced_limits::is_in_use()
        && let Some(state) = RequestState::existing(request)
        && state.replaced.must_be_recorded()
    {
        for limit in &**middleware.limits {
            limit.record_replacement(&middleware.guard, request, &state.replaced);
        }
    }
}

/// Refunds and charges units after the handler has responded, and adds the header fields to the response.
async fn settle<B>(
    middleware: Rc<RateLimit>,
    mut admission: Admission,
    result: Result<ServiceResponse<B>, Error>,
) -> LimitedResponse<B> {
    let guard = &middleware.guard;
    match result {
        Ok(response) => {
            let (request, response) = response.into_parts();
            let (response, body) = response.into_parts();
            admission.on_response(guard, &response).await;
            let response = ServiceResponse::new(request, response.set_body(body));
            Ok(with_limit_headers(&middleware, with_permit(response, &mut admission)))
        }
        Err(mut error) if admission.needs_error_response() => {
            // Some errors can create their response only once, so the error stores the response and sends it later.
            let (response, body) = error.error_response().into_parts();
            admission.on_response(guard, &response).await;
            let decision = admission.visible_decision();
            let body = hold_until_end(body, admission.take_permit());
            store_response(&mut error, response.set_body(body), decision, guard.clone());
            admission.record_stored_response();
            Err(error)
        }
        Err(error) => {
            // The status is sufficient to determine whether the request counts. As without RateGuard, the error creates
            // its response after this middleware.
            let status = error.as_response_error().status_code();
            admission.on_response(guard, &HttpResponse::new(status).drop_body()).await;
            Err(error)
        }
    }
}

/// Returns the response, whose body holds the permits of the request until it ends.
fn with_permit<B>(
    response: ServiceResponse<B>,
    admission: &mut Admission,
) -> ServiceResponse<LimitedBody<B>> {
    let permit = unless_head(response.request(), admission.take_permit());
    response.map_body(|_, body| EitherBody::left(PermitBody::new(body, permit)))
}

/// Returns the response to a request that does not reach its handler.
fn rejected<B>(
    middleware: &RateLimit,
    request: ServiceRequest,
    early_response: EarlyResponse,
) -> ServiceResponse<LimitedBody<B>> {
    let response = early_response.into_response(middleware.guard.http(), request.request());
    let response = request.into_response(response).map_into_right_body();
    with_limit_headers(middleware, response)
}

/// Returns the response with the header fields that report the decisions on the request.
fn with_limit_headers<B>(
    middleware: &RateLimit,
    mut response: ServiceResponse<B>,
) -> ServiceResponse<B> {
    if let Some(state) = RequestState::existing(response.request()) {
        let settings = middleware.guard.http();
        let jitter = state.retry_jitter(settings, response.request());
        let status = response.status();
        state.write_decisions(settings, jitter, status, response.headers_mut());
    }
    response
}
