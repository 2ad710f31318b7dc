//! JSON endpoints for operators. The endpoints show which limit denies a client, and why. An operator can also reset
//! and ban keys.
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
//! [`Endpoints::allow_token`] accepts requests with a token, from tools and from browsers. Without
//! [`allow_if`](Endpoints::allow_if) and `allow_token`, the endpoints reject every request with 403. If your `allow_if`
//! function compares a secret, call [`token_matches`], because the duration of `==` reveals how much of the secret is
//! correct.
//!
//! | Endpoint | What it does |
//! |---|---|
//! | `GET inventory` | lists all limits of the guard, like [`RateGuard::inventory`](crate::RateGuard::inventory) |
//! | `GET policies` | lists the policies of the guard, from its builder and its policies file |
//! | `GET overrides` | lists the overrides that are in effect in this process |
//! | `GET health` | reports the state of the store, and how many checks have failed |
//! | `GET statistics` | reports the checks of the last hour, denied keys and the state of each process |
//! | `POST explain` | explains which outcome one more request with a given key would have, and counts nothing |
//! | `POST reset` | deletes the counts of a key, and ends its ban |
//! | `POST ban` | bans a key |
//! | `POST unban` | ends the ban of a key |
//! | `POST set_override` | replaces the quotas of a policy for a key, for a limited time |
//! | `POST remove_override` | removes the override of a key |
//!
//! # Bodies
//!
//! A request body must have `Content-Type: application/json` and at most 64 KiB. If a body has an unknown field,
//! the endpoint rejects the request, and the error text contains the names of the valid fields.
//!
//! A body selects a key with the field `policy`, which is the name of a limit or policy, and with one or both of
//! these fields:
//!
//! - `key`: text or a whole number of up to 64 bits, or a list of such values if the key has several parts. If a key
//!   function returns a number, send a number, because the number 7 and the text `"7"` are different keys;
//! - `address`: the address of the client, if the limit counts by address.
//!
//! The field `key` has one value for each part of the limit's key, in the order of the parts. The endpoint `inventory`
//! returns the parts of each key. If the body has the field `address`, this field contains the value of the part `ip`,
//! and the field `key` contains only the values of the other parts. For example, a body for the key `user+ip` is
//! `{"policy": "search", "key": "42", "address": "192.0.2.7"}`.
//!
//! The field `by` sets the key type. The field is required if several limits have the same name and different keys. The
//! field is also useful for a policy that background tasks use without HTTP. The value of `by` is one of these:
//!
//! - a key in the notation of the macro attribute, such as `user+ip`;
//! - `value`, for a key that the program creates from text, a number, an address or a tuple with `Key::from`;
//! - `parts`, for a key that the program creates with `Key::from_parts`;
//! - `no_key`, for requests that lack the limit's key. The limit counts such requests by the client's address, so the
//!   body needs the field `address` instead of `key`. If no limit with this name has the key `ip`, the value `ip` means
//!   the same as `no_key`.
//!
//! If at least one limit has the name in the field `policy`, the value of `by` must be the key type of a limit with
//! this name. Every other value leads to a response with status 400. The guard does not know the key type if no limit
//! uses the policy, or if a function reads the key of a limit. In both cases, every value of `by` in the list above is
//! valid.
//!
//! In place of `key`, `address` and `by`, a body can have the field `key_digest`: the digest of a key in 32 hexadecimal
//! digits, from the list `denied_keys` of `statistics` or from `overrides`. If the store is in memory and the guard has
//! no secret for keys, it must be the digest of a key that this process has denied in the last 5 to 10 minutes;
//! otherwise the status is 404. A digest does not reveal whether several clients share the key, so a ban can apply to
//! all of them. An explanation does not apply the access lists to a digest.
//!
//! The body of `ban` also requires the field `for_seconds`, which is the duration of the ban.
//!
//! The body of `set_override` also requires the fields `quotas`, which is text such as `"1000/minute"`, and
//! `for_seconds`. The optional field `description` is a text of up to 200 characters. The store has this text as it is,
//! and `overrides` returns it.
//!
//! # Explanations
//!
//! `explain` reports the outcome that one more request with the selected key would have. The report contains the status
//! of each quota, and the ban of the key, if there is one. The report also shows whether the guard's access list allows
//! or denies the key or the address.
//!
//! `explain` cannot apply settings that depend on an HTTP request: `methods`, `skip`, the access lists of middlewares,
//! and quotas that a function chooses for each request. For a limit with such quotas, the response has status 409,
//! unless the key has an override.
//!
//! [`RateGuard::explain_request`](crate::RateGuard::explain_request) applies all settings of the limits to an HTTP
//! request, and shows how the guard determined the address of the client. For example, a route of the application
//! can explain the requests that it receives:
//!
//! ```
//! # use actix_web::{HttpRequest, web};
//! # use actix_rateguard::{RateGuard, explain::Explanation};
//! async fn why(request: HttpRequest, guard: web::Data<RateGuard>) -> web::Json<Explanation> {
//!     web::Json(guard.explain_request(&request, &["login"]).await)
//! }
//! ```
//!
//! Such a route needs the application's own authorization, because the explanation reveals the settings of the
//! limits.
//!
//! # Responses
//!
//! A response is a JSON object with the field `version`, whose value is 1. While the version stays the same, a new
//! release of RateGuard can add fields, but does not remove a field or change the meaning of a field. If the name of a
//! field ends in `_unix_seconds`, the value is a Unix time in seconds, from the clock of the application server that
//! responds. All other fields whose names end in `_seconds` contain a duration in seconds. A missing value is `null`.
//! The field `omitted` of `inventory` is the value of [`Inventory::omitted`](crate::inventory::Inventory::omitted).
//!
//! The body of an error response has problem details (RFC 9457). If the store does not answer, the status of the
//! response is 503. The body then also has all fields of the normal response that do not depend on the store.
//!
//! # Overrides
//!
//! `set_override` and `remove_override` take effect on this server immediately, and on others within 250 ms
//! ([`RateGuard::set_override`](actix_rateguard_core::RateGuard::set_override)). The response of `set_override` also
//! has the fields `quotas`, `ends_after_seconds` and `ends_at_unix_seconds`. The response of `remove_override` has the
//! field `was_overridden`. The status is 409 if the guard was built without
//! [`overrides`](crate::RateGuardBuilder::overrides), if there are already 1,000 overrides, and for a key that several
//! clients of an IPv6 network share.
//!
//! Each item of the list `overrides` has the fields `policy`, `key_digest`, `quotas`, `ends_after_seconds`,
//! `ends_at_unix_seconds` and `description`. `key_digest` is the digest of the key, because the store does not have the
//! key itself. In an explanation, `is_overridden` is `true` if an override applies to the key. In a limit of
//! `inventory`, `overridden_keys` is the number of keys with an override.
//!
//! # Effects on other servers
//!
//! A reset, ban or unban takes effect on every application server that uses the store. Only the server that handled the
//! operator's request also removes the key from its [denial cache](crate::RateGuardBuilder::denial_cache_ttl). Another
//! server can still have a cached denial of the key, which stays in effect until it expires. The field
//! `denial_cache_ttl_seconds` of `health` contains the maximum time for which a denial stays in a cache.
//!
//! # Policies files, shadow and candidates
//!
//! All responses contain the values that are currently in effect. If a limit uses a policy by its name, the policies
//! file can set the key, the cost, the methods and the quotas of the limit. The responses then contain the values in
//! the file. The field `policies_file` of `health` has the fields `path`, `generation` and `since_unix_seconds`. If the
//! current content of the file is not in effect, `policies_file` also has the field `error`. Without a policies file,
//! `policies_file` is `null`.
//!
//! Limits and policies have these fields:
//!
//! - `is_in_shadow`: whether the limit is in shadow mode, in which the limit counts and decides, but denies no request.
//! - `candidate`: the quotas that the guard checks in shadow mode, in the format of the field `quotas`.
//! - `rollout_percent`: the percentage of keys for which the guard enforces the candidate quotas.
//! - `wait_seconds`: the maximum time that a request waits for room, or 0 if the limit denies it immediately.
//!
//! An explanation of a request also has the field `would_wait_seconds`: the time that the request would wait for room,
//! if no other request waits, or `null`. Such a request passes the limit.
//!
//! An explanation also has the fields `is_in_shadow`, `would_deny` and `is_rolled_out`. `would_deny` is `true` if a
//! limit in shadow mode would deny the request. `is_rolled_out` is `true` if the guard enforces the candidate quotas
//! for this key. The list `statuses` contains the quotas that the guard enforces for the key. If a quota limits the
//! requests in progress, its field `held` is the number of permits that the key holds; otherwise it is `null`. The
//! field `shadow` of `health` is the [`RateGuard::shadow_report`](actix_rateguard_core::RateGuard::shadow_report) of
//! the process that responds.
//!
//! A limit in shadow mode denies no request, so an operator cannot ban a key for such a limit. But two kinds of
//! requests are rejected even in shadow mode: requests that lack a required key, and requests that an access list
//! denies.
//!
//! # Statistics
//!
//! `statistics` needs the feature `dashboard`. It returns the data of
//! [`RateGuard::statistics`](https://docs.rs/actix-rateguard-core/latest/actix_rateguard_core/struct.RateGuard.html#method.statistics)
//! under the same names. The status is 409 if the guard was built without statistics. If the store does not answer, the
//! status is 200, `scope` is `process` in place of `fleet`, and `store_error` has the cause.
//!
//! Each list in the field `history` of a policy has one number for each interval of `interval_seconds`, from the
//! interval `first_interval` to `current_interval`, which is not complete. Interval `n` begins `n` times
//! `interval_seconds` after 1970 on the clock of the store. In a history, `denied` includes `banned` and `rejected`.
//! The query parameter `after=N` omits the intervals up to `N`. The counts of an interval can increase for 30 seconds
//! after its end, and later if a process could not reach the store.
//!
//! # The audit log
//!
//! Each request to `reset`, `ban`, `unban`, `set_override` or `remove_override` writes a log message with the target
//! `actix_rateguard::audit`. The level is `info` on success and `warn` on failure. After a failure, the log message has
//! the status of the response.
//!
//! ```text
//! operator: action=ban policy="login" by="ip" for_seconds=600 peer=10.0.0.1 client=192.0.2.1 user="ann" outcome=done
//! ```
//!
//! `peer` is the address of the TCP peer, or `unix` for a Unix socket. `peer` is `unknown` if the client has reset its
//! TCP connection before the server read the address. `client` is the address of the client, and is present only if
//! this address differs from `peer`. `user` is the [`UserId`](crate::UserId) in the request's extensions, which an
//! `allow_if` function can insert. For `set_override`, the message also contains the quotas. The log message contains
//! neither the key, nor the hash of the key, nor the description of an override, nor headers of the request.
//!
//! For requests to these endpoints without the token or access, the endpoints write at most one log message in 10
//! seconds. This log message contains the number of rejected requests since the previous message. Rejected requests that
//! would change nothing are not logged.
//!
//! # Limits around the endpoints
//!
//! A limit that wraps the whole application also applies to the endpoints. Such a limit could deny the requests of an
//! operator who investigates the limit. So exempt the endpoints:
//! `.skip(|request: &HttpRequest| request.path().starts_with("/operator/"))`.

mod audit;
mod authorization;
mod base64;
mod endpoint;
mod endpoints;
mod json;
mod key_type;
mod overrides;
mod problem;
mod request_body;
mod response;
#[cfg(feature = "dashboard")]
mod statistics;
mod token;

pub use endpoints::{Endpoints, endpoints};
pub use token::token_matches;
