//! Writes the audit log, which has one log message for each change that an operator requests.

use std::fmt;

use actix_rateguard_core::adapter::ThrottledLog;
use actix_rateguard_grammar::escape_for_display;
use actix_web::{HttpMessage, HttpRequest};

use super::problem::Problem;
use crate::{
    Quotas, RateGuard, UserId,
    client::{self, PeerKind},
};

/// The log target of the audit log. A logger can filter log messages by this target.
const TARGET: &str = "actix_rateguard::audit";

/// The log message for one change. A field is `None` if its value is unknown, for example because the request body
/// is invalid.
pub(super) struct AuditEntry {
    action: &'static str,
    policy: Option<String>,
    by: Option<String>,
    seconds: Option<f64>,
    quotas: Option<String>,
}

impl AuditEntry {
    pub(super) fn new(action: &'static str) -> Self {
        Self { action, policy: None, by: None, seconds: None, quotas: None }
    }

    pub(super) fn set_policy(&mut self, policy: &str) {
        self.policy = Some(escape_for_display(policy));
    }

    /// Sets the key type. The log message contains neither the key nor its hash, because a reader of the log could
    /// hash all addresses to find the address that has this hash.
    pub(super) fn set_by(&mut self, by: &str) {
        self.by = Some(escape_for_display(by));
    }

    /// Sets the quotas of an override.
    pub(super) fn set_quotas(&mut self, quotas: &Quotas) {
        self.quotas = Some(quotas.to_string());
    }

    /// Sets the requested duration of a ban or an override.
    pub(super) fn set_seconds(&mut self, seconds: f64) {
        self.seconds = Some(seconds);
    }

    /// Writes the log message, which contains the result of the change.
    pub(super) fn log<T>(
        &self,
        guard: &RateGuard,
        request: &HttpRequest,
        result: &Result<T, Problem>,
    ) {
        let operator = Operator { guard, request };
        match result {
            Ok(_) => log::info!(target: TARGET, "{self} {operator} outcome=done"),
            Err(problem) => {
                let status = problem.status();
                log::warn!(target: TARGET, "{self} {operator} outcome=failed status={status}");
            }
        }
    }

    /// Writes a log message about requests that the `allow_if` function rejected, at most once in 10 seconds.
    pub(super) fn log_forbidden(&self, guard: &RateGuard, request: &HttpRequest) {
        static LOG: ThrottledLog = ThrottledLog::new();
        if let Some(requests) = LOG.try_emit() {
            let operator = Operator { guard, request };
            log::warn!(
                target: TARGET,
                "{self} {operator} outcome=forbidden ({requests} requests since the last message of this kind)"
            );
        }
    }
}

impl fmt::Display for AuditEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "operator: action={}", self.action)?;
        for (name, value) in [("policy", &self.policy), ("by", &self.by), ("quotas", &self.quotas)]
        {
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

/// Formats the addresses and the user of the operator who sent a request.
struct Operator<'a> {
    guard: &'a RateGuard,
    request: &'a HttpRequest,
}

impl fmt::Display for Operator<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let peer = PeerKind::of(self.request);
        match peer {
            PeerKind::Known(peer) => write!(f, "peer={peer}")?,
            PeerKind::UnixSocket => f.write_str("peer=unix")?,
            PeerKind::UnknownTcp => f.write_str("peer=unknown")?,
        }
        let client =
            client::resolve_by_rule(&self.guard.http().client_address, self.request, &mut ())
                .address;
        if let Some(client) = client.filter(|client| PeerKind::Known(*client) != peer) {
            write!(f, " client={client}")?;
        }
        match self.request.extensions().get::<UserId>() {
            Some(user) => write!(f, " user={:?}", escape_for_display(user.as_str())),
            None => Ok(()),
        }
    }
}
