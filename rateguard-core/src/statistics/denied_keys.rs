//! The keys that were denied most often.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    space_saving::{SpaceSaving, SpaceSavingCounter},
    values::DeniedKey,
};
use crate::{Key, key::DIGEST_BYTES, policy::PolicyName};

/// The duration of a generation. The keys of the current and of the previous generation are reported, so a key
/// disappears 5 to 10 minutes after its last denial.
const GENERATION: Duration = Duration::from_secs(5 * 60);

/// The maximum number of keys that a process reports.
pub(crate) const MAX_REPORTED: usize = 50;

/// The keys that were denied most often in the last 5 to 10 minutes.
pub(super) struct DeniedKeys {
    state: Mutex<State>,
}

struct State {
    /// The number of the current generation.
    generation: u64,
    current: Generation,
    previous: Generation,
    /// The Unix time at which the counts begin.
    start: Duration,
}

type Generation = SpaceSaving<Element, Keys>;
type Element = (PolicyName, [u8; DIGEST_BYTES]);

/// The key of an element.
#[derive(Clone, Copy)]
pub(super) struct Keys {
    /// The key in the form in which the store gets it.
    pub(super) hashed: Key,
    /// The key before it was hashed. `None` if the statistics have no texts of keys.
    pub(super) readable: Option<Key>,
}

impl DeniedKeys {
    pub(super) fn new(unix_time: Duration) -> Self {
        let state = State {
            generation: generation_of(unix_time),
            current: SpaceSaving::new(),
            previous: SpaceSaving::new(),
            start: unix_time,
        };
        Self { state: Mutex::new(state) }
    }

    /// Counts a denial. `readable` returns the key before it was hashed.
    pub(super) fn record(
        &self,
        policy: &PolicyName,
        key: &Key,
        unix_time: Duration,
        readable: impl FnOnce(&[u8; DIGEST_BYTES]) -> Option<Key>,
    ) {
        // The digest is computed before the lock is taken.
        let digest = key.digest();
        let keys = || Keys { hashed: *key, readable: readable(&digest) };
        self.lock(unix_time).current.increment((policy.clone(), digest), keys);
    }

    /// Returns the keys with the most denials, at most [`MAX_REPORTED`], and the time for which they were counted.
    /// `text` returns the text of a key.
    pub(super) fn report(
        &self,
        unix_time: Duration,
        text: impl Fn(&Key) -> Option<String>,
    ) -> (Vec<DeniedKey>, Duration) {
        let state = self.lock(unix_time);
        let mut merged: HashMap<&Element, (u64, u64, &Keys)> = HashMap::new();
        let generations = [(&state.current, &state.previous), (&state.previous, &state.current)];
        for (generation, other) in generations {
            for counter in generation.iter() {
                let SpaceSavingCounter { element, value, count, max_overcount } = counter;
                // An element without a counter in the other generation can have occurred there.
                let other = other.get(element).map_or_else(
                    || (other.max_uncounted(), other.max_uncounted()),
                    |it| (it.count, it.max_overcount),
                );
                let sum = (count + other.0, max_overcount + other.1, value);
                merged.entry(element).or_insert(sum);
            }
        }
        let mut keys: Vec<_> = merged.into_iter().collect();
        keys.sort_unstable_by(|(one, (count, ..)), (other, (other_count, ..))| {
            let order = |it: &Element| (it.1, it.0.as_str().len());
            other_count.cmp(count).then_with(|| order(one).cmp(&order(other)))
        });
        keys.truncate(MAX_REPORTED);
        let keys =
            keys.into_iter().map(|((policy, digest), (denials, max_overcount, keys))| DeniedKey {
                policy: policy.as_str().to_owned(),
                key_digest: hex(digest),
                key: keys.readable.as_ref().and_then(&text),
                denials,
                max_overcount,
            });
        let since = state.start.max(GENERATION * previous_of(state.generation));
        (keys.collect(), unix_time.saturating_sub(since))
    }

