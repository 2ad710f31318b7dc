//! The results of the judge of a storm, which is a test that injects random faults.

use std::{collections::BTreeMap, fmt};

use super::held_permits::HeldPermits;

/// The kinds of violations that the judge finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Violation {
    /// A bucket admitted more units than its limit.
    OverAdmission,
    /// The store denied a check although all buckets of the check certainly had room.
    FalseDenial,
    /// The response to a request contradicts the replies of the store.
    Request,
    /// A server admitted more units in memory than its local share of the limit.
    Local,
    /// An HTTP request had no decision although Redis was available.
    Undecided,
    /// The store admitted a banned key, or it banned a key that had too few offences.
    Ban,
    /// More permits than the limit were valid at the same time, or a permit was valid for more than one lease after the
    /// store had lost it.
    Permits,
    /// A permit became invalid before its request ended, and no fault explains it.
    LostPermit,
    /// A permit of a killed server was valid for longer than one lease and the deadline.
    StrandedPermit,
}

impl Violation {
    /// All kinds of violations.
    pub const ALL: [Self; 9] = [
        Self::OverAdmission,
        Self::FalseDenial,
        Self::Request,
        Self::Local,
        Self::Undecided,
        Self::Ban,
        Self::Permits,
        Self::LostPermit,
        Self::StrandedPermit,
    ];
}

/// The results of the judge: violations and counts.
#[derive(Debug, Default)]
pub struct Findings {
    /// The messages for each kind of violation.
    pub violations: BTreeMap<Violation, Vec<String>>,
    /// The number of HTTP requests.
    pub requests: usize,
    /// The number of checks that the store admitted.
    pub admitted: usize,
    /// The number of checks that the store denied.
    pub denied: usize,
    /// The number of checks to which the store did not reply.
    pub unanswered: usize,
    /// The number of refunds that the store confirmed.
    pub refunded: usize,
    /// The durations in microseconds of the checks without a reply, sorted.
    pub unanswered_durations: Vec<u64>,
    /// The number of requests for each outcome in which the store did not decide directly, such as a denial from the
    /// denial cache.
    pub outcomes: BTreeMap<&'static str, usize>,
    /// The units above the limit that sliding-window logs admitted after a data loss or a forward clock step. The
    /// first number is the sum of these units. The second number is the maximum for one bucket and one such event.
    pub excess_after_losses: (u64, u64),
    /// The number of requests that leases admitted.
    pub leased: usize,
    /// The requests that held permits.
    pub held: HeldPermits,
    /// The number of denials that are correct only if the store executed calls to which it did not reply.
    pub undecidable: usize,
}

impl Findings {
    pub(super) fn add_all(&mut self, violation: Violation, details: Vec<String>) {
        details.into_iter().for_each(|it| self.add(violation, it));
    }

    pub(super) fn add(&mut self, violation: Violation, details: impl fmt::Display) {
        self.violations.entry(violation).or_default().push(details.to_string());
    }
}
