//! Denials that are remembered for a moment: who comes again before there can be room is denied without asking the store.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::{BuildHasher, Hash, Hasher},
    slice,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use smallvec::SmallVec;

use crate::{
    StoreError,
    key::DIGEST_BYTES,
    store::{BucketRequest, BucketStatus, Operation, Receipt, Verdict},
};

const SHARDS: usize = 16;
/// So many denials are remembered in each shard, which is as many keys as a table of 4,096 places holds. Who finds no room
/// is asked for each time.
const MOST: usize = 3_584;
/// And so many of one key: it may be asked for under several policies and at several costs.
const MAX_DENIALS_PER_KEY: usize = 4;
/// No sooner it is looked again for denials that hold no more.
const SWEEP_EVERY: Duration = Duration::from_millis(100);
/// Into so many parts the keys of a shard are divided whose changes are counted together.
const PARTS: usize = 64;

type Digest = [u8; DIGEST_BYTES];

pub(super) struct DenialCache {
    /// How long a denial is remembered at the most, and so how long it takes until a change elsewhere is noticed.
    longest: Duration,
    hasher: RandomState,
    /// None if nothing is remembered.
    shards: Box<[Mutex<Shard>]>,
}

struct Shard {
    denials: HashMap<Digest, SmallVec<[Denial; 1]>>,
    /// How many denials there are.
    held: usize,
    /// How often something changed.
    changes: [u64; PARTS],
    sweep_at: Option<Instant>,
}

struct Denial {
    /// A hash of all that was asked for.
    asked: u64,
    /// A bit for each policy that it was asked under; two may have one.
    policies: u64,
    told_at: Instant,
    until: Instant,
    levels: SmallVec<[BucketStatus; 1]>,
}

impl DenialCache {
    pub(super) fn new(longest: Duration) -> Self {
        let shards = if longest.is_zero() { 0 } else { SHARDS };
        let shards = (0..shards).map(|_| Mutex::new(Shard::new())).collect();
        Self { longest, hasher: RandomState::new(), shards }
    }

    pub(super) fn longest(&self) -> Duration {
        self.longest
    }

    /// What is known of the answer to this. Of a check of a single key, a denial is certain for a while; of several keys,
    /// others may take for a moment what they give back.
    pub(super) fn recall<'a>(
        &'a self,
        operation: Operation,
        charges: &'a [BucketRequest<'a>],
    ) -> CacheLookup<'a> {
        let Some(first) = charges.first() else { return CacheLookup::Nothing(None) };
        if self.longest.is_zero() || operation != Operation::Check || have_several_keys(charges) {
            return CacheLookup::Nothing(None);
        }
        let (at, digest) = (Instant::now(), first.bucket.digest());
        let shard = self.shard(&digest);
        if let Some(levels) = shard.denial(&digest, || self.asked(charges), at) {
            let levels = levels.map(|level| (level, Receipt::default()));
            return CacheLookup::Denial(Verdict::new(false, levels));
        }
        let changes = shard.changes[part(&digest)];
        CacheLookup::Nothing(Some(PendingInsert { remembered: self, charges, digest, at, changes }))
    }

    /// How the bucket stands by a denial of this check that still holds, if there is one.
    pub(super) fn denial(&self, charge: &BucketRequest<'_>) -> Option<BucketStatus> {
        if self.longest.is_zero() {
            return None;
        }
        let (digest, charges) = (charge.bucket.digest(), slice::from_ref(charge));
        self.shard(&digest).denial(&digest, || self.asked(charges), Instant::now())?.next()
    }

    /// A hash of the question: nobody can find another with the same.
    fn asked(&self, charges: &[BucketRequest<'_>]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        for BucketRequest { bucket, quota, cost, check_only, .. } in charges {
            (bucket.name(), bucket.place(), quota, cost, check_only).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// Something is about to be done to these buckets, after which nothing is remembered of them: unless it turns out to
    /// have changed nothing, also if nobody waits for its end.
    pub(super) fn change<'a>(
        &'a self,
        operation: Operation,
        charges: &'a [BucketRequest<'a>],
    ) -> Option<Invalidation<'a>> {
        let changes = !self.longest.is_zero() && operation != Operation::Peek;
        // A check that is not answered, or dropped, can only have taken units, which makes no room: denials stay denials.
        let forgets = operation != Operation::Check;
        changes.then(|| Invalidation { remembered: self, charges, operation, forgets })
    }

    /// How many denials are held.
    #[cfg(feature = "metrics")]
    pub(super) fn held(&self) -> usize {
        let held = |shard: &Mutex<Shard>| shard.lock().unwrap_or_else(PoisonError::into_inner).held;
        self.shards.iter().map(held).sum()
    }

    fn policies(&self, charges: &[BucketRequest<'_>]) -> u64 {
        let bit =
            |charge: &BucketRequest<'_>| 1 << (self.hasher.hash_one(charge.bucket.name()) % 64);
        charges.iter().map(bit).fold(0, |all, bit: u64| all | bit)
    }

    fn shard(&self, digest: &Digest) -> MutexGuard<'_, Shard> {
        let shard = &self.shards[usize::from(digest[0]) % SHARDS];
        // Nothing panics while it is locked.
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) enum CacheLookup<'a> {
    /// The denial of the same question, which still holds, with its numbers as they are now.
    Denial(Verdict),
    /// It has to be asked. Its answer may be worth to be remembered, if it is a question.
    Nothing(Option<PendingInsert<'a>>),
}

