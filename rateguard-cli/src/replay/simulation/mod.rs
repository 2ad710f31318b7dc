//! Replays the requests of a log against the policies, in the time of the log.

mod counts;
mod policy_replay;
mod response;

use std::collections::HashMap;

use actix_rateguard_core::{
    AccessList,
    adapter::{Access, ResolvedClient},
};

use self::response::PendingResponses;
pub(crate) use self::{counts::PolicyCounts, policy_replay::PolicyReplay};
use super::{
    fields::ExtraFields,
    limit::{LimitGuard, Limits, NotReplayed},
    record::{LogRecord, TextField},
};

/// The policies of a replay, with the results until now.
pub(crate) struct Simulation {
    guard: LimitGuard,
    access: AccessList,
    pub(crate) policies: Vec<PolicyReplay>,
    pub(crate) not_replayed: Vec<NotReplayed>,
    responses: PendingResponses,
    /// Whether a response ends at the end of its request. Otherwise it ends at once.
    has_durations: bool,
    pub(crate) requests: u64,
    /// The number of requests that at least one replayed policy denies. [`finish`](Self::finish) sets it.
    pub(crate) denied: u64,
    /// The number of requests by the indices of all policies that deny them. Only the end of the log shows which of
    /// these policies are replayed.
    denied_by: HashMap<Vec<usize>, u64>,
    /// The policies that deny the current request. A field, so that a request allocates no memory.
    denying: Vec<usize>,
    /// The times of the first and of the last request, in microseconds since 1970.
    pub(crate) times: Option<(u64, u64)>,
}

impl Simulation {
    /// Creates a replay without requests. Adds the fields that the keys need to `extras`.
    pub(crate) fn new(
        limits: Limits,
        max_keys: usize,
        has_durations: bool,
        extras: &mut ExtraFields,
    ) -> Self {
        let Limits { guard, policies, not_replayed, access, ipv6_bits } = limits;
        let policies =
            policies.into_iter().map(|it| PolicyReplay::new(it, max_keys, ipv6_bits, extras));
        Self {
            guard,
            access,
            policies: policies.collect(),
            not_replayed,
            responses: PendingResponses::default(),
            has_durations,
            requests: 0,
            denied: 0,
            denied_by: HashMap::new(),
            denying: Vec::new(),
            times: None,
        }
    }

    /// Replays a request, whose time is not before that of the last one.
    pub(crate) fn replay(&mut self, record: &LogRecord) {
        self.responses.complete_until(record.time, &self.guard);
        self.guard.clock.set(record.time);
        self.requests += 1;
        self.times = Some((self.times.map_or(record.time, |(first, _)| first), record.time));
        let client = ResolvedClient {
            address: record.address.map(actix_rateguard_core::adapter::canonical),
            // A client without an address has the name of a host, which no list of addresses can deny.
            is_proxy: record.address.is_none(),
        };
        let access = match self.access.has_addresses() {
            true => self.access.of_client(client),
            false => Access::Unlisted,
        };
        let (method, path) = (record.text(TextField::Method), record.text(TextField::Path));
        let duration = if self.has_durations { record.duration.unwrap_or(0) } else { 0 };
        self.denying.clear();
        for (index, policy) in self.policies.iter_mut().enumerate() {
            if !policy.limit.applies_to(method, path) {
                policy.counts.not_limited += 1;
                continue;
            }
            let Some(key) = policy.key(record, access, client, &self.access) else { continue };
            if policy.decide(key, record, duration, &self.guard, &mut self.responses) {
                self.denying.push(index);
            }
        }
        self.count_denial();
    }

    fn count_denial(&mut self) {
        if self.denying.is_empty() {
            return;
        }
        match self.denied_by.get_mut(&self.denying) {
            Some(count) => *count += 1,
            None => drop(self.denied_by.insert(self.denying.clone(), 1)),
        }
    }

    /// Moves the policies whose key or durations no request of the log has to the policies that are not replayed.
    pub(crate) fn finish(&mut self) {
        if self.requests == 0 {
            return;
        }
        let is_replayed: Vec<bool> =
            self.policies.iter().map(|it| it.missing_in_log().is_none()).collect();
        let counts = |index: &usize| is_replayed.get(*index).copied().unwrap_or(false);
        let denied = self.denied_by.iter().filter(|(policies, _)| policies.iter().any(counts));
        self.denied = denied.map(|(_, count)| count).sum();
        let (policies, not_replayed) = (&mut self.policies, &mut self.not_replayed);
        policies.retain(|policy| match policy.missing_in_log() {
            Some(reason) => {
                let policy = policy.limit.policy.name().to_owned();
                not_replayed.push(NotReplayed { policy, reason });
                false
            }
            None => true,
        });
    }
}
