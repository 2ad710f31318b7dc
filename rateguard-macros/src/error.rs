//! Creates the errors that the macro attribute reports.

use std::fmt::Display;

use proc_macro2::Span;

/// Returns an error that the compiler reports at `span`.
pub(crate) fn error_at(span: Span, message: impl Display) -> syn::Error {
    syn::Error::new(span, message)
}
