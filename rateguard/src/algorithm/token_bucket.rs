//! The token bucket, kept as a debt: what is missing until it is full (the generic cell rate algorithm, ITU-T I.371,
//! in whole numbers).
//!
//! It admits at most `burst` at once, and at most `burst + rate × t` in any time `t`. Tokens are counted in units of
//! which whole numbers come back in a microsecond, so nothing is ever rounded.

use super::{Micros, Step};
use crate::{Algorithm, Quota};

/// What is missing until the bucket is full.
#[derive(Clone, Debug, Default)]
pub(crate) struct Debt {
    /// In units of a token.
    debt: u64,
    /// When it was that much.
    at: Micros,
    /// The units of a token, and those that come back in a microsecond, under the last quota; 0 before the first.
    token: (u64, u64),
    /// When it was reset, if it was: what was taken until then is not missing any more.
    reset_at: Option<Micros>,
}

impl Step for Debt {
    fn settle(&mut self, quota: Quota, now: Micros) {
        let passed = now.saturating_sub(self.at);
        self.debt = self.debt.saturating_sub(passed.saturating_mul(self.token.1));
        self.at = now;
        if quota.algorithm() == Algorithm::TokenBucket && self.token != quota.token() {
            // Another rate from now on. The same tokens are missing, but never so many that they could not be counted.
            // In floating point, as the script does it.
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

    fn until_room(&self, quota: Quota, _: Micros, tokens: u32) -> Micros {
        let (units, refill) = quota.token();
        let most = u64::from(quota.capacity().saturating_sub(tokens)) * units;
        self.debt.saturating_sub(most).div_ceil(refill)
    }

    fn add(&mut self, quota: Quota, now: Micros, tokens: u32) {
        self.token = quota.token();
        self.at = now;
        let taken = u64::from(tokens).saturating_mul(self.token.0);
        self.debt = self.debt.saturating_add(taken).min(Quota::MAX_DEBT);
    }

    fn give_back(&mut self, quota: Quota, now: Micros, tokens: u32, taken_at: Micros) {
        let (units, refill) = quota.token();
        if self.token != (units, refill) || Some(taken_at) <= self.reset_at {
            // What is missing is no longer what was taken.
            return;
        }
        self.settle(quota, now);
        // What would have come back by itself since is not given back once more. If others came meanwhile it may not
        // have come back yet; then this is less than was taken, and never more.
        let come_back = now.saturating_sub(taken_at).saturating_mul(refill);
        let taken = u64::from(tokens).saturating_mul(units);
        self.debt = self.debt.saturating_sub(taken.saturating_sub(come_back));
    }

    fn reset(&mut self, now: Micros) {
        *self = Self { reset_at: Some(now), ..Self::default() };
    }

    fn expires_at(&self, quota: Quota) -> Micros {
        let (_, refill @ 1..) = self.token else { return 0 };
        let paid = self.at.saturating_add(self.debt.div_ceil(refill));
        // A reset is remembered for as long as anything of before it might be given back.
        let (units, refill) = quota.token();
        let all = (u64::from(quota.capacity()) * units).div_ceil(refill);
        self.reset_at.map_or(paid, |reset_at| paid.max(reset_at.saturating_add(all)))
    }
}
