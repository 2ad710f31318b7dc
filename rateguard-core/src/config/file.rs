//! Manages the policies file of a guard. When the file changes, its new policies replace the active policies.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError},
    thread,
    time::{Duration, Instant, SystemTime},
};

use arc_swap::ArcSwap;

use super::{
    error::PoliciesFileError,
    fingerprint::{FileFingerprint, content},
    guard::StartupSettings,
    validate::{ValidationContext, validate, warn_moved_quota, warn_new_candidate},
    watch::Watch,
};
use crate::{
    OnError,
    guard::{NameRegistry, PolicySet},
    key::KeyRecipes,
};

/// The maximum time for which a reload waits while another thread reads the file.
const MAX_LOCK_WAIT: Duration = Duration::from_secs(1);

pub(crate) struct PoliciesFile {
    path: PathBuf,
    from_builder: PolicySet,
    key_recipes: KeyRecipes,
    startup: StartupSettings,
    policy_set: ArcSwap<PolicySet>,
    fingerprints: Mutex<Fingerprints>,
    state: Mutex<FileState>,
    watch: Watch,
}

/// The fingerprints (hashes) of the file's content at two times. A thread locks them while it reads and validates
/// the file, so on a slow disk other threads may have to wait.
struct Fingerprints {
    /// The fingerprint of the content from which the active policies come.
    active: FileFingerprint,
    /// The fingerprint of the content that was validated last. This content may be invalid.
    last: FileFingerprint,
}

/// The status of the file. A thread locks the status only for single assignments, so a reader of the status never
/// waits for a disk.
struct FileState {
    generation: u64,
    since: SystemTime,
    error: Option<PoliciesFileError>,
}

impl FileState {
    fn record_change(&mut self) {
        *self = Self { generation: self.generation + 1, since: SystemTime::now(), error: None };
    }
}

/// The result of reloading a policies file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reloaded {
    /// The policies of the file have replaced the earlier policies.
    Changed,
    /// The current policies already come from this content of the file, so nothing changed. A reload also returns this
    /// result if the guard has no policies file.
    Unchanged,
}

/// The status of a guard's policies file.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PoliciesFileStatus {
    /// The path of the policies file.
    pub path: PathBuf,
    /// How often the policies of the file have taken effect in this process. The value is 1 after the guard is built.
    /// Each change that takes effect adds 1.
    pub generation: u64,
    /// The time at which the current policies took effect.
    pub since: SystemTime,
    /// The reason why the guard rejected the latest content of the file. `None` if the latest content is in effect.
    pub error: Option<PoliciesFileError>,
}

impl PoliciesFile {
    /// Starts a thread that calls `poll` repeatedly until it returns `None`. See [`Watch::start`].
    pub(crate) fn watch(
        &self,
        poll: impl Fn(Option<FileFingerprint>) -> Option<FileFingerprint> + Send + 'static,
    ) -> io::Result<()> {
        self.watch.start(poll)
    }

    pub(crate) fn stop_watching(&self) {
        self.watch.stop();
    }

    /// Reads a file when the guard is built. Returns the file and the startup settings, which cannot change while
    /// the program runs.
    pub(crate) fn open(
        path: PathBuf,
        interval: Duration,
        from_builder: PolicySet,
        key_recipes: KeyRecipes,
    ) -> Result<(Self, StartupSettings), PoliciesFileError> {
        let content = content(&path);
        let fingerprint = FileFingerprint::of(&content);
        let bytes = content.map_err(|error| PoliciesFileError::unreadable(&path, error))?;
        let context = ValidationContext { from_builder: &from_builder, key_recipes, active: None };
        let (policy_set, startup) = validate(&bytes, &context)
            .map_err(|diagnostics| PoliciesFileError::invalid(&path, diagnostics))?;
        let state = FileState { generation: 1, since: SystemTime::now(), error: None };
        let file = Self {
            path,
            from_builder,
            key_recipes,
            startup: startup.clone(),
            policy_set: ArcSwap::from_pointee(policy_set),
            fingerprints: Mutex::new(Fingerprints { active: fingerprint, last: fingerprint }),
            state: Mutex::new(state),
            watch: Watch::every(interval),
        };
        Ok((file, startup))
    }

