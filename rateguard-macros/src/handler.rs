//! Validates the function below the macro attribute, and classifies the other attributes of this function.

use proc_macro2::{Span, TokenStream};
use syn::{Attribute, FnArg, ItemFn, Type, spanned::Spanned};

use crate::{error::error_at, tokens::dependency_name};

/// The maximum number of arguments that a handler can have. actix-web implements `Handler` for functions of up to
/// 16 arguments.
const MAX_ARGUMENTS: usize = 16;

/// The names of actix-web's route attributes, without the path before them.
const ROUTES: &[&str] = &[
    "get", "post", "put", "delete", "head", "connect", "options", "trace", "patch", "route",
    "routes",
];

/// The attributes that must be on the limited function, because other code uses only this function: documentation,
/// conditional compilation and deprecation.
const DESCRIPTIONS: &[&str] = &["doc", "cfg", "deprecated"];

/// The attributes that set lint levels.
const LINT_LEVELS: &[&str] = &["allow", "warn", "deny", "forbid"];

/// Parses a function, and returns an error if actix-web would not accept it as a handler.
pub(crate) fn parse(item: TokenStream) -> syn::Result<ItemFn> {
    let Ok(function) = syn::parse2::<ItemFn>(item) else {
        return Err(error_at(Span::call_site(), "expected an `async fn` below `#[rate_limit]`"));
    };
    let signature = &function.sig;
    if let Some(receiver) = signature.receiver() {
        return Err(error_at(
            receiver.span(),
            "expected a handler without `self`; actix-web only passes arguments that it extracts from the request",
        ));
    }
    if signature.asyncness.is_none() {
        return Err(error_at(
            signature.fn_token.span,
            "expected an `async fn` below `#[rate_limit]`, found `fn`; add `async`",
        ));
    }
    if let Some(argument) = signature.inputs.iter().nth(MAX_ARGUMENTS) {
        return Err(error_at(
            argument.span(),
            "expected at most 16 arguments, the maximum of an actix-web handler",
        ));
    }
    for argument in &signature.inputs {
        if let FnArg::Typed(argument) = argument
            && let Type::ImplTrait(ty) = &*argument.ty
        {
            return Err(error_at(
                ty.span(),
                "expected a named type or a type parameter, found `impl Trait`; actix-web cannot infer the type to extract",
            ));
        }
    }
    Ok(function)
}

/// Returns whether the expansion puts this attribute on the limited function.
pub(crate) fn is_outer(attribute: &Attribute) -> bool {
    is_route(attribute) || is_one_of(attribute, DESCRIPTIONS) || is_one_of(attribute, LINT_LEVELS)
}

/// Returns whether the expansion leaves this attribute on the user's function.
pub(crate) fn is_inner(attribute: &Attribute) -> bool {
    !is_outer(attribute) || is_one_of(attribute, LINT_LEVELS)
}

/// Returns whether this attribute adds another limit to the same handler.
pub(crate) fn is_limit(attribute: &Attribute) -> bool {
    let mut segments = attribute.path().segments.iter().map(|segment| &segment.ident);
    match (segments.next(), segments.next(), segments.next()) {
        (Some(limit), None, None) => limit == "rate_limit",
        (Some(library), Some(limit), None) => {
            limit == "rate_limit" && *library == dependency_name()
        }
        _ => false,
    }
}

/// Returns whether this attribute is a route attribute of actix-web, such as `get` or `actix_web::get`. An
/// attribute of another crate may have the same last segment.
fn is_route(attribute: &Attribute) -> bool {
    let mut segments = attribute.path().segments.iter().map(|segment| &segment.ident);
    match (segments.next(), segments.next(), segments.next()) {
        (Some(route), None, None) => ROUTES.iter().any(|name| route == name),
        (Some(library), Some(route), None) => {
            library == "actix_web" && ROUTES.iter().any(|name| route == name)
        }
        _ => false,
    }
}

fn is_one_of(attribute: &Attribute, names: &[&str]) -> bool {
    names.iter().any(|name| attribute.path().is_ident(name))
}
