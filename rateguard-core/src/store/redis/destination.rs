//! The connection that a request is sent on.

use std::sync::Arc;

use super::{link::Link, link_state::ActiveConnection};

/// The connection to the server that has the keys of a request.
pub(super) struct Destination {
    pub(super) link: Arc<Link>,
    pub(super) live: ActiveConnection,
    /// In a cluster: the node imports the slot, and accepts a request only after an `ASKING` command.
    pub(super) needs_asking: bool,
    /// In a cluster: the slot of the keys, and the host of the node.
    pub(super) slot: u16,
    pub(super) host: String,
}
