//! Endpoints for operators: which client is limited, by which limit and why, as JSON.
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
//! Without [`Endpoints::allow_if`], every request is rejected with 403. To compare a secret, use [`token_matches`]: the
//! duration of `==` reveals how much of the secret is correct.
//!
//! | Endpoint | What it does |
//! |---|---|
//! | `GET inventory` | lists all limits: [`RateGuard::inventory`](crate::RateGuard::inventory) |
//! | `GET policies` | lists the policies of the guard, from its builder and its policies file |
//! | `GET health` | reports the state of the store, and the number of failed checks |
//! | `POST explain` | explains the outcome of a request or key; counts nothing |
//! | `POST reset` | deletes the counts and bans of a key |
//! | `POST ban`, `POST unban` | starts and ends a ban of a key |
//!
//! # Bodies
//!
//! A body has `Content-Type: application/json` and at most 64 KiB. An unknown field is an error, which lists the valid
//! fields.
//!
//! A body selects a key with `policy`, the name of a limit or policy, and one or both of
//!
//! - `key`: text or a whole number, or a list of them if the key has several parts;
//! - `address`: the address of the client, if the limit counts by address.
//!
//! The values correspond to the key of the limit in the inventory. For a limit by `user+ip`: `{"policy": "search",
//! "key": "42", "address": "192.0.2.7"}`.
//!
//! `by` sets the type of the key. It is required if limits of one name have different keys, and useful for a policy
//! that is used without HTTP. It is one of
//!
//! - a key in the notation of the attribute, such as `user+ip`;
//! - `value`: the key of `Key::from`, for text, an address or a tuple;
//! - `parts`: the key of `Key::from_parts`;
//! - `no_key`: the key of requests without a key, selected by `address`. `ip` is the same if no limit of the name
//!   counts by address.
//!
//! A key type that no limit of the name reads is a 400, unless one of them has a key function. For a selected key,
//! `explain` applies the guard's access list. The access lists of middlewares, methods and `skip` require a request.
//!
//! `ban` also requires `for_seconds`. `explain` takes either a selected key or a `request`:
//!
//! ```json
//! {
//!   "request": {
//!     "method": "POST", "path": "/login", "peer": "10.0.0.1",
//!     "headers": [["X-Forwarded-For", "192.0.2.7"]],
//!     "user": "42", "path_parameters": {"tenant": "acme"}
//!   },
//!   "limits": ["login"]
//! }
//! ```
//!
//! Only `path` and `peer` are required; over a Unix socket, `peer` is `"unix"`. Without `limits`, all limits of the
//! inventory are explained. The request is not routed, so list the limits of its route. A description lacks a session,
//! an identity, and everything that other middlewares insert; a limit that depends on them has the outcome `unknown`.
//! Functions of your limits are called with the description. In this case, `is_best_effort` is `true`, because they may
//! need other parts of a request.
//!
//! # Responses
//!
//! A response is an object with `version`, which is 1. Within a version, fields may be added, but none is removed or
//! changes its meaning. Durations are numbers of seconds and end in `_seconds`. Points in time end in `_unix_seconds`
//! and use the clock of this server. A missing value is `null`. `omitted` of `inventory` is
//! [`Inventory::omitted`](crate::inventory::Inventory::omitted).
//!
//! An error is a problem (RFC 9457). If the store does not answer, the status is 503, and the problem also has the
//! fields that do not depend on the store.
//!
//! A reset, ban or unban takes effect on every server. A denial in the
//! [cache](crate::RateGuardBuilder::denial_cache_ttl) of another server expires within `denial_cache_ttl_seconds` of
//! `health`.
//!
//! # Policies files, shadow and candidates
//!
//! All responses contain the current values. For a limit with a named policy, the key, cost, methods and quotas are
//! those of the policies file, if they are set there. `policies_file` of `health` has `path`, `generation`,
//! `since_unix_seconds`, and `error` if the current content of the file is not in effect. Without a policies file it is
//! `null`.
//!
//! Limits and policies have these fields:
//!
//! - `is_in_shadow`: whether the limit only decides and counts.
//! - `candidate`: the quotas that are checked in shadow, in the format of `quotas`.
//! - `rollout_percent`: the percentage of keys for which the candidate is enforced.
//!
//! An explained limit has `is_in_shadow` as well; `would_deny`, which is `true` if a limit in shadow would deny; and
//! `is_rolled_out`, whether the candidate is enforced for this key. `statuses` are those of the quotas that are
//! enforced for the key. `shadow` of `health` is
//! [`RateGuard::shadow_report`](actix_rateguard_core::RateGuard::shadow_report) of this process.
//!
//! A limit in shadow denies no request, and an operator cannot ban a key under it. It still rejects a request that
//! lacks a required key or is denied by an access list.
//!
//! # The audit log
//!
//! `reset`, `ban` and `unban` each write a message with the target `actix_rateguard::audit`. Its level is `info` on
//! success, and `warn` on failure, with the status of the response.
//!
//! ```text
//! operator: action=ban policy="login" by="ip" for_seconds=600 peer=10.0.0.1 client=192.0.2.1 user="ann" outcome=done
//! ```
//!
//! `peer` is the address that connected. `client` is the address of the client, if it differs. `user` is the
//! [`UserId`](crate::UserId) in the request's extensions, which an `allow_if` function can insert. The message contains
//! neither the key nor its hash nor headers of the request. Requests that `allow_if` rejects produce at most one
//! message in 10 seconds, with the number of requests.
//!
//! # Limits around the endpoints
//!
//! A limit around the whole application also applies to the endpoints, so it could deny the operator who investigates
//! it. Exempt the endpoints: `.skip(|request| request.path().starts_with("/operator/"))`.

mod audit;
mod described_request;
mod endpoints;
mod json;
mod key_type;
mod problem;
mod request_body;
mod response;
mod token;

pub use endpoints::{Endpoints, endpoints};
pub use token::token_matches;
