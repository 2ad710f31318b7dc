//! Assigns a key to each client in a wide IPv6 network: a key of its own, or a key that several clients share.

use std::{
    net::Ipv6Addr,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use super::{
    Network,
    network_caps::{CappedTier, NetworkCaps},
    shared_key::SharedKey,
    tracked_clients::TrackedClients,
};
use crate::{Key, key::KeySecret, keyed_hash::random_u128s};

/// The duration of a period. A client loses its own key after 1 to 2 periods without a request.
const PERIOD: Duration = Duration::from_secs(60);

const SHARDS: usize = 16;

/// Tracks the clients of one process that have used keys of their own in the last 1 to 2 minutes.
///
/// A client is the network of an IPv6 address, by default its /64. A /48 or /32 network is full if the number of its
/// clients that have keys of their own has reached the [maximum](NetworkCaps). A new client gets its own key if
/// neither its /48 nor its /32 is full. Otherwise the client gets one of the shared keys of the full network. A hash
/// that clients cannot predict chooses the shared key.
///
/// The total number of tracked clients has a maximum, too (see [`NetworkCaps`]). Above this maximum, every new
/// client gets a shared key of its /32. So an attacker with many /32 networks cannot exhaust the memory, and all
/// clients are still served.
pub struct NetworkKeys {
    start: Instant,
    hash: NetworkHash,
    /// The tracked clients. Each client is in the shard of its /32, so one lock protects all counts that affect a
    /// client.
    shards: [Mutex<TrackedClients>; SHARDS],
    /// The number of tracked clients in all shards.
    tracked: AtomicUsize,
    /// The number of the last period in which `clean` removed the expired clients from all shards.
    cleaned: AtomicU64,
    /// The seed of the hash that chooses the shared key of a client.
    seed: [u8; 16],
}

impl Default for NetworkKeys {
    fn default() -> Self {
        Self::new()
    }
}

impl NetworkKeys {
    /// Creates an instance that tracks no clients.
    pub fn new() -> Self {
        let mut random = random_u128s();
        Self {
            start: Instant::now(),
            hash: NetworkHash { factors: std::array::from_fn(|_| random()) },
            shards: std::array::from_fn(|_| Mutex::default()),
            tracked: AtomicUsize::new(0),
            cleaned: AtomicU64::new(0),
            seed: random().to_be_bytes(),
        }
    }

    /// Derives the seed of the hash from a secret. All processes with the same secret then choose the same shared
    /// key for a client.
    pub fn with_secret(self, secret: &KeySecret) -> Self {
        Self { seed: secret.seal(&Key::tagged("shared network keys", [""; 0])).digest(), ..self }
    }

    /// Returns the network of the client if the client has a key of its own, or else the shared key under which the
    /// requests of the client are counted. If `assign` is true, a new client gets a key of its own if possible. If
    /// `assign` is false, the call changes no state.
    pub fn counted_as(&self, client: Network, caps: NetworkCaps, assign: bool) -> Network {
        self.counted_at(client, caps, assign, self.start.elapsed())
    }

    fn counted_at(
        &self,
        client: Network,
        caps: NetworkCaps,
        assign: bool,
        now: Duration,
    ) -> Network {
        let Network::V6 { first, bits } = client else { return client };
        match self.full_tier(first, bits, caps, assign, now) {
            Some(tier) => Network::SharedV6(self.shared_key(first, bits, tier)),
            None => client,
        }
    }

    /// Returns the tier of the full network whose shared keys the client must use. `None` if the client has a key of
    /// its own or can get one.
    fn full_tier(
        &self,
        first: Ipv6Addr,
        bits: u8,
        caps: NetworkCaps,
        assign: bool,
        now: Duration,
    ) -> Option<CappedTier> {
        let widest = caps.tiers(bits).next_back()?;
        let wide = |tier: CappedTier| self.hash.of(first, tier.bits, bits);
        let client = self.hash.of(first, bits, bits);
        let period = now.as_secs() / PERIOD.as_secs();

        // The shard of the client's /32 contains the counts of its /48 and of its /32.
        let index = self.hash.of(first, 32, bits) as usize % SHARDS;
        let mut shard = self.shard(index, period);
        if shard.is_current(client) {
            return None;
        }
        let is_tracked = shard.is_previous(client);
        if !is_tracked {
            let is_full = |tier: &CappedTier| shard.own_keys(wide(*tier)) >= tier.max_own;
            if let Some(tier) = caps.tiers(bits).find(is_full) {
                return Some(tier);
            }
            if self.tracked.load(Relaxed) >= caps.max_tracked() {
                drop(shard);
                if !self.clean(period, caps.max_tracked()) {
                    return Some(widest);
                }
                shard = self.shard(index, period);
            }
        }
        if assign {
            let wides = caps.tiers(bits).map(wide);
            shard.add(client, wides);
            self.tracked.fetch_add(usize::from(!is_tracked), Relaxed);
        }
        None
    }

    /// Locks a shard and removes the clients that have expired when this period begins.
    fn shard(&self, index: usize, period: u64) -> MutexGuard<'_, TrackedClients> {
        // No code panics while the lock is held, so the lock is never poisoned.
        let mut shard = self.shards[index].lock().unwrap_or_else(PoisonError::into_inner);
        self.tracked.fetch_sub(shard.advance_to(period), Relaxed);
        shard
    }

    /// Removes expired clients from all shards, at most once in each period. Returns whether the maximum allows
    /// another tracked client.
    fn clean(&self, period: u64, max_tracked: usize) -> bool {
        if self.cleaned.fetch_max(period, Relaxed) < period {
            (0..SHARDS).for_each(|index| drop(self.shard(index, period)));
        }
        self.tracked.load(Relaxed) < max_tracked
    }

    fn shared_key(&self, first: Ipv6Addr, bits: u8, tier: CappedTier) -> SharedKey {
        let CappedTier { bits: wide_bits, max_own, shared } = tier;
        let parts = [self.seed.as_slice(), &[bits, wide_bits], &first.octets()];
        let digest = Key::tagged("shared network key", parts).digest();
        let random = u128::from_be_bytes(digest) >> 64;
        // `random` is below 2^64, so `number` is below the number of shared keys.
        let number = ((random * u128::from(shared)) >> 64) as u32;
        let first = Ipv6Addr::from_bits(prefix(first, wide_bits));
        SharedKey { first, bits: wide_bits, client_bits: bits, number, of: shared, max_own }
    }
}

