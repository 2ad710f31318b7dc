//! Validates a key that is a call, such as `key::ip().and(key::json(account))`.
//!
//! The expansion evaluates the call for each request, and a key function such as `key::json` panics if its text is
//! invalid. So the macro validates each text at compile time.

use actix_rateguard_grammar::{KeyNotation, KeyPart};
use syn::{Expr, ExprLit, Lit, spanned::Spanned};

use crate::error::error_at;

const EXPECTED: &str = "expected a call of the module `key`, such as `key::json(account_of)` or `key::ip().and(key::json(account_of))`";

/// Returns an error if the key is not built by the functions of the module `key`, or if one of their texts is invalid.
pub(crate) fn validate(expr: &Expr) -> syn::Result<()> {
    match expr {
        Expr::MethodCall(call) if call.method == "and" && call.args.len() == 1 => {
            validate(&call.receiver)?;
            match &call.args[0] {
                Expr::Path(_) | Expr::Closure(_) => Ok(()),
                part => validate(part),
            }
        }
        Expr::Call(call) => {
            let Expr::Path(path) = &*call.func else { return Err(unexpected(expr)) };
            let Some(function) = path.path.segments.last() else { return Err(unexpected(expr)) };
            let function = function.ident.to_string();
            match call.args.iter().collect::<Vec<_>>()[..] {
                [] => validate_part(&function, expr),
                [Expr::Lit(ExprLit { lit: Lit::Str(text), .. })] => match &*function {
                    "notation" => {
                        let notation = text.value().parse::<KeyNotation>();
                        notation.map(drop).map_err(|error| error_at(text.span(), error))
                    }
                    name => validate_part(&format!("{name}:{}", text.value()), &call.args[0]),
                },
                [Expr::Lit(ExprLit { lit: Lit::Int(bits), .. })] if function == "ip_network" => {
                    validate_part(&format!("ip/{bits}"), &call.args[0])
                }
                [Expr::Path(_) | Expr::Closure(_)] if ["json", "form"].contains(&&*function) => {
                    Ok(())
                }
                _ => Err(unexpected(expr)),
            }
        }
        _ => Err(unexpected(expr)),
    }
}

fn validate_part(notation: &str, location: &Expr) -> syn::Result<()> {
    match notation.parse::<KeyPart>() {
        Ok(_) => Ok(()),
        Err(error) if error.is_unknown() => Err(unexpected(location)),
        Err(error) => Err(error_at(location.span(), error)),
    }
}

fn unexpected(expr: &Expr) -> syn::Error {
    error_at(expr.span(), EXPECTED)
}
