//! A simple reference model of every algorithm. The model stores the time stamp of each request, and finds each wait
//! by a search.

use std::{collections::BTreeMap, time::Duration};

use actix_rateguard::{
    Algorithm, Quota,
    store::{BucketStatus, Operation},
};

/// A quota whose values are plain numbers.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    pub algorithm: Algorithm,
    pub limit: u64,
    pub window: u64,
    pub capacity: u64,
}

impl Rule {
    pub fn quota(self) -> Quota {
        let quota = Quota::new(self.limit as u32, Duration::from_micros(self.window)).unwrap();
        let quota = quota.with_algorithm(self.algorithm).unwrap();
        match self.algorithm.has_burst() {
            true => quota.with_burst(self.capacity as u32).unwrap(),
            false => quota,
        }
    }

    /// Returns the longest possible wait of a request in microseconds. After a debit that exceeds the limit, a wait
    /// may be longer.
    pub fn longest_wait(self) -> u64 {
        match self.algorithm {
            Algorithm::SlidingWindowCounter => 2 * self.window,
            Algorithm::TokenBucket => (self.capacity * self.window).div_ceil(self.limit),
            Algorithm::SlidingWindow | Algorithm::FixedWindow => self.window,
            Algorithm::Concurrency | Algorithm::Calendar => {
                unreachable!("`permits/traces.rs` and `calendar/traces.rs` test them")
            }
        }
    }

    /// Returns the maximum number of tokens that can be missing from a token bucket, multiplied by the window.
    pub fn max_missing(self) -> u128 {
        // Stores divide this product by the greatest common divisor of window and limit. `MAX_DEBT` is the maximum of
        // the quotient.
        let (mut divisor, mut rest) = (self.window, self.limit);
        while rest > 0 {
            (divisor, rest) = (rest, divisor % rest);
        }
        u128::from(Quota::MAX_DEBT) * u128::from(divisor)
    }
}

/// The units that an operation took and that have not been refunded.
#[derive(Clone, Debug)]
struct Taken {
    /// The number of the operation that took the units.
    number: u64,
    at: u64,
    units: u64,
    /// Whether the operation started a new fixed window.
    starts_window: bool,
}

/// The model of one bucket. It contains all units that were ever taken, except the expired units of a sliding-window
/// log.
#[derive(Clone, Default)]
pub struct Model {
    taken: Vec<Taken>,
    /// The missing tokens of a token bucket, multiplied by the window, and the time at which this product was
    /// computed. After that time, the product decreases by `limit` in each microsecond.
    missing: (u128, u64),
    reset_at: Option<u64>,
}

/// The receipt of an operation. The model needs it for a refund.
#[derive(Clone, Copy, Debug)]
pub struct ModelReceipt {
    number: u64,
    at: u64,
}

impl Model {
    fn missing(&self, rule: Rule, now: u64) -> u128 {
        let (missing, at) = self.missing;
        missing.saturating_sub(u128::from(now.saturating_sub(at)) * u128::from(rule.limit))
    }

    /// Returns the number of units that count at the time `now`, if no operation takes more units until then. This
    /// function is the model's definition of each algorithm.
    fn used(&self, rule: Rule, now: u64) -> u64 {
        let window = rule.window;
        let sum = |counts: &dyn Fn(u64) -> bool| {
            self.taken.iter().filter(|it| counts(it.at)).map(|it| it.units).sum::<u64>()
        };
        match rule.algorithm {
            Algorithm::SlidingWindow => sum(&|at| at + window > now),
            Algorithm::SlidingWindowCounter => {
                let current = sum(&|at| at / window == now / window);
                let previous = sum(&|at| at / window + 1 == now / window);
                let left = window - now % window;
                current
                    + (u128::from(previous) * u128::from(left)).div_ceil(u128::from(window)) as u64
            }
            Algorithm::FixedWindow => {
                let start = self.taken.iter().rev().find(|it| it.starts_window).map(|it| it.at);
                match start {
                    Some(start) if now - start < window => sum(&|at| at >= start),
                    _ => 0,
                }
            }
            Algorithm::Concurrency | Algorithm::Calendar => {
                unreachable!("`permits/traces.rs` and `calendar/traces.rs` test them")
            }
            Algorithm::TokenBucket => {
                self.missing(rule, now).div_ceil(u128::from(window)).try_into().unwrap()
            }
        }
    }

    /// Returns the wait in microseconds until the bucket has room for `units`, or `None` if it will never have room.
    fn wait_for(&self, rule: Rule, now: u64, units: u64) -> Option<u64> {
        if units == 0 {
            return Some(0);
        }
        let fits = |after| self.used(rule, now + after) + units <= rule.capacity;
        if units > rule.capacity || fits(0) {
            return (units <= rule.capacity).then_some(0);
        }
        let (mut too_early, mut enough) = (0, 2 * rule.longest_wait());
        while !fits(enough) {
            enough *= 2;
        }
        while too_early + 1 < enough {
            let middle = (too_early + enough) / 2;
            *(if fits(middle) { &mut enough } else { &mut too_early }) = middle;
        }
        Some(enough)
    }

    /// Replaces each time stamp after `now` by `now`. Such time stamps exist if the clock was set back.
    fn clamp_future(&mut self, now: u64) {
        for taken in &mut self.taken {
            taken.at = taken.at.min(now);
        }
        self.missing.1 = self.missing.1.min(now);
    }

