//! What the attribute turns a handler into.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use rateguard_grammar::KeyNotation;
use syn::{Attribute, GenericParam, ItemFn, Visibility, ext::IdentExt};

use crate::{
    args::{Args, Key, refuse},
    handler::{is_limit, is_outer},
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
/// pub async fn search(req: HttpRequest, payload: Payload) -> HttpResponse {
///     #[instrument]
///     async fn search(query: web::Query<Search>) -> impl Responder { … }
///
///     let policy = { static POLICY: Policy = Policy::of_attribute(…); &POLICY };
///     let key = …;
///     ::rateguard::__private::limited(None, policy, key, search, req, payload).await
/// }
/// ```
pub(crate) fn expand(args: &Args, function: &ItemFn) -> syn::Result<TokenStream> {
    let below: Vec<&Attribute> = function.attrs.iter().filter(|it| is_limit(it)).collect();
    refuse_shared_names(args, &below)?;

    let (outer, inner): (Vec<&Attribute>, Vec<&Attribute>) =
        function.attrs.iter().partition(|attribute| is_outer(attribute));
    let mut written = function.clone();
    written.attrs = inner.into_iter().cloned().collect();
    written.vis = Visibility::Inherited;

    let visibility = &function.vis;
    let ident = &function.sig.ident;
    let generics = &function.sig.generics;
    let conditions = &generics.where_clause;
    let handler = handler(function);
    let policy = policy(args, ident, below.len());
    // These two cannot be seen from the user's expressions, nor see them.
    let req = Ident::new("req", Span::mixed_site());
    let payload = Ident::new("payload", Span::mixed_site());
    let key = key(&args.key, &req);
    let guard = match &args.limiter {
        None => quote!(::core::option::Option::None),
        // An argument of a function, so that what dereferences to a guard is taken for one.
        Some(limiter) => quote!(::core::option::Option::<&::rateguard::RateGuard>::Some(&#limiter)),
    };

    Ok(quote! {
        #(#outer)*
        #visibility async fn #ident #generics (
            #req: ::rateguard::__private::HttpRequest,
            #payload: ::rateguard::__private::Payload,
        ) -> ::rateguard::__private::HttpResponse
        #conditions
        {
            #written

            ::rateguard::__private::limited(#guard, #policy, #key, #handler, #req, #payload).await
        }
    })
}

/// Two limits of one handler with one name would count in one place, under two rules.
fn refuse_shared_names(args: &Args, below: &[&Attribute]) -> syn::Result<()> {
    let Some(name) = &args.name else { return Ok(()) };
    let shared = below
        .iter()
        .filter_map(|attribute| attribute.parse_args::<Args>().ok()?.name)
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

/// A reference to the policy, which lives as long as the program.
fn policy(args: &Args, function: &Ident, limits_below: usize) -> TokenStream {
    let name = match &args.name {
        Some(name) => quote!(#name),
        None => {
            // Several limits on one handler: the lowest has the plain name.
            let function = function.unraw();
            let suffix = match limits_below {
                0 => format!("::{function}"),
                n => format!("::{function}#{}", n + 1),
            };
            quote!(::core::concat!(::core::module_path!(), #suffix))
        }
    };
    let limit = args.quota.limit();
    // A year has fewer than 2^45 microseconds.
    let window = u64::try_from(args.quota.window().as_micros()).unwrap_or(u64::MAX);
    let on_error = match args.on_error {
        None => quote!(::core::option::Option::None),
        Some(on_error) => {
            // The enum derives `Debug`, which writes a variant as its name.
            let variant = format_ident!("{on_error:?}");
            quote!(::core::option::Option::Some(::rateguard::OnError::#variant))
        }
    };
    quote!({
        static POLICY: ::rateguard::Policy =
            ::rateguard::__private::policy(#name, #limit, #window, #on_error);
        &POLICY
    })
}

/// The request's key.
fn key(key: &Key, req: &Ident) -> TokenStream {
    let ready_made = |make: TokenStream| {
        quote!({
            static KEY: ::std::sync::LazyLock<::rateguard::key::ReadyMade> =
                ::std::sync::LazyLock::new(|| ::rateguard::key::#make);
            ::rateguard::__private::ready_made_key(&KEY, &#req)
        })
    };
    match key {
        Key::Notation(KeyNotation::Header(name)) => ready_made(quote!(header(#name))),
        Key::Notation(KeyNotation::Cookie(name)) => ready_made(quote!(cookie(#name))),
        Key::Notation(KeyNotation::Path(name)) => ready_made(quote!(path(#name))),
        Key::Notation(KeyNotation::User) => ready_made(quote!(user())),
        Key::Notation(KeyNotation::Global) => ready_made(quote!(global())),
        Key::Notation(KeyNotation::Ip) => ready_made(quote!(ip())),
        Key::Function(function) => {
            let span = syn::spanned::Spanned::span(function);
            quote_spanned!(span=> ::rateguard::__private::key_by(&#req, #function))
        }
    }
}
