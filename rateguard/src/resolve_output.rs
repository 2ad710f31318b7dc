//! The values that the functions of a macro attribute return.

use actix_web::Error;

use crate::{
    Caller, Plan,
    per_request::{Awaited, Immediate, IntoResolved},
};

/// A value that a key function of a macro attribute returns. It is the key, or a future that returns the key.
#[diagnostic::on_unimplemented(
    message = "a key function cannot return `{Self}`",
    label = "expected text, a number, a `Key`, a `Caller`, or an `Option` or `Result` of one of them",
    note = "the error of a `Result` must convert into `actix_web::Error`: `.map_err(actix_web::error::ErrorBadRequest)` converts other errors, such as `String`",
    note = "the function may be async"
)]
pub trait KeyOutput<Kind> {
    #[allow(async_fn_in_trait, reason = "the future is awaited on the thread of the request")]
    async fn resolve(self) -> Result<Caller, Error>;
}

/// A value that a plan function of a macro attribute returns. It is the plan, or a future that returns the plan.
#[diagnostic::on_unimplemented(
    message = "a plan function cannot return `{Self}`",
    label = "expected a `Plan`, a `Quota`, `Quotas`, text, or a `Result` of one of them",
    note = "`Plan::named(\"free\")` is a plan of the guard, and `Plan::of(\"10/minute\")` is a plan with these quotas",
    note = "the error of a `Result` must convert into `actix_web::Error`: `.map_err(actix_web::error::ErrorBadRequest)` converts other errors, such as `String`",
    note = "the function may be async"
)]
pub trait PlanOutput<Kind> {
    #[allow(async_fn_in_trait, reason = "the future is awaited on the thread of the request")]
    async fn resolve(self) -> Result<Plan, Error>;
}

/// A value that a skip function of a macro attribute returns. It is a `bool`, or a future that returns a `bool`.
#[diagnostic::on_unimplemented(
    message = "a skip function cannot return `{Self}`",
    label = "expected a `bool`, or a `Result` with a `bool`",
    note = "the error of a `Result` must convert into `actix_web::Error`: `.map_err(actix_web::error::ErrorBadRequest)` converts other errors, such as `String`",
    note = "the function may be async"
)]
pub trait SkipOutput<Kind> {
    #[allow(async_fn_in_trait, reason = "the future is awaited on the thread of the request")]
    async fn resolve(self) -> Result<bool, Error>;
}

/// A value that a cost closure of a macro attribute returns. It is a `u32`, or a future that returns a `u32`.
#[diagnostic::on_unimplemented(
    message = "a cost function cannot return `{Self}`",
    label = "expected a `u32`, or a `Result` with a `u32`",
    note = "the error of a `Result` must convert into `actix_web::Error`: `.map_err(actix_web::error::ErrorBadRequest)` converts other errors, such as `String`",
    note = "the function may be async"
)]
pub trait CostOutput<Kind> {
    #[allow(async_fn_in_trait, reason = "the future is awaited on the thread of the request")]
    async fn resolve(self) -> Result<u32, Error>;
}

/// Implements the trait for values that convert into `$resolved`, and for futures that return such a value.
macro_rules! implement {
    ($output:ident, $resolved:ty) => {
        impl<Kind, V: IntoResolved<$resolved, Kind>> $output<Immediate<Kind>> for V {
            async fn resolve(self) -> Result<$resolved, Error> {
                self.into_resolved()
            }
        }

        impl<Kind, F: Future<Output: IntoResolved<$resolved, Kind>>> $output<Awaited<Kind>> for F {
            async fn resolve(self) -> Result<$resolved, Error> {
                self.await.into_resolved()
            }
        }
    };
}

implement!(KeyOutput, Caller);
implement!(PlanOutput, Plan);
implement!(SkipOutput, bool);
implement!(CostOutput, u32);
