//! Converts values of several types into the cost of a limit.

use std::sync::Arc;

use actix_web::{Error, HttpRequest};

use super::RequestCost;
use crate::per_request::{Awaited, Fallible, Immediate, IntoResolved, PerRequest, RequestResolver};

/// A value that can become the cost of a [`Limit`](crate::Limit).
///
/// These types implement this trait:
///
/// - every [`RequestCost`]: a number, a closure or function over `&HttpRequest` that returns a `u32`, and a
///   [`BodyCost`](crate::BodyCost)
/// - a closure or function over `&HttpRequest` that is async or returns a `Result`
///
/// The compiler infers the type parameter `Kind`.
#[diagnostic::on_unimplemented(
    message = "expected a cost, found `{Self}`",
    note = "expected a `u32`, a `BodyCost`, or a closure or function over `&HttpRequest`, sync or async, that returns a `u32` or a `Result` of it",
    note = "the error of a `Result` must convert into `actix_web::Error`: `.map_err(actix_web::error::ErrorBadRequest)` converts other errors, such as `String`"
)]
pub trait IntoCost<Kind> {
    #[doc(hidden)]
    fn into_cost(self) -> CostSource;

    /// Computes the cost of one request.
    #[doc(hidden)]
    #[allow(async_fn_in_trait, reason = "the future is awaited on the thread of the request")]
    async fn resolve(self, request: &HttpRequest) -> Result<u32, Error>;
}

/// The cost of a limit, with the function that computes it for a request.
#[doc(hidden)]
#[derive(Clone)]
pub enum CostSource {
    Cost(Arc<dyn RequestCost>),
    Function(RequestResolver<u32>),
}

/// Marks the implementation of [`IntoCost`] for each [`RequestCost`].
#[doc(hidden)]
pub enum Direct {}

impl<C: RequestCost> IntoCost<Direct> for C {
    fn into_cost(self) -> CostSource {
        CostSource::Cost(Arc::new(self))
    }

    async fn resolve(self, request: &HttpRequest) -> Result<u32, Error> {
        Ok(self.cost(request))
    }
}

impl<F, V, E> IntoCost<Immediate<Fallible<E>>> for F
where
    F: Fn(&HttpRequest) -> Result<V, E> + Send + Sync + 'static,
    V: Into<u32>,
    E: Into<Error>,
{
    fn into_cost(self) -> CostSource {
        CostSource::Function(RequestResolver::Sync(Arc::new(move |request| {
            self(request).map(Into::into).map_err(Into::into)
        })))
    }

    async fn resolve(self, request: &HttpRequest) -> Result<u32, Error> {
        self(request).map(Into::into).map_err(Into::into)
    }
}

impl<F, V, Kind> IntoCost<Awaited<Kind>> for F
where
    F: AsyncFn(&HttpRequest) -> V + Send + Sync + 'static,
    V: IntoResolved<u32, Kind>,
{
    fn into_cost(self) -> CostSource {
        CostSource::Function(PerRequest::<u32, Awaited<Kind>>::into_resolver(self))
    }

    async fn resolve(self, request: &HttpRequest) -> Result<u32, Error> {
        self(request).await.into_resolved()
    }
}

impl CostSource {
    /// Returns the cost if it is the same for all requests.
    pub(crate) fn constant(&self) -> Option<u32> {
        match self {
            Self::Cost(cost) => cost.constant(),
            Self::Function(_) => None,
        }
    }

    pub(crate) fn is_async(&self) -> bool {
        matches!(self, Self::Function(function) if function.is_async())
    }

    /// Returns the cost of the request, or the error of the function, which becomes the response.
    pub(crate) async fn resolve(&self, request: &HttpRequest) -> Result<u32, Error> {
        match self {
            Self::Cost(cost) => Ok(cost.cost(request)),
            Self::Function(function) => function.resolve(request).await,
        }
    }
}
