//! One policy of a replay: decides its requests with the library, and counts the outcomes.

use actix_rateguard_core::{
    AccessList, Count, Decision, Key, MissingKey, Quota,
    adapter::{Access, ResolvedClient},
};

use super::{
    counts::PolicyCounts,
    response::{PendingResponses, Response},
};
use crate::replay::{
    fields::ExtraFields,
    limit::{KeyReader, LimitGuard, LimitPolicy, ReadKey, poll_ready},
    record::LogRecord,
    usage::{KeyTable, RequestUse, Timeline},
};

/// The key of a request, and whether it is the client's address because the request has no key.
#[derive(Clone, Copy)]
pub(super) struct CountedKey {
    key: Key,
    is_missing: bool,
}

/// A policy of a replay, with its results until now.
pub(crate) struct PolicyReplay {
    pub(crate) limit: LimitPolicy,
    pub(crate) quotas: Vec<Quota>,
    /// For each quota, the number of requests that it denied. Of several quotas without room, that with the longest
    /// wait counts.
    pub(crate) denied_by: Vec<u64>,
    pub(crate) counts: PolicyCounts,
    pub(crate) keys: KeyTable,
    pub(crate) timeline: Timeline,
    reader: KeyReader,
    has_key: bool,
    has_status: bool,
    has_duration: bool,
}

impl PolicyReplay {
    pub(super) fn new(
        limit: LimitPolicy,
        max_keys: usize,
        ipv6_bits: u8,
        extras: &mut ExtraFields,
    ) -> Self {
        let quotas = limit.policy.quotas().as_slice().to_vec();
        Self {
            reader: KeyReader::new(&limit.key, limit.route.as_ref(), ipv6_bits, extras),
            denied_by: vec![0; quotas.len()],
            quotas,
            limit,
            counts: PolicyCounts::default(),
            keys: KeyTable::new(max_keys),
            timeline: Timeline::new(),
            has_key: false,
            has_status: false,
            has_duration: false,
        }
    }

    /// Returns the key of the request. Returns `None`, and counts the request, if the policy makes no decision on it.
    pub(super) fn key(
        &mut self,
        record: &LogRecord,
        access: Access,
        client: ResolvedClient,
        list: &AccessList,
    ) -> Option<CountedKey> {
        let read = self.reader.read(record);
        self.has_key |= matches!(read, ReadKey::Key(_));
        self.has_status |= record.status.is_some();
        self.has_duration |= record.duration.is_some();
        let counted = match (access, read, self.limit.missing) {
            (Access::Allowed, ..) | (Access::Unlisted, ReadKey::Missing, MissingKey::Skip) => {
                Err(Access::Allowed)
            }
            (Access::Denied, ..) | (Access::Unlisted, ReadKey::Missing, MissingKey::Deny) => {
                Err(Access::Denied)
            }
            (Access::Unlisted, ReadKey::Key(key), _) => Ok(CountedKey { key, is_missing: false }),
            // Without a client, the requests of different clients would count together.
            (Access::Unlisted, ReadKey::Missing, _) if !record.has_client() => Err(Access::Allowed),
            (Access::Unlisted, ReadKey::Missing, _) => {
                Ok(CountedKey { key: self.reader.fallback(record), is_missing: true })
            }
        };
        let counted = counted.and_then(|counted| {
            match list.of_key(&counted.key, || client.is_unreliable_key(&counted.key)) {
                Access::Unlisted => Ok(counted),
                access => Err(access),
            }
        });
        match counted {
            Ok(counted) => Some(counted),
            Err(access) => {
                match access {
                    Access::Denied => self.counts.forbidden += 1,
                    Access::Allowed | Access::Unlisted => self.counts.exempt += 1,
                }
                None
            }
        }
    }

    /// Decides a request. Returns whether it is denied. `duration` is the time until the response, in microseconds.
    pub(super) fn decide(
        &mut self,
        CountedKey { key, is_missing }: CountedKey,
        record: &LogRecord,
        duration: u64,
        guard: &LimitGuard,
        responses: &mut PendingResponses,
    ) -> bool {
        let counts = self.counts_response(record);
        let Some(entry) = self.keys.entry(&key, &self.quotas) else {
            self.counts.left_out += 1;
            return false;
        };
        entry.requests += 1;
        let (time, units) = (record.time, self.limit.cost);
        entry.add_use(&self.quotas, RequestUse { time, duration, units, is_refunded: !counts });
        let decision = if self.limit.count == Count::All && !self.limit.has_permits() {
            let request = guard.guard.request(&self.limit.policy, &key).cost(self.limit.cost);
            poll_ready(request.check()).and_then(Result::ok)
        } else {
            self.limit.reserve(&key, record.time + duration, counts, guard, responses)
        };
        // The in-memory store decides every request at once.
        let is_denied = decision.as_ref().is_some_and(|it| !it.is_allowed());
        self.timeline.add(record.time, is_denied);
        if let Some(decision) = decision.filter(|_| is_denied) {
            entry.add_denial(record.time, || self.reader.text(record, is_missing));
            self.counts.denied += 1;
            let ban =
                decision.banned_for().map(|it| u64::try_from(it.as_micros()).unwrap_or(u64::MAX));
            // A denial by a quota can start the ban, and then belongs to its quota. If the status counts, only
            // responses start bans.
            let is_banned =
                ban.is_some() && (self.limit.count != Count::All || time < entry.banned_until);
            if let Some(ban) = ban {
                entry.banned_until = time.saturating_add(ban);
            }
            if is_banned {
                self.counts.banned += 1;
            } else if let Some(index) = self.quotas.iter().position(|it| *it == decision.quota()) {
                self.denied_by[index] += 1;
            }
        } else {
            self.counts.allowed += 1;
        }
        is_denied
    }

    /// Returns whether the policy counts a request with the status of this record.
    fn counts_response(&self, record: &LogRecord) -> bool {
        match self.limit.count {
            Count::All => true,
            count => record.status.is_some_and(|status| count.counts(status)),
        }
    }

    /// Returns the reason why the log does not have the data that the policy needs.
    pub(super) fn missing_in_log(&self) -> Option<String> {
        if self.counts.requests() == 0 {
            return None;
        }
        let key = &self.limit.key;
        if !self.has_key {
            return Some(format!(
                "no request of the log has the key `{key}`; `--field` names its field in JSON lines"
            ));
        }
        if self.limit.has_permits() && !self.has_duration {
            return Some(
                "a limit on the requests in progress needs durations, and the log has none"
                    .to_owned(),
            );
        }
        if self.limit.count != Count::All && !self.has_status {
            return Some("the policy counts by status, and the log has no status".to_owned());
        }
        None
    }
}

impl LimitPolicy {
    /// Takes the units and permits of a request whose response changes them.
    fn reserve(
        &self,
        key: &Key,
        end: u64,
        counts: bool,
        guard: &LimitGuard,
        responses: &mut PendingResponses,
    ) -> Option<Decision> {
        let by_response = self.count != Count::All;
        let mut request = guard.guard.request(&self.policy, key).cost(self.cost).taking_permits();
        if by_response {
            // Another response may refund the units that cause a denial, so such a denial is no offence.
            request = request.exempt_from_ban();
        }
        let reservation = poll_ready(request.reserve())?.ok()?;
        let decision = reservation.decision().clone();
        if decision.is_allowed() {
            let offence = by_response && counts && self.policy.own_ban().is_some();
            let offence = offence.then(|| (self.policy.clone(), guard.guard.hashed_key(key)));
            responses
                .push(end, Response { reservation, is_refunded: by_response && !counts, offence });
        }
        Some(decision)
    }
}
