//! Parses the values of the arguments of the macro attribute.

use std::time::Duration;

use actix_rateguard_grammar::{
    Algorithm, Ban, Count, EXPECTED_COST, EXPECTED_HEADERS, EXPECTED_PERMISSIVE, KeyNotation,
    KeyPart, LeaseSize, Methods, MissingKey, Notation, OnError, QuotaError, Quotas, Wait,
    check_name, escape_for_display, parse_window,
};
use quote::ToTokens;
use syn::{Expr, ExprLit, Lit, LitStr, Path, Token, punctuated::Punctuated, spanned::Spanned};

use crate::{error::error_at, key_call};

/// The way in which the key of a request is determined.
pub(crate) enum Key {
    /// The key is a built-in key with this notation.
    Notation(KeyNotation),
    /// A closure, or the function with this path, returns the key.
    Function(Expr),
    /// The key is a call, such as `key::ip().and(key::json(account))`.
    Expression(Expr),
}

/// The cost of a request: the expression for it, and its value if the expression is a number.
pub(crate) struct Cost {
    pub(crate) expr: Expr,
    pub(crate) number: Option<u32>,
}

/// A number: a literal, or an expression that the compiler evaluates.
#[derive(Clone)]
pub(crate) enum Number<T> {
    Literal(T),
    Constant(Expr),
}

pub(crate) fn limit(expr: Expr) -> syn::Result<Number<u32>> {
    number(expr, QuotaError::Limit)
}

pub(crate) fn burst(expr: Expr) -> syn::Result<Number<u32>> {
    number(expr, QuotaError::Burst)
}

/// Parses the maximum number of requests in progress, which must be a literal.
pub(crate) fn concurrent(expr: Expr) -> syn::Result<u32> {
    literal(number(expr.clone(), QuotaError::Limit)?, &expr)
}

/// Parses the size of a lease: a number of units, or a part of the limit such as `"5%"`.
pub(crate) fn lease(expr: Expr) -> syn::Result<LeaseSize> {
    match &expr {
        Expr::Lit(ExprLit { lit: Lit::Int(units), .. }) if units.suffix().is_empty() => units
            .base10_parse()
            .map(LeaseSize::Units)
            .map_err(|_| error_at(expr.span(), QuotaError::LeaseUnits)),
        _ => parsed(expr),
    }
}

/// Parses the duration of a lease, which must be a literal.
pub(crate) fn lease_for(expr: Expr) -> syn::Result<Duration> {
    literal(window(expr.clone())?, &expr)
}

/// Parses the lease of a permit, which must be a literal.
pub(crate) fn permit_lease(expr: Expr) -> syn::Result<Duration> {
    literal(window(expr.clone())?, &expr)
}

/// Parses the maximum wait of a request, which must be a literal.
pub(crate) fn wait(expr: Expr) -> syn::Result<Duration> {
    let wait = literal(window(expr.clone())?, &expr)?;
    Wait::try_from(wait).map(Wait::duration).map_err(|_| error_at(expr.span(), Wait::EXPECTED))
}

/// Returns the value of a number that must be a literal.
fn literal<T>(number: Number<T>, expr: &Expr) -> syn::Result<T> {
    match number {
        Number::Literal(value) => Ok(value),
        Number::Constant(_) => Err(error_at(
            expr.span(),
            "expected a literal, such as `5` or `\"10s\"`, found an expression",
        )),
    }
}

pub(crate) fn algorithm(expr: Expr) -> syn::Result<Algorithm> {
    parsed(expr)
}

/// Parses a whole number, or an expression that may be a whole number.
fn number(expr: Expr, expected: QuotaError) -> syn::Result<Number<u32>> {
    let literal = match &expr {
        // `base10_parse` ignores a suffix such as `k` in `5k`, so a number with a suffix is rejected here.
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) if number.suffix().is_empty() => {
            number.base10_parse().ok()
        }
        _ if may_be_constant(&expr) => return Ok(Number::Constant(expr)),
        _ => None,
    };
    literal.map(Number::Literal).ok_or_else(|| expected_number(&expr, &expected.to_string()))
}

/// Returns the error for a value that is not a number. `expected` is the error message. If the value is a string, the
/// message also says that the number must have no quotes.
pub(crate) fn expected_number(expr: &Expr, expected: &str) -> syn::Error {
    let quotes = match expr {
        Expr::Lit(ExprLit { lit: Lit::Str(_), .. }) => ", without quotes",
        _ => "",
    };
    error_at(expr.span(), format!("{expected}{quotes}"))
}

