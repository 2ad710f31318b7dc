//! Shadow mode: the arguments `shadow` and `rollout`.

use actix_rateguard_grammar::Quotas;
use proc_macro2::Span;
use syn::{Expr, ExprLit, Lit, spanned::Spanned};

use crate::error::error_at;

/// The value of `shadow`.
pub(crate) enum ShadowValue {
    /// `true` if the whole limit is in shadow mode.
    Whole(bool),
    /// Candidate quotas, which count in addition to the enforced quotas.
    Candidate(Quotas),
}

/// The part of a limit that is in shadow mode.
pub(crate) enum ShadowSpec {
    Whole,
    /// Candidate quotas, and the percentage of keys for which they are enforced.
    Candidate(Quotas, u8),
}

pub(crate) fn shadow(expr: Expr) -> syn::Result<ShadowValue> {
    match &expr {
        Expr::Lit(ExprLit { lit: Lit::Bool(is_whole), .. }) => {
            Ok(ShadowValue::Whole(is_whole.value))
        }
        Expr::Lit(ExprLit { lit: Lit::Str(rate), .. }) => {
            let quotas = rate.value().parse().map(ShadowValue::Candidate);
            quotas.map_err(|error| error_at(rate.span(), error))
        }
        _ => Err(error_at(
            expr.span(),
            "expected `true` for the whole limit, or a candidate rate such as \"3/minute\"",
        )),
    }
}

pub(crate) fn rollout(expr: Expr) -> syn::Result<u8> {
    match &expr {
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) if number.suffix().is_empty() => {
            number.base10_parse().ok().filter(|percent| *percent <= 100)
        }
        _ => None,
    }
    .ok_or_else(|| {
        error_at(expr.span(), "expected a whole number of percent from 0 to 100, such as 10")
    })
}

/// Combines the values of `shadow` and `rollout`.
pub(crate) fn spec(
    shadow: Option<ShadowValue>,
    rollout: Option<(u8, Span)>,
) -> syn::Result<Option<ShadowSpec>> {
    match (shadow, rollout) {
        (Some(ShadowValue::Candidate(quotas)), rollout) => {
            Ok(Some(ShadowSpec::Candidate(quotas, rollout.map_or(0, |(percent, _)| percent))))
        }
        (_, Some((_, span))) => Err(error_at(
            span,
            "`rollout` requires a candidate rate, such as `shadow = \"3/minute\"`",
        )),
        (Some(ShadowValue::Whole(true)), None) => Ok(Some(ShadowSpec::Whole)),
        (Some(ShadowValue::Whole(false)) | None, None) => Ok(None),
    }
}
