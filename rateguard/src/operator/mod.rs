//! Endpoints for operators: who is limited, by which limit and why, as JSON.
//!
//! ```
//! # use actix_web::{App, HttpRequest, web};
//! # use rateguard::{RateGuard, operator};
//! # fn is_operator(_: &HttpRequest) -> bool { true }
//! let guard = RateGuard::in_memory();
//! let app = App::new().app_data(guard.clone()).service(
//!     web::scope("/operator")
//!         // .wrap(your_authentication())
//!         .service(operator::endpoints(&guard).allow_if(|request: &HttpRequest| is_operator(request))),
//! );
//! ```
//!
//! Until [`Endpoints::allow_if`] says who may use them, every request is answered with 403. Where a secret says so, compare it with
//! [`token_matches`]: `==` takes as much longer as more of the secret is right.
//!
//! | Endpoint | What it does |
//! |---|---|
//! | `GET inventory` | all limits: [`RateGuard::inventory`](crate::RateGuard::inventory) |
//! | `GET policies` | the policies that the guard was given |
//! | `GET health` | how the store is, and what it has left unanswered |
//! | `POST explain` | what would come of a request or key, and why; takes nothing |
//! | `POST reset` | forgets what was counted of a key, and its bans |
//! | `POST ban`, `POST unban` | begins and ends a ban of a key |
//!
//! # Bodies
//!
//! A body has `Content-Type: application/json` and up to 64 KiB. Fields that do not exist are refused, with those that do.
//! Somebody is named by the `policy`, which is a limit's name, and one or both of
//!
//! - `key`: text or a number, or a list of them if the key has several parts;
//! - `address`: the client's, where the limit counts by address.
//!
//! What they mean is what the limit reads from requests, as the inventory says: of a limit by `user+ip`, `{"policy": "search",
//! "key": "42", "address": "192.0.2.7"}`. `by` says it where limits of one name have different keys, or the policy is used without
//! HTTP: a key as the attribute writes it, `value` (what `Key::from` makes of text, an address or a tuple), `parts`
//! (`Key::from_parts`), or `no_key` (an address, for requests that had no key; `ip` is the same where no limit of the name counts
//! by that). A key that no limit of the name reads is 400, unless one of them has a function for it. Of the access lists, that of
//! the guard is looked at; those of middlewares, methods and `skip` need a request.
//!
//! `ban` has `for_seconds` besides. `explain` has either that or a `request`:
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
//! Only `path` and `peer` are needed; over a Unix socket, `peer` is `"unix"`. Without `limits`, all of the inventory are
//! explained. The request is not routed, so which limits it meets is for you to say. What only a real request has (a session, an
//! identity, what other middlewares put into it) is not guessed: such a limit's outcome is `unknown`. Functions of your limits
//! are called with what was described, and `is_guess` says that they may have looked for more.
//!
//! # Answers
//!
//! An object with `version`, which is 1: fields may be added to it, and none is taken away or changes its meaning. Durations are
//! numbers of seconds and end in `_seconds`; times end in `_unix_seconds` and are by this machine's clock. What does not exist
//! is `null`. An error is a problem (RFC 9457), as all of this crate. Where the store does not answer it is 503, with what is known
//! nevertheless beside the problem's members.
//!
//! What is reset, banned or unbanned is so on every server. A denial that another server
//! [remembers](crate::RateGuardBuilder::remember_denials) ends within `remember_denials_seconds` of `health`.
//!
//! # What changes, and what is tried
//!
//! All is told as it is in force at this moment: of a limit that takes a policy by its name, key, cost, methods and quotas are what
//! the guard's file says now, where it says them. `policies_file` of `health` has `path`, `generation`, `since_unix_seconds` and,
//! if what the file says now is not in force, the `error`; without a file it is `null`.
//!
//! Limits and policies have `is_in_shadow`; `candidate`, the quotas that are tried beside their own, written as `quotas` are; and
//! `rollout_percent`, for how many keys of a hundred those are enforced. What is explained has `is_in_shadow`; `would_deny`, which
//! says of such a limit that it would deny and lets pass; and `is_rolled_out`, whether the candidate is enforced for this
//! key. `standings` are those of the quotas that are enforced for it. `shadow` of `health` is
//! [`RateGuard::shadow_report`](crate::RateGuard::shadow_report) of this process. A limit in shadow refuses nobody for what it counts, and
//! nobody is banned under it by hand; a request without a key, or with one on a list, is refused as under every other.
//!
//! # The audit log
//!
//! `reset`, `ban` and `unban` write a line each with the target `rateguard::audit`: at level `info` if it is done, at `warn` if it
//! is not, with the status that was answered.
//!
//! ```text
//! operator: action=ban policy="login" by="ip" for_seconds=600 peer=10.0.0.1 client=192.0.2.1 user="ann" outcome=done
//! ```
//!
//! `peer` is the address that connected, `client` that of the client if it is another, and `user` the
//! [`UserId`](crate::UserId) in the request's extensions, where an `allow_if` that knows whose the token is may put it. Neither the
//! key nor its digest is there, nor anything of the request's headers. Requests that `allow_if` turns down are one line in 10
//! seconds, with their number.
//!
//! # Limits before them
//!
//! They are a part of the application, so a limit around all of it is around them, too, and an operator who is denied cannot look
//! why. Free them of it: `.skip(|request| request.path().starts_with("/operator/"))`.

mod answer;
mod asked;
mod audit;
mod counted_by;
mod described;
mod endpoints;
mod json;
mod problem;
mod token;

pub use endpoints::{Endpoints, endpoints};
pub use token::token_matches;
