//! Which clients of wide IPv6 networks have keys of their own, and which share one.

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
    tracked_clients::TrackedClients,
};
use crate::{Key, bucket::KeySecret, keyed_hash::random_u128s};

/// A client keeps its own key until it has sent nothing for one to two of these.
const PERIOD: Duration = Duration::from_secs(60);

const SHARDS: usize = 16;

/// Tracks the clients that have keys of their own, of the last minute or two, in one process.
///
/// A client is the network of an IPv6 address, by default its /64. Each has a key of its own while fewer clients than the
/// [caps](NetworkCaps) say of its /48 and of its /32 have one. The others of a /48 or /32 are spread over the keys that it
/// shares, by a hash that they cannot predict.
///
/// Its own size is bounded, too: when [`NetworkCaps::max_tracked`] clients are tracked, all new ones of a /32 are spread
/// over the keys that the /32 shares. So whoever has many /32 networks takes no client's service away.
pub(crate) struct NetworkKeys {
    start: Instant,
    hash: NetworkHash,
    /// By the /32 of a client.
    shards: [Mutex<TrackedClients>; SHARDS],
    /// How many clients are tracked in all shards.
    tracked: AtomicUsize,
    /// The last period in which all shards were cleaned up for want of room.
    cleaned: AtomicU64,
    /// Which of the shared keys is a client's depends on this.
    seed: [u8; 16],
}

/// The key that a client shares with others of a wide network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SharedKey {
    /// The wide network.
    pub(crate) first: Ipv6Addr,
    /// The length of its prefix.
    pub(crate) bits: u8,
    /// The length of the prefix of its clients.
    pub(crate) client_bits: u8,
    /// Which of the shared keys it is, the first being 0.
    pub(crate) number: u32,
    /// How many there are.
    pub(crate) of: u32,
    /// How many clients of the network have keys of their own.
    pub(crate) max_own: u32,
}

impl NetworkKeys {
    pub(crate) fn new() -> Self {
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

    /// The same, so that all processes with this secret have a client share the same key.
    pub(crate) fn with_secret(self, secret: &KeySecret) -> Self {
        Self { seed: secret.seal(&Key::tagged("shared network keys", [""; 0])).digest(), ..self }
    }

    /// What a client is counted as: its network, or a key that it shares. It is given a key of its own if there is one, or
    /// is only told what it would be.
    pub(crate) fn counted_as(&self, client: Network, caps: NetworkCaps, assign: bool) -> Network {
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

    /// The tier of a network that has no key for this client alone, if there is one.
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

        // All counts of a client are in the shard of its /32.
        let place = self.hash.of(first, 32, bits) as usize % SHARDS;
        let mut shard = self.shard(place, period);
        if shard.is_current(client) {
            return None;
        }
        let known = shard.is_previous(client);
        if !known {
            let is_full = |tier: &CappedTier| shard.held(wide(*tier)) >= tier.max_own;
            if let Some(tier) = caps.tiers(bits).find(is_full) {
                return Some(tier);
            }
            if self.tracked.load(Relaxed) >= caps.max_tracked() {
                drop(shard);
                if !self.clean(period, caps.max_tracked()) {
                    return Some(widest);
                }
                shard = self.shard(place, period);
            }
        }
        if assign {
            let wides = caps.tiers(bits).map(wide);
            shard.add(client, wides);
            self.tracked.fetch_add(usize::from(!known), Relaxed);
        }
        None
    }

    /// A shard as it is in this period.
    fn shard(&self, place: usize, period: u64) -> MutexGuard<'_, TrackedClients> {
        // Each change of a shard is whole.
        let mut shard = self.shards[place].lock().unwrap_or_else(PoisonError::into_inner);
        self.tracked.fetch_sub(shard.come_to(period), Relaxed);
        shard
    }

    /// Forgets what has expired in all shards, once in a period. Whether there is room then.
    fn clean(&self, period: u64, max_tracked: usize) -> bool {
        if self.cleaned.fetch_max(period, Relaxed) < period {
            (0..SHARDS).for_each(|place| drop(self.shard(place, period)));
        }
        self.tracked.load(Relaxed) < max_tracked
    }

