//! The log of a sliding window.

use super::{
    bucket::Bucket,
    config::{Config, Variant},
    lease::{Lease, Return},
    time::{Stamp, age_stamp, expired},
};

/// The log of a sliding window. A unit with the stamp `s` counts before `s + window`, so also before `s`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlidingWindow {
    /// The stamps of the units that belong to no lease, in ascending order.
    log: Vec<Stamp>,
    /// The time since each actual use of the last window, in ascending order.
    uses: Vec<u8>,
}

impl SlidingWindow {
    /// Removes up to `units` entries with this stamp, of any lease. Returns how many it removed.
    fn remove_by_stamp(
        &mut self,
        leases: &mut [Lease<Vec<Stamp>>],
        stamp: Stamp,
        units: u8,
    ) -> usize {
        let mut removed = 0;
        for entries in leases.iter_mut().map(|lease| &mut lease.hold).chain([&mut self.log]) {
            entries.retain(|&entry| {
                let remove = entry == stamp && removed < usize::from(units);
                removed += usize::from(remove);
                !remove
            });
        }
        removed
    }
}

impl Bucket for SlidingWindow {
    type Hold = Vec<Stamp>;

    const NEEDS_STAMPS: bool = true;

    fn new(_: &Config) -> Self {
        Self { log: Vec::new(), uses: Vec::new() }
    }

    fn room(&self, config: &Config, leases: &[Lease<Vec<Stamp>>]) -> u8 {
        let leased: usize = leases.iter().map(|lease| lease.hold.len()).sum();
        usize::from(config.limit).saturating_sub(self.log.len() + leased) as u8
    }

    fn grant(&mut self, config: &Config, units: u8) -> Vec<Stamp> {
        let stamp = if config.has(Variant::StampAtGrant) { 0 } else { config.ttl as Stamp };
        vec![stamp; usize::from(units)]
    }

    fn take(&mut self) {
        self.log.push(0);
        self.log.sort_unstable();
        self.record_use();
    }

    fn record_use(&mut self) {
        self.uses.insert(0, 0);
    }

    fn forget_use(&mut self, age: u8) {
        if let Some(number) = self.uses.iter().position(|&it| it == age) {
            self.uses.remove(number);
        }
    }

    fn refund(&mut self, config: &Config, leases: &mut [Lease<Vec<Stamp>>], stamp: Stamp) {
        let units = if config.has(Variant::RefundTwice) { 2 } else { 1 };
        self.remove_by_stamp(leases, stamp, units);
    }

    fn settle(
        &mut self,
        config: &Config,
        leases: &mut [Lease<Vec<Stamp>>],
        index: usize,
        returned: &Return,
    ) {
        let (expiry, found) = if config.has(Variant::ReturnFindsByStamp) {
            let found = self.remove_by_stamp(leases, returned.expiry, returned.granted);
            (returned.expiry, found)
        } else {
            // All entries of the lease have the same stamp.
            let entries = std::mem::take(&mut leases[index].hold);
            (entries.first().copied().unwrap_or_default(), entries.len())
        };
        if config.has(Variant::ReturnDeletesUsed) {
            return;
        }
        // A return moves entries only to earlier times, and it inserts none: if the entries are gone, it does nothing.
        let used = returned.used.iter().rev().take(found).map(|&stamp| stamp.min(expiry));
        self.log.extend(used.filter(|&stamp| stamp > expired(config)));
        self.log.sort_unstable();
    }

    fn orphan(&mut self, hold: Vec<Stamp>) -> Vec<Stamp> {
        self.log.extend(hold);
        self.log.sort_unstable();
        Vec::new()
    }

    fn tick(&mut self, config: &Config, leases: &mut [Lease<Vec<Stamp>>]) {
        for entries in leases.iter_mut().map(|lease| &mut lease.hold).chain([&mut self.log]) {
            for entry in entries.iter_mut() {
                *entry = age_stamp(config, *entry);
            }
            entries.retain(|&entry| entry > expired(config));
        }
        self.uses.iter_mut().for_each(|age| *age += 1);
        self.uses.retain(|&age| age < config.window);
    }

    fn step_back(&mut self, config: &Config, leases: &mut [Lease<Vec<Stamp>>]) {
        // Without a limit, a large step would keep the units of a lease for a long time. A lease lasts at most `ttl`.
        let latest = if config.has(Variant::ClampsToNow) { 0 } else { config.ttl as Stamp };
        for entry in leases.iter_mut().flat_map(|lease| &mut lease.hold).chain(&mut self.log) {
            *entry = (*entry + 1).min(latest);
        }
    }

    fn reset(&mut self, config: &Config, leases: &mut [Lease<Vec<Stamp>>]) {
        let removes_leases = config.has(Variant::ResetRemovesLeases);
        for entries in leases.iter_mut().map(|lease| &mut lease.hold).chain([&mut self.log]) {
            // An entry from the future belongs to a lease that its process may still serve.
            entries.retain(|&entry| entry > 0 && !removes_leases);
        }
        self.uses.clear();
    }

    fn is_bounded(&self, config: &Config, leases: &[Lease<Vec<Stamp>>]) -> bool {
        let mut entries: Vec<_> =
            self.log.iter().chain(leases.iter().flat_map(|lease| &lease.hold)).collect();
        entries.retain(|&&entry| entry > expired(config));
        entries.len() <= usize::from(config.limit)
            && entries.iter().all(|&&entry| entry <= config.ttl as Stamp)
    }

    fn is_respected(&self, config: &Config) -> bool {
        self.uses.len() <= usize::from(config.limit)
    }

    fn is_exhausted(&self, config: &Config) -> bool {
        self.uses.len() == usize::from(config.limit)
    }
}
