//! The `#[rate_limit]` attribute of `actix-rateguard`. Applications use it through that crate, which re-exports it.

mod args;
mod error;
mod expand;
mod generics;
mod handler;
mod limit;
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
/// The quotas. One of these forms is required:
///
/// - `limit = 5, window = 60`: at most 5 requests in any 60 seconds. The window is a whole number of seconds, or a
///   string: `"500ms"`, `"10s"`, `"1m"`, `"1h"`, `"1d"`. The limit is from 1 to 2^31, and the window is from 1 ms to
///   365 days.
/// - `rate = "5/minute"`: the same in one string. Other forms are `"100/10s"` and `"20 per 5 minutes"`. A list has up
///   to 8 quotas, all of which must admit a request: `"5/second; 100/minute; 1000/day"`.
/// - `quota = plan_of`: a function path, or a closure over `&HttpRequest`, that chooses the quotas for each request. It
///   returns a `Quota`, `Quotas`, a `Plan`, or an `Option` or `Result` of one of them, and may be async. `None` is
///   unlimited.
/// - `policy = "search"`: a named policy of the guard, from `RateGuardBuilder::policy` or from the policies file, with
///   its name, quotas, ban, shadow mode and `on_error`. In the file, a policy can also have the fields `key`, `cost`,
///   `count`, `methods` and `missing`, which override the arguments of the attribute. If the guard has no policy of
///   this name, `build` returns an error.
///
/// The algorithm:
///
/// - `algorithm = "sliding_window" | "sliding_window_counter" | "fixed_window" | "token_bucket"`: see `Algorithm`.
///   Default: `"sliding_window"`.
/// - `burst = 20`: the capacity of a token bucket, in tokens. Default: the limit.
///
/// The cost of a request, and the responses that count:
///
/// - `cost = 5`: the units that a request takes, or a function path, or a closure that returns a `u32`: `|req:
///   &HttpRequest| size_of(req)`. Default: 1. A request that costs more than the limit is always denied. A request that
///   costs 0 is always admitted.
/// - `count = "all" | "success" | "failure" | "status:401" | "status:4xx"`: the responses that make a request count.
///   Default: `"all"`. A request takes its units before the handler runs, and they are refunded if its response does
///   not count.
///
/// The key. Requests with equal keys count together. Default: `"ip"`. A request without a key counts by the client's
/// address, separately from requests with a key, unless `missing` changes that. A key is one of:
///
/// - `"ip"`: the address of the TCP peer, or the address that a trusted proxy reports (`ClientAddress`). An IPv6
///   address counts by its /64 network, and an IPv4-mapped address counts as the IPv4 address.
/// - `"ip/48"`: the same, with another IPv6 prefix length, from 32 to 128.
/// - `"user"`: the `UserId` that the application's authentication has put into the request's extensions.
/// - `"identity"`: the user of actix-identity. Requires the feature `actix-identity`.
/// - `"session:user_id"`: a value in the actix-session session. Requires the feature `actix-session`.
/// - `"bearer"`: the credential of `Authorization: Bearer`.
/// - `"header:X-Api-Key"`, `"cookie:session"`, `"path:tenant"`: a request header, a cookie, a route parameter.
/// - `"global"`: one key for all requests.
/// - several of these, joined by `+`: `"user+path:tenant"`. A request without one of the parts has no key.
/// - a function path, or a closure: `|req: &HttpRequest| tenant_of(req)`. It returns text, a number, a `Key`, a tuple
///   of these, a `Caller`, or an `Option` or `Result` of one of these, and may be async.
///
/// The requests that the limit applies to:
///
/// - `missing_key = "ip" | "deny" | "skip"`: the treatment of requests without a key. They count by address (default), are
///   rejected with 403, or are not limited.
/// - `methods = "POST, PUT"`: the methods that the limit applies to. Default: all methods, which share their buckets.
/// - `skip = is_health_check`: a function path, or a closure over `&HttpRequest`. The limit does not apply to requests
///   for which it returns `true`.
///
/// Other arguments:
///
/// - `ban = "10/hour for 15m up to 1d"`: an escalating ban. After 10 denials in an hour, all requests of the key are
///   denied for 15 minutes. Each further ban is twice as long, up to 1 day.
/// - `name = "login"`: the name of the limit in store keys and logs. Default: the path of the handler, which contains
///   the module, the type if the handler is in an `impl`, and the function. Limits of one guard with equal names share
///   their buckets and must have equal quotas.
/// - `on_error = "open" | "closed" | "local"`: the failure mode when the store does not reply: admit, respond with 503,
///   or decide in the memory of this process. Default: the failure mode of the guard.
/// - `shadow = true`: the limit decides and counts, but never rejects a request. `shadow = "3/minute"`: a candidate
///   rate, which is evaluated in addition to the enforced rate, in separate buckets. `RateGuard::shadow_report` counts
///   its decisions.
/// - `rollout = 10`: the percentage of keys for which the candidate rate is enforced, from 0 to 100, the same keys on
///   every server. Default: 0.
/// - `on_denied = my_response`: a function path, or a closure over `&HttpRequest` and `&Decision`, that returns the
///   `HttpResponse` of a denied request. The rate limit headers overwrite those of that response.
/// - `limiter = EXPR`: the guard, if it is not in the application's data. The expression dereferences to a `RateGuard`,
///   such as a `static` `LazyLock<RateGuard>`.
/// - `crate = my_crate::actix_rateguard`: the path of the library, for a macro of another crate that expands to this
///   attribute. Default: the dependency on `actix-rateguard`, also if `Cargo.toml` renames it.
///
/// # Notes
///
/// - The attribute goes above or below `#[get(…)]` and the other route attributes, and above plain handlers for
///   `web::get().to(…)`.
/// - The check runs before the body is read and before any extractor, so malformed requests count too.
/// - Several attributes on one handler are one decision: a request is admitted if all limits admit it, and a denied
///   request takes no units of any limit. The headers report the tightest limit. If the attributes have different
///   `limiter`s, or one of them is imported under another name than `rate_limit`, they are separate decisions, the top
///   one first.
/// - Attributes above this one apply to the function as the user wrote it. Of the attributes below, the routes of
///   actix-web and the documentation move to the limited function, lint levels apply to both functions, and all others
///   remain on the user's function.
/// - The limited function has the request and its payload as arguments instead of the handler's arguments. To test a
///   handler, send a request to the application. To call its code elsewhere, move the body into a separate function.
/// - In an `impl`, the handler must name types in full, because it becomes a nested function, which can use neither
///   `Self` nor the type parameters of the `impl`.
/// - If the application has no guard, the handler responds with 500 and logs the reason; it is never unlimited. It also
///   responds with 500 if another limit has the same name and different quotas.
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
        // The expansion contains the original item, so that the compiler reports only the errors of the attribute.
        Err(error) => {
            let error = error.into_compile_error();
            quote::quote!(#error #original).into()
        }
    }
}

/// Returns both values, or all their errors.
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
