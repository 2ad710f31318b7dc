//! Closures and functions that return a value for each request. They may be sync or async, and may return an error.

use std::{marker::PhantomData, sync::Arc};

use actix_web::{Error, HttpRequest};
use futures_util::future::LocalBoxFuture;

use crate::Plan;

/// A closure or function that returns a `T` for a request. For example, [`Limit::key`](crate::Limit::key) needs a
/// [`Caller`](crate::Caller), [`Limit::plan`](crate::Limit::plan) needs a [`Plan`](crate::Plan), and
/// [`Limit::skip`](crate::Limit::skip) needs a `bool`.
///
/// A closure or function implements this trait if it takes `&HttpRequest` and returns a value that converts into a `T`
/// ([`IntoResolved`]). The closure or function can be async. The compiler infers the type parameter `Kind`.
#[diagnostic::on_unimplemented(
    message = "expected a closure or function over `&HttpRequest`, found `{Self}`",
    note = "it may be sync or async; for a key it returns text, a number, a `Key`, a `Caller`, or an `Option` or `Result` of one of them; for a plan it returns a `Quota`, `Quotas`, a `Plan`, text, or a `Result` of one of them; for `skip` it returns a `bool` or a `Result` of it",
    note = "the error of a `Result` must convert into `actix_web::Error`: `.map_err(actix_web::error::ErrorBadRequest)` converts other errors, such as `String`"
)]
pub trait PerRequest<T, Kind>: Send + Sync + 'static {
    #[doc(hidden)]
    fn into_resolver(self) -> RequestResolver<T>;
}

/// The result of a closure or function. The result converts into a `T`, or into an error that becomes the response.
pub trait IntoResolved<T, Kind> {
    /// Converts the result of the closure or function.
    ///
    /// # Errors
    ///
    /// Returns the error of the closure or function. The client then gets the response to this error, and the
    /// handler does not run.
    fn into_resolved(self) -> Result<T, Error>;
}

/// Marks the implementations of [`IntoResolved`] for values that convert into a `T`.
#[doc(hidden)]
pub enum Plain {}

/// Marks the implementations of [`IntoResolved`] for the [text](Plan::text) of a plan.
#[doc(hidden)]
pub enum PlanText {}

/// Marks the implementations of [`IntoResolved`] for an `Option` whose value converts into a `T`.
#[doc(hidden)]
pub enum Optional {}

/// Marks the implementation of [`IntoResolved`] for a `Result`. `Kind` is the marker type of the value in the
/// `Result`.
#[doc(hidden)]
pub struct Fallible<Kind>(PhantomData<Kind>);

impl<T, Kind, V: IntoResolved<T, Kind>, E: Into<Error>> IntoResolved<T, Fallible<Kind>>
    for Result<V, E>
{
    fn into_resolved(self) -> Result<T, Error> {
        self.map_err(Into::into)?.into_resolved()
    }
}

impl<V: Into<Plan>> IntoResolved<Plan, Plain> for V {
    fn into_resolved(self) -> Result<Plan, Error> {
        Ok(self.into())
    }
}

impl IntoResolved<Plan, PlanText> for String {
    fn into_resolved(self) -> Result<Plan, Error> {
        Ok(Plan::text(self))
    }
}

impl IntoResolved<Plan, PlanText> for &str {
    fn into_resolved(self) -> Result<Plan, Error> {
        Ok(Plan::text(self.to_owned()))
    }
}

impl IntoResolved<Self, Plain> for bool {
    fn into_resolved(self) -> Result<Self, Error> {
        Ok(self)
    }
}

impl IntoResolved<Self, Plain> for u32 {
    fn into_resolved(self) -> Result<Self, Error> {
        Ok(self)
    }
}

/// A sync or async function that returns a `T` for a request.
#[doc(hidden)]
pub enum RequestResolver<T> {
    Sync(Arc<SyncFunction<T>>),
    Async(Arc<AsyncFunction<T>>),
}

type SyncFunction<T> = dyn Fn(&HttpRequest) -> Result<T, Error> + Send + Sync;
type AsyncFunction<T> =
    dyn for<'a> Fn(&'a HttpRequest) -> LocalBoxFuture<'a, Result<T, Error>> + Send + Sync;

impl<T> RequestResolver<T> {
    pub(crate) fn is_async(&self) -> bool {
        matches!(self, Self::Async(_))
    }

    pub(crate) async fn resolve(&self, request: &HttpRequest) -> Result<T, Error> {
        match self {
            Self::Sync(function) => function(request),
            Self::Async(function) => function(request).await,
        }
    }
}

impl<T> Clone for RequestResolver<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Sync(function) => Self::Sync(Arc::clone(function)),
            Self::Async(function) => Self::Async(Arc::clone(function)),
        }
    }
}

/// Marks the implementations of [`PerRequest`] for sync functions, and of `KeyOutput` and `PlanOutput` for values that
/// are not futures.
#[doc(hidden)]
pub struct Immediate<Kind>(PhantomData<Kind>);

/// Marks the implementations of [`PerRequest`] for async functions, and of `KeyOutput` and `PlanOutput` for futures.
#[doc(hidden)]
pub struct Awaited<Kind>(PhantomData<Kind>);

impl<T, F, V, Kind> PerRequest<T, Immediate<Kind>> for F
where
    F: Fn(&HttpRequest) -> V + Send + Sync + 'static,
    V: IntoResolved<T, Kind>,
{
    fn into_resolver(self) -> RequestResolver<T> {
        RequestResolver::Sync(Arc::new(move |request| self(request).into_resolved()))
    }
}

impl<T, F, V, Kind> PerRequest<T, Awaited<Kind>> for F
where
    F: AsyncFn(&HttpRequest) -> V + Send + Sync + 'static,
    V: IntoResolved<T, Kind>,
{
    fn into_resolver(self) -> RequestResolver<T> {
        let function = Arc::new(self);
        RequestResolver::Async(Arc::new(move |request| {
            let function = Arc::clone(&function);
            Box::pin(async move { function(request).await.into_resolved() })
        }))
    }
}
