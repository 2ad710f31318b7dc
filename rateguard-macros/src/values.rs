//! Parsers for the values of arguments.

use std::{fmt::Display, str::FromStr, time::Duration};

use actix_rateguard_grammar::{
    Algorithm, Ban, Count, KeyNotation, KeyPart, Methods, MissingKey, OnError, QuotaError, Quotas,
    check_name, parse_window,
};
use syn::{Expr, ExprLit, Lit, LitStr, Path, spanned::Spanned};

use crate::error::error_at;

/// How the key of a request is determined.
pub(crate) enum Key {
    /// A built-in key.
    Notation(KeyNotation),
    /// A closure, or the path of a function.
    Function(Expr),
}

/// The cost of a request: an expression, and the value of the expression if it is a number.
pub(crate) struct Cost {
    pub(crate) expr: Expr,
    pub(crate) number: Option<u32>,
}

pub(crate) fn limit(expr: Expr) -> syn::Result<u32> {
    number(&expr, QuotaError::Limit)
}

pub(crate) fn burst(expr: Expr) -> syn::Result<u32> {
    number(&expr, QuotaError::Burst)
}

pub(crate) fn algorithm(expr: Expr) -> syn::Result<Algorithm> {
    parsed(expr, "expected an algorithm in quotes, such as \"token_bucket\"")
}

/// Parses a literal that is a whole number.
fn number(expr: &Expr, expected: QuotaError) -> syn::Result<u32> {
    match expr {
        // A suffix such as `k` in `5k` is rejected here, because `base10_parse` ignores it.
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) if number.suffix().is_empty() => {
            number.base10_parse().ok()
        }
        _ => None,
    }
    .ok_or_else(|| error_at(expr.span(), expected))
}

pub(crate) fn window(expr: Expr) -> syn::Result<Duration> {
    match &expr {
        Expr::Lit(ExprLit { lit: Lit::Int(seconds), .. }) if seconds.suffix().is_empty() => seconds
            .base10_parse()
            .map(Duration::from_secs)
            .map_err(|_| error_at(expr.span(), QuotaError::Window)),
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => {
            parse_window(&text.value()).map_err(|error| error_at(text.span(), error))
        }
        _ => Err(error_at(
            expr.span(),
            "expected a whole number of seconds, or a window in quotes such as \"500ms\", \"10s\", \"1m\", \"1h\" or \"1d\"",
        )),
    }
}

pub(crate) fn key(expr: Expr) -> syn::Result<Key> {
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
        _ => Err(error_at(
            expr.span(),
            format!(
                "expected one of {}, a function path, a closure over `&HttpRequest`",
                KeyNotation::FORMS
            ),
        )),
    }
}

/// Returns an error if a part of the key requires a disabled feature.
fn validate_features(notation: &KeyNotation) -> Result<(), &'static str> {
    notation.parts().iter().try_for_each(|part| match part {
        KeyPart::Identity if !cfg!(feature = "actix-identity") => {
            Err("this key requires the feature `actix-identity` of `actix-rateguard`")
        }
        KeyPart::Session(_) if !cfg!(feature = "actix-session") => {
            Err("this key requires the feature `actix-session` of `actix-rateguard`")
        }
        _ => Ok(()),
    })
}

pub(crate) fn missing(expr: Expr) -> syn::Result<MissingKey> {
    parsed(expr, "expected \"ip\", \"deny\" or \"skip\", in quotes")
}

pub(crate) fn methods(expr: Expr) -> syn::Result<Methods> {
    parsed(expr, "expected methods in quotes, such as \"POST, PUT\"")
}

pub(crate) fn ban(expr: Expr) -> syn::Result<Ban> {
    parsed(expr, "expected a ban in quotes, such as \"10/hour for 15m up to 1d\"")
}

pub(crate) fn quota(expr: Expr) -> syn::Result<Expr> {
    function(
        expr,
        "expected a function path or a closure over `&HttpRequest`; for the same quota for all requests, use `rate = \"5/minute\"`",
    )
}

pub(crate) fn skip(expr: Expr) -> syn::Result<Expr> {
    function(
        expr,
        "expected a function path, or a closure over `&HttpRequest` that returns a `bool`",
    )
}

pub(crate) fn on_denied(expr: Expr) -> syn::Result<Expr> {
    function(
        expr,
        "expected a function path, or a closure over `&HttpRequest` and `&Decision` that returns an `HttpResponse`",
    )
}

fn function(expr: Expr, expected: &str) -> syn::Result<Expr> {
    match expr {
        Expr::Path(_) | Expr::Closure(_) => Ok(expr),
        _ => Err(error_at(expr.span(), expected)),
    }
}

pub(crate) fn policy_name(expr: Expr) -> syn::Result<LitStr> {
    let name = text(expr, "expected a name in quotes, such as \"login\"")?;
    check_name(&name.value()).map_err(|error| error_at(name.span(), error))?;
    Ok(name)
}

pub(crate) fn rate(expr: Expr) -> syn::Result<Quotas> {
    parsed(expr, "expected a rate in quotes, such as \"5/minute\"")
}

pub(crate) fn cost(expr: Expr) -> syn::Result<Cost> {
    const EXPECTED: &str = "expected a cost that is a whole number of at least 1, a function path, or a closure over `&HttpRequest`";
    match &expr {
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) if number.suffix().is_empty() => {
            let number = number.base10_parse().ok().filter(|number| *number > 0);
            let number = number.ok_or_else(|| error_at(expr.span(), EXPECTED))?;
            Ok(Cost { number: Some(number), expr })
        }
        Expr::Path(_) | Expr::Closure(_) => Ok(Cost { number: None, expr }),
        _ => Err(error_at(expr.span(), EXPECTED)),
    }
}

pub(crate) fn count(expr: Expr) -> syn::Result<Count> {
    parsed(expr, &format!("expected one of {}, in quotes", Count::FORMS))
}

pub(crate) fn on_error(expr: Expr) -> syn::Result<OnError> {
    parsed(expr, "expected \"open\", \"closed\" or \"local\", in quotes")
}

/// Parses the text of a string literal. `expected` is the error message for other expressions.
fn parsed<T: FromStr<Err: Display>>(expr: Expr, expected: &str) -> syn::Result<T> {
    let text = text(expr, expected)?;
    text.value().parse().map_err(|error| error_at(text.span(), error))
}

/// Returns a string literal. `expected` is the error message for other expressions.
fn text(expr: Expr, expected: &str) -> syn::Result<LitStr> {
    match expr {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Ok(text),
        _ => Err(error_at(expr.span(), expected)),
    }
}

/// Parses the path of a module, such as `my_crate::rateguard`.
pub(crate) fn path(expr: Expr) -> syn::Result<Path> {
    match expr {
        Expr::Path(path) if path.qself.is_none() => Ok(path.path),
        other => Err(error_at(
            other.span(),
            "expected the path of the library, such as `my_crate::actix_rateguard`",
        )),
    }
}
