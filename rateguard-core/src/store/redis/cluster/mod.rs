//! Redis Cluster: opens a link to each master, and sends each request to the master that serves the cluster slot of its
//! keys.
//!
//! Each node has its own link, so a node that hangs does not delay requests to other nodes. If a node may have run a
//! request, the request is not sent again, because the units would count twice.

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

/// The delay before the first retry of a request to a migrating slot. The delay doubles with each retry.
const INITIAL_BACKOFF: Duration = Duration::from_millis(1);

pub(super) struct Cluster {
    nodes: Arc<Nodes>,
    migrating_slots: MigratingSlots,
    _topology_refresh: Task,
}

impl Cluster {
    /// Starts to query the topology from the nodes of the URL. There must be at least one node.
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

    /// Returns the destination for this cluster slot: the master of the slot.
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

    /// Returns the destination that a redirect error names. A node that redirects has not run the script, so the
    /// request can be sent again.
    ///
    /// Fails with a cause if the destination is unavailable, and with `None` if the error is not a redirect.
    pub(super) async fn redirect(
        &self,
        destination: Destination,
        error: &RedisError,
        attempt: u32,
    ) -> Result<Destination, Option<StoreError>> {
        let redirect = || -> Option<NodeAddress> {
            let (host, port) = error.redirect_node()?.0.rsplit_once(':')?;
            let host = if host.is_empty() { &destination.host } else { host };
            // An IPv6 address has no brackets in a redirect.
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
            // Some of the keys have already migrated and others have not, so no node has all keys. Wait, and try the
            // same node again.
            redis::ErrorKind::Server(ServerErrorKind::TryAgain) => {
                self.migrating_slots.record(destination.slot);
                sleep(INITIAL_BACKOFF * 2_u32.pow(attempt)).await;
                return Ok(destination);
            }
            _ => return Err(None),
        };
        let address = redirect().ok_or(StoreError::NotReady)?;
        let node = self.nodes.redirected(&address).await?;
        Ok(self.destination_at(&node, destination.slot, needs_asking).await?)
    }

    /// Requests a refresh of the topology, because another node may serve a cluster slot now.
    pub(super) fn request_refresh(&self) {
        self.nodes.wake.notify_one();
    }

    /// Returns the number of the node that serves this cluster slot, or [`NO_NODE`] if there is no such node or the
    /// slot migrates.
    pub(super) fn server(&self, slot: u16) -> usize {
        if self.migrating_slots.contains(slot) {
            return NO_NODE;
        }
        let map = self.nodes.map_now();
        map.ok().and_then(|map| map.node(slot).map(|node| node.number)).unwrap_or(NO_NODE)
    }

    /// Returns the link to the master of this cluster slot, if the current map has a master for the slot.
    pub(super) fn link(&self, slot: u16) -> Option<Arc<Link>> {
        let map = self.nodes.map_now().ok()?;
        map.node(slot).map(|node| Arc::clone(&node.link))
    }

    /// Returns an error unless each cluster slot has a master with a live connection.
    pub(super) fn health(&self) -> Result<(), StoreError> {
        self.nodes.map_now()?.health()
    }
}
