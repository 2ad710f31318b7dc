//! Parses the values of the arguments for shadow mode: `shadow`, `candidate` and `rollout`.

use actix_rateguard_grammar::{Quotas, ShadowFields};
use proc_macro2::Span;
use syn::{Expr, ExprLit, Lit};

use crate::values;

type Fields = ShadowFields<Span>;

pub(crate) fn shadow(expr: Expr) -> syn::Result<bool> {
    values::boolean(&expr, Fields::EXPECTED_SHADOW)
}

pub(crate) fn candidate(expr: Expr) -> syn::Result<Quotas> {
    values::rate(expr)
}

pub(crate) fn rollout(expr: Expr) -> syn::Result<u8> {
    match &expr {
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) if number.suffix().is_empty() => {
            number.base10_parse().ok().filter(|percent| Fields::ROLLOUTS.contains(percent))
        }
        _ => None,
    }
    .ok_or_else(|| values::expected_number(&expr, Fields::EXPECTED_ROLLOUT))
}
