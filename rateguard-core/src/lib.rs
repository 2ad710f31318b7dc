#![doc = include_str!("../README.md")]

mod access;
#[doc(hidden)]
pub mod adapter;
mod algorithm;
mod backoff;
mod bucket_status;
mod client_address;
mod clock;
#[cfg(feature = "config")]
mod config;
mod debug_as_display;
mod decision;
mod guard;
mod jitter;
mod key;
mod keyed_hash;
mod plan;
mod policy;
mod quota_status;
mod rejection_body;
pub mod store;
mod telemetry;
#[cfg(feature = "test-util")]
pub mod test_util;
mod word_hash;

pub use actix_rateguard_grammar::{
    Algorithm, Ban, BanSpecError, Count, CountError, MissingKey, NameError, OnError, Quota,
    QuotaError, Quotas, RateError,
};

#[cfg(feature = "config")]
pub use config::{Diagnostic, PoliciesFileError, PoliciesFileStatus, Reloaded};
#[cfg(any(feature = "tls", feature = "upstash"))]
pub use store::tls::RedisTls;
#[cfg(feature = "metrics")]
pub use telemetry::metrics;

pub use self::{
    access::{AccessList, AccessListError},
    client_address::{AddressTrace, ClientAddress, ClientAddressError, Hop, StopReason},
    clock::Clock,
    decision::Decision,
    guard::{
        BanError, BuildError, Failures, Health, RateGuard, Request, Reservation, ShadowCounts,
        Unavailable, builder, builder::RateGuardBuilder,
    },
    key::Key,
    plan::Plan,
    policy::{Policy, PolicyError},
    quota_status::QuotaStatus,
    rejection_body::RejectionBody,
    store::{
        error::{IoCause, StoreError},
        log_encoding::LogEncoding,
        memory::MemoryStore,
        redis_url_error::RedisUrlError,
        upstash_error::UpstashError,
    },
};
