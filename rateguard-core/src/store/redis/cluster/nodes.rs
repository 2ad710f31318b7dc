//! The masters of a cluster, each with a link, and which of them serves which slot.

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
    Address,
    slot::SLOTS,
    topology::{TELL_TIMEOUT, Topology},
};
use crate::store::{
    StoreError,
    redis::{
        connector::{Source, at},
        link::Link,
        script_runner::ScriptRunner,
    },
};

/// To so many nodes there are connections, however many are told of; Redis Cluster is made for a thousand.
const MOST_NODES: usize = 1_000;
/// A map that is older than ours is believed if it has been told so often: the cluster may have been made anew.
const STALE_MAP_THRESHOLD: u32 = 3;

/// How many further maps are looked at for a node that a redirect leads to: the first may have been asked for before it was sent.
const MAPS_FOR_A_REDIRECT: usize = 2;

/// In place of a node's number, for a slot that none serves, or two: that it is not answered says nothing about a node.
pub(super) const NO_NODE: usize = 0;

pub(super) struct Nodes {
    /// All but the address.
    server: ConnectionInfo,
    /// The nodes of the URL.
    seeds: HashSet<Address>,
    deadline: Duration,
    script: Arc<ScriptRunner>,
    home: Handle,
    by_address: Mutex<HashMap<Address, Arc<Node>>>,
    next_number: AtomicUsize,
    map: watch::Sender<Known>,
    /// How often in a row a map was told that is older than ours.
    older: AtomicU32,
    /// The map may not be right any more.
    pub(super) wake: Notify,
}

pub(super) struct Node {
    pub(super) address: Address,
    pub(super) number: usize,
    pub(super) link: Arc<Link>,
}

/// What is known of the slots.
#[derive(Clone)]
pub(super) enum Known {
    /// Nothing, and the first nodes are being asked.
    Nothing,
    /// Nothing: none has told.
    Unknown(StoreError),
    Map(Arc<Map>),
}

pub(super) struct Map {
    epoch: u64,
    /// All nodes of the cluster.
    members: HashSet<Address>,
    /// First slot, last slot and master; in order.
    ranges: Vec<(u16, u16, Arc<Node>)>,
}

impl Map {
    pub(super) fn node(&self, slot: u16) -> Option<&Arc<Node>> {
        let after = self.ranges.partition_point(|(first, _, _)| *first <= slot);
        let (_, last, node) = self.ranges.get(after.checked_sub(1)?)?;
        (slot <= *last).then_some(node)
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.ranges.iter().map(|(_, _, node)| node)
    }

    /// Whether each slot has a master to which there is a connection, or why not.
    pub(super) fn health(&self) -> Result<(), StoreError> {
        let mut next = 0;
        for (first, last, node) in &self.ranges {
            if *first > next {
                return Err(StoreError::NotReady);
            }
            next = next.max(last.saturating_add(1));
            node.link.live_now()?;
        }
        if next < SLOTS { Err(StoreError::NotReady) } else { Ok(()) }
    }
}

impl Nodes {
    pub(super) fn new(
        server: ConnectionInfo,
        seeds: HashSet<Address>,
        deadline: Duration,
        script: Arc<ScriptRunner>,
        home: Handle,
    ) -> Self {
        Self {
            server,
            seeds,
            deadline,
            script,
            home,
            by_address: Mutex::default(),
            next_number: AtomicUsize::new(NO_NODE + 1),
            map: watch::Sender::new(Known::Nothing),
            older: AtomicU32::new(0),
            wake: Notify::new(),
        }
    }

    /// The map, or why there is none.
    pub(super) fn map_now(&self) -> Result<Arc<Map>, StoreError> {
        match &*self.map.borrow() {
            Known::Map(map) => Ok(Arc::clone(map)),
            Known::Unknown(cause) => Err(*cause),
            Known::Nothing => Err(StoreError::Unreachable),
        }
    }

    /// The master of a slot, as soon as the nodes that are asked first have told or failed.
    pub(super) async fn master(&self, slot: u16) -> Result<Arc<Node>, StoreError> {
        let mut map = self.map_now();
        if map.is_err() {
            let mut known = self.map.subscribe();
            // What is sent to cannot be gone: it is ours.
            let _ = known.wait_for(|known| !matches!(known, Known::Nothing)).await;
            map = self.map_now();
        }
        map?.node(slot).cloned().ok_or(StoreError::NotReady)
    }

    /// The node that a redirect leads to, if it is one of the URL's or the map names it, now or after it was asked for anew.
    ///
    /// To connect is to send the password, and a redirect may name any host.
    pub(super) async fn redirected(&self, address: &Address) -> Result<Arc<Node>, StoreError> {
        let mut maps = self.map.subscribe();
        let mut maps_left = MAPS_FOR_A_REDIRECT;
        while !self.has_member(address) {
            self.wake.notify_one();
            let is_renewed = timeout(TELL_TIMEOUT, maps.changed()).await.is_ok();
            if !is_renewed || maps_left == 0 {
                return Err(StoreError::NotReady);
            }
            maps_left -= 1;
        }
        self.at(address).map_err(|_| StoreError::NotReady)
    }

    fn has_member(&self, address: &Address) -> bool {
        let is_in_map = |map: Arc<Map>| map.members.contains(address);
        self.seeds.contains(address) || self.map_now().is_ok_and(is_in_map)
    }

    /// The node at this address, to which a connection is begun if there is none, unless there are too many.
    fn at(&self, address: &Address) -> io::Result<Arc<Node>> {
        let mut nodes = self.lock();
        if let Some(node) = nodes.get(address) {
            return Ok(Arc::clone(node));
        }
        if nodes.len() >= MOST_NODES {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        let server = at(&self.server, &address.host, address.port);
        let (source, script) = (Source::of(server)?, Arc::clone(&self.script));
        let link = Link::open(source, self.deadline, script, &self.home);
        let node = Arc::new(Node {
            address: address.clone(),
            number: self.next_number.fetch_add(1, Relaxed),
            link: Arc::new(link),
        });
        nodes.insert(address.clone(), Arc::clone(&node));
        Ok(node)
    }

    /// Takes over what a node has told, and lets go of nodes that serve nothing.
    pub(super) fn take(&self, topology: Topology) {
        if let Ok(map) = self.map_now() {
            let is_older = topology.epoch < map.epoch || !topology.is_ok;
            if is_older && self.older.fetch_add(1, Relaxed) + 1 < STALE_MAP_THRESHOLD {
                return;
            }
        }
        self.older.store(0, Relaxed);
        let mut ranges = Vec::with_capacity(topology.ranges.len());
        for (first, last, address) in &topology.ranges {
            // Without a connection it is as if nobody served them.
            if let Ok(node) = self.at(address) {
                ranges.push((*first, *last, node));
            }
        }
        let map = Map { epoch: topology.epoch, members: topology.members, ranges };
        self.lock().retain(|address, _| map.nodes().any(|node| node.address == *address));
        self.map.send_replace(Known::Map(Arc::new(map)));
    }

    /// Nobody has told.
    pub(super) fn unknown(&self, cause: StoreError) {
        self.map.send_if_modified(|known| {
            let is_unknown = !matches!(known, Known::Map(_));
            if is_unknown {
                *known = Known::Unknown(cause);
            }
            is_unknown
        });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Address, Arc<Node>>> {
        // Each change of it is whole.
        self.by_address.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
