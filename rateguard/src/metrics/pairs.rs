//! The policies and quotas that are told, and what is told of each.

use std::sync::{
    Mutex, OnceLock, PoisonError,
    atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed},
};

use metrics::{Counter, Gauge, Label, SharedString};

use super::{
    kept::{IsNew, Kept},
    names,
};
use crate::{Quota, mode::Mode, policy::PolicyName, words::Outcome};

/// So many pairs of a policy and a quota a guard tells in metrics: 200. Those that it comes to know later are `other`.
pub const MAX_PAIRS: usize = 200;

/// So few of them are taken that a pair is found with the first look or two.
const PLACES: usize = 512;
const ODDS: usize = Outcome::ALL.len() * Mode::ALL.len();

/// A table to which pairs are added and from which none is taken, so that who looks for one waits for nobody.
pub(super) struct Pairs {
    places: Box<[OnceLock<Box<Pair>>]>,
    known: AtomicUsize,
    adding: Mutex<()>,
    other: Pair,
}

impl Pairs {
    pub(super) fn new() -> Self {
        Self {
            places: (0..PLACES).map(|_| OnceLock::new()).collect(),
            known: AtomicUsize::new(0),
            adding: Mutex::new(()),
            other: Pair::new(PolicyName::of("other"), None, "other".to_owned()),
        }
    }

    pub(super) fn of(&self, policy: &PolicyName, quota: Option<Quota>) -> &Pair {
        let mut place = first_place(policy, quota);
        while let Some(pair) = self.places[place].get() {
            if pair.is(policy, quota) {
                return pair;
            }
            place = (place + 1) % PLACES;
        }
        if self.known.load(Relaxed) >= MAX_PAIRS {
            return &self.other;
        }
        self.add(policy, quota, place)
    }

