//! Selects the server for each request: the only server, or one of the nodes of a cluster.

use std::sync::Arc;

use super::{
    cluster::{Cluster, slot},
    destination::Destination,
    error::classify,
    link::Link,
    pending_request::RequestError,
};
use crate::store::{BucketRequest, StoreError};

pub(super) enum Router {
    One(Arc<Link>),
    Cluster(Cluster),
}

impl Router {
    /// Returns the destination to which an operation with these requests is sent. There must be at least one request.
    pub(super) async fn destination(
        &self,
        requests: &[BucketRequest<'_>],
    ) -> Result<Destination, StoreError> {
        match self {
            Self::One(link) => {
                let (link, host) = (Arc::clone(link), String::new());
                let live = link.live().await?;
                Ok(Destination { link, live, needs_asking: false, slot: 0, host })
            }
            Self::Cluster(cluster) => {
                let mut slots = requests.iter().map(|request| slot(&request.bucket.hash_tag()));
                let first = slots.next().unwrap_or_default();
                if slots.any(|slot| slot != first) {
                    return Err(StoreError::CrossSlot);
                }
                cluster.destination(first).await
            }
        }
    }

    /// Returns the destination for the next attempt after an attempt has failed with this error. Returns an error if
    /// the request must not be sent again. `attempt` is the number of earlier attempts.
    pub(super) async fn redirect(
        &self,
        destination: Destination,
        error: &RequestError,
        attempt: u32,
    ) -> Result<Destination, StoreError> {
        let (generation, error) = match error {
            RequestError::OnConnection(generation, error) => (*generation, error),
            RequestError::NoConnection(cause) => return Err(*cause),
        };
        let link = Arc::clone(&destination.link);
        let cause = match self {
            Self::One(_) => classify(error),
            Self::Cluster(cluster) => match cluster.redirect(destination, error, attempt).await {
                Ok(destination) => return Ok(destination),
                Err(Some(cause)) => return Err(cause),
                Err(None) => {
                    cluster.request_refresh();
                    match classify(error) {
                        // Without a cluster URL, `StoreError::Cluster` means that the URL is wrong. Here the URL is
                        // correct, but the cluster is not ready. A new connection would not change this.
                        StoreError::Cluster => return Err(StoreError::NotReady(None)),
                        cause => cause,
                    }
                }
            },
        };
        link.report_error(generation, cause);
        Err(cause)
    }

    /// Returns the number of the server that stores the bucket of the first request.
    pub(super) fn server(&self, requests: &[BucketRequest<'_>]) -> usize {
        match (self, requests) {
            (Self::Cluster(cluster), [first, ..]) => cluster.server(slot(&first.bucket.hash_tag())),
            _ => 0,
        }
    }

    /// Returns true if this process, and not the Redis server, is the reason why a request for these keys has no
    /// timely reply.
    pub(super) fn is_congested(&self, requests: &[BucketRequest<'_>]) -> bool {
        match (self, requests) {
            (Self::One(link), _) => link.is_congested(),
            (Self::Cluster(cluster), [first, ..]) => {
                let link = cluster.link(slot(&first.bucket.hash_tag()));
                link.is_some_and(|link| link.is_congested())
            }
            (Self::Cluster(_), []) => false,
        }
    }

    /// Returns an error if one of the servers has no live connection or cannot run the script.
    pub(super) fn health(&self) -> Result<(), StoreError> {
        match self {
            Self::One(link) => link.health(),
            Self::Cluster(cluster) => cluster.health(),
        }
    }
}