    /// Returns the key with this digest in the form in which the store gets it.
    pub(super) fn find(&self, digest: &[u8; DIGEST_BYTES], unix_time: Duration) -> Option<Key> {
        let state = self.lock(unix_time);
        let mut counters = state.current.iter().chain(state.previous.iter());
        counters.find(|it| it.element.1 == *digest).map(|it| it.value.hashed)
    }

    /// Takes the lock, and starts a new generation if the last one has ended.
    fn lock(&self, unix_time: Duration) -> MutexGuard<'_, State> {
        // No code panics while the lock is held, so the lock is never poisoned.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = generation_of(unix_time);
        if generation > state.generation {
            let last = std::mem::replace(&mut state.current, SpaceSaving::new());
            let is_next = generation == state.generation + 1;
            state.previous = if is_next { last } else { SpaceSaving::new() };
            state.generation = generation;
        }
        state
    }
}

fn generation_of(unix_time: Duration) -> u64 {
    unix_time.as_secs() / GENERATION.as_secs()
}

fn previous_of(generation: u64) -> u32 {
    u32::try_from(generation.saturating_sub(1)).unwrap_or(u32::MAX)
}

fn hex(digest: &[u8; DIGEST_BYTES]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deny(keys: &DeniedKeys, policy: &PolicyName, key: &str, time: u64) {
        keys.record(policy, &Key::from(key), Duration::from_secs(time), |_| None);
    }

    fn denials(keys: &DeniedKeys, time: u64) -> Vec<(String, u64, u64)> {
        let (keys, _) = keys.report(Duration::from_secs(time), |_| None);
        keys.into_iter().map(|it| (it.policy, it.denials, it.max_overcount)).collect()
    }

    #[test]
    fn key_disappears_after_two_generations() {
        let keys = DeniedKeys::new(Duration::from_secs(310));
        let (p, q) = (PolicyName::of("p"), PolicyName::of("q"));
        (0..3).for_each(|_| deny(&keys, &p, "one", 320));
        deny(&keys, &q, "one", 599);
        let both = vec![("p".to_owned(), 3, 0), ("q".to_owned(), 1, 0)];
        assert_eq!(denials(&keys, 599), both);
        assert_eq!(denials(&keys, 899), both);
        (0..3).for_each(|_| deny(&keys, &q, "one", 899));
        let sum = vec![("q".to_owned(), 4, 0), ("p".to_owned(), 3, 0)];
        assert_eq!(denials(&keys, 899), sum);
        assert_eq!(denials(&keys, 900), [("q".to_owned(), 3, 0)]);
        assert_eq!(denials(&keys, 1_200), []);
    }

    #[test]
    fn clock_that_jumps_over_a_generation_removes_all_keys() {
        let keys = DeniedKeys::new(Duration::ZERO);
        deny(&keys, &PolicyName::of("p"), "one", 0);
        assert_eq!(denials(&keys, 300).len(), 1);
        assert_eq!(denials(&keys, 900).len(), 0);
        // After a jump back, denials count in the current generation.
        deny(&keys, &PolicyName::of("p"), "one", 300);
        assert_eq!(denials(&keys, 900).len(), 1);
    }

    #[test]
    fn counted_time_begins_with_the_process_or_with_the_previous_generation() {
        let keys = DeniedKeys::new(Duration::from_secs(310));
        let since = |time| keys.report(Duration::from_secs(time), |_| None).1.as_secs();
        assert_eq!([since(310), since(400), since(899)], [0, 90, 589]);
        assert_eq!([since(900), since(1_199), since(1_200)], [300, 599, 300]);
    }

    #[test]
    fn error_of_a_full_generation_is_reported() {
        let keys = DeniedKeys::new(Duration::ZERO);
        let p = PolicyName::of("p");
        (0..256).for_each(|it| deny(&keys, &p, &format!("rare {it}"), 0));
        (0..9).for_each(|_| deny(&keys, &p, "attacker", 300));
        let top = denials(&keys, 300);
        assert_eq!(top[0], ("p".to_owned(), 10, 1));
        assert_eq!(top.len(), MAX_REPORTED);
        let found = keys.find(&Key::from("attacker").digest(), Duration::from_secs(300));
        assert_eq!(found, Some(Key::from("attacker")));
    }
}