    #[cold]
    fn add(&self, policy: &PolicyName, quota: Option<Quota>, mut place: usize) -> &Pair {
        let _adding = self.adding.lock().unwrap_or_else(PoisonError::into_inner);
        if self.known.load(Relaxed) >= MAX_PAIRS {
            return &self.other;
        }
        loop {
            let pair = self.places[place].get_or_init(|| {
                self.known.fetch_add(1, Relaxed);
                let text = quota.map_or("none".to_owned(), |quota| quota.to_string());
                Box::new(Pair::new(policy.clone(), quota, text))
            });
            // Somebody else may have been there just before.
            if pair.is(policy, quota) {
                return pair;
            }
            place = (place + 1) % PLACES;
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Pair> {
        self.places.iter().filter_map(OnceLock::get).map(Box::as_ref)
    }
}

/// A policy and one of its quotas, or none of them.
pub(super) struct Pair {
    policy: PolicyName,
    quota: Option<Quota>,
    policy_text: SharedString,
    quota_text: SharedString,
    /// By outcome and mode.
    decisions: [OnceLock<Box<Kept<Counter>>>; ODDS],
    limit: Kept<Gauge>,
    window: Kept<Gauge>,
    /// Of the guard's policies that may change while it runs.
    standing: AtomicU8,
}

/// It is no policy of the guard, or one that is in force, or was.
const OF_ANOTHER: u8 = 0;
const IN_FORCE: u8 = 1;
const OVER: u8 = 2;

impl Pair {
    fn new(policy: PolicyName, quota: Option<Quota>, quota_text: String) -> Self {
        let policy_text = SharedString::from(policy.as_str().to_owned());
        let quota_text = SharedString::from(quota_text);
        let (policy_label, quota_label) =
            (Label::new("policy", policy_text.clone()), Label::new("quota", quota_text.clone()));
        let labels = || vec![policy_label.clone(), quota_label.clone()];
        let limit = Kept::new(&names::QUOTA_LIMIT, labels());
        let window = Kept::new(&names::QUOTA_WINDOW, labels());
        let decisions = [const { OnceLock::new() }; ODDS];
        let standing = AtomicU8::new(OF_ANOTHER);
        Self { policy, quota, policy_text, quota_text, decisions, limit, window, standing }
    }

    pub(super) fn is(&self, policy: &PolicyName, quota: Option<Quota>) -> bool {
        self.quota == quota && self.policy.is(policy)
    }

    /// Counts a decision.
    pub(super) fn decided(&self, outcome: Outcome, mode: Mode) -> IsNew {
        let counter = self.decisions[outcome as usize * Mode::ALL.len() + mode as usize]
            .get_or_init(|| {
                let labels = vec![
                    Label::new("policy", self.policy_text.clone()),
                    Label::new("quota", self.quota_text.clone()),
                    Label::from_static_parts("outcome", outcome.word()),
                    Label::from_static_parts("mode", mode.word()),
                ];
                Box::new(Kept::new(&names::DECISIONS, labels))
            });
        counter.tell(|counter, _| counter.increment(1))
    }

    /// A policy of the guard has this quota.
    pub(super) fn come(&self) {
        self.standing.store(IN_FORCE, Relaxed);
        self.tell_quota();
    }

    /// None has, any more. That is told once, as another guard may yet have it.
    pub(super) fn leave(&self) {
        if self.standing.compare_exchange(IN_FORCE, OVER, Relaxed, Relaxed).is_ok() {
            self.limit.tell(|gauge, _| gauge.set(0.0));
            self.window.tell(|gauge, _| gauge.set(0.0));
        }
    }

    /// Tells how much the quota admits.
    pub(super) fn tell_quota(&self) {
        if let Some(quota) = self.quota.filter(|_| self.standing.load(Relaxed) != OVER) {
            self.limit.tell(|gauge, _| gauge.set(quota.limit()));
            self.window.tell(|gauge, _| gauge.set(quota.window().as_secs_f64()));
        }
    }
}

/// Where this pair is looked for first.
fn first_place(policy: &PolicyName, quota: Option<Quota>) -> usize {
    let hash = match quota {
        Some(quota) => mix(mix(policy.hash(), quota.limit().into()), quota.window_micros()),
        None => policy.hash(),
    };
    (hash >> 48) as usize % PLACES
}

/// A hash of the name of a policy.
pub(crate) fn hash(name: &str) -> u64 {
    let words = name.as_bytes().chunks(8).map(|chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_le_bytes(word)
    });
    words.fold(0, mix)
}

/// As rustc hashes: nobody gains by finding two of one place.
fn mix(hash: u64, word: u64) -> u64 {
    (hash.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_told_apart_and_found_again_until_there_are_too_many() {
        let (pairs, app) = (Pairs::new(), PolicyName::of("app"));
        let quotas = (1..=300).map(|limit| Quota::new(limit, Quota::MIN_WINDOW).unwrap());
        for (number, quota) in quotas.clone().enumerate() {
            let pair = pairs.of(&app, Some(quota));
            let text = if number < MAX_PAIRS { quota.to_string() } else { "other".to_owned() };
            assert_eq!(*pair.quota_text, *text);
        }
        for (number, quota) in quotas.enumerate().take(MAX_PAIRS) {
            // Another one of the same name.
            let app = PolicyName::of("app");
            assert!(pairs.of(&app, Some(quota)).is(&app, Some(quota)), "{number}");
        }
        assert_eq!(*pairs.of(&PolicyName::of("another"), None).policy_text, *"other");
        assert_eq!(pairs.iter().count(), MAX_PAIRS);
    }

    #[test]
    fn threads_that_come_at_once_find_one_pair() {
        let pairs = Pairs::new();
        let quota = |number| Quota::new(number, Quota::MIN_WINDOW).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let app = PolicyName::of("app");
                    (1..=100).for_each(|it| _ = pairs.of(&app, Some(quota(it))));
                });
            }
        });
        assert_eq!(pairs.iter().count(), 100);
    }
}
