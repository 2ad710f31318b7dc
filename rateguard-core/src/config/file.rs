//! The file with policies of a guard: what of it is in force, and what becomes of what it says now.

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

/// For somebody else who reads the file.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

pub(crate) struct PoliciesFile {
    path: PathBuf,
    from_builder: PolicySet,
    key_recipes: KeyRecipes,
    at_start: StartupSettings,
    policy_set: ArcSwap<PolicySet>,
    judged: Mutex<Validated>,
    state: Mutex<FileState>,
    watch: Watch,
}

/// Held while the file is read and judged, which may take as long as a disk does.
struct Validated {
    /// What is in force.
    policy_set: FileFingerprint,
    /// What was judged last.
    last: FileFingerprint,
}

/// Held for a moment.
struct FileState {
    generation: u64,
    since: SystemTime,
    error: Option<PoliciesFileError>,
}

impl FileState {
    fn renew(&mut self) {
        *self = Self { generation: self.generation + 1, since: SystemTime::now(), error: None };
    }
}

/// What came of reading a file with policies once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reloaded {
    /// What it says is in force from now on.
    Changed,
    /// It says what is in force already.
    Unchanged,
}

/// How things are with a guard's file with policies.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PoliciesFileStatus {
    /// The file.
    pub path: PathBuf,
    /// How many states of it have been in force in this process, the present one included.
    pub generation: u64,
    /// When the present one was put in force.
    pub since: SystemTime,
    /// Why what the file says now is not in force, if it is not.
    pub error: Option<PoliciesFileError>,
}

impl PoliciesFile {
    /// Polls the file in a thread of its own until `poll` returns `None`. See [`Watch::start`].
    pub(crate) fn watch(
        &self,
        poll: impl Fn(Option<FileFingerprint>) -> Option<FileFingerprint> + Send + 'static,
    ) -> io::Result<()> {
        self.watch.start(poll)
    }

    pub(crate) fn stop_watching(&self) {
        self.watch.stop();
    }

    /// The file, which has to be legal, and what of it is read now and never again.
    pub(crate) fn open(
        path: PathBuf,
        interval: Duration,
        from_builder: PolicySet,
        key_recipes: KeyRecipes,
    ) -> Result<(Self, StartupSettings), PoliciesFileError> {
        let content = content(&path);
        let seen = FileFingerprint::of(&content);
        let bytes = content.map_err(|error| PoliciesFileError::unreadable(&path, error))?;
        let ground = ValidationContext { from_builder: &from_builder, key_recipes, earlier: None };
        let (policy_set, at_start) = validate(&bytes, &ground)
            .map_err(|mistakes| PoliciesFileError::mistakes_in(&path, mistakes))?;
        let state = FileState { generation: 1, since: SystemTime::now(), error: None };
        let file = Self {
            path,
            from_builder,
            key_recipes,
            at_start: at_start.clone(),
            policy_set: ArcSwap::from_pointee(policy_set),
            judged: Mutex::new(Validated { policy_set: seen, last: seen }),
            state: Mutex::new(state),
            watch: Watch::every(interval),
        };
        Ok((file, at_start))
    }

    pub(crate) fn policy_set(&self) -> Arc<PolicySet> {
        self.policy_set.load_full()
    }

    pub(crate) fn on_error(&self) -> OnError {
        self.policy_set.load().on_error
    }

    pub(crate) fn status(&self) -> PoliciesFileStatus {
        let FileState { generation, since, ref error } = *held(&self.state);
        PoliciesFileStatus { path: self.path.clone(), generation, since, error: error.clone() }
    }

    /// Puts in force what the file says, if all of it is legal.
    pub(crate) fn reload(&self, claims: &NameRegistry) -> Result<Reloaded, PoliciesFileError> {
        // Read under the lock, so that of two who do this the later reads the later content.
        let Some(mut judged) = lock_timeout(&self.judged) else {
            let error = PoliciesFileError::being_read(&self.path);
            log::error!(target: "rateguard", "{error}, so it is not read again");
            return Err(error);
        };
        let content = content(&self.path);
        self.take(&mut judged, content, claims)
    }

    /// A look in passing: what is found twice in a row, and has not been judged, is. So what an editor has written half is
    /// left alone, unless it stays like that. Says what was found.
    pub(crate) fn look(
        &self,
        before: Option<FileFingerprint>,
        claims: &NameRegistry,
    ) -> FileFingerprint {
        let mut judged = held(&self.judged);
        let content = content(&self.path);
        let seen = FileFingerprint::of(&content);
        if before == Some(seen) && judged.last != seen {
            // What is wrong is in the log.
            let _ = self.take(&mut judged, content, claims);
        }
        seen
    }

