//! Denials that are right though what they are for is over: the clock was set back, and what lies in its future counts as if
//! it came when it was first looked at again, for one window at most.

use std::collections::BTreeMap;

use rateguard::Algorithm;

use super::{
    history::{Asked, Bucket},
    limits::quota,
    verdict::{Happened, is_told_by_a_clock},
};

/// Of each bucket, when the clock was set back, and when it was looked at for the first time since.
#[derive(Debug)]
pub struct Excuses<'a> {
    happened: &'a Happened,
    looks: BTreeMap<Bucket, Vec<(u64, u64)>>,
}

impl<'a> Excuses<'a> {
    /// From what all servers have asked.
    #[must_use]
    pub fn of(asked: &[Vec<Asked>], happened: &'a Happened) -> Self {
        let mut looks: BTreeMap<Bucket, Vec<(u64, u64)>> = BTreeMap::new();
        for set_back in happened.set_back() {
            let mut firsts: BTreeMap<Bucket, u64> = BTreeMap::new();
            for asked in asked.iter().flatten() {
                let Some(said) = asked.said.filter(|said| said.at >= set_back) else { continue };
                for part in &asked.parts {
                    let first = firsts.entry(part.bucket).or_insert(said.at);
                    *first = said.at.min(*first);
                }
            }
            for (bucket, first) in firsts {
                looks.entry(bucket).or_default().push((set_back, first));
            }
        }
        Self { happened, looks }
    }

    /// When the bucket was looked at for the first time after the clock was set back: none of what was missing then has come
    /// back since it was set.
    pub fn looks(&self, bucket: Bucket) -> impl Iterator<Item = u64> {
        self.looks.get(&bucket).into_iter().flatten().map(|(_, first)| *first)
    }

    /// Whether a denial at this time is excused.
    #[must_use]
    pub fn excuse(&self, bucket: Bucket, at: u64) -> bool {
        let Some(quota) = quota(bucket.policy, bucket.place) else { return false };
        if quota.algorithm() == Algorithm::TokenBucket {
            // What was missing when it was looked at is known.
            return false;
        }
        let window = quota.window().as_micros() as u64;
        let looks = self.looks.get(&bucket).into_iter().flatten();
        is_told_by_a_clock(quota, self.happened)
            || looks.into_iter().any(|(set_back, first)| (*set_back..first + window).contains(&at))
    }
}
