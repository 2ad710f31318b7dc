//! The middleware.

use std::{borrow::Cow, fmt, panic::Location, rc::Rc, sync::Arc};

use actix_web::{
    Error,
    body::{EitherBody, MessageBody},
    dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready},
};
use futures_util::future::{LocalBoxFuture, Ready, ready};

use super::{
    enforce::{decided, enforce},
    failure::LimitedError,
    headers::write_decision,
};
use crate::{
    OnError, Policy, Quota, RateError, RateGuard,
    guard::Claim,
    key::{self, RequestKey, key_or_address},
};

/// The name of a limit that was given none. Two of them on one guard are refused at start.
const UNNAMED: &str = "app";

/// A middleware that limits an `App`, a `Scope` or a `Resource`.
///
/// ```
/// # use actix_web::{App, web};
/// # use rateguard::{RateGuard, RateLimit, key};
/// let guard = RateGuard::in_memory();
/// let app = App::new()
///     .service(
///         web::scope("/api")
///             .wrap(RateLimit::new(&guard, "10/second").by(key::header("X-Api-Key")).name("api")),
///     )
///     .wrap(RateLimit::new(&guard, "100/minute"));
/// ```
///
/// A request beyond the limit is answered with 429, as a response and not as an error, so that middlewares around this
/// one, such as actix-cors, act on it. As always in actix-web, what is wrapped last comes first.
#[derive(Clone)]
pub struct RateLimit {
    limit: Arc<Limit>,
}

#[derive(Clone)]
struct Limit {
    guard: RateGuard,
    policy: Policy,
    by: Arc<dyn RequestKey>,
    place: &'static Location<'static>,
}

impl RateLimit {
    /// Admits so much for each client address. The quota may be text such as `"100/minute"`.
    ///
    /// # Panics
    ///
    /// If the text is not a legal quota: at start, where the application is put together, not in a request. To handle
    /// it yourself, parse it first: `"100/minute".parse::<Quota>()?`.
    #[must_use]
    #[track_caller]
    pub fn new<Q>(guard: &RateGuard, quota: Q) -> Self
    where
        Q: TryInto<Quota, Error: Into<RateError>>,
    {
        let policy = legal(Policy::new(UNNAMED, quota));
        let limit = Limit {
            guard: guard.clone(),
            policy,
            by: Arc::new(key::ip()),
            place: Location::caller(),
        };
        Self { limit: Arc::new(limit) }
    }

    /// Who is counted together: a ready-made key from [`key`](crate::key), or a closure over `&HttpRequest`. Default:
    /// [`key::ip`].
    ///
    /// ```
    /// # use actix_web::HttpRequest;
    /// # use rateguard::{Key, RateGuard, RateLimit};
    /// # let guard = RateGuard::in_memory();
    /// let per_tenant = RateLimit::new(&guard, "100/minute").by(|request: &HttpRequest| {
    ///     let tenant = request.headers().get("X-Tenant")?;
    ///     Some(Key::from(tenant.as_bytes()))
    /// });
    /// ```
    #[must_use]
    pub fn by(self, key: impl RequestKey) -> Self {
        self.with(|limit| limit.by = Arc::new(key))
    }

    /// The name, in keys and logs. Default: `app`. Limits of one name and one guard share their counts, so each needs a
    /// name of its own as soon as there are two.
    ///
    /// # Panics
    ///
    /// If the name is empty, longer than 200 bytes or has anything but letters, digits and ASCII punctuation without
    /// braces in it.
    #[must_use]
    #[track_caller]
    pub fn name(self, name: impl Into<Cow<'static, str>>) -> Self {
        let policy = legal(self.limit.policy.clone().named(name.into()));
        self.with(|limit| limit.policy = policy)
    }

    /// What happens to a request when the store does not answer. Default: what the guard says.
    #[must_use]
    pub fn on_error(self, on_error: OnError) -> Self {
        self.with(|limit| limit.policy = limit.policy.clone().on_error(on_error))
    }

    fn with(mut self, change: impl FnOnce(&mut Limit)) -> Self {
        change(Arc::make_mut(&mut self.limit));
        self
    }
}

/// The value, or a clear word at start.
#[track_caller]
#[allow(
    clippy::panic,
    reason = "a mistake of the program, found where the application is put together"
)]
fn legal<T>(value: Result<T, impl fmt::Display>) -> T {
    // Not in a closure, which would hide the caller's place.
    match value {
        Ok(value) => value,
        Err(error) => panic!("{error}"),
    }
}

impl fmt::Debug for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit").field("policy", &self.limit.policy).finish_non_exhaustive()
    }
}

/// # Panics
///
/// When the application starts: if another limit of the same name on the same guard has another quota, or if two have
/// no name.
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
        let Limit { guard, policy, place, .. } = &*self.limit;
        let place = (policy.name() == UNNAMED).then_some(*place);
        legal(guard.claim(Claim { policy, unnamed_at: place }));
        ready(Ok(RateLimitMiddleware { service: Rc::new(service), limit: Arc::clone(&self.limit) }))
    }
}

/// A service behind a [`RateLimit`].
#[doc(hidden)]
pub struct RateLimitMiddleware<S> {
    service: Rc<S>,
    limit: Arc<Limit>,
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
        let limit = Arc::clone(&self.limit);
        Box::pin(async move {
            let key = key_or_address(limit.by.key(request.request()), request.request());
            let passed = enforce(&limit.guard, &limit.policy, &key, request.request()).await;
            let decision = decided(request.request());
            // No clone of the request may live while the inner service routes it.
            let answer = match passed {
                Ok(()) => service.call(request).await.map(ServiceResponse::map_into_left_body),
                Err(refusal) => Ok(request.into_response(refusal).map_into_right_body()),
            };
            match (answer, decision) {
                (Ok(mut response), _) => {
                    if let Some(decision) = decided(response.request()) {
                        write_decision(&decision, response.headers_mut());
                    }
                    Ok(response)
                }
                (Err(error), Some(decision)) => Err(LimitedError::new(error, decision).into()),
                (Err(error), None) => Err(error),
            }
        })
    }
}
