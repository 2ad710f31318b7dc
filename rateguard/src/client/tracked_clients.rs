//! Clients by the period in which they were last heard of, in two generations.

use crate::keyed_hash::HashedMap;

/// The clients of some networks that have keys of their own, and when they were last heard of.
#[derive(Default)]
pub(super) struct TrackedClients {
    period: u64,
    /// Those that have sent something in this period.
    current: Generation,
    /// Those that have in the one before, and not yet in this.
    previous: Generation,
}

impl TrackedClients {
    /// Comes to this period. How many clients are no longer tracked.
    pub(super) fn come_to(&mut self, period: u64) -> usize {
        let passed = period.saturating_sub(self.period);
        if passed == 0 {
            return 0;
        }
        self.period = period;
        let current = std::mem::take(&mut self.current);
        let mut dropped = std::mem::take(&mut self.previous).clients.len();
        if passed == 1 {
            self.previous = current;
        } else {
            dropped += current.clients.len();
        }
        dropped
    }

    pub(super) fn is_current(&self, client: u64) -> bool {
        self.current.clients.contains_key(&client)
    }

    pub(super) fn is_previous(&self, client: u64) -> bool {
        self.previous.clients.contains_key(&client)
    }

    /// Adds a client of these wide networks to those of this period.
    pub(super) fn add(&mut self, client: u64, wides: impl Iterator<Item = u64> + Clone) {
        if self.is_previous(client) {
            self.previous.remove(client, wides.clone());
        }
        self.current.add(client, wides);
    }

    /// How many clients of a wide network have keys of their own.
    pub(super) fn held(&self, wide: u64) -> u32 {
        let of = |generation: &Generation| generation.held.get(&wide).copied().unwrap_or(0);
        of(&self.current) + of(&self.previous)
    }
}

/// Clients that were last heard of in one period.
#[derive(Default)]
struct Generation {
    clients: HashedMap<u64, ()>,
    /// How many of them each wide network has.
    held: HashedMap<u64, u32>,
}

impl Generation {
    fn add(&mut self, client: u64, wides: impl Iterator<Item = u64>) {
        self.clients.insert(client, ());
        wides.for_each(|wide| *self.held.entry(wide).or_default() += 1);
    }

    fn remove(&mut self, client: u64, wides: impl Iterator<Item = u64>) {
        self.clients.remove(&client);
        for wide in wides {
            if let Some(held) = self.held.get_mut(&wide) {
                *held = held.saturating_sub(1);
            }
        }
    }
}
