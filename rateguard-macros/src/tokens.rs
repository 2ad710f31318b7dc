//! Contains functions for token streams that several modules need.

use proc_macro_crate::{FoundCrate, crate_name};
use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::Path;

/// Generates an `Option` with its full path, because the user's code may define another type with the name
/// `Option`.
pub(crate) fn option(value: Option<TokenStream>) -> TokenStream {
    match value {
        None => quote!(::core::option::Option::None),
        Some(value) => quote!(::core::option::Option::Some(#value)),
    }
}

/// The name of the library in generated code, until [`with_crate_path`] replaces the name.
const LIBRARY: &str = "actix_rateguard";

/// Returns the path of the library. It is the argument `crate`, or else the name of the dependency in `Cargo.toml`.
pub(crate) fn crate_path(argument: Option<&Path>) -> TokenStream {
    if let Some(path) = argument {
        return path.to_token_stream();
    }
    let name = Ident::new(&dependency_name(), Span::call_site());
    quote!(::#name)
}

/// Returns the name that the library has in the crate that is being compiled.
pub(crate) fn dependency_name() -> String {
    match crate_name("actix-rateguard") {
        Ok(FoundCrate::Name(name)) => name,
        // If the library itself is being compiled, the library defines an alias with this name. If `Cargo.toml` is
        // not available, this name is the most likely one.
        Ok(FoundCrate::Itself) | Err(_) => LIBRARY.to_owned(),
    }
}

/// Replaces `::actix_rateguard` in generated code with this path.
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
                // If a call is wrong, the compiler reports the error at the span of the function path. So the new
                // path gets the span of the old path.
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

/// Returns whether these tokens end with a `::` that starts a global path.
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
