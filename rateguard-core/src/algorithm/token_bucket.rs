//! The token bucket, stored as a debt: the tokens that are missing until the bucket is full.
//!
//! This is the generic cell rate algorithm (ITU-T I.371) in integers. It admits a burst of at most `burst` tokens, and
//! at most `burst + rate × t` tokens in any time `t`. A token consists of many fractions, so the refill in fractions
//! per microsecond is an integer and is never rounded.

use super::{LimiterState, Micros};
use crate::{Algorithm, Quota};

/// The debt of the bucket at the time `at`.
#[derive(Clone, Debug, Default)]
pub(crate) struct TokenBucketState {
    /// The missing tokens until the bucket is full, in fractions of a token.
    debt: u64,
    /// The time of the last update of `debt`.
    at: Micros,
    /// For the last quota: the fractions per token, and the refill in fractions per microsecond. Both are 0 before the
    /// first quota.
    token: (u64, u64),
    /// The time of the last reset. `refund` ignores tokens that were taken until then, because the reset has already
    /// returned them.
    reset_at: Option<Micros>,
}

impl LimiterState for TokenBucketState {
    fn settle(&mut self, quota: Quota, now: Micros) {
        let elapsed = now.saturating_sub(self.at);
        self.debt = self.debt.saturating_sub(elapsed.saturating_mul(self.token.1));
        self.at = now;
        if quota.algorithm() == Algorithm::TokenBucket && self.token != quota.token() {
            // The quota has another rate. Convert the debt to fractions of the new quota, so the same number of tokens
            // is missing. The Lua script also uses floating point here, so both results are equal.
            let (units, _) = quota.token();
            let missing = match self.token.0 {
                0 => 0.0,
                before => (self.debt as f64 / before as f64 * units as f64).ceil(),
            };
            self.debt = (missing as u64).min(Quota::MAX_DEBT);
            self.token = quota.token();
        }
    }

    fn used(&self, _: Quota) -> u32 {
        match self.token.0 {
            0 => 0,
            units => u32::try_from(self.debt.div_ceil(units)).unwrap_or(u32::MAX),
        }
    }

    fn wait_for(&self, quota: Quota, _: Micros, tokens: u32) -> Micros {
        let (units, refill) = quota.token();
        let max_debt = u64::from(quota.capacity().saturating_sub(tokens)) * units;
        self.debt.saturating_sub(max_debt).div_ceil(refill)
    }

    fn add(&mut self, quota: Quota, now: Micros, tokens: u32) {
        self.token = quota.token();
        self.at = now;
        let taken = u64::from(tokens).saturating_mul(self.token.0);
        self.debt = self.debt.saturating_add(taken).min(Quota::MAX_DEBT);
    }

    fn refund(&mut self, quota: Quota, now: Micros, tokens: u32, taken_at: Micros) {
        let (units, refill) = quota.token();
        if self.token != (units, refill) || Some(taken_at) <= self.reset_at {
            // After a change of the rate or after a reset, the debt no longer has these tokens.
            return;
        }
        self.settle(quota, now);
        // The refill may already have returned these tokens, so subtract the refill since `taken_at`. The refund may be
        // too small if the refill returned tokens of other requests, but it is never too large.
        let refilled = now.saturating_sub(taken_at).saturating_mul(refill);
        let taken = u64::from(tokens).saturating_mul(units);
        self.debt = self.debt.saturating_sub(taken.saturating_sub(refilled));
    }

    fn reset(&mut self, now: Micros) {
        *self = Self { reset_at: Some(now), ..Self::default() };
    }

    fn expires_at(&self, quota: Quota) -> Micros {
        let (_, refill @ 1..) = self.token else { return 0 };
        let full_at = self.at.saturating_add(self.debt.div_ceil(refill));
        // The store must not drop the time of a reset while an earlier request can refund its tokens. After a full
        // refill, such a refund is always 0.
        let (units, refill) = quota.token();
        let full_refill = (u64::from(quota.capacity()) * units).div_ceil(refill);
        self.reset_at.map_or(full_at, |reset_at| full_at.max(reset_at.saturating_add(full_refill)))
    }
}
