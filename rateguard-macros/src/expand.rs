//! Generates the code into which the macro attribute expands.

use actix_rateguard_grammar::KeyPart;
use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::{Expr, FnArg, ItemFn, Type, Visibility, spanned::Spanned};

use crate::{
    args::{Allowance, Args},
    attributes::{is_inner, is_limit, is_outer},
    error::error_at,
    generics,
    limit::limit,
    registration::{can_hoist, replacement_use},
    tokens::option,
    values::Key,
};

/// Generates the limited function, which contains the user's handler as a nested function. For example, this
/// handler:
///
/// ```text
/// #[get("/search")]
/// #[instrument]
/// pub async fn search(query: web::Query<Search>) -> impl Responder { … }
/// ```
///
/// becomes the following limited function, which returns the response that `__private::limited` creates:
///
/// ```text
/// #[get("/search")]
/// pub async fn search(request: HttpRequest, payload: Payload) -> HttpResponse {
///     #[instrument]
///     async fn search(query: web::Query<Search>) -> impl Responder { … }
///
///     async fn inputs(policy_set: &PolicySet, request: &HttpRequest) -> [LimitInputs; 1] {
///         [{
///             let limit = { static LIMIT: LazyLock<HandlerLimit> = …; &*LIMIT };
///             if !limit.applies_to(policy_set, request) {
///                 LimitInputs::exempt(limit)
///             } else {
///                 match skips(request, skip).await {
///                     Ok(false) => LimitInputs::new(limit, key, plan, cost),
///                     Ok(true) => LimitInputs::exempt(limit),
///                     Err(error) => LimitInputs::failed(limit, error),
///                 }
///             }
///         }]
///     }
///     ::actix_rateguard::__private::limited(None, [on_reject], inputs, handler(search), request, payload).await
/// }
/// ```
///
/// `inputs` is a separate function, so diagnostics can evaluate the limits without calling the handler. A nested
/// function can use neither `Self` nor the type parameters of the handler. So if an expression of the user mentions
/// one of these, `inputs` is a closure instead.
///
/// If further macro attributes below this one use the same guard, their limits are added to the array that `inputs`
/// returns. So one check decides on all of these limits together.
pub(crate) fn expand(args: Args, function: &ItemFn) -> syn::Result<TokenStream> {
    let (limits, function) = collect_stacked(args, function.clone());
    reject_duplicate_names(&limits)?;

    let ident = &function.sig.ident;
    let handler = handler(&function);
    // Because of macro hygiene, these identifiers are not visible in the user's expressions, so names cannot
    // collide.
    let request = Ident::new("__rateguard_request", Span::mixed_site());
    let payload = Ident::new("__rateguard_payload", Span::mixed_site());
    let policy_set = Ident::new("__rateguard_policy_set", Span::mixed_site());
    let limit_ident = Ident::new("__rateguard_limit", Span::mixed_site());
    let is_hoisted = limits.iter().all(|args| can_hoist(args, &function.sig.generics));
    let inputs = limits.iter().enumerate().map(|(index, args)| {
        let limit = limit(args, ident, index + 1, is_hoisted);
        let mut key = key(&args.key, &request);
        let plan = option(match &args.allowance {
            Allowance::PerRequest(plan) => Some(quote_spanned! {plan.span()=>
                ::actix_rateguard::__private::plan(#request, #plan).await
            }),
            Allowance::Fixed(_) | Allowance::Constant(_) | Allowance::Named(_) => None,
        });
        let mut cost = cost(args.cost.as_ref(), &request);
        if matches!(args.allowance, Allowance::Named(_)) {
            // The policies file can override the key and the cost. So the generated code takes the key from the
            // policy set if the policy set has a key for this limit, and otherwise from the attribute. The same
            // applies to the cost.
            key = quote!(match #limit_ident.key(#policy_set, #request) {
                ::core::option::Option::Some(key) => key,
                ::core::option::Option::None => ::actix_rateguard::__private::KeyInput::from(#key),
            });
            cost = quote!(match #limit_ident.cost(#policy_set) {
                ::core::option::Option::Some(cost) => ::core::result::Result::Ok(cost),
                ::core::option::Option::None => #cost,
            });
        }
        let inputs = quote! {
            ::actix_rateguard::__private::LimitInputs::new(#limit_ident, #key, #plan, #cost)
        };
        let exempt = quote!(::actix_rateguard::__private::LimitInputs::exempt(#limit_ident));
        let inputs = match &args.skip {
            None => inputs,
            Some(skip) => {
                let skips = quote_spanned! {skip.span()=>
                    ::actix_rateguard::__private::skips(#request, #skip).await
                };
                quote!(match #skips {
                    ::core::result::Result::Ok(false) => #inputs,
                    ::core::result::Result::Ok(true) => #exempt,
                    ::core::result::Result::Err(error) => {
                        ::actix_rateguard::__private::LimitInputs::failed(#limit_ident, error)
                    }
                })
            }
        };
        quote!({
            let #limit_ident = #limit;
            if #limit_ident.applies_to(#policy_set, #request) { #inputs } else { #exempt }
        })
    });
    let on_reject = limits.iter().map(|args| {
        option(args.on_reject.as_ref().map(|on_reject| {
            quote_spanned!(on_reject.span()=> ::actix_rateguard::__private::on_reject(#on_reject))
        }))
    });
    let guard_ident = Ident::new("__rateguard_guard", Span::mixed_site());
    let (guard_statement, guard) = match &limits[0].limiter {
        None => (TokenStream::new(), quote!(::core::option::Option::None)),
        // The user's value may hold a lock, such as `GUARD.read().unwrap()`. So the block clones the guard and drops
        // the value before the check and the handler run. The type annotation makes the compiler dereference the
        // user's value to a guard.
        Some(limiter) => {
            let statement = quote_spanned! {limiter.span()=>
                let #guard_ident = {
                    let #guard_ident: &::actix_rateguard::RateGuard = &#limiter;
                    ::core::clone::Clone::clone(#guard_ident)
                };
            };
            (statement, quote!(::core::option::Option::Some(&#guard_ident)))
        }
    };

    let number = limits.len();
    let inputs = quote!([#(#inputs),*]);
    let (inputs_function, inputs) = if is_hoisted {
        let function = quote! {
            async fn __rateguard_limit_inputs(
                #policy_set: &::actix_rateguard::__private::PolicySet,
                #request: &::actix_rateguard::__private::HttpRequest,
            ) -> [::actix_rateguard::__private::LimitInputs; #number] {
                #inputs
            }
        };
        (function, quote!(__rateguard_limit_inputs))
    } else {
        let closure = quote! {
            async |
                #policy_set: &::actix_rateguard::__private::PolicySet,
                #request: &::actix_rateguard::__private::HttpRequest,
            | #inputs
        };
        (TokenStream::new(), closure)
    };

    let has_replacement = limits.iter().any(|args| args.replaces.is_some());
    let replacement_use = has_replacement.then(replacement_use);

    // The call has the span of the function's name. If the function is not a handler, the compiler finds the error
    // several times at the same place, and reports it once.
    let call = quote_spanned! {ident.span()=>
        ::actix_rateguard::__private::limited(
            #guard,
            [#(#on_reject),*],
            #inputs,
            #handler,
            #request,
            #payload,
        ).await
    };
    let body = quote! {
        #replacement_use

        #inputs_function

        #guard_statement

        #call
    };
    Ok(wrap(&function, &request, &payload, &body))
}

/// Generates the function that replaces the handler, with this body. The function contains the handler as a nested function.
pub(crate) fn wrap(
    function: &ItemFn,
    request: &Ident,
    payload: &Ident,
    body: &TokenStream,
) -> TokenStream {
    let outer = function.attrs.iter().filter(|attribute| is_outer(attribute));
    let mut user_function = function.clone();
    user_function.attrs.retain(is_inner);
    user_function.vis = Visibility::Inherited;

    let (visibility, ident) = (&function.vis, &function.sig.ident);
    let (parameters, where_clause) = generics::limited_generics(&function.sig);
    quote! {
        #(#outer)*
        #visibility async fn #ident #parameters (
            #request: ::actix_rateguard::__private::HttpRequest,
            #payload: ::actix_rateguard::__private::Payload,
        ) -> ::actix_rateguard::__private::HttpResponse
        #where_clause
        {
            #user_function

            #body
        }
    }
}

/// Collects the limit in `args` and the limits in the attributes below it, from top to bottom. One check decides on all
/// of them. Also returns the function without the collected attributes.
///
/// An attribute with invalid arguments or with another guard remains on the function, so the compiler expands it
/// separately.
fn collect_stacked(args: Args, mut function: ItemFn) -> (Vec<Args>, ItemFn) {
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

/// Rejects two limits of one handler that have the same name. The two limits would share buckets, so each request
/// would count twice.
fn reject_duplicate_names(limits: &[Args]) -> syn::Result<()> {
    let names: Vec<_> = limits
        .iter()
        .filter_map(|args| match &args.allowance {
            Allowance::Named(policy) => Some(policy),
            _ => args.name.as_ref(),
        })
        .collect();
    for (index, name) in names.iter().enumerate() {
        if names[..index].iter().any(|other| other.value() == name.value()) {
            return Err(error_at(
                name.span(),
                "duplicate limit name; each limit of a handler needs its own name",
            ));
        }
    }
    Ok(())
}

/// Generates the expression for the user's function, with its type and const parameters.
pub(crate) fn handler(function: &ItemFn) -> TokenStream {
    let ident = &function.sig.ident;
    let parameters = generics::parameters(&function.sig.generics);
    let parameters = (!parameters.is_empty()).then(|| quote!(::<#(#parameters),*>));
    match function.sig.inputs.iter().any(is_decision) {
        true => quote_spanned! {ident.span()=>
            ::actix_rateguard::__private::handler_with_decision(#ident #parameters)
        },
        false => quote_spanned! {ident.span()=>
            ::actix_rateguard::__private::handler(#ident #parameters)
        },
    }
}

/// Returns whether the type of an argument has the name `Decision`. Users may expect that a handler gets the type
/// `Decision` of the library, and the error message then names the right type. Other types may have this name, too.
fn is_decision(argument: &FnArg) -> bool {
    let FnArg::Typed(argument) = argument else { return false };
    let Type::Path(path) = &*argument.ty else { return false };
    path.path.segments.last().is_some_and(|segment| segment.ident == "Decision")
}

/// Generates the expression that computes the cost of a request.
fn cost(cost: Option<&Expr>, request: &Ident) -> TokenStream {
    match cost {
        None => quote!(::core::result::Result::Ok(1_u32)),
        Some(Expr::Lit(number)) => quote! {
            ::core::result::Result::Ok({ const __RATEGUARD_COST: u32 = #number; __RATEGUARD_COST })
        },
        Some(cost @ Expr::Closure(_)) => quote_spanned! {cost.span()=>
            ::actix_rateguard::__private::cost_by(#request, #cost).await
        },
        Some(cost) => quote_spanned! {cost.span()=>
            ::actix_rateguard::__private::cost(#cost, #request).await
        },
    }
}

/// Generates the expression that determines the key of a request.
fn key(key: &Key, request: &Ident) -> TokenStream {
    match key {
        Key::Notation(notation) => {
            let reads_body = notation.parts().iter().any(KeyPart::is_in_body);
            let notation = notation.to_string();
            let key = quote! {
                static __RATEGUARD_KEY: ::std::sync::LazyLock<::actix_rateguard::key::BuiltinKey> =
                    ::std::sync::LazyLock::new(|| ::actix_rateguard::key::notation(#notation));
            };
            match reads_body {
                true => quote!({
                    #key
                    ::actix_rateguard::__private::body_key_of_notation(&__RATEGUARD_KEY)
                }),
                false => quote!(::core::result::Result::Ok({
                    #key
                    ::actix_rateguard::__private::key_of_notation(&__RATEGUARD_KEY, #request)
                })),
            }
        }
        Key::Expression(key) => quote_spanned! {key.span()=>
            ::actix_rateguard::__private::key_of_expression(#key, #request).await
        },
        Key::Function(function) => quote_spanned! {function.span()=>
            ::actix_rateguard::__private::key_of_function(#request, #function).await
        },
    }
}
