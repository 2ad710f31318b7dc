//! Defines the attribute `#[rate_limit]`. Applications use it through `actix-rateguard`, which re-exports it.

mod args;
mod attributes;
mod error;
mod exempt;
mod expand;
mod generics;
mod handler;
mod key_call;
mod limit;
mod quota;
mod registration;
mod shadow;
mod tokens;
mod values;

use proc_macro::TokenStream;
use syn::parse::{Parse, ParseStream};

/// Limits the rate of requests to an actix-web handler.
///
/// # Syntax
///
/// ```text
/// #[rate_limit(limit = 5, window = 60, key = "ip")]
/// #[rate_limit(rate = "5/minute", key = "user", on_error = "closed")]
/// ```
///
/// # Arguments
///
/// One of these forms is required, because it specifies the quotas:
///
/// - `limit = 5, window = 60`: at most 5 requests in any 60 seconds. The window is a whole number of seconds, or a
///   string: `"500ms"`, `"10s"`, `"1m"`, `"1h"`, `"1d"`, `"1w"`. The limit is from 1 to 2^31, and the window is from 1 ms
///   to 365 days. Both values can also be constant expressions, such as `limit = MAX_LOGINS, window = 60 * 60`. The
///   expression for `limit` has the type `u32`. The expression for `window` has the type `Duration`, or the type `u64`
///   for a number of seconds.
/// - `rate = "5/minute"`: a limit of 5 requests and a window of one minute, in one string. Other forms are `"100/10s"`
///   and `"20 per 5 minutes"`. The string can also contain up to 8 quotas, separated by semicolons, such as `"5/second;
///   100/minute; 1000/day"`. A request is then admitted only if every quota has room. With the feature `calendar`, a
///   quota can count in a period of the calendar, such as `"1000/calendar day Europe/Berlin"`.
/// - `plan = plan_of`: a function that chooses the quotas for each request. Write a function path, or a closure that
///   takes `&HttpRequest`. The function can be async. The function returns a `Quota`, `Quotas`, a `Plan`, or an
///   `Option` or `Result` of one of these types. If the function returns `None`, the request is not limited. The function
///   can also return text: the name of a plan of the guard, `"unlimited"`, or quotas such as `"10/minute; 100/day"`. With
///   `plan_fallback = "10/minute"`, these quotas apply if the function returns an error or chooses no valid plan.
/// - `policy = "search"`: a named policy of the guard, from `RateGuardBuilder::policy` or from the policies file. The
///   policy sets the name, quotas, ban, shadow mode and `on_error`. A policy in the policies file can also set `key`,
///   `cost`, `count`, `methods`, `missing_key`, `headers` and `permissive`. Each of these settings replaces the argument of the same name in the
///   macro attribute. If the guard has no policy with the given name, `RateGuardBuilder::build` returns an error.
///
/// These arguments set the algorithm:
///
/// - `algorithm = "sliding_window" | "sliding_window_counter" | "fixed_window" | "token_bucket"`: the algorithm that
///   counts requests. The enum `Algorithm` describes the algorithms. Default: `"sliding_window"`.
/// - `burst = 20`: the capacity of a token bucket, in tokens. Default: as many tokens as the limit. If you write the
///   quota with `limit` and `window`, the burst can also be a constant expression.
///
/// These arguments let a process take several units of a busy key from the store at once, and admit requests with them
/// without a further call to the store:
///
/// - `lease = 50 | "5%"`: the maximum number of units, or a part of the limit. From 2 to 1,000 units, and at most half
///   of the limit. For a token bucket, the burst takes the place of the limit. Default: no lease. Only a single quota of
///   the algorithm `sliding_window` or `token_bucket` can have a lease. In a `rate`, the same lease is written as
///   `"1000/minute lease 50"`.
/// - `lease_for = "1s"`: the time for which the process may use the units, from 100 milliseconds to 10 seconds, and at
///   most a quarter of the window. Default: 1 second, or a quarter of the window if this is less.
///
/// These arguments limit the requests in progress, alone or in addition to a rate:
///
/// - `concurrent = 5`: the maximum number of requests with the same key that are in progress at the same time. Each of
///   them holds a permit until its response ends, streaming bodies and WebSockets included. The value is a literal. In
///   a `rate`, the same quota is written as `"5 concurrent"`.
/// - `permit_lease = "10s"`: the time after which the permits of a process that has crashed come back, from 1 second to
///   1 day. The value is a literal in the form of `window`. Default: 10 seconds.
///
/// These arguments set the cost of a request, and the responses after which the request counts:
///
/// - `cost = 5`: the number of units that a request takes. Instead of a number, you can write a function path or a
///   closure that takes `&HttpRequest` and returns a `u32`: `|req: &HttpRequest| size_of(req)`. The function can be
///   async, and can return a `Result`. Default: 1. A request that costs more than the limit is always denied. A request that costs 0 is denied only if its key is banned.
/// - `count = "all" | "success" | "failure" | "status:401,403" | "status:4xx" | "status:!5xx"`: the responses after
///   which the request counts. The list after `status:` contains statuses such as `401` and classes of statuses such as
///   `4xx`. A `!` in front of a status or class excludes it: `"status:4xx,!404"`. Default: `"all"`. The limiter takes
///   the units of a request before the handler runs. If the response is not one of the selected responses, the limiter
///   refunds the units. A request always counts if actix-web drops it because its client has disconnected.
///
/// The argument `key` sets the key of the limit, which identifies the client. Requests with equal keys share one count.
/// The default key is `"ip"`. If a request has no key, for example because a header is missing, it is counted by the
/// client's address, separately from requests with a key. The argument `missing_key` selects another treatment of such
/// requests. The key is one of:
///
/// - `"ip"`: the address of the TCP peer, or the address that a trusted proxy reports (`ClientAddress`). All IPv6
///   addresses of one /64 network have the same key. An IPv4-mapped IPv6 address has the key of the IPv4 address.
/// - `"ip/48"`: the same address as for `"ip"`, but all IPv6 addresses of one /48 network have the same key. The number
///   is a prefix length from 32 to 128 bits.
/// - `"user"`: the `UserId` that the application's authentication middleware has put into the request's extensions.
/// - `"identity"`: the user that actix-identity has authenticated. This key requires the feature `actix-identity`.
/// - `"session:user_id"`: a value in the session of actix-session. This key requires the feature `actix-session`.
/// - `"bearer"`: the credential in the header `Authorization: Bearer`.
/// - `"header:X-Api-Key"`: the value of a request header. `"cookie:session"`: the value of a cookie.
///   `"path:tenant"`: the value of a route parameter.
/// - `"json:/user/name"`: a value in a JSON body, by its JSON pointer. `"form:email"`: a field of a form in the body.
///   The limiter reads the body only after it has checked the handler's other limits, and hands it on to the handler.
/// - `"route"`: the pattern of the route, such as `/orders/{id}`. `"method"`: the method of the request.
/// - `"global"`: one key for all requests.
/// - several of the keys above, joined by `+`: `"user+path:tenant"`. If a request lacks one of the joined values, it
///   has no key.
/// - a function path, or a closure: `|req: &HttpRequest| tenant_of(req)`. The function can be async. The function
///   returns text, a number, a `Key`, a tuple of such values, a `Caller`, or an `Option` or `Result` of one of these
///   types.
/// - calls of the module `key`: `key::json(|login: &Login| login.email.to_lowercase())`, or
///   `key::ip().and(key::form(account_of))`.
///
/// These arguments choose the requests to which the limit applies:
///
/// - `missing_key = "ip" | "deny" | "skip"`: the treatment of requests without a key. `"ip"` counts them by the
///   client's address, `"deny"` rejects them with status 403, and `"skip"` does not limit them. Default: `"ip"`.
/// - `methods = "POST, PUT"`: the methods to which the limit applies. Default: all methods. Requests with the same key
///   share one count, even if their methods differ. `"GET"` includes `HEAD`, because a `HEAD` request makes the handler
///   do the same work. `"HEAD"` alone does not include `GET`.
/// - `skip = is_health_check`: a function path, or a closure that takes `&HttpRequest`. The limit does not apply to
///   requests for which the function returns `true`. The function can be async, and can return a `Result`.
///
/// These arguments are also valid:
///
/// - `headers = false`: leaves the limit out of the rate limit headers. Default: `true`.
/// - `permissive = true`: passes requests that the limit denies to the handler, which can read the decision from a
///   `CheckResult`. The guard checks permissive limits after all other limits of the handler. Default: `false`.
/// - `wait = "2s"`: the maximum time that a request waits for room instead of being denied, at most 60 seconds. Requests
///   with the same key wait in the order of their arrival. If there will be no room before the end of the wait, the
///   request is denied immediately. The value is a literal in the form of `window`. Default: no wait. A limit with a lease
///   cannot have a wait, and no request waits for a limit in shadow mode.
/// - `ban = "10/hour for 15m up to 1d"`: an escalating ban. After 10 denials in an hour, all requests of the key are
///   denied for 15 minutes. Each further ban is twice as long as the previous ban, up to a maximum of 1 day.
/// - `name = "login"`: the name of the limit in store keys and logs. Default: the path of the handler, such as
///   `shop::cart::add`. If two limits of a guard have the same name, they share their counts, so they must have the
///   same quotas.
/// - `on_error = "open" | "closed" | "local"`: the failure mode, which is the treatment of a request while the store
///   does not reply. `"open"` admits the request. `"closed"` responds with status 503. `"local"` counts the request in
///   the memory of this process, and enforces the share of the limit that belongs to this process. Default: the failure
///   mode of the guard.
/// - `shadow = true`: shadow mode, in which the limit counts and decides, but denies no request. Default: `false`.
/// - `candidate = "3/minute"`: a candidate rate, which is a rate that you test before you enforce it. The candidate
///   rate counts all requests separately from the enforced rate. `RateGuard::shadow_report` returns how many requests
///   the candidate rate would admit or deny. You cannot combine `candidate` with `shadow = true`, because a candidate
///   needs an enforced rate.
/// - `rollout = 10`: a percentage from 0 to 100. RateGuard enforces the candidate rate for this percentage of keys.
///   Every application server selects the same keys. `rollout` requires the argument `candidate`. Default: 0.
/// - `on_reject = my_response`: a function that returns the `HttpResponse` to a rejected request. If the function
///   returns `None`, the guard creates the response. Write a function path, or a closure that takes `&HttpRequest` and
///   `&Rejection`. The documentation of `RateGuardBuilder::on_reject` lists all reasons for a rejection. RateGuard
///   overwrites rate limit headers in your response.
/// - `limiter = EXPR`: an expression for the guard. Use this argument if the guard is not in the application's data.
///   The value of the expression must dereference to a `RateGuard`, for example a `static` `LazyLock<RateGuard>`. For
///   each request, the generated code clones the guard before the check. So an expression such as
///   `GUARD.read().unwrap()` does not hold its lock during the check. Default: the guard in the application's data. If
///   the data of several scopes have a guard, the handler uses the guard of the innermost scope. You can add a guard to
///   the data as `RateGuard` or as `web::Data<RateGuard>`. Use the same form for all guards. If the handler finds
///   different guards in the two forms, it responds with status 500.
/// - `crate = my_crate::actix_rateguard`: the path of this library. Use this argument if a macro of another crate
///   generates the attribute. Default: the dependency on `actix-rateguard`, even if `Cargo.toml` gives it another name.
///
/// # Limits of middlewares
///
/// The limits of the middlewares around a handler apply in addition to those of its attributes. Two forms change this:
///
/// - `#[rate_limit(exempt)]` exempts the handler from all limits of middlewares, and `#[rate_limit(exempt = "app")]` from
///   the limit with this name. Other attributes of the handler still apply.
/// - `replaces = "app"`: the limit of this attribute replaces the limit of a middleware with this name.
///
/// The guard finds out which route a handler has when the handler runs for the first time. A middleware of an `App` still
/// checks this first request in each process, and refunds its units. If it denies the request, the handler does not run.
/// To exempt a route from the first request on, use `Limit::exempt_routes`. If several handlers share the pattern and the
/// method of a route through guards, an exemption of one of them applies to all of them. `replaces` has no effect on a
/// request to which its limit does not apply.
///
/// # Notes
///
/// - Write the attribute above or below a route attribute such as `#[get(…)]`. For a handler without a route attribute,
///   which you register with `web::get().to(…)`, write the attribute above the function. If you import a route
///   attribute under another name, write the route attribute above `#[rate_limit]`.
/// - Write `#[utoipa::path(…)]` above `#[rate_limit]`, because `utoipa` must read the arguments of your handler before
///   `#[rate_limit]` replaces them. `#[rate_limit]` does not work together with macros that turn an `async fn` into a
///   function that returns a future. Examples are `#[async_trait]` and the operation macros of apistos and paperclip.
///   To limit a route with such a macro, use the middleware `RateLimit`.
/// - The check runs before any extractor reads the request or its body, so malformed requests count, too.
/// - Several attributes on one handler make one common decision: a request is admitted only if all limits have room,
///   and a denied request takes no units from any limit. The headers report the tightest limit. In two cases, two
///   attributes make separate decisions, and the top attribute decides first: their `limiter` arguments differ, or you
///   import one of the attributes under a name other than `rate_limit`.
/// - The attribute generates a limited function, which contains your function and calls it. An attribute above
///   `#[rate_limit]` runs first, so it applies to your function as you wrote it. Route attributes and doc comments
///   below `#[rate_limit]` move to the limited function. Lint levels below `#[rate_limit]` apply to both functions. All
///   other attributes below `#[rate_limit]` stay on your function.
/// - The limited function replaces your handler, but has different arguments: the request and its payload. So a test
///   cannot call the handler directly. The test must send a request to the application. If other code must call the
///   handler's code, move this code into a separate function.
/// - In an `impl`, the handler cannot use `Self` or the type parameters of the `impl`, because the handler becomes a
///   nested function. Write the full name of the type instead of `Self`. The arguments of the attribute can use `Self`,
///   as in `key = Self::tenant`. They cannot use the type parameters of the `impl`.
/// - If the function in an argument such as `key` uses `Self` or a type parameter of the handler, RateGuard can call
///   this function only for a real request to the handler. So `RateGuard::explain_request`, which does not run the
///   handler, reports the outcome of the handler's limits as unknown. A function in `on_reject` does not have this
///   effect.
/// - If the application has no guard, the handler responds with status 500 and logs the reason, because a handler must
///   never be unlimited by mistake. If another limit of the guard has the same name and different quotas,
///   `RateGuardBuilder::build` usually returns an error. If `build` cannot find this conflict, the handler responds
///   with status 500.
///
/// # Examples
///
/// ```
/// use actix_web::{HttpRequest, HttpResponse, Responder, get, post, web};
/// use actix_rateguard::rate_limit;
///
/// #[get("/search/{words}")]
/// #[rate_limit(limit = 5, window = 60, key = "ip")]
/// async fn search(words: web::Path<String>) -> impl Responder {
///     format!("Nothing found for {words}.")
/// }
///
/// fn tenant_of(request: &HttpRequest) -> Option<String> {
///     Some(request.headers().get("X-Tenant")?.to_str().ok()?.to_owned())
/// }
///
/// #[rate_limit(rate = "5/minute", key = |req: &HttpRequest| tenant_of(req), on_error = "closed")]
/// #[post("/report")]
/// async fn report(body: web::Bytes) -> actix_web::Result<HttpResponse> {
///     Ok(HttpResponse::Ok().finish())
/// }
/// ```
#[proc_macro_attribute]
pub fn rate_limit(args: TokenStream, item: TokenStream) -> TokenStream {
    let original = proc_macro2::TokenStream::from(item.clone());
    let args = syn::parse::<AttributeArgs>(args);
    let handler = handler::parse(item.into());
    let expanded = both(args, handler).and_then(|(args, handler)| {
        let (path, expansion) = match args {
            AttributeArgs::Limit(args) => {
                (tokens::crate_path(args.crate_path.as_ref()), expand::expand(*args, &handler)?)
            }
            AttributeArgs::Exempt(exempt) => {
                let path = tokens::crate_path(exempt.crate_path.as_ref());
                (path, exempt::expand(&exempt, &handler))
            }
        };
        Ok(tokens::with_crate_path(expansion, &path))
    });
    match expanded {
        Ok(expanded) => expanded.into(),
        // The output always contains the user's function. Without it, the compiler would also report that the
        // function is missing.
        Err(error) => {
            let error = error.into_compile_error();
            let original = handler::recovered(original);
            quote::quote!(#error #original).into()
        }
    }
}

/// The arguments of the attribute.
enum AttributeArgs {
    Limit(Box<args::Args>),
    Exempt(exempt::Exempt),
}

impl Parse for AttributeArgs {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        match exempt::Exempt::is_next(input) {
            true => input.parse().map(Self::Exempt),
            false => input.parse().map(|args| Self::Limit(Box::new(args))),
        }
    }
}

/// Returns the values of two results. If one or both of the results are errors, returns all errors as one combined
/// error.
fn both<A, B>(a: syn::Result<A>, b: syn::Result<B>) -> syn::Result<(A, B)> {
    match (a, b) {
        (Ok(a), Ok(b)) => Ok((a, b)),
        (Err(mut error), Err(other)) => {
            error.combine(other);
            Err(error)
        }
        (Err(error), _) | (_, Err(error)) => Err(error),
    }
}
