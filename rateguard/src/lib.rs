#![doc = include_str!("../README.md")]

// So that what the attribute writes is right in this crate, too.
extern crate self as rateguard;

mod algorithm;
mod bucket;
mod client;
mod clock;
mod decision;
mod guard;
mod http;
mod level;
mod policy;
pub mod store;
#[cfg(feature = "test-util")]
pub mod test_util;

pub use rateguard_grammar::{
    Algorithm, Count, CountError, NameError, OnError, Quota, QuotaError, Quotas, RateError,
};
#[cfg(feature = "macros")]
pub use rateguard_macros::rate_limit;

pub use bucket::Key;
pub use client::{ClientAddress, ClientAddressError};
pub use clock::Clock;
pub use decision::{Decision, Standing};
pub use guard::{
    BuildError, Failures, RateGuard, RateGuardBuilder, Request, Reservation, Unavailable,
};
pub use http::{
    NoDecision, RateLimit, RequestCost, UserId,
    key::{self, KeyValue, RequestKey},
};
pub use policy::{Policy, PolicyError};
#[cfg(feature = "redis")]
pub use store::redis::RedisUrlError;
pub use store::{error::StoreError, memory::MemoryStore};

/// What the attribute's expansion names. Not for use by hand: it changes without notice.
#[cfg(feature = "macros")]
#[doc(hidden)]
pub mod __private {
    use std::time::Duration;

    pub use actix_web::{FromRequest, HttpRequest, HttpResponse, Responder, web::Payload};

    pub use crate::http::attribute::{AskedBy, Limit, limited};
    use crate::{Algorithm, Key, KeyValue, Quota, Quotas, RequestCost, RequestKey, key};

    /// A quota that the attribute has checked.
    ///
    /// # Panics
    ///
    /// At compile time, if it has not.
    #[allow(clippy::panic, reason = "it runs at compile time")]
    pub const fn quota(limit: u32, window: u64, algorithm: Algorithm, capacity: u32) -> Quota {
        let Ok(quota) = Quota::new(limit, Duration::from_micros(window)) else {
            panic!("the attribute checks its limit and window")
        };
        let Ok(quota) = quota.with_algorithm(algorithm) else {
            panic!("the attribute checks its algorithm")
        };
        if capacity == quota.capacity() {
            return quota;
        }
        match quota.with_burst(capacity) {
            Ok(quota) => quota,
            Err(_) => panic!("the attribute checks its burst"),
        }
    }

    /// Quotas that the attribute has checked.
    ///
    /// # Panics
    ///
    /// When the limit is used for the first time, if it has not.
    #[must_use]
    #[allow(clippy::expect_used, reason = "the attribute checks it")]
    pub fn quotas(quotas: &[Quota]) -> Quotas {
        Quotas::new(quotas.iter().copied()).expect("the attribute checks its quotas")
    }

    /// The cost of a request.
    pub fn cost(cost: impl RequestCost, request: &HttpRequest) -> u32 {
        cost.cost(request)
    }

    /// The key of a request by a ready-made key.
    pub fn ready_made_key(by: &key::ReadyMade, request: &HttpRequest) -> Key {
        key::key_or_address(by.key(request), request)
    }

    /// The key of a request by a function. Its value may borrow from the request.
    pub fn key_by<'a, V: KeyValue>(
        request: &'a HttpRequest,
        by: impl FnOnce(&'a HttpRequest) -> V,
    ) -> Key {
        key::key_or_address(by(request).into_key(), request)
    }
}
