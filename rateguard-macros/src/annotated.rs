//! What the attribute tells the program about its limits before any request comes: for the inventory.

use proc_macro2::{TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{Expr, Generics};

use crate::{args::Args, limit::option, values::Key};

/// One limit of a handler, for the linker to collect. It is written beside the limit.
pub(crate) fn annotated(args: &Args, number: usize, is_apart: bool) -> TokenStream {
    let place = number - 1;
    let key = match &args.key {
        Key::Notation(notation) => notation.to_string(),
        Key::Function(_) => "function".to_owned(),
    };
    // It was checked when it was read.
    let cost = option(match &args.cost {
        None => Some(quote!(1)),
        Some(Expr::Lit(number)) => Some(quote!(#number)),
        Some(_) => None,
    });
    let has_skip = args.skip.is_some();
    let has_own_guard = args.limiter.is_some();
    let asked = option(is_apart.then(|| {
        quote!(|in_force, request| ::std::boxed::Box::pin(async move {
            ::std::vec::Vec::from(__rateguard_asked(in_force, request).await)
        }))
    }));
    quote! {
        ::rateguard::__private::inventory::submit! {
            ::rateguard::__private::Annotated {
                limit: || &*__RATEGUARD_LIMIT,
                place: #place,
                key: #key,
                cost: #cost,
                has_skip: #has_skip,
                has_own_guard: #has_own_guard,
                asked: #asked,
            }
        }
    }
}

/// Whether a function of its own can have what the user wrote here: it knows neither `Self` nor type parameters.
///
/// Those of an `impl` around the handler are not seen from here; what is called as they are may be one.
pub(crate) fn stands_alone(args: &Args, generics: &Generics) -> bool {
    let function = match &args.key {
        Key::Function(function) => Some(function),
        Key::Notation(_) => None,
    };
    let plan = match &args.allowance {
        crate::args::Allowance::PerRequest(plan) => Some(plan),
        _ => None,
    };
    let written = [function, plan, args.cost.as_ref(), args.skip.as_ref(), args.on_denied.as_ref()];
    written.into_iter().flatten().all(|expr| !names_parameter(expr.to_token_stream(), generics))
}

fn names_parameter(tokens: TokenStream, generics: &Generics) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Group(group) => names_parameter(group.stream(), generics),
        TokenTree::Ident(ident) => {
            let name = ident.to_string();
            let is_short = name.len() <= 2
                && name.starts_with(|first: char| first.is_ascii_uppercase())
                && !name.contains(|letter: char| letter.is_ascii_lowercase());
            is_short || name == "Self" || is_parameter(&name, generics)
        }
        _ => false,
    })
}

fn is_parameter(name: &str, generics: &Generics) -> bool {
    generics.params.iter().any(|parameter| match parameter {
        syn::GenericParam::Type(ty) => ty.ident == name,
        syn::GenericParam::Const(value) => value.ident == name,
        syn::GenericParam::Lifetime(lifetime) => lifetime.lifetime.ident == name,
    })
}
