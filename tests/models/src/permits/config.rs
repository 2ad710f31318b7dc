//! The sizes of a model of permits, and the variants of the protocol.

/// Selects the rules of the protocol. Every variant except for `Correct` has one defect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Variant {
    /// The protocol as the documentation of [`permits`](super) describes it.
    #[default]
    Correct,
    /// A renewal sets the expiry of a stored entry without a comparison of the old expiry with the time.
    RenewalRevivesExpired,
    /// A renewal inserts the entry if it is missing, like `ZADD` without `XX`.
    RenewalInsertsMissing,
    /// A release decrements a counter: if the entry of the permit is gone, another entry disappears.
    ReleaseDecrementsCounter,
    /// The holder counts the lease from the arrival of the reply, and not from the time at which it sent the request.
    LeaseCountsFromReply,
    /// The server executes acquire and renew requests of any age.
    NoDeadline,
    /// The release of an operator removes the entry at once, while its holder still runs.
    OperatorRemoves,
}

/// The sizes of a model. All durations are in ticks.
#[derive(Clone, Debug)]
pub struct Config {
    /// The number of permits that exist at the same time, including those of crashed and late processes.
    pub permits: usize,
    /// The maximum number of unexpired entries.
    pub limit: usize,
    /// The lease of a permit.
    pub lease: u8,
    /// The maximum age of an acquire or renew request that the server executes.
    pub deadline: u8,
    /// The holder considers a permit invalid this long before the end of the lease by its own clock.
    pub margin: u8,
    /// The number of ticks that the clock of a holder may miss while it uses one permit. A clock misses ticks if it
    /// is slower than that of the server, or if it stands still while the machine is suspended.
    pub missed_ticks: u8,
    /// True if an operator may release permits of others.
    pub operator: bool,
    /// True if no message is lost or takes longer than the deadline, reply included, and no process crashes.
    pub reliable: bool,
    /// A holder sends a renew request at the latest when its last successful request is this old. Only a model with
    /// `reliable` enforces it.
    pub renew_after: u8,
    /// The rules of the protocol.
    pub variant: Variant,
}

impl Config {
    /// Returns the smallest sizes at which every rule matters: three permits, a limit of two, a lease of three ticks.
    pub fn small(variant: Variant) -> Self {
        let operator = variant == Variant::OperatorRemoves;
        Self {
            permits: 3,
            limit: 2,
            lease: 3,
            deadline: 1,
            margin: 0,
            missed_ticks: 0,
            operator,
            reliable: false,
            renew_after: 1,
            variant,
        }
    }

    /// Returns true if the protocol has the defect.
    pub fn has(&self, defect: Variant) -> bool {
        self.variant == defect
    }
}
