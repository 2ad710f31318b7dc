//! The connection on which a request is sent.

use std::sync::Arc;

use super::{link::Link, link_state::ActiveConnection};

/// The connection to the server that has the keys of a request.
pub(super) struct Destination {
    pub(super) link: Arc<Link>,
    pub(super) live: ActiveConnection,
    /// In a cluster: whether the node imports the cluster slot, and therefore accepts a request only after an `ASKING`
    /// command.
    pub(super) needs_asking: bool,
    /// In a cluster: the cluster slot of the keys.
    pub(super) slot: u16,
    /// In a cluster: the host of the node. A redirect without a host means this host.
    pub(super) host: String,
}
