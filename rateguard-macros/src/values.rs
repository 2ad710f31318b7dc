//! The values of the attribute's arguments, read and checked one by one.

use std::{fmt::Display, str::FromStr, time::Duration};

use rateguard_grammar::{
    Algorithm, Ban, Count, KeyNotation, KeyPart, Methods, MissingKey, OnError, QuotaError, Quotas,
    check_name, parse_window,
};
use syn::{Expr, ExprLit, Lit, LitStr, spanned::Spanned};

use crate::refuse::refuse;

/// Where a request's key comes from.
pub(crate) enum Key {
    /// A ready-made one.
    Notation(KeyNotation),
    /// A closure, or the path of a function.
    Function(Expr),
}

/// What a request costs: an expression, and its value if it is a number.
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
    parsed(expr, "an algorithm is text in quotes, such as \"token_bucket\"")
}

/// A whole number that is written out.
fn number(expr: &Expr, otherwise: QuotaError) -> syn::Result<u32> {
    match expr {
        // A suffix such as the `k` of `5k` would be passed over.
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) if number.suffix().is_empty() => {
            number.base10_parse().ok()
        }
        _ => None,
    }
    .ok_or_else(|| refuse(expr.span(), otherwise))
}

pub(crate) fn window(expr: Expr) -> syn::Result<Duration> {
    match &expr {
        Expr::Lit(ExprLit { lit: Lit::Int(seconds), .. }) if seconds.suffix().is_empty() => seconds
            .base10_parse()
            .map(Duration::from_secs)
            .map_err(|_| refuse(expr.span(), QuotaError::Window)),
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => {
            parse_window(&text.value()).map_err(|error| refuse(text.span(), error))
        }
        _ => Err(refuse(
            expr.span(),
            "a window is a whole number of seconds or text such as \"500ms\", \"10s\", \"1m\", \"1h\" or \"1d\"",
        )),
    }
}

pub(crate) fn key(expr: Expr) -> syn::Result<Key> {
    match expr {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => {
            let notation =
                text.value().parse().map_err(|error: rateguard_grammar::KeyNotationError| {
                    let functions = if error.is_unknown() {
                        ", a function's path, or a closure over `&HttpRequest`"
                    } else {
                        ""
                    };
                    refuse(text.span(), format!("{error}{functions}"))
                })?;
            refuse_missing_features(&notation).map_err(|error| refuse(text.span(), error))?;
            Ok(Key::Notation(notation))
        }
        Expr::Path(_) | Expr::Closure(_) => Ok(Key::Function(expr)),
        _ => Err(refuse(
            expr.span(),
            format!(
                "a key is {}, a function's path, or a closure over `&HttpRequest`",
                KeyNotation::FORMS
            ),
        )),
    }
}

fn refuse_missing_features(notation: &KeyNotation) -> Result<(), &'static str> {
    notation.parts().iter().try_for_each(|part| match part {
        KeyPart::Identity if !cfg!(feature = "actix-identity") => {
            Err("this key needs the feature `actix-identity` of actix-rateguard")
        }
        KeyPart::Session(_) if !cfg!(feature = "actix-session") => {
            Err("this key needs the feature `actix-session` of actix-rateguard")
        }
        _ => Ok(()),
    })
}

pub(crate) fn missing(expr: Expr) -> syn::Result<MissingKey> {
    parsed(expr, "legal here are \"ip\", \"deny\" and \"skip\", in quotes")
}

pub(crate) fn methods(expr: Expr) -> syn::Result<Methods> {
    parsed(expr, "methods are text in quotes, such as \"POST, PUT\"")
}

pub(crate) fn ban(expr: Expr) -> syn::Result<Ban> {
    parsed(expr, "a ban is text in quotes, such as \"10/hour for 15m up to 1d\"")
}

pub(crate) fn quota(expr: Expr) -> syn::Result<Expr> {
    function(
        expr,
        "a quota that is chosen for each request is a function's path, or a closure over `&HttpRequest`; one that is the same for all is `rate = \"5/minute\"`",
    )
}

pub(crate) fn skip(expr: Expr) -> syn::Result<Expr> {
    function(
        expr,
        "legal here are a function's path, or a closure over `&HttpRequest` that returns a `bool`",
    )
}

pub(crate) fn on_denied(expr: Expr) -> syn::Result<Expr> {
    function(
        expr,
        "legal here are a function's path, or a closure over `&HttpRequest` and `&Decision` that returns an `HttpResponse`",
    )
}

fn function(expr: Expr, otherwise: &str) -> syn::Result<Expr> {
    match expr {
        Expr::Path(_) | Expr::Closure(_) => Ok(expr),
        _ => Err(refuse(expr.span(), otherwise)),
    }
}

pub(crate) fn policy_name(expr: Expr) -> syn::Result<LitStr> {
    let name = text(expr, "a name is text in quotes, such as \"login\"")?;
    check_name(&name.value()).map_err(|error| refuse(name.span(), error))?;
    Ok(name)
}

pub(crate) fn rate(expr: Expr) -> syn::Result<Quotas> {
    parsed(expr, "a rate is text in quotes, such as \"5/minute\"")
}

pub(crate) fn cost(expr: Expr) -> syn::Result<Cost> {
    const LEGAL: &str =
        "a cost is a whole number from 1 on, a function's path, or a closure over `&HttpRequest`";
    match &expr {
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) if number.suffix().is_empty() => {
            let number = number.base10_parse().ok().filter(|number| *number > 0);
            let number = number.ok_or_else(|| refuse(expr.span(), LEGAL))?;
            Ok(Cost { number: Some(number), expr })
        }
        Expr::Path(_) | Expr::Closure(_) => Ok(Cost { number: None, expr }),
        _ => Err(refuse(expr.span(), LEGAL)),
    }
}

pub(crate) fn count(expr: Expr) -> syn::Result<Count> {
    parsed(expr, &format!("legal here are {}", Count::FORMS))
}

pub(crate) fn on_error(expr: Expr) -> syn::Result<OnError> {
    parsed(expr, "legal here are \"open\", \"closed\" and \"local\", in quotes")
}

/// A value that the grammar reads from text.
fn parsed<T: FromStr<Err: Display>>(expr: Expr, otherwise: &str) -> syn::Result<T> {
    let text = text(expr, otherwise)?;
    text.value().parse().map_err(|error| refuse(text.span(), error))
}

/// The text of a literal; `otherwise` says what is legal.
fn text(expr: Expr, otherwise: &str) -> syn::Result<LitStr> {
    match expr {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Ok(text),
        _ => Err(refuse(expr.span(), otherwise)),
    }
}
