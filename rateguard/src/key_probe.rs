//! Counts the first requests of a limit that lack the limit's key, to detect a key that no request has.

use std::{
    panic::Location,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

/// Counts the first requests of a limit, until one of them has the limit's key or the number of requests without the
/// key is [`MAX_KEYLESS`](Self::MAX_KEYLESS). After that, the probe changes no state.
#[derive(Default)]
pub(crate) struct KeyProbe {
    /// The number of requests without the key. The maximum means that the probe has ended.
    keyless: AtomicU32,
}

impl KeyProbe {
    /// The number of requests without the key after which the limit logs a warning. By chance, the first requests may
    /// come from anonymous clients, so a smaller number would cause false warnings.
    pub(crate) const MAX_KEYLESS: u32 = 100;

    /// Ends the probe. Call this function for a request that has the key. Returns whether this call ended the probe.
    pub(crate) fn end(&self) -> bool {
        // The value is stored only once, because a write for every request would make the workers compete for one
        // cache line.
        self.keyless.load(Relaxed) < Self::MAX_KEYLESS
            && self.keyless.swap(Self::MAX_KEYLESS, Relaxed) < Self::MAX_KEYLESS
    }

    /// Counts a request without the key, and returns the number of such requests. The result is `None` if the probe
    /// has ended. Only one call returns the maximum.
    pub(crate) fn count_keyless(&self) -> Option<u32> {
        if self.keyless.load(Relaxed) >= Self::MAX_KEYLESS {
            return None;
        }
        let count = self.keyless.fetch_add(1, Relaxed) + 1;
        (count <= Self::MAX_KEYLESS).then_some(count)
    }
}

/// The probes of a guard's middleware limits. Each worker creates its own middleware, and all workers use one probe
/// for a limit.
#[derive(Default)]
pub(crate) struct KeyProbes {
    probes: Mutex<Vec<(&'static Location<'static>, String, Arc<KeyProbe>)>>,
}

impl KeyProbes {
    /// The maximum number of shared probes. A program that creates limits with generated names could otherwise use
    /// more and more memory.
    const MAX: usize = 1_024;

    /// Returns the probe of the limit with this name and source location.
    pub(crate) fn of(&self, location: &'static Location<'static>, name: &str) -> Arc<KeyProbe> {
        // No code can panic while it holds the lock, so the lock is never poisoned.
        let mut probes = self.probes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, _, probe)) = probes.iter().find(|it| (it.0, &*it.1) == (location, name)) {
            return Arc::clone(probe);
        }
        let probe = Arc::<KeyProbe>::default();
        if probes.len() < Self::MAX {
            probes.push((location, name.to_owned(), Arc::clone(&probe)));
        }
        probe
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probe_counts_keyless_requests_up_to_the_maximum() {
        let probe = KeyProbe::default();
        let counts: Vec<_> = (0..200).map_while(|_| probe.count_keyless()).collect();
        assert_eq!(counts, (1..=KeyProbe::MAX_KEYLESS).collect::<Vec<_>>());
    }

    #[test]
    fn request_with_key_ends_the_probe() {
        let probe = KeyProbe::default();
        assert_eq!(probe.count_keyless(), Some(1));
        probe.end();
        assert_eq!(probe.count_keyless(), None);
    }

    fn location() -> &'static Location<'static> {
        Location::caller()
    }

    fn location_of_another_line() -> &'static Location<'static> {
        Location::caller()
    }

    #[test]
    fn limits_share_a_probe_only_with_equal_name_and_location() {
        let probes = KeyProbes::default();
        let (here, there) = (location(), location_of_another_line());
        let probe = probes.of(here, "a");
        assert!(Arc::ptr_eq(&probe, &probes.of(here, "a")));
        assert!(!Arc::ptr_eq(&probe, &probes.of(here, "b")));
        assert!(!Arc::ptr_eq(&probe, &probes.of(there, "a")));
    }
}