/// Returns whether the expression may be a constant number, such as `MAX_LOGINS`, `60 * 60` or `of(5)`.
fn may_be_constant(expr: &Expr) -> bool {
    match expr {
        Expr::Path(_)
        | Expr::Binary(_)
        | Expr::Call(_)
        | Expr::MethodCall(_)
        | Expr::Macro(_)
        | Expr::Cast(_) => true,
        Expr::Paren(inner) => may_be_constant(&inner.expr),
        _ => false,
    }
}

pub(crate) fn window(expr: Expr) -> syn::Result<Number<Duration>> {
    match &expr {
        Expr::Lit(ExprLit { lit: Lit::Int(seconds), .. }) if seconds.suffix().is_empty() => seconds
            .base10_parse()
            .map(|seconds| Number::Literal(Duration::from_secs(seconds)))
            .map_err(|_| error_at(expr.span(), QuotaError::Window)),
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => parse_window(&text.value())
            .map(Number::Literal)
            .map_err(|error| error_at(text.span(), error)),
        _ if may_be_constant(&expr) => Ok(Number::Constant(expr)),
        _ => Err(error_at(
            expr.span(),
            "expected a whole number of seconds, or a window in quotes such as \"500ms\", \"10s\", \"1m\", \"1h\" or \"1d\"",
        )),
    }
}

pub(crate) fn key(expr: Expr) -> syn::Result<Key> {
    if let Some(parts) = several_strings(&expr) {
        let parts = escape_for_display(&parts.join("+"));
        let message = format!("expected one string with all parts of the key, such as \"{parts}\"");
        return Err(error_at(expr.span(), message));
    }
    match expr {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => {
            let notation = text.value().parse().map_err(
                |error: actix_rateguard_grammar::KeyNotationError| {
                    let functions = if error.is_unknown() {
                        ", a function path, a closure over `&HttpRequest`"
                    } else {
                        ""
                    };
                    error_at(text.span(), format!("{error}{functions}"))
                },
            )?;
            validate_features(&notation).map_err(|error| error_at(text.span(), error))?;
            Ok(Key::Notation(notation))
        }
        Expr::Path(_) | Expr::Closure(_) => Ok(Key::Function(expr)),
        Expr::Call(ref call) if call.args.is_empty() => Err(expected_key(&expr)),
        Expr::Call(_) | Expr::MethodCall(_) => key_call::validated(expr).map(Key::Expression),
        _ => Err(expected_key(&expr)),
    }
}

fn expected_key(expr: &Expr) -> syn::Error {
    called_function(expr).unwrap_or_else(|| {
        error_at(
            expr.span(),
            format!(
                "expected one of {}, a function path, a closure over `&HttpRequest`",
                KeyNotation::FORMS
            ),
        )
    })
}

/// Returns the strings of an expression that consists of several strings, such as `"user" + "ip"` or `["user", "ip"]`.
/// Returns `None` for every other expression.
fn several_strings(expr: &Expr) -> Option<Vec<String>> {
    let string = |expr: &Expr| match expr {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(vec![text.value()]),
        _ => several_strings(expr),
    };
    let list = |list: &Punctuated<Expr, Token![,]>| {
        let strings: Option<Vec<_>> = list.iter().map(string).collect();
        strings.map(|strings| strings.concat())
    };
    match expr {
        Expr::Binary(binary) => Some([string(&binary.left)?, string(&binary.right)?].concat()),
        Expr::Array(array) => list(&array.elems),
        Expr::Tuple(tuple) => list(&tuple.elems),
        Expr::Paren(inner) => several_strings(&inner.expr),
        Expr::Reference(inner) => several_strings(&inner.expr),
        _ => None,
    }
}

/// Returns an error if a part of the key requires a feature that is not enabled.
fn validate_features(notation: &KeyNotation) -> Result<(), &'static str> {
    notation.parts().iter().try_for_each(|part| match part {
        KeyPart::Identity if !cfg!(feature = "actix-identity") => {
            Err("this key requires the feature `actix-identity` of `actix-rateguard`; enable the feature in `Cargo.toml`: `actix-rateguard = { …, features = [\"actix-identity\"] }`")
        }
        KeyPart::Session(_) if !cfg!(feature = "actix-session") => {
            Err("this key requires the feature `actix-session` of `actix-rateguard`; enable the feature in `Cargo.toml`: `actix-rateguard = { …, features = [\"actix-session\"] }`")
        }
        _ => Ok(()),
    })
}

pub(crate) fn missing(expr: Expr) -> syn::Result<MissingKey> {
    parsed(expr)
}

pub(crate) fn methods(expr: Expr) -> syn::Result<Methods> {
    parsed(expr)
}

pub(crate) fn ban(expr: Expr) -> syn::Result<Ban> {
    parsed(expr)
}

