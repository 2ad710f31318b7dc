//! Reads the rate limit fields of a response. Only clients need this module.

mod draft;
mod fields;
mod names;
mod numbers;
mod parsed_limit;
mod quota_unit;
mod rate_limits;
mod retry;
mod structured;
mod x_ratelimit;

pub use self::{
    parsed_limit::ParsedLimit, quota_unit::QuotaUnit, rate_limits::RateLimits, retry::MAX_WAIT,
};
