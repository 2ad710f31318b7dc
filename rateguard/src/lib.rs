#![doc = include_str!("../README.md")]

// The code that the macro generates uses the path `::actix_rateguard`. The tests and doctests of this crate use the
// macro, so this path must also exist inside this crate.
extern crate self as actix_rateguard;

mod added_units;
mod admission;
mod applicability;
mod applied_limits;
#[cfg(feature = "macros")]
mod attribute;
mod body_checks;
mod body_key;
mod bounds;
mod client;
pub mod client_address;
mod client_networks;
mod cors;
mod cost;
mod count_rule;
#[cfg(feature = "dashboard")]
mod dashboard;
mod decision_update;
mod enforce;
mod expect_valid;
pub mod explain;
mod extract;
mod file_policies;
mod guard;
mod guard_builder;
mod http_methods;
pub mod inventory;
pub mod key;
mod key_probe;
mod limit_check;
mod limit_context;
mod limit_name;
mod lost_penalty;
mod middleware;
mod missing_key_warning;
mod not_checked;
mod on_reject;
#[cfg(feature = "utoipa")]
pub mod openapi;
#[cfg(feature = "operator")]
pub mod operator;
mod penalty;
mod per_request;
mod plan_choice;
mod plan_text;
mod proxy_warning;
mod rejection;
#[cfg_attr(
    not(feature = "macros"),
    allow(
        dead_code,
        unreachable_pub,
        reason = "only macro attributes replace the limits of middlewares"
    )
)]
mod replaced_limits;
mod request_permit;
mod request_policies;
mod request_state;
#[cfg(feature = "macros")]
mod resolve_output;
mod response;
#[cfg(feature = "test-util")]
mod route_probe;
mod settings;
#[cfg(feature = "test-util")]
pub mod test_util;
mod unnamed_limits;
mod user;
mod worker_guards;

#[cfg(feature = "metrics")]
pub use actix_rateguard_core::metrics;
#[cfg(feature = "config")]
pub use actix_rateguard_core::policies_file;
pub use actix_rateguard_core::{
    AccessList, Acquisition, Algorithm, Ban, BuildError, CalendarPeriod, CalendarUnit,
    ClientAddress, Clock, Count, Decision, Failures, Health, Key, LeaseSize, MemoryStore,
    MessageDecision, MessageLimiter, MessageLimits, MissingKey, OnError, Permit, Plan, Policy,
    Quota, QuotaLease, QuotaOverride, QuotaStatus, Quotas, RejectionBody, Request, Reservation,
    ShadowCounts, Statuses, StoreError, Unavailable, Wait, ZoneName, builder, store,
};
#[cfg(feature = "dashboard")]
pub use actix_rateguard_core::{
    DeniedKey, Fallback, GuardStatistics, OutcomeCounts, PolicyStatistics, ProcessStatistics,
    Statistics, StatisticsScope, StoreStatistics,
};
pub use actix_rateguard_headers::{self as headers, HeaderDialect};
#[cfg(feature = "macros")]
pub use actix_rateguard_macros::rate_limit;

pub use self::{
    cost::{BodyCost, IntoCost, RequestCost},
    extract::CheckResult,
    guard::RateGuard,
    guard_builder::RateGuardBuilder,
    key::Caller,
    middleware::{Limit, RateLimit},
    penalty::Penalty,
    per_request::{IntoResolved, PerRequest},
    rejection::Rejection,
    request_permit::RequestPermit,
    request_state::UndecidedReason,
    user::UserId,
};

/// The errors of constructors and parsers. The errors [`BuildError`] and [`StoreError`] are at the root of the crate
/// instead.
pub mod error {
    pub use actix_rateguard_core::error::*;

    pub use crate::{key::KeyError, middleware::LimitError};
}

/// The items that the expansion of `#[rate_limit]` uses. They are not public API and change without notice.
#[cfg(feature = "macros")]
#[doc(hidden)]
#[path = "expansion.rs"]
pub mod __private;
