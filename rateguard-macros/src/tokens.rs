//! Token streams that several parts of the expansion need.

use proc_macro2::TokenStream;
use quote::quote;

/// Generates an `Option` with its full path.
pub(crate) fn option(value: Option<TokenStream>) -> TokenStream {
    match value {
        None => quote!(::core::option::Option::None),
        Some(value) => quote!(::core::option::Option::Some(#value)),
    }
}