pub(crate) fn plan(expr: Expr) -> syn::Result<Expr> {
    function(
        expr,
        "expected a function path or a closure over `&HttpRequest`; for the same quotas for all requests, use `rate = \"5/minute\"`",
    )
}

pub(crate) fn skip(expr: Expr) -> syn::Result<Expr> {
    function(
        expr,
        "expected a function path, or a closure over `&HttpRequest` that returns a `bool`",
    )
}

pub(crate) fn on_reject(expr: Expr) -> syn::Result<Expr> {
    function(
        expr,
        "expected a function path, or a closure over `&HttpRequest` and `&Rejection` that returns an `Option<HttpResponse>`",
    )
}

fn function(expr: Expr, expected: &str) -> syn::Result<Expr> {
    match expr {
        Expr::Path(_) | Expr::Closure(_) => Ok(expr),
        _ => Err(called_function(&expr).unwrap_or_else(|| error_at(expr.span(), expected))),
    }
}

/// If the expression calls a function without arguments, returns the error that the path of the function is expected.
/// Returns `None` for every other expression.
fn called_function(expr: &Expr) -> Option<syn::Error> {
    let Expr::Call(call) = expr else { return None };
    let Expr::Path(path) = &*call.func else { return None };
    let path = path.to_token_stream().to_string().replace(' ', "");
    let message = format!("expected the path of a function without a call: `{path}`");
    call.args.is_empty().then(|| error_at(expr.span(), message))
}

pub(crate) fn policy_name(expr: Expr) -> syn::Result<LitStr> {
    let name = text(expr, "expected a name in quotes, such as \"login\"")?;
    check_name(&name.value()).map_err(|error| error_at(name.span(), error))?;
    Ok(name)
}

pub(crate) fn rate(expr: Expr) -> syn::Result<Quotas> {
    parsed(expr)
}

pub(crate) fn headers(expr: Expr) -> syn::Result<bool> {
    boolean(&expr, EXPECTED_HEADERS)
}

pub(crate) fn permissive(expr: Expr) -> syn::Result<bool> {
    boolean(&expr, EXPECTED_PERMISSIVE)
}

/// Parses `true` or `false`.
pub(crate) fn boolean(expr: &Expr, expected: &str) -> syn::Result<bool> {
    match expr {
        Expr::Lit(ExprLit { lit: Lit::Bool(value), .. }) => Ok(value.value),
        _ => Err(error_at(expr.span(), expected)),
    }
}

pub(crate) fn cost(expr: Expr) -> syn::Result<Cost> {
    let expected = || format!("{EXPECTED_COST}, a function path, or a closure over `&HttpRequest`");
    match &expr {
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) if number.suffix().is_empty() => {
            let number = number.base10_parse().ok().filter(|number| *number > 0);
            let number = number.ok_or_else(|| error_at(expr.span(), expected()))?;
            Ok(Cost { number: Some(number), expr })
        }
        Expr::Lit(ExprLit { lit: Lit::Str(_), .. }) => Err(expected_number(&expr, EXPECTED_COST)),
        Expr::Path(_) | Expr::Closure(_) => Ok(Cost { number: None, expr }),
        _ => Err(called_function(&expr).unwrap_or_else(|| error_at(expr.span(), expected()))),
    }
}

pub(crate) fn count(expr: Expr) -> syn::Result<Count> {
    match expr {
        Expr::Path(_) | Expr::Closure(_) => Err(error_at(
            expr.span(),
            format!(
                "{}; for a function of the response, use a `RateLimit` with `Limit::count`",
                Count::expected()
            ),
        )),
        _ => parsed(expr),
    }
}

pub(crate) fn on_error(expr: Expr) -> syn::Result<OnError> {
    parsed(expr)
}

/// Parses a string literal whose notation the grammar crate defines.
fn parsed<T: Notation>(expr: Expr) -> syn::Result<T> {
    let text = text(expr, &T::expected())?;
    text.value().parse().map_err(|error| error_at(text.span(), error))
}

/// Returns the expression as a string literal. If the expression is not a string literal, returns an error with the
/// message `expected`.
fn text(expr: Expr, expected: &str) -> syn::Result<LitStr> {
    match expr {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Ok(text),
        _ => Err(error_at(expr.span(), expected)),
    }
}

/// Parses an expression that must be the path of a module, such as `my_crate::rateguard`.
pub(crate) fn path(expr: Expr) -> syn::Result<Path> {
    match expr {
        Expr::Path(path) if path.qself.is_none() => Ok(path.path),
        other => Err(error_at(
            other.span(),
            "expected the path of the library, such as `my_crate::actix_rateguard`",
        )),
    }
}
