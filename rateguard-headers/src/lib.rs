//! The header fields in which a server tells its rate limits: their names, how they are written, and how a client reads
//! them.
//!
//! There is no standard for them but `Retry-After`, and so there are many dialects. A server chooses one
//! ([`HeaderDialect`]) and writes it; a client does not know what it will meet, and reads all of them ([`RateLimits`]).
//! This crate knows no web framework and no HTTP client: fields go in and out as names and text.
//!
//! # How a client waits as long as it is told
//!
//! [`RateLimits::read`] takes what the headers of a response iterate over, in `reqwest`, `ureq`, `awc` and everything
//! else that uses the crate `http` or pairs of strings and bytes.
//!
//! ```
//! use std::time::{Duration, SystemTime};
//!
//! use http::Response;
//! use rateguard_headers::RateLimits;
//!
//! /// Sends until the server does not refuse any more. `sleep` is `std::thread::sleep`, or its like.
//! fn send_with_patience<B>(
//!     mut send: impl FnMut() -> Response<B>,
//!     mut sleep: impl FnMut(Duration),
//! ) -> Response<B> {
//!     let mut pause = Duration::from_millis(500);
//!     for _ in 0..4 {
//!         let response = send();
//!         if !matches!(response.status().as_u16(), 429 | 503) {
//!             return response;
//!         }
//!         let limits = RateLimits::read(response.headers(), SystemTime::now());
//!         // A refusal that tells no wait, or none at all, is answered with longer and longer pauses.
//!         let wait = limits.wait().unwrap_or_default().max(pause);
//!         if wait > Duration::from_secs(120) {
//!             return response;
//!         }
//!         sleep(wait);
//!         pause *= 2;
//!     }
//!     send()
//! }
//!
//! # let mut answers = vec![
//! #     Response::builder().status(200).body(()).unwrap(),
//! #     Response::builder().status(503).body(()).unwrap(),
//! #     Response::builder()
//! #         .status(429)
//! #         .header("RateLimit", r#""login";r=0;t=31"#)
//! #         .body(())
//! #         .unwrap(),
//! # ];
//! # let mut slept = Vec::new();
//! # let response = send_with_patience(|| answers.pop().unwrap(), |wait| slept.push(wait));
//! # assert_eq!(response.status(), 200);
//! # assert_eq!(slept, [Duration::from_secs(31), Duration::from_secs(1)]);
//! ```
//!
//! # How a server tells its limits
//!
//! ```
//! use std::time::Duration;
//!
//! use rateguard_headers::{Limit, rate_limit_policy_value, rate_limit_value, retry_after_seconds};
//!
//! let burst = Limit {
//!     policy: "burst",
//!     quota: 100,
//!     window: Duration::from_secs(60),
//!     remaining: 50,
//!     reset_after: Duration::from_millis(29_500),
//! };
//! assert_eq!(rate_limit_policy_value([burst]).as_deref(), Some(r#""burst";q=100;w=60"#));
//! assert_eq!(rate_limit_value([burst]).as_deref(), Some(r#""burst";r=50;t=30"#));
//! assert_eq!(retry_after_seconds(burst.reset_after), 30);
//! ```

mod dialect;
mod draft;
mod fields;
mod limit;
mod names;
mod numbers;
mod rate_limits;
mod structured;
mod three_fields;
mod told_limit;
mod waits;
mod write;

pub use dialect::HeaderDialect;
pub use limit::Limit;
pub use names::{
    RATELIMIT, RATELIMIT_LIMIT, RATELIMIT_POLICY, RATELIMIT_REMAINING, RATELIMIT_RESET,
    RETRY_AFTER, X_RATELIMIT_LIMIT, X_RATELIMIT_REMAINING, X_RATELIMIT_RESET,
};
pub use rate_limits::RateLimits;
pub use told_limit::ToldLimit;
pub use waits::MAX_WAIT;
pub use write::{
    rate_limit_policy_value, rate_limit_value, retry_after_seconds, seconds_up, unix_seconds_up,
};
