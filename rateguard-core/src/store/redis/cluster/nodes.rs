//! Holds the masters of a cluster, a link (the connection to one server) for each master, and the map from cluster
//! slots to masters.

use std::{
    collections::{HashMap, HashSet},
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use redis::ConnectionInfo;
use tokio::{
    runtime::Handle,
    sync::{Notify, watch},
    time::timeout,
};

use super::{
    node_address::NodeAddress,
    slot::SLOTS,
    topology::{TOPOLOGY_TIMEOUT, Topology},
};
use crate::store::{
    StoreError,
    redis::{connect::at, connector::Source, link::Link, script_runner::ScriptRunner},
};

/// The maximum number of nodes to which the store connects. Redis Cluster supports about 1,000 nodes.
const MAX_NODES: usize = 1_000;
/// The number of consecutive stale reports after which the last reported map replaces the current map. A report is
/// stale in two cases: its epoch is lower than the epoch of the current map, or the node that sent it is not
/// connected to a majority of the masters. After this number of stale reports, an administrator has probably created
/// the cluster again, and the epochs of the new cluster are lower.
const STALE_MAP_THRESHOLD: u32 = 3;

/// The number of map updates to wait for after a redirect to an unknown node. The query for the first update may have
/// started before the redirect, so one update is not sufficient.
const MAPS_PER_REDIRECT: usize = 2;

/// The node number for a cluster slot that no node serves, or that migrates between two nodes. If a reply for such a
/// slot is missing, no single node is responsible. So this failure does not count in the circuit breaker of any node.
pub(super) const NO_NODE: usize = 0;

pub(super) struct Nodes {
    /// The settings for the connections to all nodes. The address in these settings is not used.
    server: ConnectionInfo,
    /// The addresses of the nodes in the URL.
    seeds: HashSet<NodeAddress>,
    deadline: Duration,
    script: Arc<ScriptRunner>,
    runtime: Handle,
    by_address: Mutex<HashMap<NodeAddress, Arc<Node>>>,
    next_number: AtomicUsize,
    map: watch::Sender<SlotMapState>,
    /// The number of consecutive stale reports. See [`STALE_MAP_THRESHOLD`].
    stale_reports: AtomicU32,
    /// Notified when the map may be outdated, so that the refresh task queries a new map.
    pub(super) wake: Notify,
}

pub(super) struct Node {
    pub(super) address: NodeAddress,
    pub(super) number: usize,
    pub(super) link: Arc<Link>,
}

#[derive(Clone)]
pub(super) enum SlotMapState {
    /// The first query of the map is still in progress.
    Loading,
    /// No node has reported a map yet, and the last query failed with this error.
    Unavailable(StoreError),
    Loaded(Arc<SlotMap>),
}

/// Maps each cluster slot to the master that serves the slot.
pub(super) struct SlotMap {
    epoch: u64,
    /// The addresses of all nodes of the cluster. A redirect may name only these addresses and the addresses in the
    /// URL.
    members: HashSet<NodeAddress>,
    /// The ranges of slots in ascending order. Each range has its first slot, its last slot and its master.
    ranges: Vec<(u16, u16, Arc<Node>)>,
}

impl SlotMap {
    pub(super) fn node(&self, slot: u16) -> Option<&Arc<Node>> {
        let after = self.ranges.partition_point(|(first, _, _)| *first <= slot);
        let (_, last, node) = self.ranges.get(after.checked_sub(1)?)?;
        (slot <= *last).then_some(node)
    }

    /// Returns the master of a cluster slot. Returns an error if the slot has no master.
    pub(super) fn master(&self, slot: u16) -> Result<Arc<Node>, StoreError> {
        self.node(slot).cloned().ok_or(StoreError::NotReady(None))
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.ranges.iter().map(|(_, _, node)| node)
    }

    /// Returns an error if a cluster slot has no master, or if its master has no live connection.
    pub(super) fn health(&self) -> Result<(), StoreError> {
        let mut next = 0;
        for (first, last, node) in &self.ranges {
            if *first > next {
                return Err(StoreError::NotReady(None));
            }
            next = next.max(last.saturating_add(1));
            node.link.live_now()?;
        }
        if next < SLOTS { Err(StoreError::NotReady(None)) } else { Ok(()) }
    }
}

impl Nodes {
    pub(super) fn new(
        server: ConnectionInfo,
        seeds: HashSet<NodeAddress>,
        deadline: Duration,
        script: Arc<ScriptRunner>,
        runtime: Handle,
    ) -> Self {
        Self {
            server,
            seeds,
            deadline,
            script,
            runtime,
            by_address: Mutex::default(),
            next_number: AtomicUsize::new(NO_NODE + 1),
            map: watch::Sender::new(SlotMapState::Loading),
            stale_reports: AtomicU32::new(0),
            wake: Notify::new(),
        }
    }

    /// Returns the current map, or the reason why there is no map yet.
    pub(super) fn map_now(&self) -> Result<Arc<SlotMap>, StoreError> {
        match &*self.map.borrow() {
            SlotMapState::Loaded(map) => Ok(Arc::clone(map)),
            SlotMapState::Unavailable(cause) => Err(*cause),
            SlotMapState::Loading => Err(StoreError::Unreachable(None)),
        }
    }

    pub(super) fn script(&self) -> &ScriptRunner {
        &self.script
    }

    /// Returns the master of a cluster slot. If the first query of the map is in progress, waits for its result.
    pub(super) async fn master(&self, slot: u16) -> Result<Arc<Node>, StoreError> {
        let mut state = self.map.subscribe();
        // The channel cannot be closed, because `self` owns the sender.
        let _ = state.wait_for(|state| !matches!(state, SlotMapState::Loading)).await;
        self.map_now()?.master(slot)
    }

    /// Returns the node at the address that a redirect names. If the address is neither in the URL nor in the map,
    /// the method first waits for a new map.
    ///
    /// Returns an error if the address is not in the new map either. A redirect may name any host, and a connection
    /// to this host would send the password to it.
    pub(super) async fn redirected(&self, address: &NodeAddress) -> Result<Arc<Node>, StoreError> {
        let mut maps = self.map.subscribe();
        for _ in 0..MAPS_PER_REDIRECT {
            if self.has_member(address) {
                break;
            }
            self.wake.notify_one();
            if timeout(TOPOLOGY_TIMEOUT, maps.changed()).await.is_err() {
                break;
            }
        }
        if !self.has_member(address) {
            return Err(StoreError::NotReady(None));
        }
        self.at(address).map_err(|_| StoreError::NotReady(None))
    }

    fn has_member(&self, address: &NodeAddress) -> bool {
        let is_in_map = |map: Arc<SlotMap>| map.members.contains(address);
        self.seeds.contains(address) || self.map_now().is_ok_and(is_in_map)
    }

    /// Returns the node at this address. If there is no such node yet, opens a link to it. Returns an error if there
    /// are already [`MAX_NODES`] nodes.
    fn at(&self, address: &NodeAddress) -> io::Result<Arc<Node>> {
        let mut nodes = self.lock();
        if let Some(node) = nodes.get(address) {
            return Ok(Arc::clone(node));
        }
        if nodes.len() >= MAX_NODES {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        let server = at(&self.server, &address.host, address.port);
        let (source, script) = (Source::of(server)?, Arc::clone(&self.script));
        let link = Link::open(source, self.deadline, script, &self.runtime);
        let node = Arc::new(Node {
            address: address.clone(),
            number: self.next_number.fetch_add(1, Relaxed),
            link: Arc::new(link),
        });
        nodes.insert(address.clone(), Arc::clone(&node));
        Ok(node)
    }

    /// Replaces the map with the topology that a node has reported. Closes the links to nodes that serve no slot in
    /// this topology.
    pub(super) fn update(&self, topology: Topology) {
        if let Ok(map) = self.map_now() {
            let is_stale = topology.epoch < map.epoch || !topology.is_ok;
            if is_stale && self.stale_reports.fetch_add(1, Relaxed) + 1 < STALE_MAP_THRESHOLD {
                return;
            }
        }
        self.stale_reports.store(0, Relaxed);
        let mut ranges = Vec::with_capacity(topology.ranges.len());
        for (first, last, address) in &topology.ranges {
            // If no link can be opened to a node, the new map contains no slots of this node.
            if let Ok(node) = self.at(address) {
                ranges.push((*first, *last, node));
            }
        }
        let map = SlotMap { epoch: topology.epoch, members: topology.members, ranges };
        self.lock().retain(|address, _| map.nodes().any(|node| node.address == *address));
        self.map.send_replace(SlotMapState::Loaded(Arc::new(map)));
    }

    /// Records that the last query of the map failed on all nodes. If there is already a map, it remains in use.
    pub(super) fn record_failure(&self, cause: StoreError) {
        self.map.send_if_modified(|state| {
            let has_no_map = !matches!(state, SlotMapState::Loaded(_));
            if has_no_map {
                *state = SlotMapState::Unavailable(cause);
            }
            has_no_map
        });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<NodeAddress, Arc<Node>>> {
        // Each change is a single call that leaves the map consistent, so it is safe to use a poisoned lock.
        self.by_address.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