    pub(crate) fn policy_set(&self) -> Arc<PolicySet> {
        self.policy_set.load_full()
    }

    pub(crate) fn on_error(&self) -> OnError {
        self.policy_set.load().on_error
    }

    pub(crate) fn status(&self) -> PoliciesFileStatus {
        let FileState { generation, since, ref error } = *lock(&self.state);
        PoliciesFileStatus { path: self.path.clone(), generation, since, error: error.clone() }
    }

    /// Reads the file and replaces the active policies if the file is valid.
    pub(crate) fn reload(&self, registry: &NameRegistry) -> Result<Reloaded, PoliciesFileError> {
        // The thread locks the fingerprints before it reads the file. Otherwise two reloads could read the file,
        // and the one with the older content could finish last.
        let Some(mut fingerprints) = lock_timeout(&self.fingerprints) else {
            let error = PoliciesFileError::busy(&self.path);
            log::error!(target: "rateguard", "{error}");
            return Err(error);
        };
        let content = content(&self.path);
        self.apply(&mut fingerprints, content, registry)
    }

    /// Reads the file and returns its fingerprint. New content is validated and applied only when a second poll
    /// finds the same content, because an editor may be writing the file during the first poll.
    pub(crate) fn poll(
        &self,
        previous: Option<FileFingerprint>,
        registry: &NameRegistry,
    ) -> FileFingerprint {
        let mut fingerprints = lock(&self.fingerprints);
        let content = content(&self.path);
        let fingerprint = FileFingerprint::of(&content);
        if previous == Some(fingerprint) && fingerprints.last != fingerprint {
            // The result can be ignored, because `apply` logs an error and stores it in the status.
            let _ = self.apply(&mut fingerprints, content, registry);
        }
        fingerprint
    }

    fn apply(
        &self,
        fingerprints: &mut Fingerprints,
        content: io::Result<Vec<u8>>,
        registry: &NameRegistry,
    ) -> Result<Reloaded, PoliciesFileError> {
        let (fingerprint, path) = (FileFingerprint::of(&content), self.path.display());
        let is_validated = fingerprints.last == fingerprint;
        fingerprints.last = fingerprint;
        if fingerprint == fingerprints.active {
            if lock(&self.state).error.take().is_some() {
                log::info!(target: "rateguard", "{path} matches the active policies again");
            }
            return Ok(Reloaded::Unchanged);
        }
        let next = content
            .map_err(|error| PoliciesFileError::unreadable(&self.path, error))
            .and_then(|bytes| self.validate(&bytes, registry));
        match next {
            Ok(next) => {
                self.replace(next);
                fingerprints.active = fingerprint;
                lock(&self.state).record_change();
                log::info!(target: "rateguard", "the policies of {path} are active");
                Ok(Reloaded::Changed)
            }
            Err(error) => {
                // If the same content was rejected before, the error is logged again only if the reason has changed.
                // Otherwise every reload would log the same error.
                let logged = lock(&self.state).error.replace(error.clone());
                let is_logged = logged.is_some_and(|it| it.to_string() == error.to_string());
                if !(is_validated && is_logged) {
                    log::error!(
                        target: "rateguard",
                        "{path} was rejected; the earlier policies stay active:\n{error}"
                    );
                }
                Err(error)
            }
        }
    }

    fn validate(
        &self,
        bytes: &[u8],
        registry: &NameRegistry,
    ) -> Result<PolicySet, PoliciesFileError> {
        let context = ValidationContext {
            from_builder: &self.from_builder,
            key_recipes: self.key_recipes,
            active: Some((&self.policy_set.load(), &self.startup, registry)),
        };
        validate(bytes, &context)
            .map(|(next, _)| next)
            .map_err(|diagnostics| PoliciesFileError::invalid(&self.path, diagnostics))
    }

