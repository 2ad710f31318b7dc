//! Whether a denial had a reason: how much of a bucket may have counted at the most.

use rateguard::{Algorithm, Quota};

use super::{
    admissions::weighted,
    buckets::{Maybe, Story},
};

/// How many units may have counted of buckets at a time, with all that was left unanswered.
#[derive(Debug)]
pub struct Most<'a> {
    quota: Quota,
    story: &'a Story,
    /// When everything was forgotten.
    losses: &'a [u64],
    /// The longest time for which anything may have been taken that is known to end.
    longest: u64,
    /// May have been taken at any time after it was asked for.
    endless: Vec<&'a Maybe>,
    /// Of a token bucket, what may have been missing since when: tokens times the window.
    missing: Vec<(u64, u128)>,
}

impl<'a> Most<'a> {
    /// Of this bucket, of which after any of these looks all may have been missing, if it is one of tokens.
    #[must_use]
    pub fn of(
        quota: Quota,
        story: &'a Story,
        losses: &'a [u64],
        looks: impl Iterator<Item = u64>,
    ) -> Self {
        let is_endless = |maybe: &&Maybe| maybe.until == u64::MAX;
        let endless = story.maybes.iter().filter(is_endless).collect();
        let bounded = story.maybes.iter().filter(|maybe| !is_endless(maybe));
        let longest = bounded.map(|maybe| maybe.until - maybe.from).max().unwrap_or(0);
        let mut most = Self { quota, story, losses, longest, endless, missing: Vec::new() };
        if quota.algorithm() == Algorithm::TokenBucket {
            most.missing = most.missing(looks);
        }
        most
    }

    /// At this time.
    #[must_use]
    pub fn at(&self, time: u64) -> u64 {
        let window = self.quota.window().as_micros() as u64;
        let endless = self.endless.iter().filter(|maybe| maybe.from <= time);
        let endless: u64 = endless.map(|maybe| maybe.units).sum();
        let bounded = match self.quota.algorithm() {
            // A fixed window that is not over has begun within its length.
            Algorithm::SlidingWindow | Algorithm::FixedWindow => {
                self.between(time.saturating_sub(window) + 1, time, time)
            }
            Algorithm::TokenBucket => self.of_token_bucket(time, window),
            _ => {
                let begin = time - time % window;
                let current = self.between(begin, time, time);
                // What may be of either is taken for one of each, which is too much, if anything.
                let previous = self.between(begin.saturating_sub(window), begin - 1, time);
                current + weighted(previous, time, window)
            }
        };
        bounded + endless
    }

    /// What may have been taken from the first to the last moment, and still count at this time.
    fn between(&self, first: u64, last: u64, time: u64) -> u64 {
        let first = first.max(self.forgotten(time));
        let takings = &self.story.takings;
        let until = takings.partition_point(|taking| taking.at <= last);
        let known = takings[..until].iter().rev().take_while(|taking| taking.at >= first);
        let known: u64 = known.map(|taking| taking.at_most(time)).sum();
        known + self.may_be(first, last)
    }

    fn may_be(&self, first: u64, last: u64) -> u64 {
        let maybes = &self.story.maybes;
        let until = maybes.partition_point(|maybe| maybe.from <= last);
        let near = maybes[..until].iter().rev();
        near.take_while(|maybe| maybe.from.saturating_add(self.longest) >= first)
            .filter(|maybe| maybe.until >= first && maybe.until != u64::MAX)
            .map(|maybe| maybe.units)
            .sum()
    }

    /// When everything was forgotten for the last time before this.
    fn forgotten(&self, time: u64) -> u64 {
        self.losses.iter().rev().find(|loss| **loss <= time).copied().unwrap_or(0)
    }

    fn of_token_bucket(&self, time: u64, window: u64) -> u64 {
        let until = self.missing.partition_point(|(at, _)| *at <= time);
        let (at, missing) = until.checked_sub(1).map_or((0, 0), |place| self.missing[place]);
        let back = u128::from(time - at) * u128::from(self.quota.limit());
        let missing = missing.saturating_sub(back).div_ceil(window.into()) as u64;
        // Those of which it is not known yet whether they will have been taken.
        let open = |maybe: &&Maybe| maybe.from <= time && maybe.until > time;
        let maybes = self.story.maybes.iter();
        let open = maybes.filter(|maybe| maybe.until != u64::MAX).filter(open);
        missing + open.map(|maybe| maybe.units).sum::<u64>()
    }

    /// What is missing if all that may have been taken was, and as late as could be.
    fn missing(&self, looks: impl Iterator<Item = u64>) -> Vec<(u64, u128)> {
        let window = u128::from(self.quota.window().as_micros() as u64);
        let full = u128::from(self.quota.capacity()) * window;
        let takings = self.story.takings.iter().map(|it| (it.at, Some(it.units)));
        let looks = looks.map(|look| (look, Some(self.quota.capacity().into())));
        let maybes = self.story.maybes.iter().filter(|it| it.until != u64::MAX);
        let maybes = maybes.map(|it| (it.until, Some(it.units)));
        let losses = self.losses.iter().map(|loss| (*loss, None));
        let mut changes: Vec<_> = takings.chain(maybes).chain(losses).chain(looks).collect();
        changes.sort_unstable();
        let (mut missing, mut last) = (0_u128, 0);
        let after = |(at, units): (u64, Option<u64>)| {
            let back = u128::from(at - last) * u128::from(self.quota.limit());
            let taken = units.map(|units| u128::from(units) * window);
            // More than all was never missing.
            missing = taken.map_or(0, |taken| (missing.saturating_sub(back) + taken).min(full));
            last = at;
            (at, missing)
        };
        changes.into_iter().map(after).collect()
    }
}
