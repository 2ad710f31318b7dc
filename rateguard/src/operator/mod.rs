//! JSON endpoints that show operators which client is limited, by which limit and why, and that reset and ban keys.
//!
//! ```
//! # use actix_web::{App, HttpRequest, web};
//! # use actix_rateguard::{RateGuard, operator};
//! # fn is_operator(_: &HttpRequest) -> bool { true }
//! let guard = RateGuard::in_memory();
//! let app = App::new().app_data(guard.clone()).service(
//!     web::scope("/operator")
//!         // .wrap(your_authentication())
//!         .service(operator::endpoints(&guard).allow_if(|request: &HttpRequest| is_operator(request))),
//! );
//! ```
//!
//! Without [`Endpoints::allow_if`], every request is rejected with 403. To compare a secret, use [`token_matches`],
//! because the duration of `==` reveals how much of the secret is correct.
//!
//! | Endpoint | What it does |
//! |---|---|
//! | `GET inventory` | lists all limits: [`RateGuard::inventory`](crate::RateGuard::inventory) |
//! | `GET policies` | lists the policies of the guard, from its builder and its policies file |
//! | `GET health` | reports the state of the store, and the number of failed checks |
//! | `POST explain` | explains the outcome of a key; counts nothing |
//! | `POST reset` | deletes the counts and bans of a key |
//! | `POST ban`, `POST unban` | starts and ends a ban of a key |
//!
//! # Bodies
//!
//! A body has `Content-Type: application/json` and at most 64 KiB. An unknown field is an error. The error lists the
//! valid fields.
//!
//! A body selects a key with `policy`, the name of a limit or policy, and one or both of
//!
//! - `key`: text or a whole number, or a list of them if the key has several parts;
//! - `address`: the address of the client, if the limit counts by address.
//!
//! The values correspond to the parts of the limit's key in the inventory. For the key `user+ip`, an example is
//! `{"policy": "search", "key": "42", "address": "192.0.2.7"}`.
//!
//! `by` sets the key type. `by` is required if limits of one name have different keys, and useful for a policy that
//! background tasks use without HTTP. The value is one of
//!
//! - a key in the notation of the macro attribute, such as `user+ip`;
//! - `value`: the key of `Key::from`, for text, an address or a tuple;
//! - `parts`: the key of `Key::from_parts`;
//! - `no_key`: the client's `address`, by which a limit counts requests that lack its key. If no limit of the name has
//!   the key `ip`, `ip` means the same as `no_key`.
//!
//! The response is 400 if limits have the name, but none of them has the notation in `by` as its key. For a policy
//! without limits, and if a limit has a key function, the key type is unknown, so every `by` is valid.
//!
//! `ban` also requires `for_seconds`, the duration of the ban.
//!
//! # Explanations
//!
//! `explain` reports the outcome of one more request with the selected key: the status of each quota, a ban, and the
//! entry of the guard's access list. `methods`, `skip`, the access lists of middlewares, and quotas that a function
//! chooses depend on a request, which `explain` does not have. For a limit whose quotas are chosen for each request, the
//! response is 409.
//!
//! [`RateGuard::explain_request`](crate::RateGuard::explain_request) applies all of these to a real request, and shows
//! how the address of the client was determined. For example, a route of the application can explain its own requests:
//!
//! ```
//! # use actix_web::{HttpRequest, web};
//! # use actix_rateguard::{RateGuard, explain::Explanation};
//! async fn why(request: HttpRequest, guard: web::Data<RateGuard>) -> web::Json<Explanation> {
//!     web::Json(guard.explain_request(&request, &["login"]).await)
//! }
//! ```
//!
//! Such a route needs the application's own authorization, because the explanation describes the limits.
//!
//! # Responses
//!
//! A response is an object with `version`, which is 1. Within a version, a release may add fields, but it neither
//! removes a field nor changes the meaning of a field. Durations are numbers of seconds and end in `_seconds`. Points
//! in time end in `_unix_seconds` and use the clock of this application server. A missing value is `null`. The field
//! `omitted` of `inventory` is [`Inventory::omitted`](crate::inventory::Inventory::omitted).
//!
//! The response to an error has problem details (RFC 9457). If the store does not answer, the status is 503, and the
//! response also has the fields that do not depend on the store.
//!
//! A reset, ban or unban takes effect on every application server. A denial in the
//! [cache](crate::RateGuardBuilder::denial_cache_ttl) of another application server expires within the time that
//! `denial_cache_ttl_seconds` of `health` reports.
//!
//! # Policies files, shadow and candidates
//!
//! All responses contain the current values. For a limit with a named policy, the key, cost, methods and quotas are the
//! values in the policies file, if the file sets them. `policies_file` of `health` has `path`, `generation`,
//! `since_unix_seconds`, and `error` if the current content of the file is not in effect. Without a policies file,
//! `policies_file` is `null`.
//!
//! Limits and policies have these fields:
//!
//! - `is_in_shadow`: whether the limit only decides and counts.
//! - `candidate`: the quotas that are checked in shadow, in the format of `quotas`.
//! - `rollout_percent`: the percentage of keys for which the candidate is enforced.
//!
//! An explanation also has `is_in_shadow`, `would_deny` and `is_rolled_out`. `would_deny` is `true` if a limit in
//! shadow would deny the request. `is_rolled_out` is `true` if the candidate is enforced for this key. `statuses` lists
//! the quotas that are enforced for the key. The field `shadow` of `health` is
//! [`RateGuard::shadow_report`](actix_rateguard_core::RateGuard::shadow_report) of this process.
//!
//! A limit in shadow denies no request, so an operator cannot ban a key for such a limit. A limit in shadow still
//! rejects a request that lacks a required key, and a request that an access list denies.
//!
//! # The audit log
//!
//! `reset`, `ban` and `unban` each write a log message with the target `actix_rateguard::audit`. The level is `info` on
//! success and `warn` on failure. After a failure, the log message has the status of the response.
//!
//! ```text
//! operator: action=ban policy="login" by="ip" for_seconds=600 peer=10.0.0.1 client=192.0.2.1 user="ann" outcome=done
//! ```
//!
//! `peer` is the address that connected. `client` is the address of the client, if that differs from `peer`. `user` is
//! the [`UserId`](crate::UserId) in the request's extensions, which an `allow_if` function can insert. The log message
//! contains neither the key, nor the hash of the key, nor headers of the request. For requests that `allow_if` rejects,
//! the endpoints write at most one log message in 10 seconds, with the number of these requests.
//!
//! # Limits around the endpoints
//!
//! A limit around the whole application also applies to the endpoints, so such a limit could deny the operator who
//! investigates it. Exempt the endpoints: `.skip(|request| request.path().starts_with("/operator/"))`.

mod audit;
mod endpoints;
mod json;
mod key_type;
mod problem;
mod request_body;
mod response;
mod token;

pub use endpoints::{Endpoints, endpoints};
pub use token::token_matches;
