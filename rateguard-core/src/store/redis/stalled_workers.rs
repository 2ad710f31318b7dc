//! Sends the requests of stalled workers on the shared connection. For example, code of the application may block the
//! thread of a worker until a check is complete, and then the dispatcher of the worker cannot run.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use super::{
    batch_queue::BatchQueue,
    pending_request::{PendingRequest, RequestError},
    worker_connections::WorkerConnections,
};
use crate::store::StoreError;

/// A worker counts as stalled if its dispatcher has not run for this time.
const STALL_TEST_INTERVAL: Duration = Duration::from_secs(1);

/// The task on the I/O thread that takes over the requests of stalled workers.
pub(super) struct StalledWorkers {
    pub(super) workers: Arc<WorkerConnections>,
    /// The queue of the shared connection.
    pub(super) shared: Arc<BatchQueue>,
}

impl StalledWorkers {
    pub(super) async fn run(self) {
        loop {
            sleep(STALL_TEST_INTERVAL).await;
            let requests = self.workers.stalled_requests();
            self.shared.push_all(requests.into_iter().map(PendingRequest::with_new_deadline));
        }
    }
}

impl Drop for StalledWorkers {
    /// Fails the requests of all workers, because nothing would complete the requests of a stalled worker any more.
    fn drop(&mut self) {
        let cause = StoreError::Disconnected(None);
        for request in self.workers.close(cause) {
            request.fail(RequestError::Store(cause));
        }
    }
}