    fn shared_key(&self, first: Ipv6Addr, bits: u8, tier: CappedTier) -> SharedKey {
        let CappedTier { bits: wide_bits, max_own, shared } = tier;
        let parts = [self.seed.as_slice(), &[bits, wide_bits], &first.octets()];
        let digest = Key::tagged("shared network key", parts).digest();
        let random = u128::from_be_bytes(digest) >> 64;
        // Less than the number of keys.
        let number = ((random * u128::from(shared)) >> 64) as u32;
        let first = Ipv6Addr::from_bits(prefix(first, wide_bits));
        SharedKey { first, bits: wide_bits, client_bits: bits, number, of: shared, max_own }
    }
}

/// The leading bits of an address, of which there are from 32 to 128.
fn prefix(address: Ipv6Addr, bits: u8) -> u128 {
    address.to_bits() & u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0)
}

/// Numbers networks, so that any two have one number with a probability of 2^-64.
struct NetworkHash {
    /// Multilinear hashing, as the store in memory does it for buckets.
    factors: [u128; 4],
}

impl NetworkHash {
    /// The number of the network with so many leading bits of this address, among those for clients of that many.
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

    /// The client with the /64 of this number in 2001:db8:1::/48, and the next /48 networks.
    fn client(number: u64) -> Network {
        let network = (0x2001_0db8_0001 << 16) + number;
        Network::V6 { first: Ipv6Addr::from_bits(u128::from(network) << 64), bits: 64 }
    }

    fn has_own_key(keys: &NetworkKeys, client: Network, now: Duration) -> bool {
        keys.counted_at(client, CAPS, true, now) == client
    }

    #[test]
    fn clients_keep_their_own_keys_while_they_send_and_lose_them_after_two_periods() {
        let keys = NetworkKeys::new();
        assert!((0..1_024).all(|number| has_own_key(&keys, client(number), SECOND)));
        assert!((1_024..5_000).all(|number| !has_own_key(&keys, client(number), SECOND)));
        // Half of them go on.
        for minute in 1..5 {
            let now = minute * PERIOD;
            assert!((0..512).all(|number| has_own_key(&keys, client(number), now)));
        }
        let now = 5 * PERIOD;
        assert!((2_000..2_512).all(|number| has_own_key(&keys, client(number), now)));
        assert!((3_000..4_000).all(|number| !has_own_key(&keys, client(number), now)));
        assert!((0..512).all(|number| has_own_key(&keys, client(number), now)));
        assert_eq!(keys.tracked.load(Relaxed), 1_024);
        // All that are silent for two periods are forgotten.
        assert!((9_000..10_024).all(|number| has_own_key(&keys, client(number), 7 * PERIOD)));
        assert_eq!(keys.tracked.load(Relaxed), 1_024);
    }

    #[test]
    fn asking_without_assigning_changes_nothing() {
        let keys = NetworkKeys::new();
        for number in 0..5_000 {
            let client = client(number);
            assert_eq!(keys.counted_at(client, CAPS, false, SECOND), client);
        }
        assert_eq!(keys.tracked.load(Relaxed), 0);
        assert!((0..1_024).all(|number| has_own_key(&keys, client(number), SECOND)));
    }

    #[test]
    fn tracked_clients_are_bounded_and_those_beyond_are_served() {
        let keys = NetworkKeys::new();
        let max = CAPS.max_tracked();
        // One client in each /32, more than are tracked.
        let of_provider = |number: usize| Network::V6 {
            first: Ipv6Addr::from_bits((number as u128 + 1) << 96),
            bits: 64,
        };
        let own = (0..max + 10_000)
            .filter(|number| has_own_key(&keys, of_provider(*number), SECOND))
            .count();
        assert_eq!((own, keys.tracked.load(Relaxed)), (max, max));
        // Each of the others has one of the keys of its own provider, so nobody shares it.
        let Network::SharedV6(shared) = keys.counted_at(of_provider(max), CAPS, true, SECOND)
        else {
            panic!("there is no room")
        };
        assert_eq!((shared.bits, shared.of), (32, 1_024));
        // What has expired makes room, in whichever shard it is: these are all in one, and more than that one had.
        let is_there = |client: &Network| match client {
            Network::V6 { first, .. } => {
                (keys.hash.of(*first, 32, 64) as usize).is_multiple_of(SHARDS)
            }
            _ => false,
        };
        let mut later = (max..).map(of_provider).filter(is_there).take(max / SHARDS * 5 / 4);
        assert!(later.all(|client| has_own_key(&keys, client, 2 * PERIOD)));
        assert_eq!(keys.tracked.load(Relaxed), max / SHARDS * 5 / 4);
    }

    #[test]
    fn shared_keys_are_the_same_in_all_processes_with_one_secret() {
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
