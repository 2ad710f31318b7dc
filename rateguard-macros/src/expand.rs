//! What the attribute turns a handler into.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use rateguard_grammar::KeyNotation;
use syn::{Attribute, GenericParam, ItemFn, Visibility, spanned::Spanned};

use crate::{
    args::{Args, Key, refuse},
    generics,
    handler::{is_inner, is_limit, is_outer},
};

/// Puts the limit around the handler. This function:
///
/// ```text
/// #[get("/search")]
/// #[instrument]
/// pub async fn search(query: web::Query<Search>) -> impl Responder { … }
/// ```
///
/// becomes this one, which answers actix-web with whatever `limited` makes of it:
///
/// ```text
/// #[get("/search")]
/// pub async fn search(request: HttpRequest, payload: Payload) -> HttpResponse {
///     #[instrument]
///     async fn search(query: web::Query<Search>) -> impl Responder { … }
///
///     let limit = { static LIMIT: LazyLock<Limit> = …; &*LIMIT };
///     let key = …;
///     ::rateguard::__private::limited(None, limit, key, search, request, payload).await
/// }
/// ```
pub(crate) fn expand(args: &Args, function: &ItemFn) -> syn::Result<TokenStream> {
    refuse_shared_names(args, function)?;

    let outer = function.attrs.iter().filter(|attribute| is_outer(attribute));
    let mut written = function.clone();
    written.attrs.retain(is_inner);
    written.vis = Visibility::Inherited;

    let visibility = &function.vis;
    let ident = &function.sig.ident;
    let (parameters, conditions) = generics::of_limited(&function.sig);
    let handler = handler(function);
    let limit = limit(args);
    // Not seen from the user's expressions, nor like any name of the user's.
    let request = Ident::new("__rateguard_request", Span::mixed_site());
    let payload = Ident::new("__rateguard_payload", Span::mixed_site());
    let key = key(&args.key, &request);
    let guard = match &args.limiter {
        None => quote!(::core::option::Option::None),
        // An argument of a function, so that what dereferences to a guard is taken for one.
        Some(limiter) => quote_spanned! {limiter.span()=>
            ::core::option::Option::<&::rateguard::RateGuard>::Some(&#limiter)
        },
    };

    Ok(quote! {
        #(#outer)*
        #visibility async fn #ident #parameters (
            #request: ::rateguard::__private::HttpRequest,
            #payload: ::rateguard::__private::Payload,
        ) -> ::rateguard::__private::HttpResponse
        #conditions
        {
            #written

            ::rateguard::__private::limited(#guard, #limit, #key, #handler, #request, #payload).await
        }
    })
}

/// Two limits of one handler with one name would count in one place, under two rules.
fn refuse_shared_names(args: &Args, function: &ItemFn) -> syn::Result<()> {
    let Some(name) = &args.name else { return Ok(()) };
    let shared = function
        .attrs
        .iter()
        .filter(|attribute| is_limit(attribute))
        .filter_map(|attribute: &Attribute| attribute.parse_args::<Args>().ok()?.name)
        .any(|other| other.value() == name.value());
    if shared {
        return Err(refuse(
            name.span(),
            "two limits of one handler have this name; give each its own",
        ));
    }
    Ok(())
}

/// The handler as a value, with its type parameters.
fn handler(function: &ItemFn) -> TokenStream {
    let ident = &function.sig.ident;
    let parameters: Vec<_> = function
        .sig
        .generics
        .params
        .iter()
        .filter_map(|parameter| match parameter {
            GenericParam::Type(ty) => Some(&ty.ident),
            GenericParam::Const(value) => Some(&value.ident),
            GenericParam::Lifetime(_) => None,
        })
        .collect();
    if parameters.is_empty() { quote!(#ident) } else { quote!(#ident::<#(#parameters),*>) }
}

/// A reference to the limit, which lives as long as the program.
fn limit(args: &Args) -> TokenStream {
    let name = option(args.name.as_ref().map(|name| quote!(#name)));
    let limit = args.quota.limit();
    // A year has fewer than 2^45 microseconds.
    let window = u64::try_from(args.quota.window().as_micros()).unwrap_or(u64::MAX);
    // The enums derive `Debug`, which writes a variant as its name.
    let algorithm = args.quota.algorithm();
    let algorithm = format_ident!("{algorithm:?}");
    let capacity = args.quota.capacity();
    let on_error = option(args.on_error.map(|on_error| {
        let variant = format_ident!("{on_error:?}");
        quote!(::rateguard::OnError::#variant)
    }));
    quote!({
        // Its path is the handler's, which names the limit if nothing else does.
        fn here() {}
        static LIMIT: ::std::sync::LazyLock<::rateguard::__private::Limit> =
            ::std::sync::LazyLock::new(|| {
                const QUOTA: ::rateguard::Quota = ::rateguard::__private::quota(
                    #limit, #window, ::rateguard::Algorithm::#algorithm, #capacity,
                );
                ::rateguard::__private::Limit::new(#name, here, QUOTA, #on_error)
            });
        &*LIMIT
    })
}

fn option(value: Option<TokenStream>) -> TokenStream {
    match value {
        None => quote!(::core::option::Option::None),
        Some(value) => quote!(::core::option::Option::Some(#value)),
    }
}

/// The request's key.
fn key(key: &Key, request: &Ident) -> TokenStream {
    let ready_made = |make: TokenStream| {
        quote!({
            static KEY: ::std::sync::LazyLock<::rateguard::key::ReadyMade> =
                ::std::sync::LazyLock::new(|| ::rateguard::key::#make);
            ::rateguard::__private::ready_made_key(&KEY, &#request)
        })
    };
    match key {
        Key::Notation(KeyNotation::Header(name)) => ready_made(quote!(header(#name))),
        Key::Notation(KeyNotation::Cookie(name)) => ready_made(quote!(cookie(#name))),
        Key::Notation(KeyNotation::Path(name)) => ready_made(quote!(path(#name))),
        Key::Notation(KeyNotation::User) => ready_made(quote!(user())),
        Key::Notation(KeyNotation::Global) => ready_made(quote!(global())),
        Key::Notation(KeyNotation::Ip) => ready_made(quote!(ip())),
        Key::Function(function) => quote_spanned! {function.span()=>
            ::rateguard::__private::key_by(&#request, #function)
        },
    }
}
