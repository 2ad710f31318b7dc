//! Classifies the other attributes of the function below the macro attribute.

use proc_macro2::TokenStream;
use syn::{Attribute, LitStr, Meta, parse::ParseStream, spanned::Spanned};

use crate::{error::error_at, tokens::dependency_name};

/// The names of actix-web's route attributes, without `actix_web::`. The first argument of each attribute is the path
/// of the route.
const ROUTES: &[&str] = &[
    "get", "post", "put", "delete", "head", "connect", "options", "trace", "patch", "query",
    "route",
];

/// The route attribute of actix-web that has no arguments, because further route attributes follow it.
const ROUTES_OF_LIST: &str = "routes";

/// The attributes that must be on the limited function, because other code uses only this function: documentation,
/// conditional compilation and deprecation.
const DESCRIPTIONS: &[&str] = &["doc", "cfg", "deprecated"];

/// The attributes that set lint levels.
const LINT_LEVELS: &[&str] = &["allow", "warn", "deny", "forbid"];

/// The attributes of paperclip and apistos. Each of them changes the type of the function to a type that only these
/// libraries can register.
const OPERATIONS: &[&str] = &["api_v2_operation", "api_operation"];

/// Returns an error for the first attribute that cannot be below the macro attribute.
pub(crate) fn validate(attributes: &[Attribute]) -> syn::Result<()> {
    for attribute in attributes {
        let segments: Vec<String> =
            attribute.path().segments.iter().map(|segment| segment.ident.to_string()).collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let message = match &segments[..] {
            ["utoipa", "path"] => {
                "expected this attribute above `#[rate_limit]`, because it reads the arguments of the handler and generates items next to it"
            }
            [.., operation] if OPERATIONS.contains(operation) => {
                "this attribute changes the type of the handler, which `#[rate_limit]` does not support; remove `#[rate_limit]`, and wrap the route in the middleware `RateLimit`"
            }
            _ => continue,
        };
        return Err(error_at(attribute.path().span(), message));
    }
    Ok(())
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

/// Returns whether this attribute is a route attribute of actix-web, such as `get` or `actix_web::get`. Attributes of
/// other crates may have the same names, such as `trace`. So the function also checks that the first argument is a
/// string, as the path of a route is.
fn is_route(attribute: &Attribute) -> bool {
    let mut segments = attribute.path().segments.iter().map(|segment| &segment.ident);
    let name = match (segments.next(), segments.next(), segments.next()) {
        (Some(route), None, None) => route,
        (Some(library), Some(route), None) if library == "actix_web" => route,
        _ => return false,
    };
    match &attribute.meta {
        Meta::Path(_) => name == ROUTES_OF_LIST,
        Meta::List(_) => ROUTES.iter().any(|route| name == route) && begins_with_text(attribute),
        Meta::NameValue(_) => false,
    }
}

fn begins_with_text(attribute: &Attribute) -> bool {
    let text = |input: ParseStream<'_>| {
        let text = input.parse::<LitStr>();
        // The parser accepts the arguments only if all of them are consumed.
        input.parse::<TokenStream>()?;
        text
    };
    attribute.parse_args_with(text).is_ok()
}

fn is_one_of(attribute: &Attribute, names: &[&str]) -> bool {
    names.iter().any(|name| attribute.path().is_ident(name))
}

#[cfg(test)]
mod tests {
    use syn::parse_quote;

    use super::*;

    #[test]
    fn only_attributes_that_begin_with_a_path_are_routes() {
        let routes: [Attribute; 6] = [
            parse_quote!(#[get("/")]),
            parse_quote!(#[actix_web::trace("/", name = "home")]),
            parse_quote!(#[query("/")]),
            parse_quote!(#[route("/", method = "GET")]),
            parse_quote!(#[routes]),
            parse_quote!(#[actix_web::routes]),
        ];
        assert!(routes.iter().all(is_route));
        // The first three have the forms of the attribute of fastrace.
        let others: [Attribute; 9] = [
            parse_quote!(#[trace]),
            parse_quote!(#[trace(name = "home")]),
            parse_quote!(#[trace(properties = { "user": "{user}" })]),
            parse_quote!(#[fastrace::trace("home")]),
            parse_quote!(#[get]),
            parse_quote!(#[get()]),
            parse_quote!(#[get(PATH)]),
            parse_quote!(#[get = "/"]),
            parse_quote!(#[routes("/")]),
        ];
        assert!(!others.iter().any(is_route));
        assert!(others.iter().all(is_inner));
    }
}
