//! The sizes of a model of leased quotas, and the variants of the protocol.

/// Selects the rules of the protocol. Every variant except for `Correct` and `ReturnFindsByStamp` has one defect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Variant {
    /// The protocol as the documentation of [`leases`](super) describes it.
    #[default]
    Correct,
    /// The server stamps the units of a lease with the time of the grant. A token bucket refills during the lease as
    /// if the units had been used at the grant.
    StampAtGrant,
    /// A process counts the duration of the lease from the arrival of the reply.
    ServesFromReply,
    /// A process computes the times of its uses from the arrival of the reply, which gives lower bounds.
    BoundFromReply,
    /// A process adds no margin to the times of its uses.
    BoundWithoutMargin,
    /// A return removes all units of the lease, and not only the unused units.
    ReturnDeletesUsed,
    /// A process serves more units of a lease after it has sent the return.
    ServesAfterReturn,
    /// A process gives up waiting for a grant and sends a return, but serves the units if the reply arrives later.
    ServesGrantAfterReturn,
    /// A return finds the units of its lease by their stamp. This is correct if no return is executed twice.
    ReturnFindsByStamp,
    /// After its clock was set back, the server moves all entries from the future to the current time, as if there were
    /// no leases.
    ClampsToNow,
    /// The server executes each refund after a return twice.
    RefundTwice,
    /// A reset removes all units, and not only those that belong to no lease.
    ResetRemovesLeases,
    /// A return to a token bucket adds the unused tokens also after the lease expired.
    LateReturnRefunds,
}

/// The sizes of a model. All durations are in ticks.
#[derive(Clone, Debug)]
pub struct Config {
    /// The number of leases that exist at the same time, including those of crashed and late processes.
    pub leases: usize,
    /// The limit of the quota, or the capacity of the token bucket.
    pub limit: u8,
    /// The length of the window. A token bucket has no window; it gets one token in each tick.
    pub window: u8,
    /// The duration of a lease.
    pub ttl: u8,
    /// The maximum number of units of a lease.
    pub max_units: u8,
    /// How often the server may execute the same return. It is 2 if processes send a return again without a reply.
    pub executions_of_return: u8,
    /// The safety margin for slow clocks.
    pub margin: u8,
    /// The number of ticks that the clock of a process may miss while it uses one lease.
    pub missed_ticks: u8,
    /// The number of times that the clock of the server may be set back by one tick. It has no effect on the model of a
    /// token bucket.
    pub steps_back: u8,
    /// The number of times that the quota may be reset.
    pub resets: u8,
    /// True if a process may refund a use, while it has the lease and after it sent the return. Only the model of a
    /// sliding window supports it.
    pub refunds: bool,
    /// The rules of the protocol.
    pub variant: Variant,
}

impl Config {
    /// Returns the smallest sizes at which every rule matters.
    pub fn small(variant: Variant) -> Self {
        Self {
            leases: 2,
            limit: 2,
            window: 3,
            ttl: 2,
            max_units: 2,
            executions_of_return: 1,
            margin: 0,
            missed_ticks: 0,
            steps_back: 0,
            resets: 0,
            refunds: false,
            variant,
        }
    }

    /// Returns true if the protocol is this variant.
    pub fn has(&self, variant: Variant) -> bool {
        self.variant == variant
    }
}
