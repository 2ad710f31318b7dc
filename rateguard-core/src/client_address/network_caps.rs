//! Limits the number of clients in one wide IPv6 network that have keys of their own. A client is a smaller network,
//! by default a /64.

/// The prefix lengths of the wide networks that have a maximum number of clients, the longer prefix first. Each of
/// these prefix lengths is a tier. A customer gets at most a /48 (RFC 6177), and a provider gets at least a /32
/// (RIPE-738).
pub(super) const TIERS: [u8; 2] = [48, 32];

/// The maximum number of clients in one wide IPv6 network that have keys of their own at the same time. Each size of
/// a wide network (a tier) has a separate maximum.
///
/// Further clients of the network share a fixed number of keys. So the owner of a network can create only a limited
/// number of keys, and every client is still served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkCaps {
    /// The maximum number of clients that have keys of their own, for each of the [`TIERS`]. 0 disables the maximum.
    max_own: [u32; TIERS.len()],
}

impl NetworkCaps {
    /// The maximum is 1,024 clients for a /48, because a typical site uses fewer than 1,024 networks of size /64,
    /// and 1,024 keys take only 200 KB in Redis. The maximum is 16,384 clients for a /32, because one process is
    /// expected to serve fewer phones of one mobile network within a minute.
    pub(super) const DEFAULT: Self = Self { max_own: [1_024, 16_384] };

    /// For each of the [`TIERS`], the maximum number of clients that have keys of their own is divided by this number.
    /// The result is the number of shared keys.
    const OWN_PER_SHARED: [u32; TIERS.len()] = [4, 16];

    /// Sets the maximum for networks with the prefix length `TIERS[tier]`.
    pub(super) fn set(&mut self, tier: usize, max_own: u32) {
        self.max_own[tier] = max_own;
    }

    /// Returns the tiers that have a maximum and that are wider than the network of one client.
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

    /// Returns the maximum number of tracked clients in all networks together. The result is enough for eight /32
    /// networks in which the maximum number of clients have keys of their own.
    pub(super) fn max_tracked(self) -> usize {
        8 * self.max_own[1].max(Self::DEFAULT.max_own[1]) as usize
    }
}

/// A tier (the wide networks with one prefix length) and its maximum number of clients that have keys of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CappedTier {
    /// The prefix length of these networks in bits.
    pub(super) bits: u8,
    /// The maximum number of clients in one of these networks that have keys of their own.
    pub(super) max_own: u32,
    /// The number of shared keys for all further clients of one of these networks.
    pub(super) shared: u32,
}
