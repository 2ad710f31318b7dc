//! What the attribute turns a handler into.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::{Expr, GenericParam, ItemFn, Visibility, spanned::Spanned};

use crate::{
    annotated::stands_alone,
    args::{Allowance, Args},
    generics,
    handler::{is_inner, is_limit, is_outer},
    limit::{limit, option},
    refuse::refuse,
    values::Key,
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
///     async fn limits(in_force: &InForce, request: &HttpRequest) -> [AskedBy; 1] {
///         [{
///             let limit = { static LIMIT: LazyLock<Limit> = …; &*LIMIT };
///             if limit.applies_to(in_force, request) && !skip(request) {
///                 AskedBy::new(limit, caller, plan, cost, on_denied)
///             } else {
///                 AskedBy::exempt(limit)
///             }
///         }]
///     }
///     ::rateguard::__private::limited(None, limits, search, request, payload).await
/// }
/// ```
///
/// The limits are a function of their own so that they can be explained without the handler. Where the user's expressions
/// may speak of type parameters, which such a function does not know, they are a closure.
///
/// Further limits below this one go into the same list, if they have the same guard: they are one decision.
pub(crate) fn expand(args: Args, function: &ItemFn) -> syn::Result<TokenStream> {
    let (limits, function) = with_limits_below(args, function.clone());
    refuse_shared_names(&limits)?;

    let outer = function.attrs.iter().filter(|attribute| is_outer(attribute));
    let mut written = function.clone();
    written.attrs.retain(is_inner);
    written.vis = Visibility::Inherited;

    let visibility = &function.vis;
    let ident = &function.sig.ident;
    let (parameters, conditions) = generics::of_limited(&function.sig);
    let handler = handler(&function);
    // Not seen from the user's expressions, nor like any name of the user's.
    let request = Ident::new("__rateguard_request", Span::mixed_site());
    let payload = Ident::new("__rateguard_payload", Span::mixed_site());
    let in_force = Ident::new("__rateguard_in_force", Span::mixed_site());
    let known = Ident::new("__rateguard_limit", Span::mixed_site());
    let is_apart = limits.iter().all(|args| stands_alone(args, &function.sig.generics));
    let asked = limits.iter().enumerate().map(|(place, args)| {
        let limit = limit(args, place + 1, is_apart);
        let mut caller = caller(&args.key, &request);
        let plan = option(match &args.allowance {
            Allowance::PerRequest(plan) => Some(quote_spanned! {plan.span()=>
                ::rateguard::__private::plan(#request, #plan).await
            }),
            Allowance::Fixed(_) | Allowance::Named(_) => None,
        });
        let mut cost = cost(args.cost.as_ref(), &request);
        if matches!(args.allowance, Allowance::Named(_)) {
            // What the policy says of them goes before.
            caller = quote!(match #known.caller(#in_force, #request) {
                ::core::option::Option::Some(caller) => ::core::result::Result::Ok(caller),
                ::core::option::Option::None => #caller,
            });
            cost = quote!(match #known.cost(#in_force) {
                ::core::option::Option::Some(cost) => cost,
                ::core::option::Option::None => #cost,
            });
        }
        let skips = args.skip.as_ref().map(
            |skip| quote_spanned!(skip.span()=> && !::rateguard::__private::skips(#request, #skip)),
        );
        let on_denied = option(args.on_denied.as_ref().map(|on_denied| {
            quote_spanned!(on_denied.span()=> ::rateguard::__private::on_denied(#on_denied))
        }));
        quote!({
            let #known = #limit;
            if #known.applies_to(#in_force, #request) #skips {
                ::rateguard::__private::AskedBy::new(#known, #caller, #plan, #cost, #on_denied)
            } else {
                ::rateguard::__private::AskedBy::exempt(#known)
            }
        })
    });
    let guard = match &limits[0].limiter {
        None => quote!(::core::option::Option::None),
        // An argument of a function, so that what dereferences to a guard is taken for one.
        Some(limiter) => quote_spanned! {limiter.span()=>
            ::core::option::Option::<&::rateguard::RateGuard>::Some(&#limiter)
        },
    };

    let number = limits.len();
    let asked = quote!([#(#asked),*]);
    let (asked_apart, asked) = if is_apart {
        let asked = quote! {
            async fn __rateguard_asked(
                #in_force: &::rateguard::__private::InForce,
                #request: &::rateguard::__private::HttpRequest,
            ) -> [::rateguard::__private::AskedBy; #number] {
                #asked
            }
        };
        (asked, quote!(__rateguard_asked))
    } else {
        let asked = quote! {
            async |
                #in_force: &::rateguard::__private::InForce,
                #request: &::rateguard::__private::HttpRequest,
            | #asked
        };
        (TokenStream::new(), asked)
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

            #asked_apart

            ::rateguard::__private::limited(
                #guard,
                #asked,
                #handler,
                #request,
                #payload,
            ).await
        }
    })
}

/// The limits of the handler that one decision is made of, the upper first, and the function without those below.
///
/// A limit that cannot be read, or that has another guard, stays where it is and is expanded by itself.
fn with_limits_below(args: Args, mut function: ItemFn) -> (Vec<Args>, ItemFn) {
    let guard = |args: &Args| args.limiter.to_token_stream().to_string();
    let mut limits = vec![args];
    function.attrs.retain(|attribute| {
        let below = is_limit(attribute).then(|| attribute.parse_args::<Args>());
        match below {
            Some(Ok(below)) if guard(&below) == guard(&limits[0]) => {
                limits.push(below);
                false
            }
            _ => true,
        }
    });
    (limits, function)
}

/// Two limits of one handler with one name would count in one place, under two rules.
fn refuse_shared_names(limits: &[Args]) -> syn::Result<()> {
    let names: Vec<_> = limits
        .iter()
        .filter_map(|args| match &args.allowance {
            Allowance::Named(policy) => Some(policy),
            _ => args.name.as_ref(),
        })
        .collect();
    for (place, name) in names.iter().enumerate() {
        if names[..place].iter().any(|other| other.value() == name.value()) {
            return Err(refuse(
                name.span(),
                "two limits of one handler have this name; give each its own",
            ));
        }
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

/// What a request costs.
fn cost(cost: Option<&Expr>, request: &Ident) -> TokenStream {
    match cost {
        None => quote!(1_u32),
        Some(Expr::Lit(number)) => {
            quote!({ const __RATEGUARD_COST: u32 = #number; __RATEGUARD_COST })
        }
        Some(cost @ Expr::Closure(_)) => quote_spanned! {cost.span()=>
            ::rateguard::__private::cost_by(#request, #cost)
        },
        Some(cost) => quote_spanned! {cost.span()=>
            ::rateguard::__private::cost(#cost, #request)
        },
    }
}

/// Who makes the request.
fn caller(key: &Key, request: &Ident) -> TokenStream {
    match key {
        Key::Notation(notation) => {
            let notation = notation.to_string();
            quote!(::core::result::Result::Ok({
                static __RATEGUARD_KEY: ::std::sync::LazyLock<::rateguard::key::ReadyMade> =
                    ::std::sync::LazyLock::new(|| ::rateguard::key::notation(#notation));
                ::rateguard::__private::ready_made(&__RATEGUARD_KEY, #request)
            }))
        }
        Key::Function(function) => quote_spanned! {function.span()=>
            ::rateguard::__private::caller(#request, #function).await
        },
    }
}
