//! What every algorithm is defined to do: a model that keeps each time stamp and searches for each answer.

use std::time::Duration;

use rateguard::{Algorithm, Quota};

/// What a check says, in microseconds.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    Allowed { remaining: u64, reset: u64 },
    Denied { retry: u64 },
}

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

    /// The longest that a request may have to wait.
    pub fn longest_wait(self) -> u64 {
        match self.algorithm {
            Algorithm::SlidingWindowCounter => 2 * self.window,
            Algorithm::TokenBucket => (self.capacity * self.window).div_ceil(self.limit),
            _ => self.window,
        }
    }
}

/// All that was ever admitted for one key, but for what an admission has found to be over.
#[derive(Default)]
pub struct Model {
    admitted: Vec<u64>,
}

impl Model {
    /// How many requests count at a moment if none is admitted until then: the definition of each algorithm.
    fn used(&self, rule: Rule, now: u64) -> u64 {
        let Rule { limit, window, .. } = rule;
        let count = |counts: &dyn Fn(u64) -> bool| {
            self.admitted.iter().filter(|at| counts(**at)).count() as u64
        };
        match rule.algorithm {
            Algorithm::SlidingWindow => count(&|at| at + window > now),
            Algorithm::SlidingWindowCounter => {
                let current = count(&|at| at / window == now / window);
                let previous = count(&|at| at / window + 1 == now / window);
                let left = window - now % window;
                current
                    + (u128::from(previous) * u128::from(left)).div_ceil(u128::from(window)) as u64
            }
            Algorithm::FixedWindow => {
                // Each window begins with the first request after the one before.
                let mut start = None;
                for at in &self.admitted {
                    if start.is_none_or(|start| at - start >= window) {
                        start = Some(*at);
                    }
                }
                match start {
                    Some(start) if now - start < window => count(&|at| at >= start),
                    _ => 0,
                }
            }
            Algorithm::TokenBucket => {
                // What is missing, in tokens times the window; `limit` of these come back in a microsecond.
                let (mut missing, mut last) = (0_u128, 0);
                for at in self.admitted.iter().copied().chain([now]) {
                    missing = missing.saturating_sub(u128::from(at - last) * u128::from(limit));
                    missing += u128::from(window);
                    last = at;
                }
                (missing - u128::from(window)).div_ceil(u128::from(window)) as u64
            }
        }
    }

    /// The first moment at which there is room for so many.
    fn until_room(&self, rule: Rule, now: u64, places: u64) -> u64 {
        let fits = |after| self.used(rule, now + after) + places <= rule.capacity;
        let (mut too_early, mut enough) = (0, 4 * rule.longest_wait());
        if fits(0) {
            return 0;
        }
        while too_early + 1 < enough {
            let middle = (too_early + enough) / 2;
            *(if fits(middle) { &mut enough } else { &mut too_early }) = middle;
        }
        enough
    }

    pub fn check(&mut self, rule: Rule, now: u64) -> Said {
        // A clock that was set back: what it has not reached yet is taken for now.
        for at in &mut self.admitted {
            *at = (*at).min(now);
        }
        if self.used(rule, now) >= rule.capacity {
            return Said::Denied { retry: self.until_room(rule, now, 1) };
        }
        if rule.algorithm == Algorithm::SlidingWindow {
            self.admitted.retain(|at| at + rule.window > now);
        }
        self.admitted.push(now);
        let remaining = rule.capacity - self.used(rule, now);
        Said::Allowed { remaining, reset: self.until_room(rule, now, remaining + 1) }
    }
}

/// Whether the newest of these requests is one too many for those before it, by a clock that is never set back.
pub fn is_one_too_many(rule: Rule, admitted: &[u64]) -> bool {
    let newest = *admitted.last().unwrap();
    let within = |span: u64| admitted.iter().filter(|at| newest - **at < span).count() as u64;
    match rule.algorithm {
        Algorithm::SlidingWindow => within(rule.window) > rule.limit,
        Algorithm::TokenBucket => admitted.iter().enumerate().any(|(place, first)| {
            // No more than the burst, and what came back since.
            let taken = (admitted.len() - place) as u128;
            let back = u128::from(newest - first) * u128::from(rule.limit);
            taken * u128::from(rule.window) > u128::from(rule.capacity * rule.window) + back
        }),
        _ => within(rule.window) > 2 * rule.limit,
    }
}
