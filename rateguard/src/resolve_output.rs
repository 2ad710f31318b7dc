//! The values that key and plan functions of a macro attribute return.

use actix_web::Error;

use crate::per_request::{Awaited, Immediate, IntoResolved};

/// A value that a key or plan function of a macro attribute returns. It is the key or plan, or a future that
/// returns the key or plan.
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
