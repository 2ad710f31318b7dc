//! The token bucket, kept as a debt: what is missing until it is full (the generic cell rate algorithm, ITU-T I.371,
//! in whole numbers).
//!
//! It admits at most `burst` at once, and at most `burst + rate × t` in any time `t`. Tokens are counted in units of
//! which whole numbers come back in a microsecond, so nothing is ever rounded.

use super::{Micros, Step};
use crate::Quota;

/// What is missing until the bucket is full.
#[derive(Debug, Default)]
pub(crate) struct Debt {
    /// In units of a token.
    debt: u64,
    /// When it was that much.
    at: Micros,
    /// The units of a token that the debt is counted in.
    units: u64,
}

impl Step for Debt {
    fn settle(&mut self, quota: Quota, now: Micros) {
        let (units, refill) = quota.token();
        if self.units != units && self.debt > 0 {
            // The quota was another: the same tokens are missing. In floating point, as the script does it.
            self.debt = (self.debt as f64 / self.units as f64 * units as f64).ceil() as u64;
        }
        self.units = units;
        let passed = now.saturating_sub(self.at);
        self.debt = self.debt.saturating_sub(passed.saturating_mul(refill));
        self.at = now;
    }

    fn used(&self, quota: Quota) -> u32 {
        let (units, _) = quota.token();
        u32::try_from(self.debt.div_ceil(units)).unwrap_or(u32::MAX)
    }

    fn until_room(&self, quota: Quota, _: Micros, places: u32) -> Micros {
        let (units, refill) = quota.token();
        let most = u64::from(quota.capacity().saturating_sub(places)) * units;
        self.debt.saturating_sub(most).div_ceil(refill)
    }

    fn add(&mut self, quota: Quota, now: Micros, requests: u32) {
        let (units, _) = quota.token();
        (self.units, self.at) = (units, now);
        self.debt += u64::from(requests) * units;
    }

    fn expires_at(&self, quota: Quota) -> Micros {
        let (_, refill) = quota.token();
        self.at + self.debt.div_ceil(refill)
    }
}
