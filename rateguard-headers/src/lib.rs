//! Names, writes and reads the HTTP header fields that report rate limits.
//!
//! `Retry-After` is the only standard field for rate limits, so servers use many dialects, which are sets of
//! non-standard fields. A server writes one dialect ([`HeaderDialect`]). A client does not know the dialect of a
//! server in advance, so it reads all dialects ([`RateLimits`]). This crate represents a field as a name and a text,
//! so it works with every web framework and HTTP client.
//!
//! # A client that waits between retries
//!
//! [`RateLimits::read`] accepts the response headers of `reqwest`, `ureq`, `awc` and every other library that uses the
//! crate `http`. It also accepts pairs of a name and a value, as strings or bytes.
//!
//! ```
//! use std::time::{Duration, SystemTime};
//!
//! use http::Response;
//! use actix_rateguard_headers::RateLimits;
//!
//! /// Sends a request, and repeats it up to 4 times after a rejection. `sleep` is `std::thread::sleep` or similar.
//! fn send_with_retries<B>(
//!     mut send: impl FnMut() -> Response<B>,
//!     mut sleep: impl FnMut(Duration),
//! ) -> Response<B> {
//!     let mut backoff = Duration::from_millis(500);
//!     for _ in 0..4 {
//!         let response = send();
//!         if !matches!(response.status().as_u16(), 429 | 503) {
//!             return response;
//!         }
//!         let limits = RateLimits::read(response.headers(), SystemTime::now());
//!         // The backoff applies if the response has no wait, or a shorter one.
//!         let wait = limits.wait().unwrap_or_default().max(backoff);
//!         if wait > Duration::from_secs(120) {
//!             return response;
//!         }
//!         sleep(wait);
//!         backoff *= 2;
//!     }
//!     send()
//! }
//!
//! # let mut responses = vec![
//! #     Response::builder().status(200).body(()).unwrap(),
//! #     Response::builder().status(503).body(()).unwrap(),
//! #     Response::builder()
//! #         .status(429)
//! #         .header("RateLimit", r#""login";r=0;t=31"#)
//! #         .body(())
//! #         .unwrap(),
//! # ];
//! # let mut slept = Vec::new();
//! # let response = send_with_retries(|| responses.pop().unwrap(), |wait| slept.push(wait));
//! # assert_eq!(response.status(), 200);
//! # assert_eq!(slept, [Duration::from_secs(31), Duration::from_secs(1)]);
//! ```
//!
//! # A server that reports its limits
//!
//! An adapter for a limiter implements [`DialectInput`]. [`HeaderDialect::fields`] then returns the fields of a
//! response. This crate also has functions that write single values:
//!
//! ```
//! use std::time::Duration;
//!
//! use actix_rateguard_headers::{Limit, rate_limit_policy_value, rate_limit_value, retry_after_seconds};
//!
//! let burst = Limit {
//!     policy: "burst",
//!     quota: 100,
//!     window: Duration::from_secs(60),
//!     remaining: 50,
//!     reset_after: Duration::from_millis(29_500),
//!     is_concurrent: false,
//! };
//! assert_eq!(rate_limit_policy_value([burst]).as_deref(), Some(r#""burst";q=100;w=60"#));
//! assert_eq!(rate_limit_value([burst]).as_deref(), Some(r#""burst";r=50;t=30"#));
//! assert_eq!(retry_after_seconds(burst.reset_after), 30);
//! ```

mod dialect;
mod dialect_input;
mod limit;
mod names;
#[cfg(feature = "read")]
mod read;
mod write;

pub use dialect::HeaderDialect;
pub use dialect_input::{DialectInput, FieldValue};
pub use limit::Limit;
pub use names::{
    RATELIMIT, RATELIMIT_LIMIT, RATELIMIT_POLICY, RATELIMIT_REMAINING, RATELIMIT_RESET,
    RETRY_AFTER, X_RATELIMIT_LIMIT, X_RATELIMIT_REMAINING, X_RATELIMIT_RESET,
};
#[cfg(feature = "read")]
pub use read::{MAX_WAIT, ParsedLimit, QuotaUnit, RateLimits};
pub use write::{
    MAX_REPORTED_TIME, ceil_secs, encode_policy_name, rate_limit_policy_value, rate_limit_value,
    retry_after_seconds, unix_ceil_secs,
};
