//! Runs the script of a document on the master that serves its cluster slot.

use super::{Cluster, Destination, MAX_ATTEMPTS, slot};
use crate::store::{
    StoreError,
    redis::{
        error::{classify, needs_reconnect},
        pending_request::RequestError,
    },
    script::DocumentCall,
};

impl Cluster {
    /// Runs the script of a document, and follows redirects of the nodes. There is no deadline.
    pub(in crate::store::redis) async fn run_document_call(
        &self,
        call: &DocumentCall,
    ) -> Result<Vec<String>, StoreError> {
        let slot = slot(call.hash_tag.as_bytes());
        let master = self.nodes.master(slot).await;
        let node = master.inspect_err(|_| self.request_refresh())?;
        let mut destination = Destination { node, slot, needs_asking: false };
        for attempt in 0..MAX_ATTEMPTS {
            let Destination { node, needs_asking, .. } = &destination;
            let error = match node.link.run_document_call(call, *needs_asking).await {
                Ok(reply) => return Ok(reply),
                Err(RequestError::Redis(error)) => error,
                Err(RequestError::Store(cause)) => {
                    if needs_reconnect(cause) {
                        self.request_refresh();
                    }
                    return Err(cause);
                }
            };
            let redirect = self.redirect(destination, &error, attempt).await;
            destination = redirect.map_err(|cause| {
                cause.unwrap_or_else(|| {
                    self.request_refresh();
                    classify(&error)
                })
            })?;
        }
        Err(StoreError::NotReady(None))
    }
}
