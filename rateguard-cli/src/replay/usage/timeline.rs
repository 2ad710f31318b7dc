//! Counts allowed and denied requests over time, in a bounded number of slots.

use std::collections::BTreeMap;

/// The maximum number of slots. If there are more, the slots become longer.
const MAX_SLOTS: usize = 200;

/// The lengths of a slot in seconds. Each length is a multiple of the one before, so that slots can be merged.
const LENGTHS: [u64; 11] = [1, 5, 15, 60, 300, 900, 3_600, 10_800, 21_600, 43_200, 86_400];

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) allowed: u64,
    pub(crate) denied: u64,
}

/// The allowed and denied requests of a policy over time.
#[derive(Clone, Debug)]
pub(crate) struct Timeline {
    seconds: u64,
    /// The slots with requests, by their start in seconds since 1970.
    slots: BTreeMap<u64, Slot>,
    /// The slot of the last request. Most requests are in the slot of the request before.
    current: (u64, Slot),
}

impl Timeline {
    pub(crate) fn new() -> Self {
        Self { seconds: LENGTHS[0], slots: BTreeMap::new(), current: Default::default() }
    }

    /// Counts a request at a time that is not before the last one. `time` is in microseconds since 1970.
    pub(crate) fn add(&mut self, time: u64, is_denied: bool) {
        let start = self.start_of(time / 1_000_000);
        if start != self.current.0 {
            self.flush();
            self.current.0 = self.start_of(time / 1_000_000);
        }
        let slot = &mut self.current.1;
        if is_denied { slot.denied += 1 } else { slot.allowed += 1 }
    }

    /// Returns the length of a slot in seconds, and the slots with requests by their start in seconds since 1970.
    pub(crate) fn slots(&self) -> (u64, BTreeMap<u64, Slot>) {
        let mut copy = self.clone();
        copy.flush();
        (copy.seconds, copy.slots)
    }

    fn start_of(&self, seconds: u64) -> u64 {
        seconds - seconds % self.seconds
    }

    fn flush(&mut self) {
        let (start, Slot { allowed, denied }) = std::mem::take(&mut self.current);
        if allowed + denied == 0 {
            return;
        }
        let start = self.start_of(start);
        add_to(&mut self.slots, start, Slot { allowed, denied });
        while self.is_too_long() {
            let next = LENGTHS.iter().copied().find(|it| *it > self.seconds);
            self.seconds = next.unwrap_or(self.seconds * 2);
            for (start, slot) in std::mem::take(&mut self.slots) {
                let start = self.start_of(start);
                add_to(&mut self.slots, start, slot);
            }
        }
    }

    /// Returns whether the time from the first to the last slot has more than the maximum number of slots.
    fn is_too_long(&self) -> bool {
        let (first, last) = (self.slots.first_key_value(), self.slots.last_key_value());
        let Some(((first, _), (last, _))) = first.zip(last) else { return false };
        (last - first) / self.seconds >= MAX_SLOTS as u64
    }
}

fn add_to(slots: &mut BTreeMap<u64, Slot>, start: u64, added: Slot) {
    let slot = slots.entry(start).or_default();
    slot.allowed += added.allowed;
    slot.denied += added.denied;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_become_longer_and_lose_no_request() {
        for seconds in [1, 199, 200, 5_000, 1_000_000, 2_000_000_000] {
            let mut timeline = Timeline::new();
            let step = seconds / 1_000 + 1;
            let times: Vec<u64> = (0..=seconds).step_by(step as usize).collect();
            for time in &times {
                timeline.add((1_700_000_000 + time) * 1_000_000, time % 3 == 0);
            }
            let (length, slots) = timeline.slots();
            let sum = |count: fn(&Slot) -> u64| slots.values().map(count).sum::<u64>();
            assert_eq!(sum(|it| it.denied), times.iter().filter(|it| *it % 3 == 0).count() as u64);
            assert_eq!(sum(|it| it.allowed + it.denied), times.len() as u64);
            let (first, last) = (slots.keys().min().unwrap(), slots.keys().max().unwrap());
            assert!((last - first) / length < MAX_SLOTS as u64 + 1, "{seconds}");
            assert!(slots.keys().all(|start| start % length == 0));
        }
    }
}
