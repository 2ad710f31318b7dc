//! What of a limit is tried: `shadow` and `rollout`.

use proc_macro2::Span;
use rateguard_grammar::Quotas;
use syn::{Expr, ExprLit, Lit, spanned::Spanned};

use crate::refuse::refuse;

/// What `shadow` says.
pub(crate) enum Shadow {
    /// Whether it is the whole limit.
    Whole(bool),
    /// Other quotas, beside those that are enforced.
    Candidate(Quotas),
}

/// What of a limit refuses nobody.
pub(crate) enum Trial {
    Whole,
    /// Other quotas, which are enforced for so many percent of the keys.
    Candidate(Quotas, u8),
}

pub(crate) fn shadow(expr: Expr) -> syn::Result<Shadow> {
    match &expr {
        Expr::Lit(ExprLit { lit: Lit::Bool(is_whole), .. }) => Ok(Shadow::Whole(is_whole.value)),
        Expr::Lit(ExprLit { lit: Lit::Str(rate), .. }) => {
            let quotas = rate.value().parse().map(Shadow::Candidate);
            quotas.map_err(|error| refuse(rate.span(), error))
        }
        _ => Err(refuse(
            expr.span(),
            "legal here are `true`, which is the whole limit, and a rate that is tried beside it, such as \"3/minute\"",
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
        refuse(expr.span(), "a roll-out is a whole number of percent from 0 to 100, such as 10")
    })
}

/// What both of them say. `rollout` comes with its place.
pub(crate) fn trial(
    shadow: Option<Shadow>,
    rollout: Option<(u8, Span)>,
) -> syn::Result<Option<Trial>> {
    match (shadow, rollout) {
        (Some(Shadow::Candidate(quotas)), rollout) => {
            Ok(Some(Trial::Candidate(quotas, rollout.map_or(0, |(percent, _)| percent))))
        }
        (_, Some((_, place))) => Err(refuse(
            place,
            "`rollout` is of a rate that is tried: write `shadow = \"3/minute\"` beside it, for example",
        )),
        (Some(Shadow::Whole(true)), None) => Ok(Some(Trial::Whole)),
        (Some(Shadow::Whole(false)) | None, None) => Ok(None),
    }
}
