//! What is chosen for each request: by a closure or function over it, sync or async, that may fail.

use std::sync::Arc;

use actix_web::{Error, HttpRequest};
use futures_util::future::LocalBoxFuture;

/// Chooses a `T` for a request: the [`Caller`](crate::Caller) for [`RateLimit::by`](crate::RateLimit::by), the
/// [`Plan`](crate::Plan) for [`RateLimit::per_request`](crate::RateLimit::per_request).
///
/// Every closure and function over `&HttpRequest` does, also an async one, if it returns what can be taken for a `T`
/// ([`IntoChoice`]). `Kind` is for the compiler, which finds it out by itself.
#[diagnostic::on_unimplemented(
    message = "this chooses nothing for a request",
    note = "a closure or function over `&HttpRequest`, sync or async, does: for a key it returns text, a number, a `Key`, a `Caller`, or an `Option` or `Result` of one of them; for a plan a `Quota`, `Quotas`, a `Plan`, or an `Option` or `Result` of one of them"
)]
pub trait PerRequest<T, Kind>: Send + Sync + 'static {
    #[doc(hidden)]
    fn into_chooser(self) -> Chooser<T>;

    /// As the attribute writes it, if it can.
    #[doc(hidden)]
    fn notation(&self) -> Option<String> {
        None
    }
}

/// What can be taken for a `T` that was chosen for a request, or is an error that answers it.
pub trait IntoChoice<T> {
    /// The choice.
    ///
    /// # Errors
    ///
    /// What the request is answered with instead of being handled.
    fn into_choice(self) -> Result<T, Error>;
}

#[cfg(feature = "operator")]
impl IntoChoice<Self> for bool {
    fn into_choice(self) -> Result<Self, Error> {
        Ok(self)
    }
}

#[cfg(feature = "operator")]
impl<E: Into<Error>> IntoChoice<bool> for Result<bool, E> {
    fn into_choice(self) -> Result<bool, Error> {
        self.map_err(Into::into)
    }
}

/// Calls a function over the request.
#[doc(hidden)]
pub enum Chooser<T> {
    Now(Arc<ChooseNow<T>>),
    Later(Arc<ChooseLater<T>>),
}

type ChooseNow<T> = dyn Fn(&HttpRequest) -> Result<T, Error> + Send + Sync;
type ChooseLater<T> =
    dyn for<'a> Fn(&'a HttpRequest) -> LocalBoxFuture<'a, Result<T, Error>> + Send + Sync;

impl<T> Chooser<T> {
    pub(crate) async fn choose(&self, request: &HttpRequest) -> Result<T, Error> {
        match self {
            Self::Now(choose) => choose(request),
            Self::Later(choose) => choose(request).await,
        }
    }
}

impl<T> Clone for Chooser<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Now(choose) => Self::Now(Arc::clone(choose)),
            Self::Later(choose) => Self::Later(Arc::clone(choose)),
        }
    }
}

/// The kind of sync functions and of what they return.
#[doc(hidden)]
pub enum Immediate {}

/// The kind of async functions and of the futures that they return.
#[doc(hidden)]
pub enum Awaited {}

impl<T, F, V> PerRequest<T, Immediate> for F
where
    F: Fn(&HttpRequest) -> V + Send + Sync + 'static,
    V: IntoChoice<T>,
{
    fn into_chooser(self) -> Chooser<T> {
        Chooser::Now(Arc::new(move |request| self(request).into_choice()))
    }
}

impl<T, F, V> PerRequest<T, Awaited> for F
where
    F: AsyncFn(&HttpRequest) -> V + Send + Sync + 'static,
    V: IntoChoice<T>,
{
    fn into_chooser(self) -> Chooser<T> {
        let choose = Arc::new(self);
        Chooser::Later(Arc::new(move |request| {
            let choose = Arc::clone(&choose);
            Box::pin(async move { choose(request).await.into_choice() })
        }))
    }
}

/// A choice, or the future of one: what a function that the attribute names has returned.
#[diagnostic::on_unimplemented(
    message = "`{Self}` chooses nothing for a request",
    note = "a key function returns text, a number, a `Key`, a `Caller`, or an `Option` or `Result` of one of them; a quota function a `Quota`, `Quotas`, a `Plan`, or an `Option` or `Result` of one of them; both may be async"
)]
#[cfg(feature = "macros")]
pub trait Choice<T, Kind> {
    #[allow(async_fn_in_trait, reason = "it is awaited where the request is")]
    async fn choice(self) -> Result<T, Error>;
}

#[cfg(feature = "macros")]
impl<T, V: IntoChoice<T>> Choice<T, Immediate> for V {
    async fn choice(self) -> Result<T, Error> {
        self.into_choice()
    }
}

#[cfg(feature = "macros")]
impl<T, F: Future<Output: IntoChoice<T>>> Choice<T, Awaited> for F {
    async fn choice(self) -> Result<T, Error> {
        self.await.into_choice()
    }
}
