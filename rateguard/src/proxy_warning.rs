//! The state of the warning about a proxy that the application has not configured. The state records whether the
//! guard has logged the warning, and in how many requests the guard has searched for the headers of a proxy.

use std::sync::{Once, atomic::AtomicU32};

/// The state of the warning about a proxy that the application has not configured. The state records whether the
/// guard has logged the warning, and in how many requests the guard has searched for the headers of a proxy.
pub(crate) struct ProxyWarning {
    pub(crate) once: Once,
    pub(crate) probed: AtomicU32,
}

impl ProxyWarning {
    pub(crate) const fn new() -> Self {
        Self { once: Once::new(), probed: AtomicU32::new(0) }
    }
}
