//! Creates the errors that the macro attribute reports.

use std::fmt::Display;

use actix_rateguard_grammar::FieldError;
use proc_macro2::Span;

/// A value, with the span at which the user wrote it.
pub(crate) type Located<T> = actix_rateguard_grammar::Located<T, Span>;

/// Returns an error that the compiler reports at `span`.
pub(crate) fn error_at(span: Span, message: impl Display) -> syn::Error {
    syn::Error::new(span, message)
}

/// Returns an error that the compiler reports at the invalid argument, or at the macro attribute if an argument is
/// missing.
pub(crate) fn at_field(error: FieldError<Span>) -> syn::Error {
    error_at(error.location.unwrap_or_else(Span::call_site), error.message)
}
