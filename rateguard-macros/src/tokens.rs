//! Functions for token streams that several modules need.

use proc_macro_crate::{FoundCrate, crate_name};
use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::Path;

/// Generates an `Option` with its full path, because the user may have another type of this name.
pub(crate) fn option(value: Option<TokenStream>) -> TokenStream {
    match value {
        None => quote!(::core::option::Option::None),
        Some(value) => quote!(::core::option::Option::Some(#value)),
    }
}

/// The name of the library in generated code, before [`with_crate_path`] replaces it.
const LIBRARY: &str = "actix_rateguard";

/// Returns the path of the library: the argument `crate`, or else the name of the dependency in `Cargo.toml`.
pub(crate) fn crate_path(argument: Option<&Path>) -> TokenStream {
    if let Some(path) = argument {
        return path.to_token_stream();
    }
    let name = Ident::new(&dependency_name(), Span::call_site());
    quote!(::#name)
}

/// Returns the name that the compiled crate uses for the library.
pub(crate) fn dependency_name() -> String {
    match crate_name("actix-rateguard") {
        Ok(FoundCrate::Name(name)) => name,
        // The library itself has an alias of this name. If `Cargo.toml` is not available, this is the most likely name.
        Ok(FoundCrate::Itself) | Err(_) => LIBRARY.to_owned(),
    }
}

/// Replaces `::actix_rateguard` by this path in generated code.
pub(crate) fn with_crate_path(expansion: TokenStream, path: &TokenStream) -> TokenStream {
    let mut replaced = Vec::<TokenTree>::new();
    for token in expansion {
        match token {
            TokenTree::Group(group) => {
                let mut changed =
                    Group::new(group.delimiter(), with_crate_path(group.stream(), path));
                changed.set_span(group.span());
                replaced.push(changed.into());
            }
            TokenTree::Ident(ident) if ident == LIBRARY && ends_with_path_start(&replaced) => {
                replaced.truncate(replaced.len() - 2);
                // The compiler reports an error in a call at the span of the function path, so the new path keeps the
                // old span.
                replaced.extend(path.clone().into_iter().map(|mut token| {
                    token.set_span(ident.span());
                    token
                }));
            }
            other => replaced.push(other),
        }
    }
    replaced.into_iter().collect()
}

/// Whether these tokens end with the `::` of a global path.
fn ends_with_path_start(tokens: &[TokenTree]) -> bool {
    let is_colon =
        |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ':');
    match tokens {
        [before @ .., first, second] if is_colon(first) && is_colon(second) => {
            !matches!(before.last(), Some(TokenTree::Ident(_)))
        }
        _ => false,
    }
}
