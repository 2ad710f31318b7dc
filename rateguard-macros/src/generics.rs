//! Generates the generics of the limited function: the generics of the handler, and the bounds that actix-web
//! requires. The limited function contains the handler as a nested function and calls it.

use proc_macro2::{TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{
    FnArg, GenericParam, Generics, Ident, ReturnType, Signature, WhereClause, WherePredicate,
    parse_quote,
};

/// Returns the type parameters and the `where` clause for the limited function.
///
/// The handler itself does not need the bounds `FromRequest` and `Responder`, because actix-web requires them only
/// where the handler is registered. The limited function calls the handler as actix-web does, so it must declare
/// these bounds.
pub(crate) fn limited_generics(signature: &Signature) -> (TokenStream, Option<WhereClause>) {
    let mut generics = signature.generics.clone();
    let parameters = parameters(&generics);
    if parameters.is_empty() {
        // No argument of the limited function has a lifetime parameter, so the lifetimes of the handler are not
        // needed.
        generics = Generics::default();
    }

    let arguments = signature.inputs.iter().filter_map(|argument| match argument {
        FnArg::Typed(argument) if mentions(&argument.ty, &parameters) => Some(&argument.ty),
        _ => None,
    });
    let result = match &signature.output {
        // An `impl` type cannot occur in a `where` clause. The type does not need a bound there, because `impl
        // Responder` already contains the bound.
        ReturnType::Type(_, ty)
            if !any_ident(ty.to_token_stream(), &|ident| ident == "impl")
                && mentions(ty, &parameters) =>
        {
            Some(ty)
        }
        _ => None,
    };
    // Clippy requires that all bounds of a type parameter are in one place, so all bounds move to the `where`
    // clause.
    let parameter_bounds: Vec<WherePredicate> = generics
        .type_params_mut()
        .map(|parameter| {
            let (ty, mut bounds) = (&parameter.ident, std::mem::take(&mut parameter.bounds));
            bounds.push(parse_quote!('static));
            parameter.colon_token = None;
            parse_quote!(#ty: #bounds)
        })
        .collect();
    let predicates = parameter_bounds
        .into_iter()
        .chain(
            arguments
                .map(|ty| parse_quote!(#ty: ::actix_rateguard::__private::FromRequest + 'static)),
        )
        .chain(
            result.map(
                |ty| parse_quote!(#ty: ::actix_rateguard::__private::Responder<Body: 'static>),
            ),
        )
        .collect::<Vec<WherePredicate>>();
    if !predicates.is_empty() {
        generics.make_where_clause().predicates.extend(predicates);
    }

    let where_clause = generics.where_clause.take();
    (quote!(#generics), where_clause)
}

/// Returns the names of the type parameters and const parameters.
pub(crate) fn parameters(generics: &Generics) -> Vec<Ident> {
    let parameters = generics.params.iter().filter_map(|parameter| match parameter {
        GenericParam::Type(parameter) => Some(parameter.ident.clone()),
        GenericParam::Const(parameter) => Some(parameter.ident.clone()),
        GenericParam::Lifetime(_) => None,
    });
    parameters.collect()
}

/// Returns whether a type or an expression contains one of these names.
pub(crate) fn mentions(code: &impl ToTokens, names: &[Ident]) -> bool {
    any_ident(code.to_token_stream(), &|ident| names.contains(ident))
}

/// Returns whether any identifier in `tokens` satisfies `predicate`.
pub(crate) fn any_ident(tokens: TokenStream, predicate: &impl Fn(&Ident) -> bool) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => predicate(&ident),
        TokenTree::Group(group) => any_ident(group.stream(), predicate),
        _ => false,
    })
}
