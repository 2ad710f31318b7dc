//! Registers limits in the inventory, so a program can list its limits before the first request.

use proc_macro2::{TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{Expr, Generics};

use crate::{args::Args, tokens::option, values::Key};

/// Generates the inventory entry of a limit. The linker collects the entries of all crates in a program.
pub(crate) fn attribute_limit(args: &Args, number: usize, is_hoisted: bool) -> TokenStream {
    let index = number - 1;
    let key = match &args.key {
        Key::Notation(notation) => notation.to_string(),
        Key::Function(_) => "function".to_owned(),
    };
    // The parser has validated a literal, so the literal is a valid cost.
    let cost = option(match &args.cost {
        None => Some(quote!(1)),
        Some(Expr::Lit(number)) => Some(quote!(#number)),
        Some(_) => None,
    });
    let has_skip = args.skip.is_some();
    let has_own_guard = args.limiter.is_some();
    let inputs = option(is_hoisted.then(|| {
        quote!(|policy_set, request| ::std::boxed::Box::pin(async move {
            ::std::vec::Vec::from(__rateguard_limit_inputs(policy_set, request).await)
        }))
    }));
    quote! {
        ::actix_rateguard::__private::inventory::submit! {
            ::actix_rateguard::__private::AttributeLimit {
                limit: || &*__RATEGUARD_LIMIT,
                index: #index,
                key: #key,
                cost: #cost,
                has_skip: #has_skip,
                has_own_guard: #has_own_guard,
                inputs: #inputs,
            }
        }
    }
}

/// Whether a nested function can contain the user's expressions. A nested function cannot use `Self` or type
/// parameters.
///
/// The macro attribute does not see the type parameters of an `impl` around the handler. So every identifier such as
/// `T` or `T2` counts as a type parameter: one or two characters, a capital letter first, and no lower-case letter.
pub(crate) fn can_hoist(args: &Args, generics: &Generics) -> bool {
    let function = match &args.key {
        Key::Function(function) => Some(function),
        Key::Notation(_) => None,
    };
    let plan = match &args.allowance {
        crate::args::Allowance::PerRequest(plan) => Some(plan),
        _ => None,
    };
    let exprs = [function, plan, args.cost.as_ref(), args.skip.as_ref(), args.on_denied.as_ref()];
    exprs.into_iter().flatten().all(|expr| !mentions_parameter(expr.to_token_stream(), generics))
}

fn mentions_parameter(tokens: TokenStream, generics: &Generics) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Group(group) => mentions_parameter(group.stream(), generics),
        TokenTree::Ident(ident) => {
            let name = ident.to_string();
            let looks_like_parameter = name.len() <= 2
                && name.starts_with(|first: char| first.is_ascii_uppercase())
                && !name.contains(|letter: char| letter.is_ascii_lowercase());
            looks_like_parameter || name == "Self" || is_parameter(&name, generics)
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
