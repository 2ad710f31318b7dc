//! Validates the function below the macro attribute.

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use syn::{FnArg, Item, ItemFn, Signature, TraitItemFn, Type, spanned::Spanned, token::Async};

use crate::{attributes, error::error_at, generics::any_ident};

/// The maximum number of arguments that a handler can have. actix-web implements `Handler` for functions of up to
/// 16 arguments.
const MAX_ARGUMENTS: usize = 16;

/// Returns the error for an item that is not a function with a body.
fn not_a_function(item: TokenStream) -> syn::Error {
    const EXPECTED: &str = "expected an `async fn` below `#[rate_limit]`";
    let (found, span) = match syn::parse2::<Item>(item.clone()) {
        Ok(Item::Impl(it)) => {
            ("an `impl` block; write the attribute above a function in it", it.impl_token.span)
        }
        Ok(Item::Mod(it)) => {
            ("a module; write the attribute above a function in it", it.mod_token.span)
        }
        Ok(Item::Trait(it)) => ("a trait", it.trait_token.span),
        Ok(Item::Struct(it)) => ("a struct", it.struct_token.span),
        Ok(Item::Enum(it)) => ("an enum", it.enum_token.span),
        Ok(Item::Const(it)) => ("a constant", it.const_token.span),
        Ok(Item::Static(it)) => ("a static", it.static_token.span),
        Ok(Item::Type(it)) => ("a type alias", it.type_token.span),
        Ok(Item::Use(it)) => ("a `use` declaration", it.use_token.span),
        Ok(Item::Macro(it)) => ("a macro call", it.mac.path.span()),
        _ => match syn::parse2::<TraitItemFn>(item) {
            Ok(it) => ("a function without a body", it.sig.fn_token.span),
            Err(_) => return error_at(Span::call_site(), EXPECTED),
        },
    };
    error_at(span, format!("{EXPECTED}, found {found}"))
}

/// Returns the item for the output of the macro after an error. If the only error of a function is that it is not
/// async, the returned function is async. So actix-web accepts it, and the compiler does not report the error twice.
pub(crate) fn recovered(item: TokenStream) -> TokenStream {
    match syn::parse2::<ItemFn>(item.clone()) {
        Ok(mut function)
            if function.sig.asyncness.is_none()
                && function.sig.ident != "main"
                && !returns_future(&function.sig) =>
        {
            function.sig.asyncness = Some(Async(function.sig.fn_token.span));
            function.into_token_stream()
        }
        _ => item,
    }
}

/// Returns whether the type of the result has a name such as `Future` or `LocalBoxFuture`.
fn returns_future(signature: &Signature) -> bool {
    any_ident(signature.output.to_token_stream(), &|ident| ident.to_string().ends_with("Future"))
}

/// Parses a function, and returns an error if actix-web would not accept it as a handler.
pub(crate) fn parse(item: TokenStream) -> syn::Result<ItemFn> {
    let function = match syn::parse2::<ItemFn>(item.clone()) {
        Ok(function) => function,
        Err(_) => return Err(not_a_function(item)),
    };
    let signature = &function.sig;
    if let Some(receiver) = signature.receiver() {
        return Err(error_at(
            receiver.span(),
            "expected a handler without `self`; actix-web only passes arguments that it extracts from the request",
        ));
    }
    if signature.asyncness.is_none() {
        let message = match returns_future(signature) {
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
