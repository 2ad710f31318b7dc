//! Encodes a batch of requests as the arguments of one script call.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    iter,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use smallvec::SmallVec;

use super::{
    Operation, ScriptRequest,
    request::{BucketParams, TOKEN_BUCKET_LEASES},
};
use crate::{Quota, calendar::starts_around};

/// The maximum difference, in microseconds, between the deadline of a request and the deadline of the first request
/// with the same `Shape`. The script uses the earliest deadline for all requests of a shape. With a larger difference,
/// the script would reject some requests long before their deadlines.
const DEADLINE_SLACK: i64 = 10_000;

/// The content of one script call, which decides one or more requests. The list of keys contains each bucket only
/// once, even if several requests use the bucket.
pub(in crate::store) struct Batch<'a> {
    pub(super) ids: RequestIdRange,
    keys: Vec<&'a str>,
    /// For each key, the index of the quota that the first request for this key uses.
    key_quotas: Vec<usize>,
    /// True in two cases: requests have different quotas for one key, or there are refunds, renewals, returns or
    /// resets. In both cases, the script loads all keys before it decides the first request.
    is_mixed: bool,
    quotas: SmallVec<[ScriptQuota; 1]>,
    /// The estimated time on the clock of the server if a quota has a calendar period, and 0 otherwise.
    now: i64,
    shapes: SmallVec<[Shape<'a>; 1]>,
    pub(in crate::store) requests: Vec<BatchRequest<'a>>,
}

/// The properties that several requests have in common: the operation, the quotas, the costs, and a similar deadline.
struct Shape<'a> {
    example: &'a ScriptRequest,
    /// The deadline of the first request, on the clock of the server. It is 0 if there is no estimate of this clock.
    first_deadline: i64,
    /// The earliest deadline of all requests that have this shape.
    deadline: i64,
}

pub(in crate::store) struct BatchRequest<'a> {
    pub(super) request: &'a ScriptRequest,
    shape: usize,
    /// For each bucket of the request, its index in the list of keys.
    keys: SmallVec<[usize; 1]>,
}