    fn take(
        &self,
        judged: &mut Validated,
        content: io::Result<Vec<u8>>,
        claims: &NameRegistry,
    ) -> Result<Reloaded, PoliciesFileError> {
        let (seen, path) = (FileFingerprint::of(&content), self.path.display());
        let is_known = judged.last == seen;
        judged.last = seen;
        if seen == judged.policy_set {
            if held(&self.state).error.take().is_some() {
                log::info!(target: "rateguard", "{path} says again what is in force");
            }
            return Ok(Reloaded::Unchanged);
        }
        let next = content
            .map_err(|error| PoliciesFileError::unreadable(&self.path, error))
            .and_then(|bytes| self.validate(&bytes, claims));
        match next {
            Ok(next) => {
                self.put(next);
                judged.policy_set = seen;
                held(&self.state).renew();
                log::info!(target: "rateguard", "what {path} says is in force");
                Ok(Reloaded::Changed)
            }
            Err(error) => {
                // The same may be refused by hand as often as one likes, or for another reason.
                let earlier = held(&self.state).error.replace(error.clone());
                let is_said = earlier.is_some_and(|known| known.to_string() == error.to_string());
                if !(is_known && is_said) {
                    log::error!(
                        target: "rateguard",
                        "{path} is not put in force, and what was in force before still is:\n{error}"
                    );
                }
                Err(error)
            }
        }
    }

    fn validate(
        &self,
        bytes: &[u8],
        claims: &NameRegistry,
    ) -> Result<PolicySet, PoliciesFileError> {
        let ground = ValidationContext {
            from_builder: &self.from_builder,
            key_recipes: self.key_recipes,
            earlier: Some((&self.policy_set.load(), &self.at_start, claims)),
        };
        validate(bytes, &ground)
            .map(|(next, _)| next)
            .map_err(|mistakes| PoliciesFileError::mistakes_in(&self.path, mistakes))
    }

    fn put(&self, next: PolicySet) {
        let earlier = self.policy_set.swap(Arc::new(next));
        let next = self.policy_set.load();
        for policy in earlier.policies() {
            let Some(new) = next.policies().find(|new| new.name() == policy.name()) else {
                continue;
            };
            for said in [warn_moved_quota(policy, new), warn_new_candidate(policy, new)]
                .into_iter()
                .flatten()
            {
                log::warn!(target: "rateguard", "{}: {said}", self.path.display());
            }
        }
    }
}

fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whatever was being done, the state before it is whole.
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The same, unless whoever has it keeps it for long, as one who reads from a disk that does not answer.
fn lock_timeout<T>(lock: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    let start = Instant::now();
    loop {
        match lock.try_lock() {
            Ok(held) => return Some(held),
            Err(TryLockError::Poisoned(held)) => return Some(held.into_inner()),
            Err(TryLockError::WouldBlock) if start.elapsed() >= LONGEST_WAIT => return None,
            Err(TryLockError::WouldBlock) => thread::sleep(LONGEST_WAIT / 200),
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
    fn what_is_seen_once_is_left_alone_and_what_is_seen_twice_is_judged_once() {
        let path = env::temp_dir().join(format!("rateguard-look-{}.toml", process::id()));
        let text = |limit: u32| format!("[policies.a]\nlimit = {limit}\nwindow = 60\n");
        fs::write(&path, text(1)).unwrap();
        let (from_builder, claims) = (PolicySet::default(), NameRegistry::default());
        let (file, _) =
            PoliciesFile::open(path.clone(), Duration::ZERO, from_builder, plain_recipe).unwrap();
        let mut seen = None;
        // Half a file that is legal, the whole, another, and one that is not legal.
        for (now, expected) in [
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
            fs::write(&path, now).unwrap();
            seen = Some(file.look(seen, &claims));
            assert_eq!(limit(&file), expected);
        }
        assert_eq!(file.status().generation, 4);
        // By hand, at once.
        fs::write(&path, text(5)).unwrap();
        assert_eq!(file.reload(&claims).unwrap(), Reloaded::Changed);
        assert_eq!(limit(&file), 5);
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn how_things_are_is_known_while_the_file_is_read() {
        let path = env::temp_dir().join(format!("rateguard-status-{}.toml", process::id()));
        fs::write(&path, "# nothing\n").unwrap();
        let from_builder = PolicySet::default();
        let (file, _) =
            PoliciesFile::open(path.clone(), Duration::ZERO, from_builder, plain_recipe).unwrap();
        let reading = held(&file.judged);
        assert_eq!(file.status().generation, 1);
        // Who wants to read it too is not kept waiting.
        let (claims, start) = (NameRegistry::default(), Instant::now());
        let error = thread::scope(|scope| scope.spawn(|| file.reload(&claims)).join().unwrap());
        let error = error.unwrap_err();
        assert_eq!(error.to_string(), format!("{} is still being read", path.display()));
        assert!((LONGEST_WAIT..60 * LONGEST_WAIT).contains(&start.elapsed()));
        // The file is not what is wrong.
        assert!(file.status().error.is_none());
        drop(reading);
        assert_eq!(file.reload(&claims).unwrap(), Reloaded::Unchanged);
        fs::remove_file(&path).unwrap();
    }
}
