//! The function under the attribute: what it must be, and which of its attributes go where.

use proc_macro2::{Span, TokenStream};
use syn::{Attribute, FnArg, ItemFn, Type, spanned::Spanned};

use crate::args::refuse;

/// actix-web's `Handler` is implemented for functions of up to so many arguments.
const MAX_ARGUMENTS: usize = 16;

/// actix-web's attributes that turn a function into a route, by their last word.
const ROUTES: &[&str] = &[
    "get", "post", "put", "delete", "head", "connect", "options", "trace", "patch", "route",
    "routes",
];

/// Attributes that describe the function to its users.
const DESCRIPTIONS: &[&str] = &["doc", "cfg", "deprecated"];

/// Reads a function that actix-web would take as a handler.
pub(crate) fn parse(item: TokenStream) -> syn::Result<ItemFn> {
    let Ok(function) = syn::parse2::<ItemFn>(item) else {
        return Err(refuse(Span::call_site(), "`#[rate_limit]` goes above an `async fn`"));
    };
    let signature = &function.sig;
    if let Some(receiver) = signature.receiver() {
        return Err(refuse(
            receiver.span(),
            "a rate-limited handler has no `self`; actix-web calls it with what it extracts from the request",
        ));
    }
    if signature.asyncness.is_none() {
        return Err(refuse(
            signature.fn_token.span,
            "a rate-limited handler is an `async fn`, as actix-web's handlers are",
        ));
    }
    if let Some(argument) = signature.inputs.iter().nth(MAX_ARGUMENTS) {
        return Err(refuse(argument.span(), "an actix-web handler has at most 16 arguments"));
    }
    for argument in &signature.inputs {
        if let FnArg::Typed(argument) = argument
            && let Type::ImplTrait(ty) = &*argument.ty
        {
            return Err(refuse(
                ty.span(),
                "actix-web cannot choose the type of an `impl Trait` argument; name the type or make it a type parameter",
            ));
        }
    }
    Ok(function)
}

/// Whether this attribute belongs to the limited function rather than to the function as it was written.
pub(crate) fn is_outer(attribute: &Attribute) -> bool {
    is_named(attribute, ROUTES) || is_named(attribute, DESCRIPTIONS)
}

/// Whether this is another limit on the same function.
pub(crate) fn is_limit(attribute: &Attribute) -> bool {
    is_named(attribute, &["rate_limit"])
}

fn is_named(attribute: &Attribute, names: &[&str]) -> bool {
    attribute.path().segments.last().is_some_and(|last| names.iter().any(|name| last.ident == name))
}
