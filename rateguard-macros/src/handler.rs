//! The function under the attribute: what it must be, and which of its attributes go where.

use proc_macro2::{Span, TokenStream};
use syn::{Attribute, FnArg, ItemFn, Type, spanned::Spanned};

use crate::refuse::refuse;

/// actix-web's `Handler` is implemented for functions of up to so many arguments.
const MAX_ARGUMENTS: usize = 16;

/// actix-web's attributes that turn a function into a route, by their last word.
const ROUTES: &[&str] = &[
    "get", "post", "put", "delete", "head", "connect", "options", "trace", "patch", "route",
    "routes",
];

/// Attributes that describe the function to its users.
const DESCRIPTIONS: &[&str] = &["doc", "cfg", "deprecated"];

/// Attributes that say how strict the compiler is with the function.
const LEVELS: &[&str] = &["allow", "warn", "deny", "forbid"];

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
            "`#[rate_limit]` goes above an `async fn`; make this one `async`",
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

/// Whether this attribute belongs to the limited function.
pub(crate) fn is_outer(attribute: &Attribute) -> bool {
    is_route(attribute) || is_one_of(attribute, DESCRIPTIONS) || is_one_of(attribute, LEVELS)
}

/// Whether this attribute belongs to the function as it was written.
pub(crate) fn is_inner(attribute: &Attribute) -> bool {
    !is_outer(attribute) || is_one_of(attribute, LEVELS)
}

/// Whether this is another limit on the same function.
pub(crate) fn is_limit(attribute: &Attribute) -> bool {
    let mut words = attribute.path().segments.iter().map(|segment| &segment.ident);
    match (words.next(), words.next(), words.next()) {
        (Some(limit), None, None) => limit == "rate_limit",
        (Some(package), Some(limit), None) => package == "rateguard" && limit == "rate_limit",
        _ => false,
    }
}

/// `get`, `actix_web::get` and so on, and no attribute of another crate that has such a name.
fn is_route(attribute: &Attribute) -> bool {
    let mut words = attribute.path().segments.iter().map(|segment| &segment.ident);
    match (words.next(), words.next(), words.next()) {
        (Some(route), None, None) => ROUTES.iter().any(|name| route == name),
        (Some(package), Some(route), None) => {
            package == "actix_web" && ROUTES.iter().any(|name| route == name)
        }
        _ => false,
    }
}

fn is_one_of(attribute: &Attribute, names: &[&str]) -> bool {
    names.iter().any(|name| attribute.path().is_ident(name))
}
