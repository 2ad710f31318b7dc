//! Connects to a Redis Cluster. There is one link to each master, and each request is sent to the master that serves
//! the cluster slot of the request's keys.
//!
//! Each master has its own link, so a master that does not reply does not delay the requests to other masters. A
//! request is not sent again if a node may already have run it, because the units would then count twice.

mod migrating_slots;
mod node_address;
mod nodes;
mod slot;
mod topology;
mod topology_refresh;

use std::{sync::Arc, time::Duration};

use redis::{ConnectionInfo, RedisError, ServerErrorKind};
use tokio::{runtime::Handle, time::sleep};

pub(super) use self::slot::slot;
use self::{
    migrating_slots::MigratingSlots,
    node_address::NodeAddress,
    nodes::{NO_NODE, Node, Nodes},
};
use crate::store::{
    StoreError,
    io_thread::Task,
    redis::{destination::Destination, link::Link, script_runner::ScriptRunner},
};

/// The delay before a request to a migrating slot is sent a second time. The delay doubles before each further
/// attempt.
const INITIAL_BACKOFF: Duration = Duration::from_millis(1);

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

    /// Returns the destination for the keys in this cluster slot: the master of the slot.
    pub(super) async fn destination(&self, slot: u16) -> Result<Destination, StoreError> {
        let destination = match self.nodes.master(slot).await {
            Ok(node) => self.destination_at(&node, slot, false).await,
            Err(cause) => Err(cause),
        };
        destination.inspect_err(|_| self.request_refresh())
    }

    async fn destination_at(
        &self,
        node: &Node,
        slot: u16,
        needs_asking: bool,
    ) -> Result<Destination, StoreError> {
        let link = Arc::clone(&node.link);
        let live = link.live().await?;
        let host = node.address.host.clone();
        Ok(Destination { link, live, needs_asking, slot, host })
    }

    /// Returns the destination that a redirect error names. A node that redirects a request has not run the script,
    /// so it is safe to send the request again.
    ///
    /// Returns `Err(Some(_))` with the cause if the destination is unavailable. Returns `Err(None)` if the error is
    /// not a redirect.
    pub(super) async fn redirect(
        &self,
        destination: Destination,
        error: &RedisError,
        attempt: u32,
    ) -> Result<Destination, Option<StoreError>> {
        let redirect = || -> Option<NodeAddress> {
            let (host, port) = error.redirect_node()?.0.rsplit_once(':')?;
            let host = if host.is_empty() { &destination.host } else { host };
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
        Ok(self.destination_at(&node, destination.slot, needs_asking).await?)
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

    /// Returns the link to the master of this cluster slot. Returns `None` if the current map has no master for the
    /// slot.
    pub(super) fn link(&self, slot: u16) -> Option<Arc<Link>> {
        let map = self.nodes.map_now().ok()?;
        map.node(slot).map(|node| Arc::clone(&node.link))
    }

    /// Returns an error if a cluster slot has no master, or if its master has no live connection.
    pub(super) fn health(&self) -> Result<(), StoreError> {
        let map = self.nodes.map_now()?;
        map.health()?;
        map.nodes().try_for_each(|node| node.link.health())
    }
}
