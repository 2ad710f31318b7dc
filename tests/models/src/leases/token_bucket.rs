//! The level of a token bucket.

use super::{
    bucket::Bucket,
    config::{Config, Variant},
    lease::{Lease, Return},
    time::Stamp,
};

/// A token bucket with leases. In the model, it gets one token in each tick.
///
/// The server has the level of the bucket and, for each lease that is neither returned nor expired, the number of its
/// tokens and its expiry `E = now + ttl`. These tokens are *held*.
///
/// - **Grant.** The server takes tokens from the level and holds them.
/// - **Refill.** The level rises to at most `capacity - held`. So held tokens have the same effect on the refill as
///   tokens that are still in the bucket: at each time until `E`, the level is that of a bucket from which the tokens
///   are taken at `E`, minus the tokens.
/// - **Expiry.** At `E`, the server stops holding the tokens. They count as taken at `E`, which is later than each use.
/// - **Return before `E`.** The server stops holding the tokens, and adds the unused tokens to the level. The used
///   tokens count as taken now. The return reports the number of the uses, and no times.
/// - **Return after `E`.** The server does nothing, because the refill may have replaced the tokens already.
/// - **Reset.** The server fills the bucket up to `capacity - held`.
///
/// If the server refilled up to the capacity during a lease, a process could use a whole bucket and the tokens of the
/// lease at once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenBucket {
    level: u8,
    /// The level of a bucket from which each token is taken at its actual use. It is negative if the uses exceed the
    /// quota.
    actual_level: i8,
}

/// The tokens of a lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeldTokens {
    tokens: u8,
    /// The time until the lease expires. Its tokens count as taken at this time.
    left: u8,
}

fn held_tokens(config: &Config, leases: &[Lease<HeldTokens>]) -> u8 {
    if config.has(Variant::StampAtGrant) {
        0
    } else {
        leases.iter().map(|lease| lease.hold.tokens).sum()
    }
}

impl Bucket for TokenBucket {
    type Hold = HeldTokens;

    const NEEDS_STAMPS: bool = false;

    fn new(config: &Config) -> Self {
        Self { level: config.limit, actual_level: config.limit as i8 }
    }

    fn room(&self, _: &Config, _: &[Lease<HeldTokens>]) -> u8 {
        self.level
    }

    fn grant(&mut self, config: &Config, units: u8) -> HeldTokens {
        self.level -= units;
        HeldTokens { tokens: units, left: config.ttl }
    }

    fn take(&mut self) {
        self.level -= 1;
        self.record_use();
    }

    fn record_use(&mut self) {
        self.actual_level -= 1;
    }

    fn forget_use(&mut self, _: u8) {}

    fn refund(&mut self, _: &Config, _: &mut [Lease<HeldTokens>], _: Stamp) {}

    fn settle(
        &mut self,
        config: &Config,
        leases: &mut [Lease<HeldTokens>],
        index: usize,
        returned: &Return,
    ) {
        let held = std::mem::take(&mut leases[index].hold);
        // After the expiry, the refill may have replaced the tokens already, so a late return adds nothing.
        let unused =
            if held.tokens > 0 { held.tokens - returned.used.len() as u8 } else { returned.unused };
        self.level = (self.level + unused).min(config.limit - held_tokens(config, leases));
    }

    fn orphan(&mut self, hold: HeldTokens) -> HeldTokens {
        hold
    }

    fn tick(&mut self, config: &Config, leases: &mut [Lease<HeldTokens>]) {
        self.level = (self.level + 1).min(config.limit - held_tokens(config, leases));
        for lease in leases {
            lease.hold.left = lease.hold.left.saturating_sub(1);
            if lease.hold.left == 0 {
                lease.hold = HeldTokens::default();
            }
        }
        self.actual_level = (self.actual_level + 1).min(config.limit as i8);
    }

    fn step_back(&mut self, _: &Config, _: &mut [Lease<HeldTokens>]) {}

    fn reset(&mut self, config: &Config, leases: &mut [Lease<HeldTokens>]) {
        if config.has(Variant::ResetRemovesLeases) {
            leases.iter_mut().for_each(|lease| lease.hold = HeldTokens::default());
        }
        self.level = config.limit - held_tokens(config, leases);
        self.actual_level = config.limit as i8;
    }

    fn is_bounded(&self, config: &Config, leases: &[Lease<HeldTokens>]) -> bool {
        self.level <= config.limit - held_tokens(config, leases)
            && leases.iter().all(|lease| lease.hold.left <= config.ttl)
    }

    fn is_respected(&self, _: &Config) -> bool {
        self.actual_level >= 0
    }

    fn is_exhausted(&self, _: &Config) -> bool {
        self.actual_level == 0
    }
}
