//! The keys of a policy with their requests, denials and use, up to a maximum number of keys.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
};

use actix_rateguard_core::{Key, Quota};

use super::quota_use::QuotaUse;

/// The requests, denials and use of a key.
#[derive(Debug)]
pub(crate) struct KeyEntry {
    pub(crate) requests: u64,
    pub(crate) denied: u64,
    /// The times of the first and of the last denial, in microseconds since 1970.
    pub(crate) first_denied: u64,
    pub(crate) last_denied: u64,
    /// The end of the ban in the last denial, in microseconds since 1970.
    pub(crate) banned_until: u64,
    /// The key for people. `None` before the first denial, because only denied keys are shown.
    pub(crate) text: Option<Box<str>>,
    pub(crate) uses: Box<[QuotaUse]>,
    /// The end, the time and the units of the requests in progress whose response does not count.
    refunds: BinaryHeap<Reverse<(u64, u64, u32)>>,
}

/// A request that takes units of a key. Times are in microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestUse {
    pub(crate) time: u64,
    pub(crate) duration: u64,
    pub(crate) units: u32,
    /// Whether the response gives the units back.
    pub(crate) is_refunded: bool,
}

impl KeyEntry {
    fn new(quotas: &[Quota]) -> Self {
        let uses = quotas.iter().map(|quota| QuotaUse::new(*quota)).collect();
        Self {
            requests: 0,
            denied: 0,
            first_denied: 0,
            last_denied: 0,
            banned_until: 0,
            text: None,
            uses,
            refunds: BinaryHeap::new(),
        }
    }

    /// Counts the units that the request takes if nothing is denied. A request needs room for its units even if its
    /// response does not count, so its units are refunded only at its end.
    pub(crate) fn add_use(&mut self, quotas: &[Quota], request: RequestUse) {
        let RequestUse { time, duration, units, is_refunded } = request;
        self.refund_until(quotas, time);
        for (usage, quota) in self.uses.iter_mut().zip(quotas) {
            usage.add(*quota, time, units, duration);
        }
        if is_refunded {
            self.refunds.push(Reverse((time.saturating_add(duration), time, units)));
        }
    }

    fn refund_until(&mut self, quotas: &[Quota], now: u64) {
        while let Some(Reverse((end, time, units))) = self.refunds.peek().copied()
            && end <= now
        {
            self.refunds.pop();
            for (usage, quota) in self.uses.iter_mut().zip(quotas) {
                usage.refund(*quota, time, units);
            }
        }
    }

    pub(crate) fn add_denial(&mut self, time: u64, text: impl FnOnce() -> String) {
        if self.denied == 0 {
            self.first_denied = time;
            self.text = Some(text().into());
        }
        self.denied += 1;
        self.last_denied = time;
    }
}

pub(crate) struct KeyTable {
    entries: HashMap<Key, KeyEntry>,
    max_keys: usize,
}

impl KeyTable {
    pub(crate) fn new(max_keys: usize) -> Self {
        Self { entries: HashMap::new(), max_keys }
    }

    /// Returns the entry of a key. The first request of a key adds it. `None` if the table is full and the key is new.
    pub(crate) fn entry(&mut self, key: &Key, quotas: &[Quota]) -> Option<&mut KeyEntry> {
        if self.entries.len() >= self.max_keys {
            return self.entries.get_mut(key);
        }
        Some(self.entries.entry(*key).or_insert_with(|| KeyEntry::new(quotas)))
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &KeyEntry> {
        self.entries.values()
    }

    /// Returns the denied keys with the most denials, at most `count` of them.
    pub(crate) fn top_denied(&self, count: usize) -> Vec<&KeyEntry> {
        let mut denied: Vec<&KeyEntry> = self.entries().filter(|it| it.denied > 0).collect();
        denied.sort_unstable_by(|one, other| {
            (other.denied, &one.text).cmp(&(one.denied, &other.text))
        });
        denied.truncate(count);
        denied
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_table_has_entries_for_earlier_keys_only() {
        let mut table = KeyTable::new(2);
        for key in ["a", "b", "a"] {
            assert!(table.entry(&Key::from(key), &[]).is_some());
        }
        assert!(table.entry(&Key::from("c"), &[]).is_none());
        assert!(table.entry(&Key::from("b"), &[]).is_some());
        assert_eq!(table.len(), 2);
    }

    #[test]
    fn refunded_request_needs_room_until_its_end() {
        for rate in ["9/minute", "9/calendar day"] {
            let quotas: actix_rateguard_core::Quotas = rate.parse().unwrap();
            let quotas = quotas.as_slice();
            let mut entry = KeyEntry::new(quotas);
            // The second request starts in the first one, and the third one after both.
            for (time, duration, is_refunded, peak) in
                [(100, 10, true, 2), (105, 5, true, 4), (110, 0, false, 4), (111, 0, true, 4)]
            {
                entry.add_use(quotas, RequestUse { time, duration, units: 2, is_refunded });
                assert_eq!(entry.uses[0].peak(), peak, "{rate} {time}");
            }
            entry.add_use(
                quotas,
                RequestUse { time: 112, duration: 0, units: 3, is_refunded: false },
            );
            assert_eq!(entry.uses[0].peak(), 5, "{rate}");
        }
    }

    #[test]
    fn keys_with_most_denials_come_first() {
        let mut table = KeyTable::new(10);
        for (key, denials) in [("a", 1), ("b", 3), ("c", 3), ("d", 0)] {
            let entry = table.entry(&Key::from(key), &[]).unwrap();
            (0..denials).for_each(|time| entry.add_denial(time, || key.to_owned()));
        }
        let top = table.top_denied(2);
        let top: Vec<&str> = top.iter().filter_map(|it| it.text.as_deref()).collect();
        assert_eq!(top, ["b", "c"]);
    }
}
