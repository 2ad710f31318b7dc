//! The generics of the limited function: those of the handler, and what being a handler asks of them.

use proc_macro2::{TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{
    FnArg, GenericParam, Generics, Ident, ReturnType, Signature, Type, WhereClause, WherePredicate,
    parse_quote,
};

/// The parameters and conditions of the function around a handler.
///
/// A handler need not say that its arguments can be extracted and its result be answered: actix-web asks that of each
/// use. The function around it uses it for all parameters at once, so it has to be said here.
pub(crate) fn of_limited(signature: &Signature) -> (TokenStream, Option<WhereClause>) {
    let mut generics = signature.generics.clone();
    let parameters: Vec<Ident> = generics
        .params
        .iter()
        .filter_map(|parameter| match parameter {
            GenericParam::Type(parameter) => Some(parameter.ident.clone()),
            GenericParam::Const(parameter) => Some(parameter.ident.clone()),
            GenericParam::Lifetime(_) => None,
        })
        .collect();
    if generics.params.iter().all(|parameter| matches!(parameter, GenericParam::Lifetime(_))) {
        // Nothing of the limited function borrows.
        generics = Generics::default();
    }

    let arguments = signature.inputs.iter().filter_map(|argument| match argument {
        FnArg::Typed(argument) if mentions(&argument.ty, &parameters) => Some(&argument.ty),
        _ => None,
    });
    let result = match &signature.output {
        // What is `impl` something, wholly or in part, cannot be said in a condition, nor need be.
        ReturnType::Type(_, ty)
            if !any(ty.to_token_stream(), &|ident| ident == "impl")
                && mentions(ty, &parameters) =>
        {
            Some(ty)
        }
        _ => None,
    };
    // Each parameter is bounded in one place, as Clippy likes it.
    let bounded: Vec<WherePredicate> = generics
        .type_params_mut()
        .map(|parameter| {
            let (ty, mut bounds) = (&parameter.ident, std::mem::take(&mut parameter.bounds));
            bounds.push(parse_quote!('static));
            parameter.colon_token = None;
            parse_quote!(#ty: #bounds)
        })
        .collect();
    let conditions = bounded
        .into_iter()
        .chain(arguments.map(|ty| parse_quote!(#ty: ::rateguard::__private::FromRequest + 'static)))
        .chain(result.map(|ty| parse_quote!(#ty: ::rateguard::__private::Responder<Body: 'static>)))
        .collect::<Vec<WherePredicate>>();
    if !conditions.is_empty() {
        generics.make_where_clause().predicates.extend(conditions);
    }

    let conditions = generics.where_clause.take();
    (quote!(#generics), conditions)
}

/// Whether one of these parameters is named in a type.
fn mentions(ty: &Type, parameters: &[Ident]) -> bool {
    any(ty.to_token_stream(), &|ident| parameters.contains(ident))
}

/// Whether this holds for any word.
fn any(tokens: TokenStream, holds: &impl Fn(&Ident) -> bool) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => holds(&ident),
        TokenTree::Group(group) => any(group.stream(), holds),
        _ => false,
    })
}
