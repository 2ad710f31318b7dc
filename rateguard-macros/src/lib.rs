//! Defines the attribute `#[rate_limit]`. Applications use it through `actix-rateguard`, which re-exports it.

mod args;
mod attributes;
mod error;
mod expand;
mod generics;
mod handler;
mod limit;
mod quota;
mod registration;
mod shadow;
mod tokens;
mod values;

use proc_macro::TokenStream;

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
///   string: `"500ms"`, `"10s"`, `"1m"`, `"1h"`, `"1d"`. The limit is from 1 to 2^31, and the window is from 1 ms to
///   365 days. The numbers can also be constant expressions, such as `limit = MAX_LOGINS, window = 60 * 60`. A constant
///   limit has the type `u32`. A constant window is a `Duration`, or a number of seconds of the type `u64`.
/// - `rate = "5/minute"`: a limit of 5 requests and a window of one minute, in one string. Other forms are
///   `"100/10s"` and `"20 per 5 minutes"`. A list such as `"5/second; 100/minute; 1000/day"` has up to 8 quotas, and
///   a request is admitted only if every quota has room.
/// - `plan = plan_of`: a function that chooses the quotas for each request. The argument is a function path, or a
///   closure over `&HttpRequest`. The function may be async. It returns a `Quota`, `Quotas`, a `Plan`, or an `Option`
///   or `Result` of one of these types. If the function returns `None`, the request is not limited.
/// - `policy = "search"`: a named policy of the guard, from `RateGuardBuilder::policy` or from the policies file. The
///   policy sets the name, quotas, ban, shadow mode and `on_error`. A policy in the file can also set `key`, `cost`,
///   `count`, `methods` and `missing_key`. These settings then replace the arguments of the same names in the macro
///   attribute. If the guard has no policy of this name, `build` returns an error.
///
/// These arguments set the algorithm:
///
/// - `algorithm = "sliding_window" | "sliding_window_counter" | "fixed_window" | "token_bucket"`: see `Algorithm`.
///   Default: `"sliding_window"`.
/// - `burst = 20`: the capacity of a token bucket, in tokens. Default: the limit. With `limit` and `window`, the burst
///   can also be a constant expression.
///
/// These arguments set the cost of a request, and the responses after which the request counts:
///
/// - `cost = 5`: the number of units that a request takes. The cost can also be a function path or a closure that
///   returns a `u32`: `|req: &HttpRequest| size_of(req)`. Default: 1. A request that costs more than the limit is
///   always denied. A request that costs 0 is denied only if its key is banned.
/// - `count = "all" | "success" | "failure" | "status:401,403" | "status:4xx" | "status:!5xx"`: the responses after
///   which the request counts. A list may contain statuses and classes of statuses, and `!` excludes a status or a
///   class: `"status:4xx,!404"`. Default: `"all"`. The limiter takes the units of a request before the handler runs. If
///   the response is not one of the selected responses, the limiter refunds the units. If actix-web drops a request
///   because its client has disconnected, the request counts.
///
/// The argument `key` sets the key. Requests with equal keys share their counts. Default: `"ip"`. By default, a request
/// without a key is counted by the client's address, separately from requests with a key. The argument `missing_key`
/// changes this. A key is one of:
///
/// - `"ip"`: the address of the TCP peer, or the address that a trusted proxy reports (`ClientAddress`). An IPv6
///   address is counted by its /64 network, and an IPv4-mapped address is counted as the IPv4 address.
/// - `"ip/48"`: the same address as for `"ip"`, but an IPv6 address is counted by its network with this prefix length,
///   from 32 to 128 bits.
/// - `"user"`: the `UserId` that the application's authentication has put into the request's extensions.
/// - `"identity"`: the user that actix-identity has authenticated. This key requires the feature `actix-identity`.
/// - `"session:user_id"`: a value in the session of actix-session. This key requires the feature `actix-session`.
/// - `"bearer"`: the credential in the header `Authorization: Bearer`.
/// - `"header:X-Api-Key"`: the value of a request header. `"cookie:session"`: the value of a cookie.
///   `"path:tenant"`: the value of a route parameter.
/// - `"global"`: one key for all requests.
/// - several of these parts, joined by `+`: `"user+path:tenant"`. A request that lacks one of the parts has no key.
/// - a function path, or a closure: `|req: &HttpRequest| tenant_of(req)`. The function may be async. It returns
///   text, a number, a `Key`, a tuple of such values, a `Caller`, or an `Option` or `Result` of one of these types.
///
/// These arguments choose the requests to which the limit applies:
///
/// - `missing_key = "ip" | "deny" | "skip"`: the treatment of requests without a key. `"ip"` counts such requests by
///   the client's address, `"deny"` rejects them with 403, and `"skip"` does not limit them. Default: `"ip"`.
/// - `methods = "POST, PUT"`: the methods to which the limit applies. Default: all methods. Requests with different
///   methods share their buckets. `"GET"` includes `HEAD`, because a `HEAD` request makes the handler do the same
///   work. `"HEAD"` alone does not include `GET`.
/// - `skip = is_health_check`: a function path, or a closure over `&HttpRequest`. The limit does not apply to requests
///   for which the function returns `true`.
///
/// These arguments are also valid:
///
/// - `ban = "10/hour for 15m up to 1d"`: an escalating ban. After 10 denials in an hour, all requests of the key are
///   denied for 15 minutes. Each further ban is twice as long as the previous ban, up to 1 day.
/// - `name = "login"`: the name of the limit in store keys and logs. Default: the path of the handler, such as
///   `shop::cart::add`. Limits of one guard with equal names share their buckets and must have equal quotas.
/// - `on_error = "open" | "closed" | "local"`: the failure mode, which is the treatment of a request while the store
///   does not reply. `"open"` admits the request, `"closed"` responds with 503, and `"local"` decides in the memory of
///   this process, with its share of the limit. Default: the failure mode of the guard.
/// - `shadow = true`: shadow mode, in which the limit counts and decides, but denies no request. Default: `false`.
/// - `candidate = "3/minute"`: a candidate rate, which counts requests in separate buckets, in addition to the enforced
///   rate. `RateGuard::shadow_report` returns how many requests the candidate rate would admit or deny. This argument
///   conflicts with `shadow = true`, because a candidate needs an enforced rate.
/// - `rollout = 10`: the percentage of keys for which the candidate rate is enforced, from 0 to 100. Every application
///   server selects the same keys. This argument requires `candidate`. Default: 0.
/// - `on_reject = my_response`: a function that returns the `HttpResponse` for a rejected request, or `None` for the
///   response of the guard. The argument is a function path, or a closure over `&HttpRequest` and `&Rejection`.
///   `RateGuardBuilder::on_reject` lists the rejections. RateGuard overwrites rate limit headers in your response.
/// - `limiter = EXPR`: the guard, if the guard is not in the application's data. The expression must dereference to a
///   `RateGuard`, such as a `static` `LazyLock<RateGuard>`. Each request clones the guard before the check, so an
///   expression such as `GUARD.read().unwrap()` holds its lock only while the guard is cloned. Default: the guard in
///   the data of the innermost scope whose data has a guard. The guard has one of two forms there: `RateGuard` or
///   `web::Data<RateGuard>`. Use the same form for all guards. If the data has different guards in the two forms, the
///   handler responds with 500.
/// - `crate = my_crate::actix_rateguard`: the path of this library. Use this argument if a macro of another crate
///   generates the attribute. Default: the dependency on `actix-rateguard`, even if `Cargo.toml` gives it another name.
///
/// # Notes
///
/// - Write the attribute above or below a route attribute such as `#[get(…)]`, or above a plain handler for
///   `web::get().to(…)`. If a route attribute is imported under another name, write the route attribute above
///   `#[rate_limit]`.
/// - Write `#[utoipa::path(…)]` above `#[rate_limit]`, because `utoipa` must read the arguments of your handler before
///   `#[rate_limit]` replaces them. Macros that turn an `async fn` into a function that returns a future, such as
///   `#[async_trait]` and the operations of apistos and paperclip, do not work with `#[rate_limit]`. Limit these routes
///   with the middleware `RateLimit`.
/// - The check runs before any extractor reads the request or its body, so malformed requests count, too.
/// - Several attributes on one handler make one decision: a request is admitted only if all limits have room, and a
///   denied request takes units from none of the limits. The headers report the tightest limit. Two attributes with
///   different `limiter` arguments make separate decisions, and the top attribute decides first. The same is true if
///   one of the two is imported under a name other than `rate_limit`.
/// - The attribute generates a limited function, which contains your function and calls it. Other attributes above
///   `#[rate_limit]` apply to your function as you wrote it. Of the attributes below `#[rate_limit]`, route attributes
///   and doc comments move to the limited function, lint levels apply to both functions, and all other attributes stay
///   on your function.
/// - The arguments of the limited function are the request and its payload, and not the arguments of your handler. So a
///   test cannot call the handler directly, but must send a request to the application. If other code must call the
///   handler's code, move this code into a separate function.
/// - In an `impl`, the handler can use neither `Self` nor the type parameters of the `impl`, because the handler
///   becomes a nested function. So write the full names of the types. The functions in the arguments of the attribute
///   can use `Self`, as in `key = Self::tenant`, but not the type parameters.
/// - If the function of an argument, such as `key`, uses `Self` or a type parameter of the handler, the function can
///   run only in the handler. `RateGuard::explain_request` then reports the outcome of the handler's limits as unknown.
///   The function of `on_reject` is not affected.
/// - If the application has no guard, the handler responds with 500 and logs the reason, because a handler must never
///   be unlimited by mistake. The handler also responds with 500 if another limit has the same name and different
///   quotas, but `build` has not found this conflict.
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
    let args = syn::parse::<args::Args>(args);
    let handler = handler::parse(item.into());
    let expanded = both(args, handler).and_then(|(args, handler)| {
        let path = tokens::crate_path(args.crate_path.as_ref());
        Ok(tokens::with_crate_path(expand::expand(args, &handler)?, &path))
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
