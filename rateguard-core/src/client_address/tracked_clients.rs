//! Stores the clients that have sent a request in the current or the previous period.

use crate::keyed_hash::HashedMap;

/// Tracks the clients that have keys of their own, in two groups: clients with a request in the current period, and
/// clients whose last request was in the previous period.
#[derive(Default)]
pub(super) struct TrackedClients {
    period: u64,
    /// The clients that have sent a request in the current period.
    current: Generation,
    /// The clients that have sent a request in the previous period but not in the current period.
    previous: Generation,
}

impl TrackedClients {
    /// Starts the period `period`, and removes the clients that have sent no request in the period before it.
    /// Returns the number of removed clients.
    pub(super) fn advance_to(&mut self, period: u64) -> usize {
        let elapsed = period.saturating_sub(self.period);
        if elapsed == 0 {
            return 0;
        }
        self.period = period;
        let current = std::mem::take(&mut self.current);
        let mut dropped = std::mem::take(&mut self.previous).clients.len();
        if elapsed == 1 {
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

    /// Records a request of a client in the current period. `wides` are the hashes of the wide networks that
    /// contain the client.
    pub(super) fn add(&mut self, client: u64, wides: impl Iterator<Item = u64> + Clone) {
        if self.is_previous(client) {
            self.previous.remove(client, wides.clone());
        }
        self.current.add(client, wides);
    }

    /// Returns the number of clients in a wide network that have keys of their own.
    pub(super) fn own_keys(&self, wide: u64) -> u32 {
        let own_keys = |generation: &Generation| generation.own_keys.get(&wide).copied();
        own_keys(&self.current).unwrap_or(0) + own_keys(&self.previous).unwrap_or(0)
    }
}

/// A group of clients whose last requests were all in one period.
#[derive(Default)]
struct Generation {
    clients: HashedMap<u64, ()>,
    /// For each wide network, the number of these clients in it.
    own_keys: HashedMap<u64, u32>,
}

impl Generation {
    fn add(&mut self, client: u64, wides: impl Iterator<Item = u64>) {
        self.clients.insert(client, ());
        wides.for_each(|wide| *self.own_keys.entry(wide).or_default() += 1);
    }

    fn remove(&mut self, client: u64, wides: impl Iterator<Item = u64>) {
        self.clients.remove(&client);
        for wide in wides {
            if let Some(own_keys) = self.own_keys.get_mut(&wide) {
                *own_keys = own_keys.saturating_sub(1);
            }
        }
    }
}