/// A quota, and the name of its algorithm in the script.
type ScriptQuota = (Quota, &'static str);

/// An argument of the Redis command that runs the script.
#[derive(Clone, Copy)]
pub(in crate::store) enum Argument<'a> {
    Text(&'a str),
    Number(i64),
}

impl<'a> Batch<'a> {
    /// Creates a batch. `requests` has each request with its deadline on the clock of the server. `now` returns the
    /// estimated time on this clock.
    pub(super) fn new(
        ids: &RequestIds,
        requests: &[(&'a ScriptRequest, i64)],
        now: impl FnOnce() -> i64,
    ) -> Self {
        let mut batch = Self {
            ids: ids.take(requests.len()),
            keys: Vec::with_capacity(requests.len()),
            key_quotas: Vec::with_capacity(requests.len()),
            is_mixed: false,
            quotas: SmallVec::new(),
            now: 0,
            shapes: SmallVec::new(),
            requests: Vec::with_capacity(requests.len()),
        };
        let mut index = HashMap::with_capacity(requests.len());
        for (request, deadline) in requests {
            batch.push(&mut index, request, *deadline);
        }
        if batch.quotas.iter().any(|(quota, _)| quota.calendar_period().is_some()) {
            batch.now = now();
        }
        batch
    }

    fn push(
        &mut self,
        index: &mut HashMap<&'a str, usize>,
        request: &'a ScriptRequest,
        deadline: i64,
    ) {
        self.is_mixed |= has_receipts(request.operation) || request.operation == Operation::Reset;
        let mut keys = SmallVec::with_capacity(request.parts.len());
        for part in &request.parts {
            let quota = self.quota_index(part.params.quota());
            let key = *index.entry(&part.key).or_insert_with(|| {
                self.keys.push(&part.key);
                self.key_quotas.push(quota);
                self.keys.len() - 1
            });
            self.is_mixed |= self.key_quotas[key] != quota;
            keys.push(key);
        }
        let existing = self.shapes.iter().position(|shape| shape.fits(request, deadline));
        let shape = existing.unwrap_or_else(|| {
            self.shapes.push(Shape { example: request, first_deadline: deadline, deadline });
            self.shapes.len() - 1
        });
        let earliest = &mut self.shapes[shape].deadline;
        *earliest = deadline.min(*earliest);
        self.requests.push(BatchRequest { request, shape, keys });
    }

    /// Returns the index of the quota in the list of quotas. Adds the quota to the list if it is not in the list yet.
    fn quota_index(&mut self, quota: ScriptQuota) -> usize {
        self.quotas.iter().position(|it| *it == quota).unwrap_or_else(|| {
            self.quotas.push(quota);
            self.quotas.len() - 1
        })
    }

    /// Calls `argument` with each argument that follows the script in the command, in order. The comment at the start
    /// of `prelude.lua` documents these arguments. `encoding` selects how the script encodes the numbers in its
    /// reply.
    pub(super) fn write(&self, encoding: &str, mut argument: impl FnMut(Argument<'_>)) {
        let count = |number: usize| Argument::Number(number as i64);
        argument(count(self.keys.len()));
        self.keys.iter().for_each(|key| argument(Argument::Text(key)));
        argument(Argument::Text(&format!("{:016x}", self.ids.process)));
        argument(Argument::Number(self.ids.first as i64));
        argument(Argument::Text(encoding));
        argument(Argument::Text(if self.is_mixed { "mixed" } else { "" }));
        argument(count(self.quotas.len()));
        for (quota, algorithm) in &self.quotas {
            let lease = quota.lease().map_or(0, |lease| lease.duration().as_micros() as u64);
            let (units, refill) =
                if quota.algorithm().is_log() { (lease, 0) } else { quota.token() };
            argument(Argument::Text(algorithm));
            // Each of these values is below 2^53, so Lua represents it exactly.
            argument(Argument::Number(quota.window().as_micros() as i64));
            argument(Argument::Number(quota.capacity().into()));
            argument(Argument::Number(units as i64));
            argument(Argument::Number(refill as i64));
            if *algorithm == TOKEN_BUCKET_LEASES {
                argument(Argument::Number(lease as i64));
            }
            if let Some(period) = quota.calendar_period() {
                for start in starts_around(period, self.now) {
                    // The script cannot read a negative time. A period that starts before 1970 contains the year 1970.
                    argument(Argument::Number(start.max(0)));
                }
            }
        }
        argument(count(self.shapes.len()));
        for shape in &self.shapes {
            argument(Argument::Text(operation_name(shape.example.operation)));
            argument(Argument::Number(shape.deadline));
            argument(count(shape.example.parts.len()));
            for part in &shape.example.parts {
                let is_same = |quota: &ScriptQuota| *quota == part.params.quota();
                let index = self.quotas.iter().position(is_same).unwrap_or_default();
                argument(count(index + 1));
                let cost = i64::from(part.params.cost);
                argument(Argument::Number(if part.params.is_check_only { -cost } else { cost }));
            }
        }
        argument(Argument::Text(&self.request_list()));
        let with_receipts = self.requests.iter().filter(|it| has_receipts(it.request.operation));
        for (request, part) in
            with_receipts.flat_map(|it| it.request.parts.iter().map(move |part| (it.request, part)))
        {
            let [process, number, at] = part.receipt.words();
            argument(Argument::Text(&format!("{process:016x}-{number}")));
            if request.operation == Operation::Return {
                argument(Argument::Text(&lease_uses(at, &part.uses)));
            } else {
                argument(Argument::Number(at as i64));
            }
        }
    }

    /// Returns a text that lists the shape and the buckets of every request. Returns an empty text if there is only
    /// one shape, and each request `n` has only the bucket with the index `n`. This case is common, and the script
    /// needs no list for it.
    fn request_list(&self) -> String {
        let is_default = |(index, it): (usize, &BatchRequest<'_>)| *it.keys == [index];
        if self.shapes.len() == 1 && self.requests.iter().enumerate().all(is_default) {
            return String::new();
        }
        let mut list = String::with_capacity(8 * self.requests.len());
        let mut digits = itoa::Buffer::new();
        for BatchRequest { shape, keys, .. } in &self.requests {
            for index in iter::once(shape).chain(keys) {
                list.push_str(digits.format(index + 1));
                list.push(' ');
            }
        }
        list
    }
}

impl Shape<'_> {
    fn fits(&self, request: &ScriptRequest, deadline: i64) -> bool {
        self.first_deadline.abs_diff(deadline) < DEADLINE_SLACK.unsigned_abs()
            && self.example.has_shape_of(request)
    }
}

impl BucketParams {
    fn quota(&self) -> ScriptQuota {
        (self.quota, self.algorithm)
    }
}

/// Returns true if the arguments of the operation include the receipt of each bucket.
fn has_receipts(operation: Operation) -> bool {
    matches!(operation, Operation::Refund | Operation::Renew | Operation::Return)
}

/// Returns the time of the grant of a lease and the uses of its units as one text.
fn lease_uses(granted_at: u64, uses: &[u32]) -> String {
    let mut text = String::with_capacity(17 + 8 * uses.len());
    let mut digits = itoa::Buffer::new();
    text.push_str(digits.format(granted_at));
    for use_after in uses {
        text.push(' ');
        text.push_str(digits.format(*use_after));
    }
    text
}

fn operation_name(operation: Operation) -> &'static str {
    match operation {
        Operation::Check => "check",
        Operation::Peek => "peek",
        Operation::Debit => "debit",
        Operation::Refund => "refund",
        Operation::Renew => "renew",
        Operation::Lease => "lease",
        Operation::Return => "return",
        Operation::Reset => "reset",
    }
}

/// Creates unique request ids. Each id consists of a random id of the process and the value of a counter.
pub(super) struct RequestIds {
    process: u64,
    next: AtomicU64,
}

/// The ids of the requests of one batch. The first request has the number `first`, and the number increases by 1 for
/// each further request.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestIdRange {
    pub(super) process: u64,
    pub(super) first: u64,
}

impl RequestIds {
    pub(super) fn new() -> Self {
        // Every `RandomState` has a random seed, so the hash of any value is a random number.
        let process = RandomState::new().hash_one("process");
        Self { process, next: AtomicU64::new(1) }
    }

    fn take(&self, requests: usize) -> RequestIdRange {
        let first = self.next.fetch_add(requests as u64, Relaxed);
        RequestIdRange { process: self.process, first }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Key,
        store::{Bucket, BucketRequest, log_encoding::LogEncoding},
    };

    fn request(operation: Operation, quotas: &[&str], key: u32, cost: u32) -> ScriptRequest {
        let key = Key::from(key);
        let quotas: Vec<Quota> = quotas.iter().map(|quota| quota.parse().unwrap()).collect();
        let request = |(index, quota): (usize, &Quota)| {
            BucketRequest::new(Bucket::new("p", index, &key), *quota, cost)
        };
        let requests: Vec<_> = quotas.iter().enumerate().map(request).collect();
        ScriptRequest::new("test", LogEncoding::Packed, operation, &requests)
    }

    fn batch<'a>(requests: &[&'a ScriptRequest], deadlines: &[i64]) -> Batch<'a> {
        let deadlines = deadlines.iter().copied().chain(std::iter::repeat(0));
        let requests: Vec<_> = requests.iter().copied().zip(deadlines).collect();
        Batch::new(&RequestIds::new(), &requests, || 0)
    }

    #[test]
    fn batch_lists_each_bucket_and_quota_once() {
        let check = request(Operation::Check, &["5/minute"], 1, 1);
        let costly = request(Operation::Check, &["5/minute"], 1, 3);
        let both = request(Operation::Check, &["5/minute", "9/hour"], 1, 1);
        let refund = request(Operation::Refund, &["5/minute"], 1, 1);
        let batch = batch(&[&check, &costly, &both, &check, &refund], &[]);
        assert_eq!(batch.keys.len(), 2);
        assert_eq!(batch.quotas.len(), 2);
        assert_eq!(batch.shapes.len(), 4);
        assert_eq!(batch.request_list(), "1 1 2 1 3 1 2 1 1 4 1 ");
        assert!(batch.is_mixed);
    }

    #[test]
    fn requests_of_one_shape_for_distinct_keys_need_no_list() {
        let requests = [1, 2, 3].map(|key| request(Operation::Check, &["5/minute"], key, 1));
        assert_eq!(batch(&requests.each_ref(), &[]).request_list(), "");
        assert!(!batch(&requests.each_ref(), &[]).is_mixed);
        let raised = request(Operation::Check, &["6/minute"], 1, 1);
        assert!(batch(&[&requests[0], &raised], &[]).is_mixed);
        assert_eq!(batch(&[&requests[0], &requests[0]], &[]).request_list(), "1 1 1 1 ");
    }

    #[cfg(feature = "calendar")]
    #[test]
    fn only_batches_with_calendar_quotas_have_periods() {
        let daily = request(Operation::Check, &["5/calendar day"], 1, 1);
        let fixed = request(Operation::Check, &["5/day fixed_window"], 2, 1);
        let arguments = |requests: &[&ScriptRequest]| {
            let day = 86_400_000_000;
            let requests: Vec<_> = requests.iter().map(|request| (*request, 0)).collect();
            let batch = Batch::new(&RequestIds::new(), &requests, || 20_000 * day + 7);
            let mut numbers = Vec::new();
            batch.write("bytes", |argument| match argument {
                Argument::Number(number) => numbers.push(number / day),
                Argument::Text(_) => {}
            });
            numbers.retain(|number| (19_000..21_000).contains(number));
            numbers
        };
        assert!(arguments(&[&fixed]).is_empty());
        assert_eq!(arguments(&[&fixed, &daily]), [19_999, 20_000, 20_001, 20_002]);
    }

    #[test]
    fn deadlines_of_one_shape_differ_by_less_than_the_slack() {
        let requests = [1, 2, 3].map(|key| request(Operation::Check, &["5/minute"], key, 1));
        let batch = batch(&requests.each_ref(), &[59_000, 50_000, 61_000_000]);
        let deadlines: Vec<_> = batch.shapes.iter().map(|shape| shape.deadline).collect();
        assert_eq!(deadlines, [50_000, 61_000_000]);
    }
}
