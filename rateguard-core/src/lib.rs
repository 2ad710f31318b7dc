#![doc = include_str!("../README.md")]

mod access;
#[doc(hidden)]
pub mod adapter;
mod algorithm;
mod backoff;
mod bucket_status;
mod calendar;
mod client_address;
mod clock;
#[cfg(feature = "config")]
mod config;
mod decision;
mod guard;
#[cfg(any(feature = "metrics", feature = "statistics"))]
mod insert_only_table;
mod jitter;
mod key;
mod keyed_hash;
mod plan;
mod policy;
mod quota_status;
mod rejection_body;
#[cfg(feature = "statistics")]
mod statistics;
#[cfg(not(feature = "statistics"))]
#[path = "statistics_noop.rs"]
mod statistics;
pub mod store;
mod telemetry;
#[cfg(feature = "test-util")]
pub mod test_util;
mod word_hash;

pub use actix_rateguard_grammar::{
    Algorithm, Ban, CalendarPeriod, CalendarUnit, Count, LeaseSize, MissingKey, OnError, Quota,
    QuotaLease, Quotas, Statuses, Wait, ZoneName,
};
#[cfg(feature = "statistics")]
pub use statistics::{
    DeniedKey, Fallback, GuardStatistics, OutcomeCounts, PolicyStatistics, ProcessStatistics,
    Statistics, StatisticsScope, StoreStatistics,
};
#[cfg(feature = "metrics")]
pub use telemetry::metrics;

/// The errors of constructors and parsers. The errors [`BuildError`] and [`StoreError`] are at the root of the crate
/// instead.
pub mod error {
    pub use actix_rateguard_grammar::{
        BanSpecError, CalendarError, CountError, NameError, QuotaError, RateError, WaitError,
    };

    pub use crate::{
        access::AccessListError,
        client_address::ClientAddressError,
        guard::{BanError, MessageLimitError, NameConflict, OverrideError},
        policy::PolicyError,
        store::{
            error::{IoCause, NotReadyCause},
            redis_url_error::RedisUrlError,
            upstash_error::UpstashError,
        },
    };
}

/// The types for policies files (feature `config`): errors, the status of a file, and the result of a reload.
#[cfg(feature = "config")]
pub mod policies_file {
    pub use crate::config::{Diagnostic, PoliciesFileError, PoliciesFileStatus, Reloaded};
}

pub use self::{
    access::AccessList,
    client_address::{AddressTrace, ClientAddress, Hop, StopReason},
    clock::Clock,
    decision::Decision,
    guard::{
        Acquisition, BuildError, Failures, Health, MessageDecision, MessageLimiter, MessageLimits,
        Permit, QuotaOverride, RateGuard, Request, Reservation, ShadowCounts, Unavailable, builder,
        builder::RateGuardBuilder,
    },
    key::Key,
    plan::Plan,
    policy::Policy,
    quota_status::QuotaStatus,
    rejection_body::RejectionBody,
    store::{error::StoreError, memory::MemoryStore},
};

// These imports give the types short paths inside this crate.
use self::error::*;
