//! Connects to a Redis Cluster. There is one link to each master, and each request is sent to the master that serves
//! the cluster slot of the request's keys.
//!
//! Each master has its own link, so a master that does not reply does not delay the requests to other masters. A
//! request is not sent again if a node may already have run it, because the units would then count twice.

mod asking;
mod documents;
mod migrating_slots;
mod node_address;
mod nodes;
mod slot;
mod topology;
mod topology_refresh;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use redis::{ConnectionInfo, RedisError, ServerErrorKind};
use tokio::{
    runtime::Handle,
    time::{sleep, timeout},
};

pub(super) use self::slot::slot;
use self::{
    asking::send_asking,
    migrating_slots::MigratingSlots,
    node_address::NodeAddress,
    nodes::{NO_NODE, Node, Nodes},
};
use crate::store::{
    BucketRequest, StoreError,
    io_thread::Task,
    redis::{
        error::{classify, needs_reconnect},
        link::Link,
        pending_request::RequestError,
        queued_request::QueuedRequest,
        script_runner::ScriptRunner,
    },
    script::BatchOutcome,
};

/// The delay before a request to a migrating slot is sent a second time. The delay doubles before each further
/// attempt.
const INITIAL_BACKOFF: Duration = Duration::from_millis(1);

/// The maximum number of times that a request is sent. This maximum limits how often nodes can redirect a request.
const MAX_ATTEMPTS: u32 = 8;

/// The node to which a request is sent.
struct Destination {
    node: Arc<Node>,
    /// The cluster slot of the keys.
    slot: u16,
    /// True if the node imports the cluster slot. Such a node accepts a request only after an `ASKING` command.
    needs_asking: bool,
}

pub(super) struct Cluster {
    nodes: Arc<Nodes>,
    migrating_slots: MigratingSlots,
    _topology_refresh: Task,
}

impl Cluster {
    /// Starts to query the topology of the cluster from the nodes in the URL. There must be at least one such node.
    pub(super) fn open(
        seeds: Vec<ConnectionInfo>,
        deadline: Duration,
        script: &Arc<ScriptRunner>,
        runtime: &Handle,
    ) -> Self {
        let server = seeds[0].clone();
        let addresses = seeds.iter().filter_map(NodeAddress::of).collect();
        let nodes = Nodes::new(server, addresses, deadline, Arc::clone(script), runtime.clone());
        let nodes = Arc::new(nodes);
        let refresh = Task::spawn(runtime, topology_refresh::run(Arc::clone(&nodes), seeds));
        Self { nodes, migrating_slots: MigratingSlots::default(), _topology_refresh: refresh }
    }

