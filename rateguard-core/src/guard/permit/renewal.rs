//! Renews the permits that this process holds. One thread renews the permits of all requests of a guard, so a worker
//! that is blocked loses no permit.

use std::{
    io,
    sync::{Arc, Weak, mpsc},
    thread,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::timeout_at,
};

use super::{
    hold::PermitHold,
    registry::{Job, PermitId},
};
use crate::{
    guard::{RateGuard, Shared, ThrottledLog},
    store::Operation,
};

/// The maximum number of renewals in flight. The store sends them in batches.
const MAX_RENEWALS: usize = 256;

impl RateGuard {
    /// Adds permits to those that the thread renews. Starts the thread if it does not run yet.
    pub(in crate::guard) fn add_permit(&self, hold: &Arc<PermitHold>) -> PermitId {
        let weak = Arc::downgrade(&self.shared);
        let (id, started) = self.shared.permits.add(hold, || start_thread(weak));
        if let Err(error) = started {
            static LOG: ThrottledLog = ThrottledLog::new();
            if LOG.try_emit().is_some() {
                log::error!(
                    target: "rateguard",
                    "failed to start the thread that renews permits: {error}; requests in progress are only limited for one lease"
                );
            }
        }
        id
    }

    /// Runs a future on the thread that renews permits. Starts the thread if it does not run yet. If it cannot start,
    /// drops the future.
    pub(in crate::guard) fn run_on_permit_thread(
        &self,
        future: impl Future<Output = ()> + Send + 'static,
    ) {
        let weak = Arc::downgrade(&self.shared);
        if let Err(error) = self.shared.permits.start_and_run(future, || start_thread(weak)) {
            static LOG: ThrottledLog = ThrottledLog::new();
            if LOG.try_emit().is_some() {
                log::error!(
                    target: "rateguard",
                    "failed to start the thread that requests leases: {error}; the store decides each check"
                );
            }
        }
    }

    /// Renews the permits that are due. Returns the time of the next renewal.
    async fn renew_due_permits(&self) -> Option<Instant> {
        for chunk in self.shared.permits.due().chunks(MAX_RENEWALS) {
            join_all(chunk.iter().map(|(id, hold)| self.renew(*id, hold))).await;
        }
        self.shared.permits.plan_wake()
    }

    async fn renew(&self, id: PermitId, hold: &PermitHold) {
        let sent_at = Instant::now();
        let (requests, deadline) = (hold.requests(), self.shared.deadline);
        let is_held = match self.run_operation(Operation::Renew, &requests, deadline).await {
            Ok(verdict) => {
                let is_held = verdict.is_allowed() && hold.renewed(sent_at);
                if is_held {
                    self.shared.permits.count_renewed();
                }
                is_held
            }
            Err(cause) => {
                self.record_store_error(cause);
                hold.postpone();
                hold.is_valid()
            }
        };
        if !is_held {
            self.shared.permits.remove(id);
            self.record_expiry(hold);
        }
    }

    /// Marks permits as expired, and reports them once.
    pub(in crate::guard) fn record_expiry(&self, hold: &PermitHold) {
        if !hold.expire() {
            return;
        }
        self.shared.permits.count_expired();
        static LOG: ThrottledLog = ThrottledLog::new();
        if let Some(expired) = LOG.try_emit() {
            let policy = hold.buckets.first().map_or("", |bucket| bucket.name.as_str());
            log::warn!(
                target: "rateguard",
                "a permit of `{policy}` expired before its request ended, because it was not renewed in time; the request may still be running; {expired} expired permits since the last message of this kind"
            );
        }
    }

    /// Releases all permits of this process in a remote store, and marks them as expired.
    pub(in crate::guard) async fn release_all_permits(&self) {
        let holds = self.shared.permits.take_all();
        if holds.is_empty() {
            return;
        }
        let (store, deadline) = (&self.shared.store, self.shared.deadline);
        let release = async |hold: &PermitHold| {
            hold.expire();
            // The guard is closed, so it rejects all operations of its users.
            let requests = hold.requests();
            let reply = store.apply_with_deadline(deadline, Operation::Refund, &requests);
            let _ = reply.get().await;
        };
        let releases = async {
            for chunk in holds.chunks(MAX_RENEWALS) {
                join_all(chunk.iter().map(|hold| release(hold))).await;
            }
        };
        // If the store does not answer, the permits come back at the end of their lease.
        let _ = tokio::time::timeout(deadline, releases).await;
    }
}

/// Starts the thread that renews the permits of a guard. The thread ends when the sender is dropped.
fn start_thread(guard: Weak<Shared>) -> io::Result<UnboundedSender<Job>> {
    let (sender, jobs) = unbounded_channel();
    let (started, is_started) = mpsc::channel();
    thread::Builder::new().name("rateguard-permits".to_owned()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        match runtime {
            Ok(runtime) => {
                let _ = started.send(Ok(()));
                runtime.block_on(run(guard, jobs));
            }
            Err(error) => {
                let _ = started.send(Err(error));
            }
        }
    })?;
    // `recv` fails only if the thread has panicked.
    is_started.recv().map_err(io::Error::other)??;
    Ok(sender)
}

async fn run(guard: Weak<Shared>, mut jobs: UnboundedReceiver<Job>) {
    let mut wake_at: Option<Instant> = None;
    loop {
        let job = match wake_at {
            None => jobs.recv().await,
            Some(at) => match timeout_at(at.into(), jobs.recv()).await {
                Ok(job) => job,
                Err(_) => Some(Job::Wake),
            },
        };
        match job {
            None => return,
            Some(Job::Run(future)) => {
                tokio::spawn(future);
                continue;
            }
            Some(Job::Wake) => {}
        }
        let Some(shared) = guard.upgrade() else { return };
        wake_at = RateGuard { shared }.renew_due_permits().await;
        // At most one pass in this time, so that a clock without progress causes no endless loop.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
