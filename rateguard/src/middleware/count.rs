//! Converts text, a [`Count`] or a function into the rule that determines which responses count.

use std::{fmt::Display, sync::Arc};

use actix_web::HttpResponse;

use crate::{Count, count_rule::CountRule};

/// Determines which responses make a request count. The value is a [`Count`], text such as `"failure"`, or a closure or
/// function over `&HttpResponse<()>`. The compiler infers the type parameter `Kind`.
#[diagnostic::on_unimplemented(
    message = "expected the responses that count, found `{Self}`",
    note = "expected text such as \"failure\" or \"status:401,403\", a `Count`, or a closure or function over `&HttpResponse<()>` that returns a `bool`"
)]
pub trait IntoCount<Kind> {
    #[doc(hidden)]
    fn into_rule(self) -> Result<CountRule, String>;
}

/// Marks the implementation of [`IntoCount`] for text and for [`Count`].
pub enum Setting {}

/// Marks the implementation of [`IntoCount`] for closures and functions.
pub enum Function {}

impl<C: TryInto<Count, Error: Display>> IntoCount<Setting> for C {
    fn into_rule(self) -> Result<CountRule, String> {
        self.try_into().map(CountRule::Status).map_err(|error| error.to_string())
    }
}

impl<F> IntoCount<Function> for F
where
    F: Fn(&HttpResponse<()>) -> bool + Send + Sync + 'static,
{
    fn into_rule(self) -> Result<CountRule, String> {
        Ok(CountRule::Function(Arc::new(self)))
    }
}
