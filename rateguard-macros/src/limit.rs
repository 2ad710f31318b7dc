//! Generates the part of a limit that is the same for all requests, as a `static` in the limited function.

use std::time::Duration;

use actix_rateguard_grammar::{Methods, Quota, Quotas, ShadowSpec};
use proc_macro2::{Ident, TokenStream};
use quote::{quote, quote_spanned};
use syn::{Expr, spanned::Spanned};

use crate::{
    args::{Allowance, Args},
    quota::ConstantQuota,
    registration::attribute_limit,
    tokens::option,
    values::Number,
};

/// Generates an expression that is a `'static` reference to the limit. `number` is the position of the limit among
/// the limits of `handler`, from 1.
///
/// Macro hygiene does not apply to items, so the names of the generated items start with `__rateguard`. An expression
/// in a nested item can use neither `Self` nor type parameters. So the items contain no expression of the user. The
/// exception is constant numbers, because the compiler must evaluate them once, and not for each type parameter.
pub(crate) fn limit(args: &Args, handler: &Ident, number: usize, is_hoisted: bool) -> TokenStream {
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
    let count = args.count.to_string();
    let missing = variant(args.missing);
    let methods = args.methods.as_ref().map_or(&[][..], Methods::names);
    let replaces = option(args.replaces.as_ref().map(|limit| quote!(#limit)));
    let plan_fallback = option(args.plan_fallback.as_ref().map(quotas_expr));
    let (hides_headers, is_permissive) = (args.hides_headers, args.is_permissive);
    let wait = duration(args.wait.unwrap_or_default());
    let attribute_limit = attribute_limit(args, handler, number, is_hoisted);
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
                    count: ::actix_rateguard::__private::count(#count),
                    missing: ::actix_rateguard::MissingKey::#missing,
                    methods: &[#(#methods),*],
                    replaces: #replaces,
                    plan_fallback: #plan_fallback,
                    hides_headers: #hides_headers,
                    is_permissive: #is_permissive,
                    wait: #wait,
                };
                ::actix_rateguard::__private::HandlerLimit::new(__rateguard_settings, __rateguard_path)
            });
        &*__RATEGUARD_LIMIT
    })
}

/// Generates the value that describes the source of the quotas.
fn allowance(args: &Args) -> TokenStream {
    let quotas = match &args.allowance {
        Allowance::Fixed(quotas) => quotas_expr(quotas),
        Allowance::Constant(quota) => constant_quota_expr(quota, args.cost.as_ref()),
        Allowance::PerRequest(_) => {
            return quote!(::actix_rateguard::__private::Allowance::PerRequest);
        }
        Allowance::Named(name) => {
            return quote!(::actix_rateguard::__private::Allowance::Named(#name));
        }
    };
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

/// Generates the expression for quotas that the macro has validated.
fn quotas_expr(quotas: &Quotas) -> TokenStream {
    if quotas.iter().any(|quota| quota.calendar_period().is_some()) {
        // The index of a time zone is only valid inside this process, so the library parses the text again.
        let text = quotas.to_string();
        return quote!(::actix_rateguard::__private::quotas_of_text(#text));
    }
    let quotas = quotas.iter().map(quota_expr);
    quote!({
        const __RATEGUARD_QUOTAS: &[::actix_rateguard::Quota] = &[#(#quotas),*];
        ::actix_rateguard::__private::quotas(__RATEGUARD_QUOTAS)
    })
}

/// Generates the expression for a quota that the macro has validated.
fn quota_expr(quota: &Quota) -> TokenStream {
    let limit = quota.limit();
    let window = duration(quota.window());
    let algorithm = variant(quota.algorithm());
    let burst = (quota.capacity() != limit).then(|| quota.capacity());
    let burst = option(burst.map(|burst| quote!(#burst)));
    let without_lease = quote!(::actix_rateguard::__private::quota(
        #limit, #window, ::actix_rateguard::Algorithm::#algorithm, #burst,
    ));
    let Some(lease) = quota.lease() else { return without_lease };
    let (units, lease_for) = (lease.units(), duration(lease.duration()));
    quote!(::actix_rateguard::__private::leased(#without_lease, #units, #lease_for))
}

/// Generates the expression for a quota that the compiler validates. If it is invalid, a function called in the
/// expression panics at compile time.
fn constant_quota_expr(quota: &ConstantQuota, cost: Option<&Expr>) -> TokenStream {
    let ConstantQuota { limit, window, algorithm, burst, concurrency } = quota;
    let concurrency = concurrency.as_ref().map(quota_expr);
    let algorithm = variant(algorithm);
    let limit = match limit {
        Number::Literal(limit) => quote!(#limit),
        Number::Constant(limit) => {
            quote_spanned!(limit.span()=> ::actix_rateguard::__private::validated_limit(#limit))
        }
    };
    let window = match window {
        Number::Literal(window) => duration(*window),
        // An expression of a correct type calls an inherent method of the library. An expression of a wrong type calls
        // the method of the trait, which only prevents a second error.
        Number::Constant(window) => {
            let duration = quote_spanned! {window.span()=>
                ::actix_rateguard::__private::constant_window(#window).__rateguard_window()
            };
            quote!({
                #[allow(unused_imports)]
                use ::actix_rateguard::__private::InvalidWindow as _;
                #duration
            })
        }
    };
    let burst = option(burst.as_ref().map(|burst| match burst {
        Number::Literal(burst) => quote!(#burst),
        Number::Constant(burst) => quote!(#burst),
    }));
    let cost = match cost {
        Some(Expr::Lit(number)) => quote!(#number),
        _ => quote!(1),
    };
    quote!({
        const __RATEGUARD_QUOTA: ::actix_rateguard::Quota = ::actix_rateguard::__private::quota(
            #limit, #window, ::actix_rateguard::Algorithm::#algorithm, #burst,
        );
        const _: () = ::actix_rateguard::__private::check_cost(#cost, &__RATEGUARD_QUOTA);
        ::actix_rateguard::__private::quotas(&[__RATEGUARD_QUOTA, #concurrency])
    })
}

fn duration(duration: Duration) -> TokenStream {
    // The maximum window has fewer than 2^45 microseconds, so this conversion to 64 bits never fails.
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    quote!(::core::time::Duration::from_micros(#micros))
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

/// Converts an enum value to Rust code with its derived `Debug`. The output is valid Rust if the variant has no fields.
fn variant(value: impl std::fmt::Debug) -> TokenStream {
    format!("{value:?}").parse().unwrap_or_default()
}
