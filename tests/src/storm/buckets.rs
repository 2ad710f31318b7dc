//! What happened to each bucket, as far as the servers know it.

use std::{collections::BTreeMap, time::Duration};

use rateguard::store::Operation;

use super::history::{Asked, Bucket};

/// What is known of a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Story {
    /// What was taken for certain, by time.
    pub takings: Vec<Taking>,
    /// What may have been taken and may not, by when that could begin.
    pub maybes: Vec<Maybe>,
}

/// What a check took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taking {
    /// When, by the store's clock.
    pub at: u64,
    /// How much.
    pub units: u64,
    /// When more of the bucket is free, as the store said: of a fixed window, its end.
    pub free_at: u64,
    /// What was given back of it.
    pub given_back: Vec<Back>,
}

/// What was given back, or may have been.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Back {
    units: u64,
    /// From then on it may not count any more.
    from: u64,
    /// After that it does not; never, if nobody knows whether it was given back.
    until: u64,
}

impl Taking {
    /// How much of it counts at this time at the least.
    #[must_use]
    pub fn at_least(&self, time: u64) -> u64 {
        self.less(|back| back.from <= time)
    }

    /// How much of it counts at this time at the most.
    #[must_use]
    pub fn at_most(&self, time: u64) -> u64 {
        self.less(|back| back.until < time)
    }

    fn less(&self, is_back: impl Fn(&Back) -> bool) -> u64 {
        let back = self.given_back.iter().filter(|back| is_back(back)).map(|back| back.units);
        self.units.saturating_sub(back.sum())
    }
}

/// What a check without an answer may have taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maybe {
    /// Not before that.
    pub from: u64,
    /// Not after that: then nobody waited any more, and the store knew it.
    pub until: u64,
    /// How much.
    pub units: u64,
}

/// The stories of all buckets, from what each server has asked, in any order. Servers give up after this deadline.
#[must_use]
pub fn stories(servers: &[Vec<Asked>], deadline: Duration) -> BTreeMap<Bucket, Story> {
    let mut stories: BTreeMap<Bucket, Story> = BTreeMap::new();
    // Where each call's takings are, for what is given back.
    let mut calls: BTreeMap<((u64, u64), Bucket), usize> = BTreeMap::new();
    for asked in servers {
        let latest = Latest::of(asked, deadline);
        for asked in asked.iter().filter(|asked| asked.operation == Operation::Check) {
            for part in &asked.parts {
                let story = stories.entry(part.bucket).or_default();
                let units = part.cost.into();
                match asked.said {
                    Some(said) if said.is_allowed => {
                        calls.insert((said.call, part.bucket), story.takings.len());
                        story.takings.push(Taking {
                            at: said.at,
                            units,
                            free_at: said.at + part.reset_after,
                            given_back: Vec::new(),
                        });
                    }
                    Some(_) => {}
                    None => {
                        let until = latest.of_unanswered(asked);
                        story.maybes.push(Maybe { from: asked.began, until, units });
                    }
                }
            }
        }
    }
    let refunds = servers.iter().flatten().filter(|asked| asked.operation == Operation::Refund);
    for asked in refunds {
        for part in &asked.parts {
            let place = calls.get(&(part.taken_by, part.bucket));
            let story = stories.get_mut(&part.bucket);
            let taking = story.zip(place).and_then(|(story, place)| story.takings.get_mut(*place));
            if let Some(taking) = taking {
                let (from, until) =
                    asked.said.map_or((asked.began, u64::MAX), |said| (said.at, said.at));
                taking.given_back.push(Back { units: part.cost.into(), from, until });
            }
        }
    }
    for story in stories.values_mut() {
        story.takings.sort_by_key(|taking| taking.at);
        story.maybes.sort_by_key(|maybe| maybe.from);
    }
    stories
}

/// For how long what a server asked may still be done.
struct Latest {
    /// When the server had answers.
    answers: Vec<u64>,
    /// How long the slowest of them took, and at least the deadline: so wrong it may be about the store's clock.
    slowest: u64,
    deadline: u64,
}

impl Latest {
    /// For so long a server remembers what time it is on the store, with room.
    const REMEMBERED: u64 = 50_000_000;

    fn of(asked: &[Asked], deadline: Duration) -> Self {
        let deadline = deadline.as_micros() as u64;
        let answered = asked.iter().filter(|asked| asked.said.is_some());
        let mut answers: Vec<u64> = answered.clone().map(|asked| asked.ended).collect();
        answers.sort_unstable();
        let took = answered.map(|asked| asked.ended.saturating_sub(asked.began));
        Self { answers, slowest: took.max().unwrap_or(0).max(deadline), deadline }
    }

    fn of_unanswered(&self, asked: &Asked) -> u64 {
        let before = self.answers.partition_point(|answer| *answer < asked.began);
        let last = before.checked_sub(1).map(|place| self.answers[place]);
        // One that the store's clock is not known to can say nothing about when it is too late.
        match last {
            Some(last) if asked.began - last < Self::REMEMBERED => {
                asked.ended + self.deadline + self.slowest
            }
            _ => u64::MAX,
        }
    }
}
