//! Generates the part of a limit that is the same for all requests, as a `static` in the limited function.

use actix_rateguard_grammar::{Methods, Quotas, ShadowSpec};
use proc_macro2::TokenStream;
use quote::quote;
use syn::Expr;

use crate::{
    args::{Allowance, Args},
    registration::attribute_limit,
    tokens::option,
};

/// Generates an expression that is a `'static` reference to the limit. `number` is the position of the limit among
/// the limits of the handler, from 1.
///
/// Macro hygiene does not apply to items, so the names of the generated items start with `__rateguard`. The items
/// contain no expression of the user, because an expression in a nested item can use neither `Self` nor type
/// parameters.
pub(crate) fn limit(args: &Args, number: usize, is_hoisted: bool) -> TokenStream {
    let name = option(args.name.as_ref().map(|name| quote!(#name)));
    let allowance = allowance(args);
    let policy_use = policy_use(args);
    let ban = option(args.ban.map(|ban| {
        let ban = ban.to_string();
        quote!(::actix_rateguard::__private::ban(#ban))
    }));
    let shadow = option(args.shadow.as_ref().map(shadow_spec));
    let on_error = option(args.on_error.map(|on_error| {
        let on_error = variant(on_error);
        quote!(::actix_rateguard::OnError::#on_error)
    }));
    let count = variant(args.count);
    let missing = variant(args.missing);
    let methods = args.methods.as_ref().map_or(&[][..], Methods::names);
    let attribute_limit = attribute_limit(args, number, is_hoisted);
    quote!({
        #policy_use
        #attribute_limit
        // The path of this function contains the path of the handler, which is the default name of the limit.
        // `HandlerLimit::new` reads the path.
        fn __rateguard_path() {}
        static __RATEGUARD_LIMIT: ::std::sync::LazyLock<::actix_rateguard::__private::HandlerLimit> =
            ::std::sync::LazyLock::new(|| {
                let __rateguard_settings = ::actix_rateguard::__private::Settings {
                    name: #name,
                    number: #number,
                    allowance: #allowance,
                    ban: #ban,
                    shadow: #shadow,
                    on_error: #on_error,
                    count: ::actix_rateguard::Count::#count,
                    missing: ::actix_rateguard::MissingKey::#missing,
                    methods: &[#(#methods),*],
                };
                ::actix_rateguard::__private::HandlerLimit::new(__rateguard_settings, __rateguard_path)
            });
        &*__RATEGUARD_LIMIT
    })
}

/// Generates the value that describes the source of the quotas.
fn allowance(args: &Args) -> TokenStream {
    let quotas = match &args.allowance {
        Allowance::Fixed(quotas) => quotas,
        Allowance::PerRequest(_) => {
            return quote!(::actix_rateguard::__private::Allowance::PerRequest);
        }
        Allowance::Named(name) => {
            return quote!(::actix_rateguard::__private::Allowance::Named(#name));
        }
    };
    let quotas = quotas_expr(quotas);
    quote!(::actix_rateguard::__private::Allowance::Fixed(#quotas))
}

/// Generates the value that describes the shadow mode of the limit.
fn shadow_spec(spec: &ShadowSpec) -> TokenStream {
    match spec {
        ShadowSpec::Whole => quote!(::actix_rateguard::__private::ShadowSpec::Whole),
        ShadowSpec::Candidate(quotas, percent) => {
            let quotas = quotas_expr(quotas);
            quote!(::actix_rateguard::__private::ShadowSpec::Candidate(#quotas, #percent))
        }
    }
}

/// Generates the expression for quotas that were validated at compile time.
fn quotas_expr(quotas: &Quotas) -> TokenStream {
    let quotas = quotas.iter().map(|quota| {
        let limit = quota.limit();
        // The maximum window has fewer than 2^45 microseconds, so this conversion to 64 bits never fails.
        let window = u64::try_from(quota.window().as_micros()).unwrap_or(u64::MAX);
        let algorithm = variant(quota.algorithm());
        let capacity = quota.capacity();
        quote!(::actix_rateguard::__private::quota(
            #limit, #window, ::actix_rateguard::Algorithm::#algorithm, #capacity,
        ))
    });
    quote!({
        const __RATEGUARD_QUOTAS: &[::actix_rateguard::Quota] = &[#(#quotas),*];
        ::actix_rateguard::__private::quotas(__RATEGUARD_QUOTAS)
    })
}

/// Registers the use of a named policy, so that `build` returns an error if the guard does not have the policy.
fn policy_use(args: &Args) -> TokenStream {
    match (&args.allowance, &args.limiter) {
        (Allowance::Named(name), None) => {
            // A literal was validated when it was parsed, so it is a valid cost.
            let cost = match &args.cost {
                Some(Expr::Lit(number)) => quote!(#number),
                _ => quote!(1),
            };
            quote! {
            ::actix_rateguard::__private::inventory::submit! {
                ::actix_rateguard::__private::PolicyUse {
                    name: #name,
                    location: ::core::concat!(::core::file!(), ":", ::core::line!()),
                    cost: #cost,
                }
            }
            }
        }
        _ => TokenStream::new(),
    }
}

/// Converts an enum value to Rust code with its derived `Debug`. The output is valid Rust if the variant has no fields,
/// or only a number as its field.
fn variant(value: impl std::fmt::Debug) -> TokenStream {
    format!("{value:?}").parse().unwrap_or_default()
}
