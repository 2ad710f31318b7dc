//! A model of a token bucket with leases, which follows the protocol in `tests/models` step by step.

use std::time::Duration;

use actix_rateguard::{
    Algorithm, Quota,
    store::{BucketStatus, Operation},
};

use super::traces::{LeaseModel, Step, lease_of, micros};

/// The tokens of a lease that is neither returned nor expired.
#[derive(Clone)]
struct Hold {
    request: u64,
    tokens: u64,
    ends: u64,
    duration: u64,
}

/// A bucket, as it was stored last. All numbers of parts belong to `token`.
#[derive(Clone, Default)]
pub struct TokenBucket {
    exists: bool,
    at: u64,
    /// The number of parts that are missing until the bucket is full.
    missing: u64,
    /// The parts of a token, and the parts that the bucket regains in a microsecond.
    token: (u64, u64),
    holds: Vec<Hold>,
    reset_at: u64,
}

impl TokenBucket {
    fn held_parts(&self) -> u64 {
        self.holds.iter().map(|hold| hold.tokens).sum::<u64>() * self.token.0
    }

    /// Lets the time pass from one end of a lease to the next one.
    fn advance(&mut self, now: u64) {
        while self.at < now {
            let next_end = self.holds.iter().map(|hold| hold.ends).min();
            let until = next_end.map_or(now, |end| end.min(now));
            let regained = (until - self.at) * self.token.1;
            self.missing = self.missing.saturating_sub(regained).max(self.held_parts());
            self.at = until;
            self.holds.retain(|hold| hold.ends > until);
        }
    }

    /// Returns the bucket at the time `now` under this quota, and whether the clock was set back and whether the rate
    /// has changed.
    fn loaded(&self, quota: &Quota, now: u64) -> (Self, bool, bool) {
        let mut bucket = self.clone();
        if !bucket.exists {
            bucket = Self { at: now, token: quota.token(), ..Self::default() };
            return (bucket, false, false);
        }
        let was_set_back = bucket.at > now;
        if was_set_back {
            bucket.at = now;
            bucket.holds.iter_mut().for_each(|it| it.ends = it.ends.min(now + it.duration));
        }
        bucket.advance(now);
        let has_new_rate =
            quota.algorithm() == Algorithm::TokenBucket && bucket.token != quota.token();
        if has_new_rate {
            let tokens = bucket.missing as f64 / bucket.token.0 as f64;
            bucket.missing = (tokens * quota.token().0 as f64).ceil() as u64;
            bucket.token = quota.token();
        }
        (bucket, was_set_back, has_new_rate)
    }

    fn fits(&self, quota: &Quota, tokens: u32) -> bool {
        let max = u64::from(quota.capacity().saturating_sub(tokens)) * self.token.0;
        self.missing <= max
    }

