//! The token bucket algorithm. It stores the debt of the bucket, which is the number of tokens that are missing until
//! the bucket is full.
//!
//! This is the generic cell rate algorithm (ITU-T I.371) with integers. It admits a burst of at most `burst` tokens,
//! and at most `burst + rate × t` tokens in any interval of the duration `t`. A token consists of equal parts. Their
//! number is chosen so that the bucket regains a whole number of parts in each microsecond, without rounding.

use super::{LimiterState, Micros};
use crate::{Algorithm, Quota};

/// The state of a bucket: its debt at the time `at`.
#[derive(Clone, Debug, Default)]
pub(crate) struct TokenBucketState {
    /// The number of tokens that are missing until the bucket is full, in parts of a token.
    debt: u64,
    /// The time at which `debt` was last updated.
    at: Micros,
    /// The number of parts in one token, and the number of parts that the bucket regains in one microsecond. Both come
    /// from the last quota that was applied to the bucket. They are 0 if no quota has been applied yet.
    token: (u64, u64),
    /// The time of the last reset. `refund` ignores tokens that were taken at this time or earlier, because the reset
    /// has already returned them.
    reset_at: Option<Micros>,
}

impl LimiterState for TokenBucketState {
    fn settle(&mut self, quota: Quota, now: Micros) {
        let elapsed = now.saturating_sub(self.at);
        self.debt = self.debt.saturating_sub(elapsed.saturating_mul(self.token.1));
        self.at = now;
        if quota.algorithm() == Algorithm::TokenBucket && self.token != quota.token() {
            // The rate of the quota has changed. Convert the debt to parts for the new rate, so that the number of
            // missing tokens stays the same. The Lua script also uses floating point numbers here, so its result is
            // equal to this result.
            let (parts_per_token, _) = quota.token();
            let missing = match self.token.0 {
                0 => 0.0,
                before => (self.debt as f64 / before as f64 * parts_per_token as f64).ceil(),
            };
            self.debt = (missing as u64).min(Quota::MAX_DEBT);
            self.token = quota.token();
        }
    }

    fn used(&self, _: Quota) -> u32 {
        match self.token.0 {
            0 => 0,
            parts_per_token => {
                u32::try_from(self.debt.div_ceil(parts_per_token)).unwrap_or(u32::MAX)
            }
        }
    }

    fn wait_for(&self, quota: Quota, _: Micros, tokens: u32) -> Micros {
        let (parts_per_token, refill) = quota.token();
        let max_debt = u64::from(quota.capacity().saturating_sub(tokens)) * parts_per_token;
        self.debt.saturating_sub(max_debt).div_ceil(refill)
    }

    fn add(&mut self, quota: Quota, now: Micros, tokens: u32) {
        self.token = quota.token();
        self.at = now;
        let taken = u64::from(tokens).saturating_mul(self.token.0);
        self.debt = self.debt.saturating_add(taken).min(Quota::MAX_DEBT);
    }

    fn refund(&mut self, quota: Quota, now: Micros, tokens: u32, taken_at: Micros) {
        let (parts_per_token, refill) = quota.token();
        if self.token != (parts_per_token, refill) || Some(taken_at) <= self.reset_at {
            // The debt no longer contains these tokens, because the rate has changed or because a reset has returned
            // them.
            return;
        }
        self.settle(quota, now);
        // The refill since `taken_at` may already have returned these tokens, so subtract this refill from the
        // refund. If the refill has returned tokens of other requests instead, the refund is too small. The refund is
        // never too large.
        let refilled = now.saturating_sub(taken_at).saturating_mul(refill);
        let taken = u64::from(tokens).saturating_mul(parts_per_token);
        self.debt = self.debt.saturating_sub(taken.saturating_sub(refilled));
    }

    fn reset(&mut self, now: Micros) {
        *self = Self { reset_at: Some(now), ..Self::default() };
    }

    fn expires_at(&self, quota: Quota) -> Micros {
        let (_, refill @ 1..) = self.token else { return 0 };
        let full_at = self.at.saturating_add(self.debt.div_ceil(refill));
        // The state has the time of the last reset. This time prevents refunds of tokens that were taken before the
        // reset. The store must therefore not drop the state while such a refund could still return tokens. The refill
        // fills an empty bucket in a certain time. When this time has passed since the reset, such a refund returns 0
        // tokens.
        let (parts_per_token, refill) = quota.token();
        let full_refill = (u64::from(quota.capacity()) * parts_per_token).div_ceil(refill);
        self.reset_at.map_or(full_at, |reset_at| full_at.max(reset_at.saturating_add(full_refill)))
    }
}
