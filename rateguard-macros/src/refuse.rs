//! What is wrong, and where.

use std::fmt::Display;

use proc_macro2::Span;

/// An error at the place of the mistake.
pub(crate) fn refuse(span: Span, message: impl Display) -> syn::Error {
    syn::Error::new(span, message)
}