/// Returns an address that has the first `bits` bits of this address, followed by zeros. `bits` is from 32 to 128.
fn prefix(address: Ipv6Addr, bits: u8) -> u128 {
    address.to_bits() & u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0)
}

/// A keyed hash of networks. Two different networks have the same hash with a probability of 2^-64.
struct NetworkHash {
    /// The secret random factors of a multilinear hash. The in-memory store uses the same kind of hash for its
    /// buckets.
    factors: [u128; 4],
}

impl NetworkHash {
    /// Returns the hash of the network that consists of the first `bits` bits of this address. `client_bits` is the
    /// prefix length of the clients that are counted in the network.
    fn of(&self, address: Ipv6Addr, bits: u8, client_bits: u8) -> u64 {
        let network = prefix(address, bits);
        let sizes = u128::from(bits) << 8 | u128::from(client_bits);
        let words = [1, network >> 64, network & u128::from(u64::MAX), sizes];
        let products =
            self.factors.iter().zip(words).map(|(factor, word)| factor.wrapping_mul(word));
        (products.fold(0, u128::wrapping_add) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const CAPS: NetworkCaps = NetworkCaps::DEFAULT;

    /// Returns the /64 network that has this number in 2001:db8:1::/48. Numbers above 65,535 belong to the next /48
    /// networks.
    fn client(number: u64) -> Network {
        let network = (0x2001_0db8_0001 << 16) + number;
        Network::V6 { first: Ipv6Addr::from_bits(u128::from(network) << 64), bits: 64 }
    }

    fn has_own_key(keys: &NetworkKeys, client: Network, now: Duration) -> bool {
        keys.counted_at(client, CAPS, true, now) == client
    }

    #[test]
    fn active_clients_have_own_keys_for_up_to_two_periods() {
        let keys = NetworkKeys::new();
        assert!((0..1_024).all(|number| has_own_key(&keys, client(number), SECOND)));
        assert!((1_024..5_000).all(|number| !has_own_key(&keys, client(number), SECOND)));
        // In the minutes 1 to 4, only the first 512 clients send further requests.
        for minute in 1..5 {
            let now = minute * PERIOD;
            assert!((0..512).all(|number| has_own_key(&keys, client(number), now)));
        }
        let now = 5 * PERIOD;
        assert!((2_000..2_512).all(|number| has_own_key(&keys, client(number), now)));
        assert!((3_000..4_000).all(|number| !has_own_key(&keys, client(number), now)));
        assert!((0..512).all(|number| has_own_key(&keys, client(number), now)));
        assert_eq!(keys.tracked.load(Relaxed), 1_024);
        // A client without requests for two periods loses its own key, so the new clients get keys of their own.
        assert!((9_000..10_024).all(|number| has_own_key(&keys, client(number), 7 * PERIOD)));
        assert_eq!(keys.tracked.load(Relaxed), 1_024);
    }

    #[test]
    fn lookup_without_assignment_changes_nothing() {
        let keys = NetworkKeys::new();
        for number in 0..5_000 {
            let client = client(number);
            assert_eq!(keys.counted_at(client, CAPS, false, SECOND), client);
        }
        assert_eq!(keys.tracked.load(Relaxed), 0);
        assert!((0..1_024).all(|number| has_own_key(&keys, client(number), SECOND)));
    }

    #[test]
    fn clients_above_the_tracking_maximum_get_shared_keys() {
        let keys = NetworkKeys::new();
        let max = CAPS.max_tracked();
        // Each of these clients is in another /32 network. The number of clients is above the maximum of tracked
        // clients.
        let of_provider = |number: usize| Network::V6 {
            first: Ipv6Addr::from_bits((number as u128 + 1) << 96),
            bits: 64,
        };
        let own = (0..max + 10_000)
            .filter(|number| has_own_key(&keys, of_provider(*number), SECOND))
            .count();
        assert_eq!((own, keys.tracked.load(Relaxed)), (max, max));
        // Above the maximum number of tracked clients, each client gets a shared key of its /32.
        let Network::SharedV6(shared) = keys.counted_at(of_provider(max), CAPS, true, SECOND)
        else {
            panic!("the client got a key of its own")
        };
        assert_eq!((shared.bits, shared.of), (32, 1_024));
        // After two periods, the old clients of all shards have expired, so new clients get keys of their own. All
        // new clients are in one shard, which then has more clients than it had at the start.
        let is_in_first_shard = |client: &Network| match client {
            Network::V6 { first, .. } => {
                (keys.hash.of(*first, 32, 64) as usize).is_multiple_of(SHARDS)
            }
            _ => false,
        };
        let mut later =
            (max..).map(of_provider).filter(is_in_first_shard).take(max / SHARDS * 5 / 4);
        assert!(later.all(|client| has_own_key(&keys, client, 2 * PERIOD)));
        assert_eq!(keys.tracked.load(Relaxed), max / SHARDS * 5 / 4);
    }

    #[test]
    fn processes_with_one_secret_choose_the_same_shared_keys() {
        let secret = KeySecret::new(b"sixteen bytes...").unwrap();
        let with_secret = || NetworkKeys::new().with_secret(&secret);
        let shared = |keys: NetworkKeys| -> Vec<Network> {
            let all = (0..3_000).map(|number| keys.counted_at(client(number), CAPS, true, SECOND));
            all.skip(1_024).collect()
        };
        let [one, other] = [with_secret(), with_secret()].map(shared);
        assert_eq!(one, other);
        let numbers: HashSet<_> = one
            .iter()
            .map(|network| match network {
                Network::SharedV6(shared) => shared.number,
                network => panic!("{network}"),
            })
            .collect();
        assert!(numbers.len() > 200 && numbers.iter().all(|number| *number < 256));
        assert_ne!(shared(NetworkKeys::new()), shared(NetworkKeys::new()));
    }
}