    fn take(&mut self, rule: Rule, now: u64, units: u64, number: u64) {
        let starts_window = self.used(rule, now) == 0;
        let missing = self.missing(rule, now) + u128::from(units) * u128::from(rule.window);
        self.missing = (missing.min(rule.max_missing()), now);
        if rule.algorithm.is_log() {
            self.taken.retain(|it| it.at + rule.window > now);
        }
        self.taken.push(Taken { number, at: now, units, starts_window });
    }

    fn refund(&mut self, rule: Rule, now: u64, units: u64, receipt: ModelReceipt) {
        // A reset has already removed these units, so there is nothing to refund. If the bucket is a log, its entries
        // are gone too, and the code below finds nothing.
        if !rule.algorithm.is_log() && Some(receipt.at) <= self.reset_at {
            return;
        }
        if let Some(taken) = self.taken.iter_mut().find(|it| it.number == receipt.number) {
            taken.units -= units.min(taken.units);
        }
        // A token bucket has already refilled some of these units over time. The refund must return only the rest of
        // them.
        let refilled = u128::from(now.saturating_sub(receipt.at)) * u128::from(rule.limit);
        let back = (u128::from(units) * u128::from(rule.window)).saturating_sub(refilled);
        self.missing = (self.missing(rule, now).saturating_sub(back), now);
    }

    fn status(&self, rule: Rule, now: u64, units: u64) -> BucketStatus {
        let remaining = rule.capacity.saturating_sub(self.used(rule, now));
        let reset = self.wait_for(rule, now, remaining + 1).unwrap_or(0);
        BucketStatus {
            remaining: remaining as u32,
            reset_after: Duration::from_micros(reset),
            retry_after: self.wait_for(rule, now, units).map(Duration::from_micros),
        }
    }
}

/// The part of an operation that concerns one bucket.
#[derive(Clone, Debug)]
pub struct Part {
    /// The number of the key, and a number that stands for the quota.
    pub bucket: (u8, usize),
    pub rule: Rule,
    pub cost: u64,
    /// The receipt of the check that is refunded; `None` if the operation is not a refund.
    pub receipt: Option<ModelReceipt>,
}

/// The result that the model gives for an operation.
#[derive(Debug)]
pub struct ModelOutcome {
    pub allowed: bool,
    pub statuses: Vec<BucketStatus>,
    pub receipts: Vec<ModelReceipt>,
}

/// The state of the model, which consists of all buckets.
#[derive(Clone, Default)]
pub struct World {
    buckets: BTreeMap<(u8, usize), Model>,
    operations: u64,
}

impl World {
    pub fn apply(&mut self, operation: Operation, parts: &[Part], now: u64) -> ModelOutcome {
        for part in parts {
            self.buckets.entry(part.bucket).or_default().clamp_future(now);
        }
        let wait_for = |part: &Part| self.buckets[&part.bucket].wait_for(part.rule, now, part.cost);
        let allowed = match operation {
            Operation::Lease | Operation::Return => {
                panic!("`leases/script.rs` has the model of leases")
            }
            Operation::Check | Operation::Peek => {
                parts.iter().all(|part| wait_for(part) == Some(0))
            }
            Operation::Debit | Operation::Refund | Operation::Renew | Operation::Reset => true,
        };
        self.operations += 1;
        let mut outcome = ModelOutcome { allowed, statuses: Vec::new(), receipts: Vec::new() };
        for part in parts {
            let Part { bucket, rule, cost, receipt } = part;
            let model = self.buckets.get_mut(bucket).unwrap();
            match operation {
                Operation::Check | Operation::Debit if allowed && *cost > 0 => {
                    model.take(*rule, now, *cost, self.operations);
                }
                Operation::Refund => model.refund(*rule, now, *cost, receipt.unwrap()),
                Operation::Reset => *model = Model { reset_at: Some(now), ..Model::default() },
                _ => {}
            }
            outcome.statuses.push(model.status(*rule, now, *cost));
            outcome.receipts.push(ModelReceipt { number: self.operations, at: now });
        }
        outcome
    }
}

/// Returns whether the newest admission in `taken` exceeds the quota.
///
/// Each item has the time of an admission and its number of units. The items must be sorted by time.
pub fn exceeds_quota(rule: Rule, taken: &[(u64, u64)]) -> bool {
    let (newest, _) = *taken.last().unwrap();
    let sum = |taken: &[(u64, u64)]| taken.iter().map(|(_, units)| units).sum::<u64>();
    let within = |span: u64| {
        taken.iter().filter(|(at, _)| newest - at < span).map(|(_, units)| units).sum::<u64>()
    };
    match rule.algorithm {
        Algorithm::SlidingWindow => within(rule.window) > rule.limit,
        Algorithm::Concurrency | Algorithm::Calendar => {
            unreachable!("`permits/traces.rs` and `calendar/traces.rs` test them")
        }
        Algorithm::TokenBucket => taken.iter().enumerate().any(|(index, (first, _))| {
            // After any admission, a token bucket admits at most its capacity plus the tokens that have been refilled
            // after that admission.
            let refilled = u128::from(newest - first) * u128::from(rule.limit);
            u128::from(sum(&taken[index..])) * u128::from(rule.window)
                > u128::from(rule.capacity * rule.window) + refilled
        }),
        Algorithm::SlidingWindowCounter | Algorithm::FixedWindow => {
            within(rule.window) > 2 * rule.limit
        }
    }
}
