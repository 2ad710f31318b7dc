//! The guard checks keys against policies in a store. Every check has a deadline. If the store fails, a failure mode
//! decides on the request.

mod admin;
pub(crate) mod bounds;
mod breaker;
mod bucket_requests;
mod build_error;
pub mod builder;
mod cancel_safe;
mod check;
mod check_or_wait;
mod check_report;
mod clock_margin;
mod debit;
mod denial_cache;
mod denied_by_others;
mod escalating_ban;
mod failure_log;
mod fast_path;
#[cfg(feature = "metrics")]
mod gauges;
mod health;
mod http_settings;
mod in_flight;
mod lease;
mod local_fallback;
mod manual_ban;
mod message_limits;
mod multi_key;
mod name_conflict;
mod name_registry;
mod permit;
mod policies;
mod policy_set;
mod queue_denial;
mod quota_overrides;
mod rate_guard;
#[cfg(feature = "config")]
mod reload;
mod request;
mod requested_limit;
mod reservation;
mod server_state;
mod settings;
mod shadow;
mod shutdown;
mod single_check;
#[cfg(feature = "statistics")]
mod statistics;
mod store_call;
mod traffic;
mod turn;
mod unavailable;
mod wait_deadlines;
mod wait_queue;
mod waiting;

pub use self::bounds::{MAX_KEY_BODY, MAX_RETRY_JITTER};
pub(crate) use self::name_registry::NameRegistry;
use self::rate_guard::Shared;
pub use self::{
    build_error::BuildError,
    failure_log::{Failures, ThrottledLog},
    health::Health,
    http_settings::HttpSettings,
    manual_ban::BanError,
    message_limits::{MessageDecision, MessageLimitError, MessageLimiter, MessageLimits},
    name_conflict::NameConflict,
    name_registry::{LimitOrigin, NameRegistration, conflict_of},
    permit::{Acquisition, Permit, PermitLease, PermitWatch},
    policy_set::{AttributePolicy, NamedPolicy, PolicySet, PolicySetRef, RouteOverrides},
    quota_overrides::{OverrideError, QuotaOverride},
    rate_guard::RateGuard,
    request::Request,
    reservation::Reservation,
    shadow::{ShadowCounts, ShadowHolds},
    unavailable::Unavailable,
};
