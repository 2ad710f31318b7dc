//! What of a limit is the same for all requests: a `static` beside the handler.

use proc_macro2::TokenStream;
use quote::quote;
use rateguard_grammar::{Methods, Quotas};
use syn::Expr;

use crate::{
    annotated::annotated,
    args::{Allowance, Args},
    trial::Trial,
};

/// A reference to the limit, the first of the handler's or a further one. It lives as long as the program.
///
/// Items have no hygiene, so those that are written here have names that nobody else gives; and nothing of the user's is
/// written among them, where it would know neither `Self` nor type parameters.
pub(crate) fn limit(args: &Args, number: usize, is_apart: bool) -> TokenStream {
    let name = option(args.name.as_ref().map(|name| quote!(#name)));
    let allowance = allowance(args);
    let asked_policy = asked_policy(args);
    let ban = option(args.ban.map(|ban| {
        let ban = ban.to_string();
        quote!(::rateguard::__private::ban(#ban))
    }));
    let tried = option(args.trial.as_ref().map(tried));
    let on_error = option(args.on_error.map(|on_error| {
        let on_error = variant(on_error);
        quote!(::rateguard::OnError::#on_error)
    }));
    let count = variant(args.count);
    let missing = variant(args.missing);
    let methods = args.methods.as_ref().map_or(&[][..], Methods::names);
    let annotated = annotated(args, number, is_apart);
    quote!({
        #asked_policy
        #annotated
        // Its path is the handler's, which names the limit if nothing else does.
        fn __rateguard_here() {}
        static __RATEGUARD_LIMIT: ::std::sync::LazyLock<::rateguard::__private::Limit> =
            ::std::sync::LazyLock::new(|| {
                let __rateguard_settings = ::rateguard::__private::Settings {
                    name: #name,
                    number: #number,
                    allowance: #allowance,
                    ban: #ban,
                    tried: #tried,
                    on_error: #on_error,
                    count: ::rateguard::Count::#count,
                    missing: ::rateguard::MissingKey::#missing,
                    methods: &[#(#methods),*],
                };
                ::rateguard::__private::Limit::new(__rateguard_settings, __rateguard_here)
            });
        &*__RATEGUARD_LIMIT
    })
}

/// How much the limit admits.
fn allowance(args: &Args) -> TokenStream {
    let quotas = match &args.allowance {
        Allowance::Fixed(quotas) => quotas,
        Allowance::PerRequest(_) => return quote!(::rateguard::__private::Allowance::PerRequest),
        Allowance::Named(name) => return quote!(::rateguard::__private::Allowance::Named(#name)),
    };
    let quotas = written_out(quotas);
    quote!(::rateguard::__private::Allowance::Fixed(#quotas))
}

/// What of the limit is tried.
fn tried(trial: &Trial) -> TokenStream {
    match trial {
        Trial::Whole => quote!(::rateguard::__private::Tried::Whole),
        Trial::Candidate(quotas, percent) => {
            let quotas = written_out(quotas);
            quote!(::rateguard::__private::Tried::Candidate(#quotas, #percent))
        }
    }
}

fn written_out(quotas: &Quotas) -> TokenStream {
    let quotas = quotas.iter().map(|quota| {
        let limit = quota.limit();
        // A year has fewer than 2^45 microseconds.
        let window = u64::try_from(quota.window().as_micros()).unwrap_or(u64::MAX);
        // The enums derive `Debug`, which writes a variant as it is written here.
        let algorithm = variant(quota.algorithm());
        let capacity = quota.capacity();
        quote!(::rateguard::__private::quota(
            #limit, #window, ::rateguard::Algorithm::#algorithm, #capacity,
        ))
    });
    quote!({
        const __RATEGUARD_QUOTAS: &[::rateguard::Quota] = &[#(#quotas),*];
        ::rateguard::__private::quotas(__RATEGUARD_QUOTAS)
    })
}

/// Tells the guard of the application, before it starts, which policy it has to have.
fn asked_policy(args: &Args) -> TokenStream {
    match (&args.allowance, &args.limiter) {
        (Allowance::Named(name), None) => {
            // It was checked when it was read.
            let cost = match &args.cost {
                Some(Expr::Lit(number)) => quote!(#number),
                _ => quote!(1),
            };
            quote! {
            ::rateguard::__private::inventory::submit! {
                ::rateguard::__private::AskedPolicy {
                    name: #name,
                    place: ::core::concat!(::core::file!(), ":", ::core::line!()),
                    cost: #cost,
                }
            }
            }
        }
        _ => TokenStream::new(),
    }
}

fn variant(value: impl std::fmt::Debug) -> TokenStream {
    // What `Debug` writes of a variant without fields, or with a number in it, is Rust.
    format!("{value:?}").parse().unwrap_or_default()
}

/// An `Option`, in full.
pub(crate) fn option(value: Option<TokenStream>) -> TokenStream {
    match value {
        None => quote!(::core::option::Option::None),
        Some(value) => quote!(::core::option::Option::Some(#value)),
    }
}
