//! Parses and validates the texts in which RateGuard's users write limits, windows, keys, bans and names.
//!
//! The macro attribute parses these texts at compile time, and the library parses them at run time. The attribute
//! and the library both use this crate, so they accept the same texts and report the same errors. Applications use
//! the types of this crate through `actix-rateguard`, which re-exports them.

mod algorithm;
mod ban;
mod calendar;
mod concurrency_fields;
mod cost;
mod count;
mod debug_as_display;
mod escape;
mod json_pointer;
mod key;
mod lease;
mod lease_fields;
mod located;
mod methods;
mod missing_key;
mod name;
mod notation;
mod on_error;
mod quota;
mod quota_fields;
mod quotas;
mod rate;
mod response_fields;
mod shadow_fields;
mod statuses;
mod suggest;
mod wait;
mod window;

pub use algorithm::{Algorithm, AlgorithmError};
pub use ban::{Ban, BanSpecError};
pub use calendar::{CalendarError, CalendarPeriod, CalendarUnit, ZoneName};
pub use concurrency_fields::check_concurrency;
pub use cost::{EXPECTED_COST, check_cost};
pub use count::{Count, CountError};
pub use escape::escape_for_display;
pub use json_pointer::{JsonPointer, JsonPointerError};
pub use key::{IPV6_PREFIXES, KeyNotation, KeyNotationError, KeyPart, is_token};
pub use lease::{LeaseSize, LeaseSizeError, QuotaLease};
pub use lease_fields::check_lease;
pub use located::{FieldError, Located};
pub use methods::{Methods, MethodsError};
pub use missing_key::{MissingKey, MissingKeyError};
pub use name::{NameError, check_name};
pub use notation::Notation;
pub use on_error::{OnError, OnErrorError};
pub use quota::{Quota, QuotaError};
pub use quota_fields::{BURST_REQUIRES_TOKEN_BUCKET, QuotaExamples, QuotaFields};
pub use quotas::Quotas;
pub use rate::RateError;
pub use response_fields::{EXPECTED_HEADERS, EXPECTED_PERMISSIVE};
pub use shadow_fields::{ShadowFields, ShadowSpec};
pub use statuses::Statuses;
pub use suggest::{expected_one_of, suggest};
pub use wait::{Wait, WaitError, check_wait};
pub use window::{WindowError, parse_window};
