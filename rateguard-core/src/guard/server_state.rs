//! What is known of each of the store's servers, so that one that is gone keeps nobody from the others.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use super::breaker::{Breaker, is_of_the_question};
use crate::StoreError;

/// So many are told apart; of more, some share what is known of them.
const MAX_SERVERS: usize = 64;

/// What is known of each server.
pub(super) struct Servers([OnceLock<Box<Server>>; MAX_SERVERS]);

impl Servers {
    pub(super) fn new() -> Self {
        Self([const { OnceLock::new() }; MAX_SERVERS])
    }

    /// The server of this number.
    pub(super) fn of(&self, number: usize) -> &Server {
        self.0[number % MAX_SERVERS].get_or_init(|| Box::new(Server::new()))
    }

    /// Those that have been asked.
    pub(super) fn asked(&self) -> impl Iterator<Item = &Server> {
        self.0.iter().filter_map(OnceLock::get).map(Box::as_ref)
    }
}

/// One of the store's servers.
pub(super) struct Server {
    pub(super) breaker: Breaker,
    /// When it was first asked.
    start: Instant,
    /// Milliseconds after that, when the first question of those was left unanswered that have been since the last answer;
    /// 0 if none has.
    silent_since: AtomicU64,
}

impl Server {
    fn new() -> Self {
        Self { breaker: Breaker::default(), start: Instant::now(), silent_since: AtomicU64::new(0) }
    }

    /// It has answered, or not.
    pub(super) fn heard<T>(&self, answer: &Result<T, StoreError>) {
        let since = self.silent_since.load(Relaxed);
        match answer {
            Ok(_) if since != 0 => self.silent_since.store(0, Relaxed),
            Err(cause) if since == 0 && !is_of_the_question(*cause) => {
                let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
                self.silent_since.store(now.max(1), Relaxed);
            }
            _ => {}
        }
    }

    /// For how long it has left everything unanswered, if it has.
    pub(super) fn lasts(&self) -> Option<Duration> {
        let since = Some(self.silent_since.load(Relaxed)).filter(|since| *since != 0)?;
        Some(self.start.elapsed().saturating_sub(Duration::from_millis(since)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_known_by_itself_and_an_answer_ends_a_silence() {
        let servers = Servers::new();
        servers.of(1).heard(&Err::<(), _>(StoreError::Timeout));
        servers.of(2).heard(&Ok(()));
        servers.of(3).heard(&Err::<(), _>(StoreError::InvalidReply));
        assert!(servers.of(1).lasts().is_some());
        assert!(servers.of(2).lasts().is_none());
        assert!(servers.of(3).lasts().is_none());
        assert_eq!(servers.asked().count(), 3);
        servers.of(1).heard(&Ok(()));
        assert!(servers.of(1).lasts().is_none());
    }
}
