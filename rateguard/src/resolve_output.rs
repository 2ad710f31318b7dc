//! The output of the functions that a macro attribute names.

use actix_web::Error;

use crate::per_request::{Awaited, Immediate, IntoResolved};

/// The output of a function that the macro attribute names: a value, or a future that returns a value.
#[diagnostic::on_unimplemented(
    message = "expected the output of a key or plan function, found `{Self}`",
    note = "a key function returns text, a number, a `Key`, a `Caller`, or an `Option` or `Result` of one of them; a plan function returns a `Quota`, `Quotas`, a `Plan`, or an `Option` or `Result` of one of them; both may be async"
)]
pub trait ResolveOutput<T, Kind> {
    #[allow(async_fn_in_trait, reason = "the future is awaited on the thread of the request")]
    async fn resolve(self) -> Result<T, Error>;
}

impl<T, Kind, V: IntoResolved<T, Kind>> ResolveOutput<T, Immediate<Kind>> for V {
    async fn resolve(self) -> Result<T, Error> {
        self.into_resolved()
    }
}

impl<T, Kind, F: Future<Output: IntoResolved<T, Kind>>> ResolveOutput<T, Awaited<Kind>> for F {
    async fn resolve(self) -> Result<T, Error> {
        self.await.into_resolved()
    }
}
