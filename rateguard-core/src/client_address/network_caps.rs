//! The maximum number of clients of one wide IPv6 network with keys of their own.

/// The prefix lengths of the wide networks with a maximum, the longer one first: a customer gets at most a /48 (RFC
/// 6177), and a provider gets at least a /32 (RIPE-738).
pub(super) const TIERS: [u8; 2] = [48, 32];

/// The maximum number of clients of one wide IPv6 network that have keys of their own at the same time.
///
/// The other clients of the network share a fixed number of keys. So one network creates a bounded number of keys, and
/// every client is still served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkCaps {
    /// For each of [`TIERS`]. 0 disables the maximum.
    max_own: [u32; TIERS.len()],
}

impl NetworkCaps {
    /// 1,024 for a /48: a site uses fewer /64 networks, and this number of keys takes 200 KB in Redis. 16,384 for a
    /// /32: the phones of a large mobile network that one process serves within a minute.
    pub(super) const DEFAULT: Self = Self { max_own: [1_024, 16_384] };

    /// The number of own keys for each shared key, for each of [`TIERS`].
    const OWN_PER_SHARED: [u32; TIERS.len()] = [4, 16];

    /// Sets the maximum of a tier.
    pub(super) fn set(&mut self, tier: usize, max_own: u32) {
        self.max_own[tier] = max_own;
    }

    /// The tiers that have a maximum and are wider than a client.
    pub(super) fn tiers(
        self,
        client_bits: u8,
    ) -> impl DoubleEndedIterator<Item = CappedTier> + Clone {
        (0..TIERS.len()).filter_map(move |tier| {
            let (bits, max_own) = (TIERS[tier], self.max_own[tier]);
            let shared = (max_own / Self::OWN_PER_SHARED[tier]).max(1);
            (max_own > 0 && bits < client_bits).then_some(CappedTier { bits, max_own, shared })
        })
    }

    /// The maximum number of tracked clients of all networks together: as many as eight full /32 networks have.
    pub(super) fn max_tracked(self) -> usize {
        8 * self.max_own[1].max(Self::DEFAULT.max_own[1]) as usize
    }
}

/// The maximum for networks of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CappedTier {
    /// The length of the prefix in bits.
    pub(super) bits: u8,
    /// The maximum number of clients with keys of their own.
    pub(super) max_own: u32,
    /// The number of keys that the other clients share.
    pub(super) shared: u32,
}