    /// Sends the request to the master of its cluster slot, and follows redirects of the nodes.
    pub(super) async fn send(
        &self,
        buckets: &[BucketRequest<'_>],
        request: &Arc<QueuedRequest>,
        deadline: Duration,
    ) -> Result<BatchOutcome, StoreError> {
        let mut slots = buckets.iter().map(|it| slot(&it.bucket.hash_tag()));
        let slot = slots.next().unwrap_or_default();
        if slots.any(|other| other != slot) {
            return Err(StoreError::CrossSlot);
        }
        let until = Instant::now() + deadline;
        let left = || until.saturating_duration_since(Instant::now());
        let master = match self.nodes.map_now() {
            Ok(map) => map.master(slot),
            // Only this rare case needs a timer.
            Err(_) => self.within(slot, left(), self.nodes.master(slot)).await,
        };
        let node = master.inspect_err(|_| self.request_refresh())?;
        let mut destination = Destination { node, slot, needs_asking: false };
        for attempt in 0..MAX_ATTEMPTS {
            let link = &destination.node.link;
            let outcome = if destination.needs_asking {
                let asking = self.send_asking(link, request, until);
                Box::pin(self.within(slot, left(), async { Ok(asking.await) })).await?
            } else {
                link.send(request, left()).await
            };
            let error = match outcome {
                Ok(outcome) => return Ok(outcome),
                Err(RequestError::Redis(error)) => error,
                Err(RequestError::Store(cause)) => {
                    if needs_reconnect(cause) {
                        self.request_refresh();
                    }
                    return Err(cause);
                }
            };
            let redirect = async { Ok(self.redirect(destination, &error, attempt).await) };
            let redirect = Box::pin(self.within(slot, left(), redirect)).await?;
            destination = redirect.map_err(|cause| {
                cause.unwrap_or_else(|| {
                    self.request_refresh();
                    match classify(&error) {
                        // Without a cluster URL, `StoreError::Cluster` means that the URL is wrong. Here the URL is
                        // correct, but the cluster is not ready. A new connection would not change this.
                        StoreError::Cluster => StoreError::NotReady(None),
                        cause => cause,
                    }
                })
            })?;
        }
        Err(StoreError::NotReady(None))
    }

    /// Sends a request to a node that imports the cluster slot of its keys.
    async fn send_asking(
        &self,
        link: &Link,
        request: &QueuedRequest,
        deadline: Instant,
    ) -> Result<BatchOutcome, RequestError> {
        let active = link.live().await.map_err(RequestError::Store)?;
        let outcome = send_asking(self.nodes.script(), &active, request, deadline).await;
        if let Ok(BatchOutcome::Failed(cause)) = outcome {
            link.record_error(active.generation, cause);
        }
        outcome
    }

    /// Waits for the result for at most this time.
    async fn within<T>(
        &self,
        slot: u16,
        deadline: Duration,
        result: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let result = timeout(deadline, result).await;
        result.unwrap_or_else(|_| {
            let is_congested = self.is_congested(slot);
            Err(if is_congested { StoreError::Overloaded } else { StoreError::Timeout })
        })
    }

    /// Returns the destination that a redirect error names. A node that redirects a request has not run the script,
    /// so it is safe to send the request again.
    ///
    /// Returns `Err(Some(_))` with the cause if the destination is unavailable. Returns `Err(None)` if the error is
    /// not a redirect.
    async fn redirect(
        &self,
        destination: Destination,
        error: &RedisError,
        attempt: u32,
    ) -> Result<Destination, Option<StoreError>> {
        let redirect = || -> Option<NodeAddress> {
            let (host, port) = error.redirect_node()?.0.rsplit_once(':')?;
            // If a redirect names no host, it means the host of the node that sent it.
            let host = if host.is_empty() { &destination.node.address.host } else { host };
            // In a redirect, an IPv6 address is not in brackets, so the last colon separates the address from the
            // port.
            Some(NodeAddress { host: host.to_owned(), port: port.parse().ok()? })
        };
        let needs_asking = match error.kind() {
            redis::ErrorKind::Server(ServerErrorKind::Moved) => {
                self.request_refresh();
                false
            }
            redis::ErrorKind::Server(ServerErrorKind::Ask) => {
                self.migrating_slots.record(destination.slot);
                true
            }
            // Some keys of the request have already migrated to another node, and some have not, so no node has all
            // of the keys. Wait, and then send the request to the same node again.
            redis::ErrorKind::Server(ServerErrorKind::TryAgain) => {
                self.migrating_slots.record(destination.slot);
                sleep(INITIAL_BACKOFF * 2_u32.pow(attempt)).await;
                return Ok(destination);
            }
            _ => return Err(None),
        };
        let address = redirect().ok_or(StoreError::NotReady(None))?;
        let node = self.nodes.redirected(&address).await?;
        Ok(Destination { node, needs_asking, ..destination })
    }

    /// Returns true if this process, and not the master of this cluster slot, is the reason why a request has no timely
    /// reply.
    pub(super) fn is_congested(&self, slot: u16) -> bool {
        let master = self.nodes.map_now().and_then(|map| map.master(slot));
        master.is_ok_and(|node| node.link.is_congested())
    }

    /// Requests an update of the topology, because a cluster slot may have moved to another node.
    pub(super) fn request_refresh(&self) {
        self.nodes.wake.notify_one();
    }

    /// Returns the number of the node that serves this cluster slot. Returns [`NO_NODE`] if no node serves the slot,
    /// or if the slot migrates.
    pub(super) fn server(&self, slot: u16) -> usize {
        if self.migrating_slots.contains(slot) {
            return NO_NODE;
        }
        let map = self.nodes.map_now();
        map.ok().and_then(|map| map.node(slot).map(|node| node.number)).unwrap_or(NO_NODE)
    }

    /// Returns the number of open connections to all nodes.
    pub(super) fn connections(&self) -> usize {
        let Ok(map) = self.nodes.map_now() else { return 0 };
        map.nodes().map(|node| node.link.connections()).sum()
    }

    /// Returns an error if a cluster slot has no master, or if its master has no live connection.
    pub(super) fn health(&self) -> Result<(), StoreError> {
        let map = self.nodes.map_now()?;
        map.health()?;
        map.nodes().try_for_each(|node| node.link.health())
    }
}