    /// Returns the time until the tokens fit, by a search.
    fn wait_for(&self, quota: &Quota, tokens: u32) -> Duration {
        let last_end = self.holds.iter().map(|hold| hold.ends - self.at).max().unwrap_or(0);
        let (mut low, mut high) = (0, last_end + self.missing.div_ceil(self.token.1));
        while low < high {
            let middle = low.midpoint(high);
            let mut later = self.clone();
            later.advance(self.at + middle);
            if later.fits(quota, tokens) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        Duration::from_micros(low)
    }

    fn status(&self, quota: &Quota, cost: u32) -> BucketStatus {
        let used = u32::try_from(self.missing.div_ceil(self.token.0)).unwrap();
        let remaining = quota.capacity().saturating_sub(used);
        BucketStatus {
            remaining,
            reset_after: match used {
                0 => Duration::ZERO,
                _ => self.wait_for(quota, remaining + 1),
            },
            retry_after: (cost <= quota.capacity()).then(|| match remaining < cost {
                true => self.wait_for(quota, cost),
                false => Duration::ZERO,
            }),
        }
    }

    fn grant(&mut self, request: u64, tokens: u32, duration: u64) {
        let (tokens, ends) = (u64::from(tokens), self.at + duration);
        self.holds.push(Hold { request, tokens, ends, duration });
    }

    /// Returns false if the bucket has no such lease.
    fn settle(&mut self, step: &Step) -> bool {
        let [request, ..] = step.receipt.words();
        let Some(index) = self.holds.iter().position(|it| it.request == request) else {
            return false;
        };
        let hold = self.holds.remove(index);
        let used = step.uses.iter().filter(|after| **after > 0).count() as u64;
        self.missing -= (hold.tokens - used) * self.token.0;
        true
    }

    fn refund(&mut self, step: &Step) {
        let [_, taken_at, _] = step.receipt.words();
        let regained = self.at.saturating_sub(taken_at) * self.token.1;
        let refunded = (u64::from(step.cost) * self.token.0).saturating_sub(regained);
        self.missing = self.missing.saturating_sub(refunded).max(self.held_parts());
    }
}

impl LeaseModel for TokenBucket {
    fn apply(&mut self, id: u64, step: &Step, now: u64) -> (bool, BucketStatus) {
        let Step { operation, quota, cost, .. } = step;
        let (mut bucket, was_set_back, has_new_rate) = self.loaded(quota, now);
        let has_room = *cost == 0 || *cost <= quota.capacity() && bucket.fits(quota, *cost);
        let mut allowed = true;
        let is_written = match operation {
            Operation::Check | Operation::Lease | Operation::Debit => {
                allowed = has_room || *operation == Operation::Debit;
                let takes = allowed && *cost > 0;
                if takes {
                    bucket.missing += u64::from(*cost) * bucket.token.0;
                }
                if takes && *operation == Operation::Lease {
                    bucket.grant(id, *cost, lease_of(quota).unwrap());
                }
                // Without holds, the plain algorithm can use the bucket, so its first request writes it.
                let ended = lease_of(quota).is_none() && !self.holds.is_empty();
                takes || was_set_back || has_new_rate || ended && bucket.holds.is_empty()
            }
            Operation::Peek => {
                allowed = has_room;
                false
            }
            Operation::Refund => {
                let [_, taken_at, _] = step.receipt.words();
                let is_refundable =
                    !has_new_rate && taken_at > bucket.reset_at && bucket.missing > 0;
                if is_refundable {
                    bucket.refund(step);
                }
                is_refundable
            }
            Operation::Return => bucket.settle(step),
            Operation::Reset => {
                bucket.missing = bucket.held_parts();
                bucket.reset_at = now;
                bucket.exists
            }
            Operation::Renew => unreachable!("no trace renews permits"),
        };
        let status = bucket.status(quota, *cost);
        if is_written {
            *self = Self { exists: true, ..bucket };
        }
        (allowed, status)
    }
}

#[test]
fn held_tokens_are_not_refilled_before_the_lease_ends() {
    let quota: Quota = "8/4s token_bucket lease 4 for 1s".parse().unwrap();
    let step = |operation, cost| Step {
        operation,
        quota,
        cost,
        receipt: actix_rateguard::store::Receipt::default(),
        uses: Vec::new(),
    };
    let mut bucket = TokenBucket::default();
    let start = 10_000_000;
    assert_eq!(bucket.apply(1, &step(Operation::Lease, 4), start).1.remaining, 4);
    let status = bucket.apply(2, &step(Operation::Check, 4), start).1;
    // The first token comes back after half a second. The lease ends after a second, and has no effect on this token.
    assert_eq!((status.remaining, micros(status.reset_after)), (0, 500_000));
    let after = |bucket: &mut TokenBucket, millis: u64| {
        bucket.apply(3, &step(Operation::Peek, 1), start + millis * 1_000).1.remaining
    };
    assert_eq!([499, 500, 1_000, 1_500, 4_000].map(|it| after(&mut bucket, it)), [0, 1, 2, 3, 8]);
    let mut bucket = TokenBucket::default();
    bucket.apply(1, &step(Operation::Lease, 4), start);
    // Only the four other tokens are there until the lease ends.
    assert_eq!([999, 1_000, 1_500].map(|it| after(&mut bucket, it)), [4, 4, 5]);
}
