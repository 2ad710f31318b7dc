//! The leases of all keys.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicU64, AtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
    },
    time::{Duration, Instant},
};

use smallvec::SmallVec;

use super::{key_leases::KeyLeases, open_lease::OpenLease};
use crate::{Key, policy::PolicyName};

const SHARDS: usize = 64;

/// The maximum number of keys in a shard. Further keys get no lease until other keys are idle.
const MAX_KEYS_PER_SHARD: usize = 512;

/// The maximum number of policies under which one key has leases. An application can create policies with any number of
/// names.
const MAX_POLICIES_PER_KEY: usize = 64;

/// The minimum time between two searches for idle keys in a full shard.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// The leases of all keys. Each shard has a lock.
pub(in crate::guard) struct LeaseTable {
    shards: Box<[Mutex<LeaseShard>]>,
    next_number: AtomicU64,
    /// The number of jobs that have not ended.
    jobs: AtomicUsize,
}

#[derive(Default)]
pub(super) struct LeaseShard {
    /// Most keys have leases under one policy only.
    keys: HashMap<Key, SmallVec<[KeyLeases; 1]>>,
    next_sweep: Option<Instant>,
    is_closed: bool,
}

impl LeaseTable {
    /// Creates a table. If the store has no leases, the table has no shards, so it never has a key.
    pub(in crate::guard) fn new(is_enabled: bool) -> Self {
        let shards = if is_enabled { SHARDS } else { 0 };
        Self {
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            next_number: AtomicU64::new(1),
            jobs: AtomicUsize::new(0),
        }
    }

    /// Returns the number of unused units of all leases.
    #[cfg(any(feature = "metrics", feature = "statistics"))]
    pub(in crate::guard) fn unused_units(&self) -> usize {
        let unused = |shard: &Mutex<LeaseShard>| {
            let shard = lock(shard);
            shard.keys.values().flatten().map(KeyLeases::unused).sum::<u32>() as usize
        };
        self.shards.iter().map(unused).sum()
    }

    /// Returns whether a job has not ended yet.
    pub(in crate::guard) fn has_running_jobs(&self) -> bool {
        self.jobs.load(SeqCst) > 0
    }

    pub(super) fn next_number(&self) -> u64 {
        self.next_number.fetch_add(1, Relaxed)
    }

    /// Counts a job until [`end_job`](Self::end_job) is called.
    pub(super) fn start_job(&self) {
        self.jobs.fetch_add(1, SeqCst);
    }

    pub(super) fn end_job(&self) {
        self.jobs.fetch_sub(1, SeqCst);
    }

    /// Returns the shard of the key. `None` if the store has no leases.
    pub(super) fn shard(&self, key: &Key) -> Option<MutexGuard<'_, LeaseShard>> {
        let index = usize::from(key.digest()[0]) % SHARDS;
        self.shards.get(index).map(lock)
    }

    /// Ends all leases. The table gets no more leases afterwards.
    pub(super) fn close(&self) -> Vec<(PolicyName, Key, OpenLease)> {
        let mut all = Vec::new();
        for shard in &self.shards {
            let mut shard = lock(shard);
            shard.is_closed = true;
            for (key, of_key) in shard.keys.drain() {
                for mut leases in of_key {
                    let policy = leases.policy.clone();
                    let ended = leases.end_all().into_iter();
                    all.extend(ended.map(|lease| (policy.clone(), key, lease)));
                }
            }
        }
        all
    }
}

fn lock(shard: &Mutex<LeaseShard>) -> MutexGuard<'_, LeaseShard> {
    // Each change leaves the state consistent, so it is safe to use a poisoned lock.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LeaseShard {
    /// Returns the leases of the key under the policy with this name.
    pub(super) fn get(&mut self, policy: &str, key: &Key) -> Option<&mut KeyLeases> {
        self.keys.get_mut(key)?.iter_mut().find(|leases| leases.policy.as_str() == policy)
    }

    /// Returns the leases of the key under the policy. Adds an entry for them if there is none. `None` if the shard has
    /// too many keys, if the key has leases under too many policies, or if the table is closed.
    pub(super) fn get_or_add(
        &mut self,
        policy: &PolicyName,
        key: &Key,
        now: Instant,
        new: impl FnOnce() -> KeyLeases,
    ) -> Option<&mut KeyLeases> {
        if self.is_closed {
            return None;
        }
        if !self.keys.contains_key(key) && self.keys.len() >= MAX_KEYS_PER_SHARD {
            self.remove_idle(now);
            if self.keys.len() >= MAX_KEYS_PER_SHARD {
                return None;
            }
        }
        let of_key = self.keys.entry(*key).or_default();
        let index = match of_key.iter().position(|leases| leases.policy == *policy) {
            Some(index) => index,
            None => {
                if of_key.len() >= MAX_POLICIES_PER_KEY {
                    of_key.retain(|leases| !leases.is_idle(now));
                }
                if of_key.len() >= MAX_POLICIES_PER_KEY {
                    return None;
                }
                of_key.push(new());
                of_key.len() - 1
            }
        };
        of_key.get_mut(index)
    }

    fn remove_idle(&mut self, now: Instant) {
        if self.next_sweep.is_some_and(|at| now < at) {
            return;
        }
        self.next_sweep = Some(now + SWEEP_INTERVAL);
        self.keys.retain(|_, of_key| {
            of_key.retain(|leases| !leases.is_idle(now));
            !of_key.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Quota;

    #[test]
    fn one_key_has_leases_under_a_bounded_number_of_policies() {
        let table = LeaseTable::new(true);
        let quota: Quota = "1000/minute lease 20 for 1s".parse().unwrap();
        let (key, now) = (Key::global(), Instant::now());
        let add = |number: usize, at: Instant| {
            let policy = PolicyName::of(&format!("p{number}"));
            let new = || KeyLeases::new(policy.clone(), quota, quota.lease().unwrap(), at);
            table.shard(&key).unwrap().get_or_add(&policy, &key, at, new).is_some()
        };
        let added = (0..1_000).filter(|number| add(*number, now)).count();
        assert_eq!(added, MAX_POLICIES_PER_KEY);
        // The others are idle after the duration of a lease.
        assert!(add(1_000, now + Duration::from_secs(2)));
    }
}
