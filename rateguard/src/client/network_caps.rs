//! How many clients of one wide IPv6 network have keys of their own.

/// The wide networks that are watched: what a customer has at the most (RFC 6177), and what a provider has at the least
/// (RIPE-738). The narrower one comes first.
pub(super) const TIERS: [u8; 2] = [48, 32];

/// The most clients of one wide IPv6 network that have keys of their own at a time.
///
/// The others of that network share a number of keys, so a network makes a bounded number of them, and none of its clients
/// goes without service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NetworkCaps {
    /// For each of [`TIERS`]. 0 is for any number.
    max_own: [u32; TIERS.len()],
}

impl NetworkCaps {
    /// 1,024 in a /48: more than a site has /64 networks in use, and an invented key each is 200 KB of Redis. 16,384 in a
    /// /32: the phones of a large mobile network that one process serves within a minute.
    pub(super) const DEFAULT: Self = Self { max_own: [1_024, 16_384] };

    /// One shared key for so many of a network's own ones, in each of [`TIERS`].
    const OWN_PER_SHARED: [u32; TIERS.len()] = [4, 16];

    /// Sets the cap of a tier.
    pub(super) fn set(&mut self, tier: usize, max_own: u32) {
        self.max_own[tier] = max_own;
    }

    /// The tiers that have a cap, among those that are wider than a client.
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

    /// How many clients are tracked at the most, of all networks together: those of eight full /32 networks.
    pub(super) fn max_tracked(self) -> usize {
        8 * self.max_own[1].max(Self::DEFAULT.max_own[1]) as usize
    }
}

/// The caps of networks of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CappedTier {
    /// The length of the prefix.
    pub(super) bits: u8,
    /// How many clients have keys of their own.
    pub(super) max_own: u32,
    /// How many keys the others share.
    pub(super) shared: u32,
}
