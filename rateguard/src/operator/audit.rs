//! A line in the log for each change that an operator makes.

use std::fmt;

use actix_web::{HttpMessage, HttpRequest};
use rateguard_grammar::shown;

use super::problem::Problem;
use crate::{RateGuard, UserId, guard::Line};

/// Where these lines go, so that a logger can keep them apart from others.
const TARGET: &str = "rateguard::audit";

/// What an operator changes, as far as the body says it by now.
pub(super) struct Change {
    action: &'static str,
    policy: Option<String>,
    by: Option<String>,
    seconds: Option<f64>,
}

impl Change {
    pub(super) fn new(action: &'static str) -> Self {
        Self { action, policy: None, by: None, seconds: None }
    }

    pub(super) fn set_policy(&mut self, policy: &str) {
        self.policy = Some(shown(policy));
    }

    /// What the key consists of. The key itself is in no log, nor is its digest: that of an address is found by trying all.
    pub(super) fn set_by(&mut self, by: &str) {
        self.by = Some(shown(by));
    }

    /// How long a ban is to be.
    pub(super) fn set_seconds(&mut self, seconds: f64) {
        self.seconds = Some(seconds);
    }

    /// Writes what became of it.
    pub(super) fn log<T>(
        &self,
        guard: &RateGuard,
        request: &HttpRequest,
        result: &Result<T, Problem>,
    ) {
        let who = Operator { guard, request };
        match result {
            Ok(_) => log::info!(target: TARGET, "{self} {who} outcome=done"),
            Err(problem) => {
                log::warn!(target: TARGET, "{self} {who} outcome=failed status={}", problem.status());
            }
        }
    }

    /// Writes that somebody without permission has tried to, seldom.
    pub(super) fn log_forbidden(&self, guard: &RateGuard, request: &HttpRequest) {
        static LINE: Line = Line::new();
        if let Some(requests) = LINE.say() {
            let who = Operator { guard, request };
            log::warn!(
                target: TARGET,
                "{self} {who} outcome=forbidden; {requests} requests since the last line like this"
            );
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "operator: action={}", self.action)?;
        for (name, value) in [("policy", &self.policy), ("by", &self.by)] {
            if let Some(value) = value {
                write!(f, " {name}={value:?}")?;
            }
        }
        match self.seconds {
            Some(seconds) => write!(f, " for_seconds={seconds}"),
            None => Ok(()),
        }
    }
}

/// The operator, as far as the request says.
struct Operator<'a> {
    guard: &'a RateGuard,
    request: &'a HttpRequest,
}

impl fmt::Display for Operator<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let peer = self.request.peer_addr().map(|peer| peer.ip());
        match peer {
            Some(peer) => write!(f, "peer={peer}")?,
            None => f.write_str("peer=unix")?,
        }
        let client = self.guard.client_of(self.request);
        if let Some(client) = client.filter(|client| Some(*client) != peer) {
            write!(f, " client={client}")?;
        }
        match self.request.extensions().get::<UserId>() {
            Some(user) => write!(f, " user={:?}", shown(user.as_str())),
            None => Ok(()),
        }
    }
}
