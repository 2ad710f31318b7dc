//! The form `#[rate_limit(exempt)]`, which exempts a handler from the limits of middlewares.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{
    ItemFn, LitStr, Path, Token,
    ext::IdentExt,
    parse::{Parse, ParseStream},
};

use crate::{
    attributes::is_limit,
    error::error_at,
    expand::{handler, wrap},
    registration::{replacement, replacement_use},
    values,
};

/// The arguments of an attribute without a limit.
pub(crate) struct Exempt {
    /// The name of the only limit from which the handler is exempt. `None` if it is exempt from all limits.
    limit: Option<LitStr>,
    pub(crate) crate_path: Option<Path>,
}

impl Exempt {
    /// Returns whether the arguments begin with `exempt`.
    pub(crate) fn is_next(input: ParseStream<'_>) -> bool {
        input.fork().call(Ident::parse_any).is_ok_and(|name| name == "exempt")
    }
}

impl Parse for Exempt {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        input.call(Ident::parse_any)?;
        let limit = match input.parse::<Option<Token![=]>>()? {
            Some(_) => Some(values::policy_name(input.parse()?)?),
            None => None,
        };
        let mut crate_path = None;
        if !input.is_empty() {
            input.parse::<Token![,]>()?;
        }
        if !input.is_empty() {
            let name = input.call(Ident::parse_any)?;
            if name != "crate" {
                return Err(error_at(
                    name.span(),
                    format!(
                        "expected only `crate` after `exempt`, found `{name}`; write limits in separate attributes"
                    ),
                ));
            }
            input.parse::<Token![=]>()?;
            crate_path = Some(values::path(input.parse()?)?);
            input.parse::<Option<Token![,]>>()?;
        }
        Ok(Self { limit, crate_path })
    }
}

/// Generates the function that replaces the handler. It records that the handler is exempt, and then calls the handler.
pub(crate) fn expand(exempt: &Exempt, function: &ItemFn) -> TokenStream {
    let request = Ident::new("__rateguard_request", Span::mixed_site());
    let payload = Ident::new("__rateguard_payload", Span::mixed_site());
    let replacement = replacement(exempt.limit.as_ref());
    let replacement_use = replacement_use();
    let handler = handler(function);
    let has_limits = function.attrs.iter().any(is_limit);
    let call = quote_spanned! {function.sig.ident.span()=>
        ::actix_rateguard::__private::exempt(#replacement, #has_limits, #handler, #request, #payload).await
    };
    wrap(function, &request, &payload, &quote!(#replacement_use #call))
}