    fn replace(&self, next: PolicySet) {
        let earlier = self.policy_set.swap(Arc::new(next));
        let next = self.policy_set.load();
        for policy in earlier.policies() {
            let Some(new) = next.policies().find(|new| new.name() == policy.name()) else {
                continue;
            };
            for warning in [warn_moved_quota(policy, new), warn_new_candidate(policy, new)]
                .into_iter()
                .flatten()
            {
                log::warn!(target: "rateguard", "{}: {warning}", self.path.display());
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // While a thread holds the lock, it only makes single assignments. So the value is consistent even if the
    // thread panicked.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for a lock for at most [`MAX_LOCK_WAIT`]. If the disk does not respond, another thread may hold the lock for
/// much longer.
fn lock_timeout<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    let start = Instant::now();
    loop {
        match mutex.try_lock() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(error)) => return Some(error.into_inner()),
            Err(TryLockError::WouldBlock) if start.elapsed() >= MAX_LOCK_WAIT => return None,
            Err(TryLockError::WouldBlock) => thread::sleep(MAX_LOCK_WAIT / 200),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{env, fs, process};

    use super::*;
    use crate::key::plain_recipe;

    fn limit(file: &PoliciesFile) -> u32 {
        let policy_set = file.policy_set();
        let policy = policy_set.policies().next().map(|it| it.quotas().as_slice()[0].limit());
        policy.unwrap_or_default()
    }

    #[test]
    fn content_is_applied_after_two_equal_polls() {
        let path = env::temp_dir().join(format!("rateguard-poll-{}.toml", process::id()));
        let text = |limit: u32| format!("[policies.a]\nlimit = {limit}\nwindow = 60\n");
        fs::write(&path, text(1)).unwrap();
        let (from_builder, registry) = (PolicySet::default(), NameRegistry::default());
        let (file, _) =
            PoliciesFile::open(path.clone(), Duration::ZERO, from_builder, plain_recipe).unwrap();
        let mut fingerprint = None;
        // Each item has the content of the file at a poll, and the limit that is active after the poll. A limit of 0
        // is invalid.
        for (content, expected) in [
            (text(1), 1),
            ("[policies.a]\nlimit = 2\nwindow = 6".to_owned(), 1),
            (text(2), 1),
            (text(2), 2),
            (text(3), 2),
            (text(2), 2),
            (text(3), 2),
            (text(3), 3),
            (text(0), 3),
            (text(0), 3),
            (text(4), 3),
            (text(4), 4),
        ] {
            fs::write(&path, content).unwrap();
            fingerprint = Some(file.poll(fingerprint, &registry));
            assert_eq!(limit(&file), expected);
        }
        assert_eq!(file.status().generation, 4);
        // A reload that the program requests applies new content immediately.
        fs::write(&path, text(5)).unwrap();
        assert_eq!(file.reload(&registry).unwrap(), Reloaded::Changed);
        assert_eq!(limit(&file), 5);
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn status_is_available_while_the_file_is_read() {
        let path = env::temp_dir().join(format!("rateguard-status-{}.toml", process::id()));
        fs::write(&path, "# no settings\n").unwrap();
        let from_builder = PolicySet::default();
        let (file, _) =
            PoliciesFile::open(path.clone(), Duration::ZERO, from_builder, plain_recipe).unwrap();
        let reader = lock(&file.fingerprints);
        assert_eq!(file.status().generation, 1);
        // This thread holds the lock, so a reload by another thread returns an error after the maximum wait.
        let (registry, start) = (NameRegistry::default(), Instant::now());
        let error = thread::scope(|scope| scope.spawn(|| file.reload(&registry)).join().unwrap());
        let error = error.unwrap_err().to_string();
        let expected = format!("another thread is still reading {}; ", path.display());
        assert!(error.starts_with(&expected), "{error}");
        assert!((MAX_LOCK_WAIT..60 * MAX_LOCK_WAIT).contains(&start.elapsed()));
        // The content of the file is valid, so the status has no error.
        assert!(file.status().error.is_none());
        drop(reader);
        assert_eq!(file.reload(&registry).unwrap(), Reloaded::Unchanged);
        fs::remove_file(&path).unwrap();
    }
}
