//! What every algorithm is defined to do: a model that keeps each time stamp and searches for each answer.

use std::{collections::BTreeMap, time::Duration};

use rateguard::{
    Algorithm, Quota,
    store::{Level, Operation},
};

/// A quota as plain numbers.
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
        match self.algorithm {
            Algorithm::TokenBucket => quota.with_burst(self.capacity as u32).unwrap(),
            _ => quota,
        }
    }

    /// The longest that a request may have to wait if nothing was taken beyond the limit.
    pub fn longest_wait(self) -> u64 {
        match self.algorithm {
            Algorithm::SlidingWindowCounter => 2 * self.window,
            Algorithm::TokenBucket => (self.capacity * self.window).div_ceil(self.limit),
            _ => self.window,
        }
    }

    /// What is missing of a token bucket at the most, whatever is charged: tokens times the window.
    pub fn most_missing(self) -> u128 {
        // Stores count in the smallest units of which whole numbers come back in a microsecond.
        let (mut common, mut rest) = (self.window, self.limit);
        while rest > 0 {
            (common, rest) = (rest, common % rest);
        }
        u128::from(Quota::MAX_DEBT) * u128::from(common)
    }
}

/// What was taken at some time and has not been given back.
#[derive(Clone, Debug)]
struct Taken {
    /// By a number that tells one taking from the next.
    number: u64,
    at: u64,
    units: u64,
    /// It began a fixed window.
    begins: bool,
}

/// All that was ever taken of one bucket, but for what is known to be over.
#[derive(Clone, Default)]
pub struct Model {
    taken: Vec<Taken>,
    /// Of a token bucket, what is missing at a time: tokens times the window, of which `limit` come back in a
    /// microsecond.
    missing: (u128, u64),
    reset_at: Option<u64>,
}

/// What a model has to know to give something back.
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

    /// How many units count at a moment if none is taken until then: the definition of each algorithm.
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
                let begin = self.taken.iter().rev().find(|it| it.begins).map(|it| it.at);
                match begin {
                    Some(begin) if now - begin < window => sum(&|at| at >= begin),
                    _ => 0,
                }
            }
            Algorithm::TokenBucket => {
                self.missing(rule, now).div_ceil(u128::from(window)).try_into().unwrap()
            }
        }
    }

    /// The first moment at which there is room for so many.
    fn until_room(&self, rule: Rule, now: u64, units: u64) -> Option<u64> {
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

    /// A clock that was set back: what it has not reached yet is taken for now.
    fn come_to(&mut self, now: u64) {
        for taken in &mut self.taken {
            taken.at = taken.at.min(now);
        }
        self.missing.1 = self.missing.1.min(now);
    }

    fn take(&mut self, rule: Rule, now: u64, units: u64, number: u64) {
        let begins = self.used(rule, now) == 0;
        let missing = self.missing(rule, now) + u128::from(units) * u128::from(rule.window);
        self.missing = (missing.min(rule.most_missing()), now);
        if rule.algorithm == Algorithm::SlidingWindow {
            self.taken.retain(|it| it.at + rule.window > now);
        }
        self.taken.push(Taken { number, at: now, units, begins });
    }

    fn give_back(&mut self, rule: Rule, now: u64, units: u64, receipt: ModelReceipt) {
        // What a reset has forgotten can't be given back. Of a log it is not there any more.
        if rule.algorithm != Algorithm::SlidingWindow && Some(receipt.at) <= self.reset_at {
            return;
        }
        if let Some(taken) = self.taken.iter_mut().find(|it| it.number == receipt.number) {
            taken.units -= units.min(taken.units);
        }
        // Of a bucket, what would have come back by itself since is not given back once more.
        let come_back = u128::from(now.saturating_sub(receipt.at)) * u128::from(rule.limit);
        let back = (u128::from(units) * u128::from(rule.window)).saturating_sub(come_back);
        self.missing = (self.missing(rule, now).saturating_sub(back), now);
    }

    fn level(&self, rule: Rule, now: u64, units: u64) -> Level {
        let remaining = rule.capacity.saturating_sub(self.used(rule, now));
        let reset = self.until_room(rule, now, remaining + 1).unwrap_or(0);
        Level {
            remaining: remaining as u32,
            reset_after: Duration::from_micros(reset),
            retry_after: self.until_room(rule, now, units).map(Duration::from_micros),
        }
    }
}

/// One bucket's part of an operation.
#[derive(Clone, Debug)]
pub struct Part {
    /// Which bucket.
    pub bucket: (u8, usize),
    pub rule: Rule,
    pub cost: u64,
    /// Of a refund.
    pub receipt: Option<ModelReceipt>,
}

/// What the model answers.
#[derive(Debug)]
pub struct Said {
    pub allowed: bool,
    pub levels: Vec<Level>,
    pub receipts: Vec<ModelReceipt>,
}

/// All buckets.
#[derive(Clone, Default)]
pub struct World {
    buckets: BTreeMap<(u8, usize), Model>,
    takings: u64,
}

impl World {
    pub fn apply(&mut self, operation: Operation, parts: &[Part], now: u64) -> Said {
        for part in parts {
            self.buckets.entry(part.bucket).or_default().come_to(now);
        }
        let until_room =
            |part: &Part| self.buckets[&part.bucket].until_room(part.rule, now, part.cost);
        let allowed = match operation {
            Operation::Check | Operation::Peek => {
                parts.iter().all(|part| until_room(part) == Some(0))
            }
            Operation::Charge | Operation::Refund | Operation::Reset => true,
        };
        self.takings += 1;
        let mut said = Said { allowed, levels: Vec::new(), receipts: Vec::new() };
        for part in parts {
            let Part { bucket, rule, cost, receipt } = part;
            let model = self.buckets.get_mut(bucket).unwrap();
            match operation {
                Operation::Check | Operation::Charge if allowed && *cost > 0 => {
                    model.take(*rule, now, *cost, self.takings);
                }
                Operation::Refund => model.give_back(*rule, now, *cost, receipt.unwrap()),
                Operation::Reset => *model = Model { reset_at: Some(now), ..Model::default() },
                _ => {}
            }
            said.levels.push(model.level(*rule, now, *cost));
            said.receipts.push(ModelReceipt { number: self.takings, at: now });
        }
        said
    }
}

/// Whether the newest of these takings, each a time and units, is too much beside those before it, by a clock that is
/// never set back.
pub fn is_too_much(rule: Rule, taken: &[(u64, u64)]) -> bool {
    let (newest, _) = *taken.last().unwrap();
    let sum = |taken: &[(u64, u64)]| taken.iter().map(|(_, units)| units).sum::<u64>();
    let within = |span: u64| {
        taken.iter().filter(|(at, _)| newest - at < span).map(|(_, units)| units).sum::<u64>()
    };
    match rule.algorithm {
        Algorithm::SlidingWindow => within(rule.window) > rule.limit,
        Algorithm::TokenBucket => taken.iter().enumerate().any(|(place, (first, _))| {
            // No more than the burst, and what came back since.
            let back = u128::from(newest - first) * u128::from(rule.limit);
            u128::from(sum(&taken[place..])) * u128::from(rule.window)
                > u128::from(rule.capacity * rule.window) + back
        }),
        _ => within(rule.window) > 2 * rule.limit,
    }
}
