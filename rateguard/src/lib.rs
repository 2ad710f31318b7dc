#![doc = include_str!("../README.md")]

// So that what the attribute writes is right in this crate, too.
extern crate self as rateguard;

mod access;
mod algorithm;
mod bucket;
mod client;
mod clock;
#[cfg(feature = "config")]
mod config;
mod decision;
mod guard;
mod http;
mod jitter;
mod keyed_hash;
mod level;
#[cfg(feature = "metrics")]
pub mod metrics;
mod mode;
#[cfg(feature = "operator")]
pub mod operator;
mod policy;
mod standing;
pub mod store;
#[cfg(feature = "test-util")]
pub mod test_util;
#[cfg(any(feature = "metrics", feature = "tracing"))]
mod words;

pub use rateguard_grammar::{
    Algorithm, Ban, BanError, Count, CountError, MissingKey, NameError, OnError, Quota, QuotaError,
    Quotas, RateError,
};
pub use rateguard_headers as headers;
#[cfg(feature = "macros")]
pub use rateguard_macros::rate_limit;

pub use access::{AccessList, AccessListError};
pub use bucket::Key;
pub use client::{AddressWalk, ClientAddress, ClientAddressError, Hop, WalkEnd};
pub use clock::Clock;
#[cfg(feature = "config")]
pub use config::{Mistake, PoliciesFileError, PoliciesFileStatus, Reloaded};
pub use decision::Decision;
pub use guard::{
    BanningError, BuildError, Failures, Health, RateGuard, RateGuardBuilder, Request, Reservation,
    ShadowCounts, Unavailable,
};
pub use http::{
    BodyCost, Caller, CountedBy, Exemption, ExplainedLimit, Explanation, IntoChoice, Inventory,
    KnownLimit, LimitKind, NoDecision, Outcome, Penalty, PerRequest, Plan, RateLimit, RefusalBody,
    RefusedBy, RequestCost, UserId, WhyUnknown, key,
};
pub use policy::{Policy, PolicyError};
pub use standing::Standing;
#[cfg(feature = "redis")]
pub use store::redis::RedisUrlError;
#[cfg(any(feature = "redis", feature = "upstash"))]
pub use store::redis_log::RedisLog;
#[cfg(any(feature = "tls", feature = "upstash"))]
pub use store::tls::RedisTls;
#[cfg(feature = "upstash")]
pub use store::upstash::UpstashError;
pub use store::{error::StoreError, memory::MemoryStore};

/// What the attribute's expansion names. Not for use by hand: it changes without notice.
#[cfg(feature = "macros")]
#[doc(hidden)]
pub mod __private {
    use std::time::Duration;

    pub use actix_web::{Error, FromRequest, HttpRequest, HttpResponse, Responder, web::Payload};
    pub use inventory;

    use crate::{
        Algorithm, Caller, Plan, Quota, Quotas, RequestCost, http::per_request::Choice,
        key::ReadyMade,
    };
    pub use crate::{
        guard::{AskedPolicy, InForce, Tried},
        http::attribute::{Allowance, AskedBy, Limit, OnDenied, Settings, limited},
        http::inventory::Annotated,
    };

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

    /// A ban that the attribute has checked.
    ///
    /// # Panics
    ///
    /// When the limit is used for the first time, if it has not.
    #[must_use]
    #[allow(clippy::expect_used, reason = "the attribute checks it")]
    pub fn ban(text: &str) -> crate::Ban {
        text.parse().expect("the attribute checks its ban")
    }

    /// Whether a limit is not for this request. A parameter of this type tells the compiler what a closure takes.
    pub fn skips(request: &HttpRequest, skip: impl FnOnce(&HttpRequest) -> bool) -> bool {
        skip(request)
    }

    /// An answer to denied requests. A parameter of this type tells the compiler what a closure takes.
    #[must_use]
    pub fn on_denied(answer: OnDenied) -> OnDenied {
        answer
    }

    /// The cost of a request.
    pub fn cost(cost: impl RequestCost, request: &HttpRequest) -> u32 {
        cost.cost(request)
    }

    /// The cost of a request, by a closure. A parameter of this type tells the compiler what it takes.
    pub fn cost_by(request: &HttpRequest, cost: impl FnOnce(&HttpRequest) -> u32) -> u32 {
        cost(request)
    }

    /// Who makes a request, by a ready-made key.
    #[must_use]
    pub fn ready_made(by: &ReadyMade, request: &HttpRequest) -> Caller {
        by.caller(request)
    }

    /// Who makes a request, by a function, whose value may borrow from the request.
    pub async fn caller<'a, V, Kind>(
        request: &'a HttpRequest,
        by: impl FnOnce(&'a HttpRequest) -> V,
    ) -> Result<Caller, Error>
    where
        V: Choice<Caller, Kind>,
    {
        by(request).choice().await
    }

    /// How much is admitted, by a function.
    pub async fn plan<'a, V, Kind>(
        request: &'a HttpRequest,
        plan: impl FnOnce(&'a HttpRequest) -> V,
    ) -> Result<Plan, Error>
    where
        V: Choice<Plan, Kind>,
    {
        plan(request).choice().await
    }
}

/// The code of the documents compiles.
#[cfg(doctest)]
#[doc = include_str!("../../docs/under-attack.md")]
mod under_attack {}
