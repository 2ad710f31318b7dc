//! Defines the destination of a request: the connection on which the store sends the request.

use std::sync::Arc;

use super::{link::Link, link_state::ActiveConnection};

/// The connection to the server that stores the keys of a request.
pub(super) struct Destination {
    pub(super) link: Arc<Link>,
    pub(super) live: ActiveConnection,
    /// True if the node imports the cluster slot of the keys. Such a node accepts a request only after an `ASKING`
    /// command. Always false without a cluster.
    pub(super) needs_asking: bool,
    /// The cluster slot of the keys. Only used in a cluster.
    pub(super) slot: u16,
    /// The host of the node. If a redirect error names no host, it means this host. Only used in a cluster.
    pub(super) host: String,
}
