//! The permits of one request. The guard releases them when this value is dropped.

use std::{fmt, sync::Arc, time::Instant};

use smallvec::SmallVec;
use tokio::runtime::Handle;

use super::{
    hold::{HoldBucket, PermitHold, PermitStore},
    registry::PermitId,
    release::PermitRelease,
};
use crate::{guard::RateGuard, store::Operation};

/// Shows whether the permits of a request are still valid. It does not hold the permits.
#[doc(hidden)]
#[derive(Clone)]
pub struct PermitWatch(Arc<PermitHold>);

impl PermitWatch {
    /// Returns whether the permits are still valid.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.0.is_valid()
    }
}

/// The permits of one request. The guard renews them until this value is dropped, and then releases them.
#[doc(hidden)]
#[must_use = "the permits are released when it is dropped"]
pub struct PermitLease {
    guard: RateGuard,
    hold: Arc<PermitHold>,
    /// The number of the permits in the registry. `None` if they have no lease.
    id: Option<PermitId>,
    is_released: bool,
    /// Permits of another decision on the same request, which are released together with these.
    further: Option<Box<PermitLease>>,
}

impl PermitLease {
    pub(in crate::guard) fn new(
        guard: &RateGuard,
        buckets: SmallVec<[HoldBucket; 1]>,
        is_local: bool,
        sent_at: Instant,
    ) -> Self {
        let store = if is_local {
            PermitStore::Local
        } else if guard.has_remote_store() {
            PermitStore::Remote
        } else {
            PermitStore::Memory
        };
        let hold = Arc::new(PermitHold::new(buckets, store, sent_at));
        guard.shared.permits.increment_held();
        let id = (store == PermitStore::Remote).then(|| guard.add_permit(&hold));
        Self { guard: guard.clone(), hold, id, is_released: false, further: None }
    }

    /// Adds the permits of another decision on the same request, which are released together with these.
    pub fn with_further(mut self, further: Option<Box<Self>>) -> Self {
        self.further = further;
        self
    }

    /// Returns whether the permits are still valid.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        !self.is_released && self.hold.is_valid()
    }

    /// Returns a value that shows whether the permits are still valid.
    #[must_use]
    pub fn watch(&self) -> PermitWatch {
        PermitWatch(Arc::clone(&self.hold))
    }

    /// Releases the permits, and waits until the store has released them.
    pub async fn release(mut self) {
        if let Some(release) = self.start_release() {
            release.run().await;
        }
    }

    /// Releases the permits that are in the memory of this process, and stops the renewal. Returns the release of the
    /// permits in a remote store. `None` if there is nothing more to do.
    fn start_release(&mut self) -> Option<PermitRelease> {
        if std::mem::replace(&mut self.is_released, true) {
            return None;
        }
        let shared = &self.guard.shared;
        if let Some(id) = self.id {
            shared.permits.remove(id);
            shared.local.mirror_undo(Operation::Refund, &self.hold.mirrored_requests());
            if !self.hold.is_valid() {
                self.guard.record_expiry(&self.hold);
            }
        }
        // From now on, the permits are invalid for everyone who watches them.
        self.hold.expire();
        match self.hold.store {
            PermitStore::Memory => {
                // This store replies immediately.
                let _ = shared.store.apply(Operation::Refund, &self.hold.requests());
                None
            }
            PermitStore::Local => {
                shared.local.apply(Operation::Refund, &self.hold.requests());
                None
            }
            PermitStore::Remote => Some(PermitRelease::new(&self.guard, &self.hold)),
        }
    }
}

impl Drop for PermitLease {
    fn drop(&mut self) {
        if let Some(release) = self.start_release() {
            // In the runtime of an actix-web worker, the release shares a batch with the checks of this worker.
            match Handle::try_current() {
                Ok(runtime) => drop(runtime.spawn(release.run())),
                // The drop of the release sends it to the thread that renews permits.
                Err(_) => drop(release),
            }
        }
        self.guard.shared.permits.decrement_held();
    }
}

impl fmt::Debug for PermitLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PermitLease").field("is_valid", &self.is_valid()).finish_non_exhaustive()
    }
}
