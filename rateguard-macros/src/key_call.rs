//! Validates a key that is a call, such as `key::ip().and(key::json(account))`.
//!
//! The expansion evaluates the call for each request, and a key function such as `key::json` panics if its text is
//! invalid. So the macro validates each text at compile time, and accepts no constants that contain a text.

use actix_rateguard_grammar::{KeyNotation, KeyPart};
use quote::quote_spanned;
use syn::{Expr, ExprCall, ExprLit, Lit, parse_quote, spanned::Spanned};

use crate::error::error_at;

const EXPECTED: &str = "expected a call of the module `key`, such as `key::json(account_of)` or `key::ip().and(key::json(account_of))`";

/// Returns the key for the expansion. Returns an error if the key is not built by the functions of the module `key`, or
/// if one of their texts is invalid.
pub(crate) fn validated(expr: Expr) -> syn::Result<Expr> {
    match expr {
        Expr::MethodCall(mut call) if call.method == "and" && call.args.len() == 1 => {
            *call.receiver = validated(*call.receiver)?;
            if !matches!(call.args[0], Expr::Path(_) | Expr::Closure(_)) {
                call.args[0] = validated(call.args[0].clone())?;
            }
            Ok(Expr::MethodCall(call))
        }
        Expr::Call(mut call) => {
            validate_call(&call)?;
            if let Some(Expr::Path(function)) = call.args.first() {
                // The compiler rejects a constant with a text here.
                let checked = quote_spanned!(function.span()=>
                    ::actix_rateguard::__private::body_function(#function)
                );
                call.args[0] = parse_quote!(#checked);
            }
            Ok(Expr::Call(call))
        }
        _ => Err(unexpected(&expr)),
    }
}

fn validate_call(call: &ExprCall) -> syn::Result<()> {
    let unexpected = || unexpected(&Expr::Call(call.clone()));
    let Expr::Path(path) = &*call.func else { return Err(unexpected()) };
    let function = path.path.segments.last().map(|segment| segment.ident.to_string());
    let function = function.ok_or_else(unexpected)?;
    match call.args.iter().collect::<Vec<_>>()[..] {
        [] => validate_part(&function, call),
        [Expr::Lit(ExprLit { lit: Lit::Str(text), .. })] if function == "notation" => {
            let notation = text.value().parse::<KeyNotation>();
            notation.map(drop).map_err(|error| error_at(text.span(), error))
        }
        [Expr::Lit(ExprLit { lit: Lit::Str(text), .. })] => {
            validate_part(&format!("{function}:{}", text.value()), text)
        }
        [Expr::Lit(ExprLit { lit: Lit::Int(bits), .. })] if function == "ip_network" => {
            validate_part(&format!("ip/{bits}"), bits)
        }
        [Expr::Path(_) | Expr::Closure(_)] if ["json", "form"].contains(&&*function) => Ok(()),
        _ => Err(unexpected()),
    }
}

fn validate_part(notation: &str, location: &impl Spanned) -> syn::Result<()> {
    match notation.parse::<KeyPart>() {
        Ok(_) => Ok(()),
        Err(error) if error.is_unknown() => Err(error_at(location.span(), EXPECTED)),
        Err(error) => Err(error_at(location.span(), error)),
    }
}

fn unexpected(expr: &Expr) -> syn::Error {
    error_at(expr.span(), EXPECTED)
}
