//! Redis Cluster: a link to each master, and the way from a key to the master that serves its slot.
//!
//! Every node is looked after by itself, so that one that hangs keeps nobody from the others; and a script that may have
//! been run is not sent again.

mod migrating_slots;
mod nodes;
mod slot;
mod topology;
mod topology_refresh;

use std::{sync::Arc, time::Duration};

use redis::{ConnectionAddr, ConnectionInfo, RedisError, ServerErrorKind};
use tokio::{runtime::Handle, time::sleep};

pub(super) use self::slot::slot;
use self::{
    migrating_slots::Moving,
    nodes::{NO_NODE, Node, Nodes},
};
use super::{StoreError, link::Link, script_runner::ScriptRunner};
use crate::store::{io_thread::Task, redis::router::Destination};

/// The first pause before keys are asked for again that are being moved; it doubles.
const INITIAL_BACKOFF: Duration = Duration::from_millis(1);

/// Where a node is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Address {
    host: String,
    port: u16,
}

impl Address {
    fn of(server: &ConnectionInfo) -> Option<Self> {
        match server.addr() {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                Some(Self { host: host.clone(), port: *port })
            }
            _ => None,
        }
    }
}

pub(super) struct Cluster {
    nodes: Arc<Nodes>,
    moving: Moving,
    _watch: Task,
}

impl Cluster {
    /// Begins to ask the nodes of the URL, of which there is at least one, for the others.
    pub(super) fn open(
        seeds: Vec<ConnectionInfo>,
        deadline: Duration,
        script: &Arc<ScriptRunner>,
        home: &Handle,
    ) -> Self {
        let server = seeds[0].clone();
        let places = seeds.iter().filter_map(Address::of).collect();
        let nodes = Nodes::new(server, places, deadline, Arc::clone(script), home.clone());
        let nodes = Arc::new(nodes);
        let watch = Task::spawn(home, topology_refresh::watch(Arc::clone(&nodes), seeds));
        Self { nodes, moving: Moving::default(), _watch: watch }
    }

    /// The way to the master of this slot.
    pub(super) async fn way(&self, slot: u16) -> Result<Destination, StoreError> {
        let way = match self.nodes.master(slot).await {
            Ok(node) => self.way_to(&node, slot, false).await,
            Err(cause) => Err(cause),
        };
        way.inspect_err(|_| self.nodes.wake.notify_one())
    }

    async fn way_to(
        &self,
        node: &Node,
        slot: u16,
        is_asking: bool,
    ) -> Result<Destination, StoreError> {
        let link = Arc::clone(&node.link);
        let live = link.live().await?;
        let host = node.address.host.clone();
        Ok(Destination { link, live, is_asking, slot, host })
    }

    /// Where to ask instead, if the server has not run the script, and says where; or why nowhere.
    pub(super) async fn redirect(
        &self,
        way: Destination,
        error: &RedisError,
        turn: u32,
    ) -> Result<Destination, Option<StoreError>> {
        let redirect = || -> Option<Address> {
            let (host, port) = error.redirect_node()?.0.rsplit_once(':')?;
            let host = if host.is_empty() { &way.host } else { host };
            // An IPv6 address comes without brackets.
            Some(Address { host: host.to_owned(), port: port.parse().ok()? })
        };
        let is_asking = match error.kind() {
            redis::ErrorKind::Server(ServerErrorKind::Moved) => {
                self.nodes.wake.notify_one();
                false
            }
            redis::ErrorKind::Server(ServerErrorKind::Ask) => {
                self.moving.record_reply(way.slot);
                true
            }
            // Some of the keys have been moved already, and some not yet.
            redis::ErrorKind::Server(ServerErrorKind::TryAgain) => {
                self.moving.record_reply(way.slot);
                sleep(INITIAL_BACKOFF * 2_u32.pow(turn)).await;
                return Ok(way);
            }
            _ => return Err(None),
        };
        let address = redirect().ok_or(StoreError::NotReady)?;
        let node = self.nodes.redirected(&address).await?;
        Ok(self.way_to(&node, way.slot, is_asking).await?)
    }

    /// A check failed, and perhaps would not on another node.
    pub(super) fn missed(&self) {
        self.nodes.wake.notify_one();
    }

    /// The number of the node that serves this slot, if one does so alone.
    pub(super) fn server(&self, slot: u16) -> usize {
        if self.moving.has(slot) {
            return NO_NODE;
        }
        let map = self.nodes.map_now();
        map.ok().and_then(|map| map.node(slot).map(|node| node.number)).unwrap_or(NO_NODE)
    }

    /// The link to the master of this slot, if it is known.
    pub(super) fn link(&self, slot: u16) -> Option<Arc<Link>> {
        let map = self.nodes.map_now().ok()?;
        map.node(slot).map(|node| Arc::clone(&node.link))
    }

    /// Whether each slot has a master to which there is a live connection.
    pub(super) fn health(&self) -> Result<(), StoreError> {
        self.nodes.map_now()?.health()
    }
}
