//! The token bucket, kept as a debt: what is missing until it is full (the generic cell rate algorithm, ITU-T I.371,
//! in whole numbers).
//!
//! It admits at most `burst` at once, and at most `burst + rate × t` in any time `t`. Tokens are counted in units of
//! which whole numbers come back in a microsecond, so nothing is ever rounded.

use super::{Micros, Step};
use crate::{Algorithm, Quota};

/// What is missing until the bucket is full.
#[derive(Debug, Default)]
pub(crate) struct Debt {
    /// In units of a token.
    debt: u64,
    /// When it was that much.
    at: Micros,
    /// The units of a token, and those that come back in a microsecond, under the last quota; 0 before the first.
    token: (u64, u64),
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

    fn until_room(&self, quota: Quota, _: Micros, places: u32) -> Micros {
        let (units, refill) = quota.token();
        let most = u64::from(quota.capacity().saturating_sub(places)) * units;
        self.debt.saturating_sub(most).div_ceil(refill)
    }

    fn add(&mut self, quota: Quota, now: Micros, requests: u32) {
        self.token = quota.token();
        self.at = now;
        self.debt += u64::from(requests) * self.token.0;
    }

    fn expires_at(&self, _: Quota) -> Micros {
        match self.token.1 {
            0 => 0,
            refill => self.at.saturating_add(self.debt.div_ceil(refill)),
        }
    }
}
