//! Mistakes in the protocols of permits and leases. A server of a storm can make one of them, to show that the judge
//! finds it.

use std::str::FromStr;

use actix_rateguard::store::{BucketRequest, BucketStatus, Operation, Receipt, Verdict};

use super::now;

/// A mistake of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Defect {
    /// The server makes no mistake.
    #[default]
    None,
    /// The units of a lease count from its grant instead of its end. So a unit that is used late in the lease counts
    /// for less than one window.
    StampedAtGrant,
    /// The server assumes that each renewal succeeds, and sends none. So it treats expired permits as valid.
    BlindRenewals,
}

impl Defect {
    /// All defects, each with its name on the command line.
    pub const ALL: [(&'static str, Self); 3] = [
        ("none", Self::None),
        ("stamped-at-grant", Self::StampedAtGrant),
        ("blind-renewals", Self::BlindRenewals),
    ];

    /// The name of the defect on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, defect)| *defect == self).map_or("", |(name, _)| name)
    }

    /// Returns the operation that the server sends to the store in place of this one.
    #[must_use]
    pub fn operation(self, operation: Operation) -> Operation {
        match (self, operation) {
            // A check takes the units at the time of the grant.
            (Self::StampedAtGrant, Operation::Lease) => Operation::Check,
            _ => operation,
        }
    }

    /// Returns the reply that the server assumes, if it does not call the store.
    #[must_use]
    pub fn reply(self, operation: Operation, requests: &[BucketRequest<'_>]) -> Option<Verdict> {
        if (self, operation) != (Self::BlindRenewals, Operation::Renew) {
            return None;
        }
        let status = BucketStatus {
            remaining: 0,
            reset_after: Default::default(),
            retry_after: Some(Default::default()),
        };
        let receipt = Receipt::new([0, 0, now()]);
        Some(Verdict::new(true, requests.iter().map(|_| (status, receipt))))
    }
}

impl FromStr for Defect {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(it, _)| *it == name);
        found.map(|(_, defect)| *defect).ok_or_else(|| {
            let names = Self::ALL.map(|(name, _)| name).join(", ");
            format!("unknown defect `{name}`; the defects are: {names}")
        })
    }
}
