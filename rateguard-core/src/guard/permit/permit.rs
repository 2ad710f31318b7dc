//! A permit for a request in progress, and the result of asking for a permit.

use super::lease::PermitLease;
use crate::Decision;

/// A permit for a request in progress. [`RateGuard::acquire`](crate::RateGuard::acquire) returns a permit.
///
/// The guard renews the permit in the store until the permit is dropped or [released](Self::release). If the process
/// crashes, the permit comes back at the end of its lease.
///
/// *Valid permits never exceed the limit.* However, if the process is paused for longer than the lease, or if the store
/// does not answer for that long, the permit expires, although the work under the permit may still be running.
/// [`is_valid`](Self::is_valid) then returns false.
///
/// If the guard counts in the memory of its process, permits do not expire, because the guard and the holder are paused
/// together.
#[derive(Debug)]
#[must_use = "the permit is released when it is dropped"]
pub struct Permit {
    decision: Decision,
    /// `None` if the policies of the request do not limit the requests in progress.
    lease: Option<PermitLease>,
}

impl Permit {
    pub(in crate::guard) fn new(decision: Decision, lease: Option<PermitLease>) -> Self {
        Self { decision, lease }
    }

    /// Returns the decision that granted the permit.
    #[must_use]
    pub fn decision(&self) -> &Decision {
        &self.decision
    }

    /// Returns whether the permit is still valid. After the permit has expired, it never becomes valid again, and another
    /// request may have its place. Long work should test this before each step that requires the limit.
    ///
    /// The method makes no store call. The process counts the lease from the time at which it sent the last successful
    /// renewal, by its monotonic clock. This clock does not run while the whole machine is suspended.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.lease.as_ref().is_none_or(PermitLease::is_valid)
    }

    /// Releases the permit, and waits for the reply of the store, at most for the
    /// [deadline](crate::RateGuardBuilder::deadline) of the guard. The drop of a permit also releases it, but does not
    /// wait.
    ///
    /// If the store does not answer, the permit comes back at the end of its lease.
    ///
    /// # Panics
    ///
    /// Panics if the guard counts in Redis Cluster or Upstash and there is no Tokio runtime with its timer enabled.
    pub async fn release(self) {
        if let Some(lease) = self.lease {
            lease.release().await;
        }
    }
}

/// The result of asking for a permit: the permit, or the decision that denied it.
#[derive(Debug)]
#[must_use = "a granted permit is released when it is dropped"]
pub enum Acquisition {
    /// All quotas had room, and the request holds a permit.
    Granted(Permit),
    /// A quota had no room. The guard has taken nothing.
    Denied(Decision),
}

impl Acquisition {
    /// Returns the decision on the request.
    #[must_use]
    pub fn decision(&self) -> &Decision {
        match self {
            Self::Granted(permit) => permit.decision(),
            Self::Denied(decision) => decision,
        }
    }

    /// Returns whether the request has a permit.
    #[must_use]
    pub fn is_granted(&self) -> bool {
        matches!(self, Self::Granted(_))
    }

    /// Returns the permit, or `None` after a denial.
    pub fn into_permit(self) -> Option<Permit> {
        match self {
            Self::Granted(permit) => Some(permit),
            Self::Denied(_) => None,
        }
    }
}
