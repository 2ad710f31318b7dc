//! Calls the handler below a macro attribute: extracts its arguments from the request, and converts its result into the
//! response. actix-web does the same for a handler without the attribute.

use actix_web::{FromRequest, HttpRequest, HttpResponse, Responder, web};

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
    async fn respond(&self, request: &HttpRequest, payload: web::Payload) -> HttpResponse;
}

impl<H, Args> LimitedHandler<Args> for H
where
    H: HandlerFunction<Args, Output: Responder<Body: 'static>>,
    Args: FromRequest,
{
    async fn respond(&self, request: &HttpRequest, payload: web::Payload) -> HttpResponse {
        match Args::from_request(request, &mut payload.into_inner()).await {
            Ok(arguments) => self.call(arguments).await.respond_to(request).map_into_boxed_body(),
            Err(error) => HttpResponse::from_error(error),
        }
    }
}

/// Returns the handler unchanged. The expansion of the macro calls this function, so that a handler with a wrong
/// argument or result causes a single compile error, at this call. The result has the trait [`LimitedHandler`] even
/// then, so the code that uses it causes no further errors.
pub fn handler<H, Args>(handler: H) -> impl LimitedHandler<Args>
where
    H: HandlerFunction<Args, Output: Responder<Body: 'static>>,
    Args: FromRequest,
{
    handler
}
