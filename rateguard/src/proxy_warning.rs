//! The state of the warning about an unconfigured proxy: whether the guard has logged it, and how many requests were
//! inspected.

use std::sync::{Once, atomic::AtomicU32};

/// The state of the warning about an unconfigured proxy: whether the guard has logged it, and how many requests were
/// inspected.
pub(crate) struct ProxyWarning {
    pub(crate) once: Once,
    pub(crate) probed: AtomicU32,
}

impl ProxyWarning {
    pub(crate) const fn new() -> Self {
        Self { once: Once::new(), probed: AtomicU32::new(0) }
    }
}
