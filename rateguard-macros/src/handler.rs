//! Validates the function below the macro attribute.

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use syn::{FnArg, ItemFn, Type, spanned::Spanned};

use crate::{attributes, error::error_at, generics::any_ident};

/// The maximum number of arguments that a handler can have. actix-web implements `Handler` for functions of up to
/// 16 arguments.
const MAX_ARGUMENTS: usize = 16;

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
        let returns_future = any_ident(signature.output.to_token_stream(), &|ident| {
            ident.to_string().ends_with("Future")
        });
        let message = match returns_future {
            true => {
                "expected an `async fn` below `#[rate_limit]`, found a function that returns a future; write it as an `async fn`. If it is one, a macro above has changed it: remove `#[rate_limit]`, and wrap the route in the middleware `RateLimit`"
            }
            false => "expected an `async fn` below `#[rate_limit]`, found `fn`; add `async`",
        };
        return Err(error_at(signature.fn_token.span, message));
    }
    attributes::validate(&function.attrs)?;
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
