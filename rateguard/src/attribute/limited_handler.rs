//! Calls the handler below a macro attribute: extracts its arguments from the request, and converts its result into the
//! response. actix-web does the same for a handler without the attribute.

use std::marker::PhantomData;

use actix_web::{Error, FromRequest, HttpRequest, HttpResponse, Responder, dev::Payload};

/// An async function that actix-web accepts as a handler. This trait corresponds to actix-web's trait `Handler`. It
/// exists because its error message fits the macro attribute. The compiler infers `Args`, which is the tuple of the
/// types of the function's arguments.
#[diagnostic::on_unimplemented(
    message = "expected an `async fn` below `#[rate_limit]`, found `{Self}`",
    label = "a macro below `#[rate_limit]` has replaced the function",
    note = "write this macro above `#[rate_limit]`; only the route macros of actix-web may be below, under their own names"
)]
pub trait HandlerFunction<Args>: 'static {
    /// The value that the function returns. It is converted into the response.
    type Output;

    /// Calls the function with these arguments.
    #[allow(async_fn_in_trait, reason = "the future is awaited on the thread of the request")]
    async fn call(&self, args: Args) -> Self::Output;
}

macro_rules! functions {
    ($($argument:ident)*) => {
        impl<F, Fut, $($argument),*> HandlerFunction<($($argument,)*)> for F
        where
            F: Fn($($argument),*) -> Fut + 'static,
            Fut: Future,
        {
            type Output = Fut::Output;

            #[allow(non_snake_case, reason = "the names of the types are also the names of the values")]
            async fn call(&self, ($($argument,)*): ($($argument,)*)) -> Fut::Output {
                self($($argument),*).await
            }
        }
    };
}

functions!();
functions!(A);
functions!(A B);
functions!(A B C);
functions!(A B C D);
functions!(A B C D E);
functions!(A B C D E G);
functions!(A B C D E G H);
functions!(A B C D E G H I);
functions!(A B C D E G H I J);
functions!(A B C D E G H I J K);
functions!(A B C D E G H I J K L);
functions!(A B C D E G H I J K L M);
functions!(A B C D E G H I J K L M N);
functions!(A B C D E G H I J K L M N O);
functions!(A B C D E G H I J K L M N O P);
functions!(A B C D E G H I J K L M N O P Q);

/// A handler below a macro attribute whose arguments and result actix-web accepts.
pub trait LimitedHandler<Args>: 'static {
    /// Extracts the arguments from the request, calls the handler, and converts its result into the response. If an
    /// argument cannot be extracted, returns the response to this error.
    #[allow(async_fn_in_trait, reason = "the future is awaited on the thread of the request")]
    async fn respond(&self, request: &HttpRequest, payload: Payload) -> HttpResponse;
}

impl<H, Args> LimitedHandler<Args> for H
where
    H: HandlerFunction<Args, Output: Responder<Body: 'static>>,
    Args: FromRequest,
{
    async fn respond(&self, request: &HttpRequest, mut payload: Payload) -> HttpResponse {
        match Args::from_request(request, &mut payload).await {
            Ok(arguments) => self.call(arguments).await.respond_to(request).map_into_boxed_body(),
            Err(error) => HttpResponse::from_error(error),
        }
    }
}

/// Returns the handler unchanged. The expansion of the macro calls this function, so that a handler with a wrong
/// argument or result causes a single compile error, at this call. Even after this error, the result implements
/// [`LimitedHandler`], so code that uses the result causes no further errors.
pub fn handler<H, Args>(handler: H) -> impl LimitedHandler<Args>
where
    H: HandlerFunction<Args, Output: Responder<Body: 'static>>,
    Args: FromRequest,
{
    handler
}

/// The arguments of a handler that has an argument whose type has the name `Decision`. This trait does the same as
/// actix-web's `FromRequest`, but has another error message. The compiler infers `Kind`.
#[diagnostic::on_unimplemented(
    message = "actix-web cannot extract the arguments `{Self}` from a request",
    label = "one of the arguments does not implement `FromRequest`",
    note = "for the decision of the rate limit, use an argument of type `CheckResult`: `check.decision()` returns the `Decision`"
)]
pub trait ArgumentsWithDecision<Kind>: Sized {
    #[allow(async_fn_in_trait, reason = "the future is awaited on the thread of the request")]
    async fn extract(request: &HttpRequest, payload: Payload) -> Result<Self, Error>;
}

/// Marks the implementation of [`ArgumentsWithDecision`].
pub struct Extracted<Kind>(PhantomData<Kind>);

impl<Kind, T: Extract<Kind>> ArgumentsWithDecision<Extracted<Kind>> for T {
    async fn extract(request: &HttpRequest, payload: Payload) -> Result<Self, Error> {
        T::from_request(request, payload).await
    }
}

/// Arguments that actix-web extracts. If this trait had one implementation, the compiler would report a missing
/// `FromRequest`. Because it has two, the compiler reports [`ArgumentsWithDecision`].
pub trait Extract<Kind>: Sized {
    #[allow(async_fn_in_trait, reason = "the future is awaited on the thread of the request")]
    async fn from_request(request: &HttpRequest, payload: Payload) -> Result<Self, Error>;
}

/// Marks the implementation of [`Extract`] for all types that implement `FromRequest`.
pub enum ByActix {}

/// Marks the implementation of [`Extract`] for no type.
pub enum Never {}

impl<T: FromRequest> Extract<ByActix> for T {
    async fn from_request(request: &HttpRequest, mut payload: Payload) -> Result<Self, Error> {
        <T as FromRequest>::from_request(request, &mut payload).await.map_err(Into::into)
    }
}

/// A trait that no type implements.
pub trait Unimplemented: Sized {
    /// Never called.
    fn value() -> Self;
}

impl<T: Unimplemented> Extract<Never> for T {
    async fn from_request(_: &HttpRequest, _: Payload) -> Result<Self, Error> {
        Ok(T::value())
    }
}

/// Marks the implementation of [`LimitedHandler`] for a handler that has an argument whose type has the name
/// `Decision`. `Args` are the arguments of the handler.
pub struct WithDecision<Args, Kind>(PhantomData<(Args, Kind)>);

impl<H, Args, Kind> LimitedHandler<WithDecision<Args, Kind>> for H
where
    H: HandlerFunction<Args, Output: Responder<Body: 'static>>,
    Args: ArgumentsWithDecision<Kind>,
{
    async fn respond(&self, request: &HttpRequest, payload: Payload) -> HttpResponse {
        match Args::extract(request, payload).await {
            Ok(arguments) => self.call(arguments).await.respond_to(request).map_into_boxed_body(),
            Err(error) => HttpResponse::from_error(error),
        }
    }
}

/// Does the same as [`handler`], for a handler that has an argument whose type has the name `Decision`. This type may
/// be the `Decision` of the library or another type.
pub fn handler_with_decision<H, Args, Kind>(
    handler: H,
) -> impl LimitedHandler<WithDecision<Args, Kind>>
where
    H: HandlerFunction<Args, Output: Responder<Body: 'static>>,
    Args: ArgumentsWithDecision<Kind>,
{
    handler
}
