//! Selects the server for each request: the only server, or one of the nodes of a cluster.

use std::{sync::Arc, time::Duration};

use super::{
    cluster::{Cluster, slot},
    link::Link,
    queued_request::QueuedRequest,
};
use crate::store::{
    BucketRequest, StoreError,
    script::{BatchOutcome, DocumentCall},
};

pub(super) enum Router {
    One(Arc<Link>),
    Cluster(Cluster),
}

impl Router {
    /// Sends the request to the server that stores its buckets. There must be at least one bucket.
    pub(super) async fn send(
        &self,
        buckets: &[BucketRequest<'_>],
        request: &Arc<QueuedRequest>,
        deadline: Duration,
    ) -> Result<BatchOutcome, StoreError> {
        match self {
            Self::One(link) => link.send(request, deadline).await.map_err(|error| error.cause()),
            // Allocate this large future separately. It would otherwise enlarge the future of every check.
            Self::Cluster(cluster) => Box::pin(cluster.send(buckets, request, deadline)).await,
        }
    }

    /// Runs the script of a document on the server that stores the document.
    pub(super) async fn run_document_call(
        &self,
        call: &DocumentCall,
    ) -> Result<Vec<String>, StoreError> {
        match self {
            Self::One(link) => {
                link.run_document_call(call, false).await.map_err(|error| error.cause())
            }
            Self::Cluster(cluster) => cluster.run_document_call(call).await,
        }
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
                cluster.is_congested(slot(&first.bucket.hash_tag()))
            }
            (Self::Cluster(_), []) => false,
        }
    }

    /// Returns the number of open connections to all servers.
    pub(super) fn connections(&self) -> usize {
        match self {
            Self::One(link) => link.connections(),
            Self::Cluster(cluster) => cluster.connections(),
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
