//! Registers limits in the inventory (a list that the linker collects), so that a program can list its limits before
//! the first request.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use syn::{Expr, Generics};

use crate::{
    args::{Allowance, Args},
    generics::{mentions, parameters},
    tokens::option,
    values::Key,
};

/// Generates the inventory entry for a limit. The linker collects the entries of all crates in a program.
pub(crate) fn attribute_limit(
    args: &Args,
    handler: &Ident,
    number: usize,
    is_hoisted: bool,
) -> TokenStream {
    let index = number - 1;
    let key = match &args.key {
        Key::Notation(notation) => notation.to_string(),
        Key::Function(_) | Key::Expression(_) => "function".to_owned(),
    };
    // A literal was validated when it was parsed, so it is a valid cost.
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
                handler: ::core::concat!(::core::module_path!(), "::", ::core::stringify!(#handler)),
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

/// Returns whether the user's expressions that read the inputs can be in a nested function. They can if no expression
/// mentions `Self`, or a type or const parameter of the handler. Otherwise the expressions must stay directly in the
/// limited function, which contains the handler as a nested function.
pub(crate) fn can_hoist(args: &Args, generics: &Generics) -> bool {
    let function = match &args.key {
        Key::Function(function) | Key::Expression(function) => Some(function),
        Key::Notation(_) => None,
    };
    let plan = match &args.allowance {
        Allowance::PerRequest(plan) => Some(plan),
        Allowance::Fixed(_) | Allowance::Constant(_) | Allowance::Named(_) => None,
    };
    let mut names = parameters(generics);
    names.push(Ident::new("Self", Span::call_site()));
    let exprs = [function, plan, args.cost.as_ref(), args.skip.as_ref()];
    !exprs.into_iter().flatten().any(|expr| mentions(expr, &names))
}