/// A check whose denial may be remembered.
pub(super) struct PendingInsert<'a> {
    remembered: &'a DenialCache,
    charges: &'a [BucketRequest<'a>],
    digest: Digest,
    at: Instant,
    /// How much had changed when it was asked.
    changes: u64,
}

impl PendingInsert<'_> {
    /// Remembers the verdict if it is a denial.
    pub(super) fn answered(self, verdict: &Verdict) {
        if verdict.is_allowed() {
            return;
        }
        let levels: SmallVec<[BucketStatus; 1]> = verdict.levels().collect();
        // Until some number changes by itself. The store has decided after it was asked, so this is never too late.
        let changes = levels.iter().flat_map(|level| [Some(level.reset_after), level.retry_after]);
        let changes = changes.flatten().filter(|change| !change.is_zero());
        let lasts = changes.fold(self.remembered.longest, Duration::min);
        let told_at = Instant::now();
        let Some(until) = self.at.checked_add(lasts).filter(|until| *until > told_at) else {
            return;
        };
        let asked = self.remembered.asked(self.charges);
        let policies = self.remembered.policies(self.charges);
        let mut shard = self.remembered.shard(&self.digest);
        // It may have been decided before what has changed meanwhile.
        if shard.changes[part(&self.digest)] == self.changes {
            let denial = Denial { asked, policies, told_at, until, levels };
            shard.remember(&self.digest, denial);
        }
    }
}

/// Forgets what is remembered of some buckets when it ends.
pub(super) struct Invalidation<'a> {
    remembered: &'a DenialCache,
    charges: &'a [BucketRequest<'a>],
    operation: Operation,
    forgets: bool,
}

impl Invalidation<'_> {
    /// A denial has changed nothing.
    pub(super) fn record(mut self, answer: &Result<Verdict, StoreError>) {
        self.forgets = match answer {
            Ok(verdict) => verdict.is_allowed(),
            Err(_) => self.operation != Operation::Check,
        };
    }
}

impl Drop for Invalidation<'_> {
    fn drop(&mut self) {
        if self.forgets {
            for charge in self.charges {
                let policies = || self.remembered.policies(slice::from_ref(charge));
                let digest = charge.bucket.digest();
                self.remembered.shard(&digest).forget(&digest, policies);
            }
        }
    }
}

impl Shard {
    fn new() -> Self {
        Self { denials: HashMap::new(), held: 0, changes: [0; PARTS], sweep_at: None }
    }

    fn denial(
        &self,
        digest: &Digest,
        asked: impl FnOnce() -> u64,
        now: Instant,
    ) -> Option<impl Iterator<Item = BucketStatus>> {
        let of_key = self.denials.get(digest)?;
        // Most keys have none, and what nobody needs is not reckoned.
        let asked = asked();
        let denial = of_key.iter().find(|it| it.asked == asked && now < it.until)?;
        let since = now.saturating_duration_since(denial.told_at);
        let aged = move |level: &BucketStatus| BucketStatus {
            remaining: level.remaining,
            reset_after: level.reset_after.saturating_sub(since),
            retry_after: level.retry_after.map(|retry| retry.saturating_sub(since)),
        };
        Some(denial.levels.iter().map(aged))
    }

    fn remember(&mut self, digest: &Digest, denial: Denial) {
        let now = denial.told_at;
        self.forget_where(digest, |it| it.asked == denial.asked || now >= it.until);
        if self.sweep_at.is_none_or(|at| now >= at) {
            self.sweep_at = now.checked_add(SWEEP_EVERY);
            self.denials.retain(|_, of_key| {
                of_key.retain(|it| now < it.until);
                !of_key.is_empty()
            });
            self.held = self.denials.values().map(SmallVec::len).sum();
        }
        if self.held < MOST {
            let of_key = self.denials.entry(*digest).or_default();
            if of_key.len() == MAX_DENIALS_PER_KEY {
                of_key.remove(0);
                self.held -= 1;
            }
            of_key.push(denial);
            self.held += 1;
        }
    }

    fn forget(&mut self, digest: &Digest, policies: impl FnOnce() -> u64) {
        // Also what is on its way.
        self.changes[part(digest)] += 1;
        if self.denials.contains_key(digest) {
            let policies = policies();
            self.forget_where(digest, |it| it.policies & policies != 0);
        }
    }

    fn forget_where(&mut self, digest: &Digest, is_over: impl Fn(&Denial) -> bool) {
        if let Some(of_key) = self.denials.get_mut(digest) {
            let before = of_key.len();
            of_key.retain(|it| !is_over(it));
            self.held -= before - of_key.len();
            if of_key.is_empty() {
                self.denials.remove(digest);
            }
        }
    }
}

/// The part of its shard that a key belongs to.
fn part(digest: &Digest) -> usize {
    usize::from(digest[1]) % PARTS
}

/// Whether these are of more than one key.
pub(super) fn have_several_keys(charges: &[BucketRequest<'_>]) -> bool {
    charges.iter().any(|charge| charge.bucket.key() != charges[0].bucket.key())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_has_some_ten_megabytes_at_the_most() {
        // A table has a byte for each place beside it, and eight places for seven keys.
        let place = size_of::<(Digest, SmallVec<[Denial; 1]>)>() + 1;
        let tables = SHARDS * MOST / 7 * 8 * place;
        assert!(tables < 10_000_000, "{tables}");
    }
}
