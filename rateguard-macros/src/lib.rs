//! The `#[rate_limit]` attribute of `rateguard`, which re-exports it: use it from there.

mod annotated;
mod args;
mod expand;
mod generics;
mod handler;
mod limit;
mod refuse;
mod trial;
mod values;

use proc_macro::TokenStream;

/// Limits how often an actix-web handler may be called.
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
/// How much, in one of these ways; one is required:
///
/// - `limit = 5, window = 60`: at most 5 requests in any 60 seconds. The window is a whole number of seconds or
///   text: `"500ms"`, `"10s"`, `"1m"`, `"1h"`, `"1d"`. Limits are from 1 to 2^31, windows from 1 ms to 365 days.
/// - `rate = "5/minute"`: the same in one word. Also `"100/10s"` and `"20 per 5 minutes"`. Several quotas, all of which
///   have to have room, are a list: `"5/second; 100/minute; 1000/day"`.
///
/// - `quota = plan_of`: a function's path, or a closure over `&HttpRequest`, that chooses it for each request. It returns
///   a `Quota`, `Quotas`, a `Plan`, or an `Option` (`None` is unlimited) or `Result` of one of them, and may be async.
/// - `policy = "search"`: a policy that the guard was given with `RateGuardBuilder::policy`, or that its file has, with its
///   name, quotas, ban and `on_error`. What a file says of the key, `cost`, `count`, `methods` and `missing` goes before what
///   is said here. A name that the guard does not have is an error of `build`.
///
/// How it is counted (default `"sliding_window"`):
///
/// - `algorithm = "sliding_window" | "sliding_window_counter" | "fixed_window" | "token_bucket"`: see `Algorithm`.
/// - `burst = 20`: how many tokens a token bucket holds. By default as many as the limit.
///
/// What a request costs, and which requests count:
///
/// - `cost = 5`: how many units a request takes (default 1); or a function's path, or a closure: `|req: &HttpRequest|
///   size_of(req)`, which returns a `u32`. What costs more than the limit never passes; what costs 0 always does.
/// - `count = "all" | "success" | "failure" | "status:401" | "status:4xx"`: which answers make a request count (default
///   `"all"`). A request takes its place before it is handled, and gives it back if its answer does not count.
///
/// `key`, who is counted together (default `"ip"`). A request without the header, cookie, parameter, user or value
/// that the key asks for is counted by its client's address, apart from those that have one, unless `missing` says
/// otherwise:
///
/// - `"ip"`: the TCP peer's address, or what a trusted proxy says (`ClientAddress`); IPv6 addresses by their /64 network,
///   IPv4-mapped ones as the IPv4 they carry.
/// - `"ip/48"`: the same, IPv6 addresses by their /48 network; from 32 to 128.
/// - `"user"`: the `UserId` that the application's authentication put into the request's extensions.
/// - `"identity"`, `"session:user_id"`: the user of actix-identity, a value in the session of actix-session. They need the
///   features of these names.
/// - `"bearer"`: the credential of `Authorization: Bearer`.
/// - `"header:X-Api-Key"`, `"cookie:session"`, `"path:tenant"`: a request header, a cookie, a route parameter.
/// - `"global"`: everybody together.
/// - several of these, joined by `+`: `"user+path:tenant"`. Who lacks one of them has no key.
/// - a function's path, or a closure: `|req: &HttpRequest| tenant_of(req)`. It returns text, a number, a `Key`, a tuple of
///   them, a `Caller`, or an `Option` or `Result` of one of these, and may be async.
///
/// To whom it applies:
///
/// - `missing = "ip" | "deny" | "skip"`: what happens to a request without a key. It is counted by address (default), is
///   refused with 403, or passes.
/// - `methods = "POST, PUT"`: requests with other methods pass. By default all methods share one count.
/// - `skip = is_health_check`: a function's path, or a closure over `&HttpRequest`; requests for which it returns `true`
///   pass.
/// - `ban = "10/hour for 15m up to 1d"`: who was denied so often is denied everything for that long, and each time for
///   twice as long, up to the longest.
///
/// Further:
///
/// - `name = "login"`: the name of the limit in keys and logs. By default the module, the type if it is in an `impl`,
///   and the function. Limits of one name and one guard share their counts and have to have the same quota.
/// - `on_error = "open" | "closed" | "local"`: what happens when the store does not answer: let pass, answer 503, or decide
///   in this process's memory. By default what the guard says.
/// - `shadow = true`: the limit decides and counts, and refuses nobody. `shadow = "3/minute"`: this rate is tried beside the
///   enforced one, in buckets of its own; `RateGuard::shadow_report` says what it would have denied.
/// - `rollout = 10`: the rate that is tried is enforced for so many percent of the keys, from 0 (default) to 100, the same
///   keys on every server.
/// - `on_denied = my_answer`: a function's path, or a closure over `&HttpRequest` and `&Decision`, that answers denied
///   requests with an `HttpResponse`. The numbers are written over it.
/// - `limiter = EXPR`: the guard, when it is not in the application's data: anything that dereferences to a
///   `RateGuard`, such as a `static` `LazyLock<RateGuard>`.
///
/// # Notes
///
/// - The attribute goes above or below `#[get(…)]` and its kin, and on plain handlers for `web::get().to(…)`.
/// - The check runs before the body is read and before any extractor, so malformed requests count too.
/// - Several attributes on one handler are one decision: a request passes if all of them have room, and otherwise takes
///   nothing of any. The headers report the tightest. If they have different `limiter`s, or one is called by another
///   name than `rate_limit`, they are decided one after the other, the upper first.
/// - Attributes above this one see the function as it was written. Of those below, actix-web's routes and the
///   documentation move to the limited function, lint levels apply to both, and all others stay on the function as it
///   was written.
/// - The limited function takes the request and its payload in place of the arguments, as actix-web calls it. To test
///   a handler, send a request to the application; to call it from elsewhere, put its body into a function of its own.
/// - In an `impl`, the handler names types in full: as an item in another function it knows neither `Self` nor the
///   parameters of the `impl`.
/// - A handler whose guard is missing answers 500 and logs why; it is never unlimited. So does one that was given the
///   name of another limit with another quota.
///
/// # Examples
///
/// ```
/// use actix_web::{HttpRequest, HttpResponse, Responder, get, post, web};
/// use rateguard::rate_limit;
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
    match both(args, handler).and_then(|(args, handler)| expand::expand(args, &handler)) {
        Ok(expanded) => expanded.into(),
        // The original item stays, so that the only errors shown are those of the attribute.
        Err(error) => {
            let error = error.into_compile_error();
            quote::quote!(#error #original).into()
        }
    }
}

/// Both values, or all that is wrong with either.
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
