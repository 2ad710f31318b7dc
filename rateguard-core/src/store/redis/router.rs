//! The ways to the servers: there is one server, or there are those of a cluster.

use std::sync::Arc;

use super::{
    StoreError,
    batch_queue::RequestError,
    cluster::{Cluster, slot},
    error::classify,
    link::{ActiveConnection, Link},
};
use crate::store::BucketRequest;

pub(super) enum Route {
    One(Arc<Link>),
    Cluster(Cluster),
}

/// The way to the server that has certain keys.
pub(super) struct Destination {
    pub(super) link: Arc<Link>,
    pub(super) live: ActiveConnection,
    /// In a cluster: the server takes the keys over, and answers only who says that it knows.
    pub(super) is_asking: bool,
    /// In a cluster: the slot of the keys, and where the server is.
    pub(super) slot: u16,
    pub(super) host: String,
}

impl Route {
    /// The way to the keys of these charges, of which there is at least one.
    pub(super) async fn way(
        &self,
        charges: &[BucketRequest<'_>],
    ) -> Result<Destination, StoreError> {
        match self {
            Self::One(link) => {
                let (link, host) = (Arc::clone(link), String::new());
                let live = link.live().await?;
                Ok(Destination { link, live, is_asking: false, slot: 0, host })
            }
            Self::Cluster(cluster) => {
                let mut slots = charges.iter().map(|charge| slot(&charge.bucket.hash_tag()));
                let first = slots.next().unwrap_or_default();
                if slots.any(|slot| slot != first) {
                    return Err(StoreError::CrossSlot);
                }
                cluster.way(first).await
            }
        }
    }

    /// Where to ask instead after this error, for the how many-th time; or what it means.
    pub(super) async fn redirect(
        &self,
        way: Destination,
        failed: &RequestError,
        turn: u32,
    ) -> Result<Destination, StoreError> {
        let (generation, error) = match failed {
            RequestError::OnConnection(generation, error) => (*generation, error),
            RequestError::NoConnection(cause) => return Err(*cause),
        };
        let link = Arc::clone(&way.link);
        let cause = match self {
            Self::One(_) => classify(error),
            Self::Cluster(cluster) => match cluster.redirect(way, error, turn).await {
                Ok(way) => return Ok(way),
                Err(Some(cause)) => return Err(cause),
                Err(None) => {
                    cluster.missed();
                    match classify(error) {
                        // That it is a cluster we know; and what is wrong with it is not the connection.
                        StoreError::Cluster => return Err(StoreError::NotReady),
                        cause => cause,
                    }
                }
            },
        };
        link.failed(generation, cause);
        Err(cause)
    }

    /// The number of the server that has the first of these keys.
    pub(super) fn server(&self, charges: &[BucketRequest<'_>]) -> usize {
        match (self, charges) {
            (Self::Cluster(cluster), [first, ..]) => cluster.server(slot(&first.bucket.hash_tag())),
            _ => 0,
        }
    }

    /// Whether a request for these keys that was not answered in time is late by our own congestion.
    pub(super) fn is_congested(&self, charges: &[BucketRequest<'_>]) -> bool {
        match (self, charges) {
            (Self::One(link), _) => link.is_congested(),
            (Self::Cluster(cluster), [first, ..]) => {
                let link = cluster.link(slot(&first.bucket.hash_tag()));
                link.is_some_and(|link| link.is_congested())
            }
            (Self::Cluster(_), []) => false,
        }
    }

    /// Whether there are live connections to all servers.
    pub(super) fn health(&self) -> Result<(), StoreError> {
        match self {
            Self::One(link) => link.live_now().map(|_| ()),
            Self::Cluster(cluster) => cluster.health(),
        }
    }
}
