//! Logs whether the server runs the script.

use std::time::{Duration, Instant};

use super::script_test::ScriptFailure;

/// The minimum time between two messages about a failure.
const MIN_INTERVAL: Duration = Duration::from_secs(10);

/// The messages about the script on one server. They survive a new connection, so a connection that breaks again and
/// again does not repeat them.
pub(super) struct ScriptLog {
    /// For example `Redis at 127.0.0.1:6379`.
    server: String,
    /// The failure that the last message was about. `None` if the script has run since then.
    failure: Option<ScriptFailure>,
    failure_logged_at: Option<Instant>,
    has_warned_of_role: bool,
}

impl ScriptLog {
    pub(super) fn new(server: String) -> Self {
        Self { server, failure: None, failure_logged_at: None, has_warned_of_role: false }
    }

    /// Logs the result of a test, unless the last message already said so.
    pub(super) fn tested(&mut self, failure: Option<ScriptFailure>, is_role_denied: bool) {
        let server = &self.server;
        if is_role_denied && !self.has_warned_of_role {
            self.has_warned_of_role = true;
            log::warn!(
                target: "rateguard",
                "connected to {server}, but the user has no permission for the command ROLE, so the guard does not detect a replica; add `+role` to its ACL"
            );
        }
        if failure == self.failure {
            return;
        }
        let is_soon = self.failure_logged_at.is_some_and(|at| at.elapsed() < MIN_INTERVAL);
        match &failure {
            Some(_) if is_soon => return,
            Some(it) => {
                self.failure_logged_at = Some(Instant::now());
                log::error!(
                    target: "rateguard",
                    "connected to {server}, but this server cannot run the script of the limits: {}. The guard tests the script every second; until the script runs, the failure mode of each policy applies",
                    it.reason
                );
            }
            None => {
                log::info!(target: "rateguard", "{server} runs the script of the limits again");
            }
        }
        self.failure = failure;
    }
}
