//! Decodes and validates the replies of the script.

use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::{Batch, Operation, Receipt, ScriptRequest, request::BucketParams};
use crate::{
    StoreError,
    store::{BucketStatus, Verdict, server_clock::ServerClock},
};

/// The outcome of one request in a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BatchOutcome {
    Decided(Verdict),
    /// The deadline had expired when the script ran. The script changed no bucket of this request.
    DeadlineExceeded,
    /// Redis returned an error for one of the buckets. The script changed no bucket of this request.
    Failed(StoreError),
}

/// The decoded reply to a batch.
pub(in crate::store) struct BatchReply {
    /// The time at which the script ran, on the clock of the server, in microseconds since 1970.
    now: i64,
    /// The outcome of each request, in the order of the requests.
    pub(in crate::store) outcomes: Vec<BatchOutcome>,
}

impl BatchReply {
    /// Updates the estimate of the server's clock with the time in this reply. The batch was sent at the time `sent`
    /// or later.
    pub(in crate::store) fn update_clock(&self, clock: &ServerClock, sent: Instant) {
        let is_late = self.outcomes.contains(&BatchOutcome::DeadlineExceeded);
        clock.record_reply(self.now, sent, is_late);
    }
}

/// The numbers of a reply that are not decoded yet.
struct Numbers<'a>(&'a [i64]);

impl<'a> Numbers<'a> {
    fn next(&mut self) -> Option<i64> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn triples(&mut self, count: usize) -> Option<&'a [[i64; 3]]> {
        let (first, rest) = self.0.split_at_checked(3 * count)?;
        self.0 = rest;
        Some(first.as_chunks().0)
    }
}

impl Batch<'_> {
    /// Decodes a reply. `errors` has one cause for each error text in the reply. Returns `None` if the reply is
    /// malformed, for example because a proxy has changed the reply.
    pub(in crate::store) fn read(
        &self,
        numbers: &[i64],
        errors: &[StoreError],
    ) -> Option<BatchReply> {
        let mut numbers = Numbers(numbers);
        let now = numbers.next()?;
        let at = u64::try_from(now).ok()?;
        let mut outcomes = Vec::with_capacity(self.requests.len());
        for (id, it) in (self.ids.first..).zip(&self.requests) {
            let receipt = Receipt::new([self.ids.process, id, at]);
            outcomes.push(match numbers.next()? {
                code @ (0 | 1) => {
                    let statuses = numbers.triples(it.request.parts.len())?;
                    BatchOutcome::Decided(it.request.verdict(code == 1, statuses, receipt)?)
                }
                -1 => BatchOutcome::DeadlineExceeded,
                code => {
                    let error = usize::try_from(code.checked_neg()?.checked_sub(2)?).ok()?;
                    BatchOutcome::Failed(*errors.get(error)?)
                }
            });
        }
        numbers.0.is_empty().then_some(BatchReply { now, outcomes })
    }
}

impl ScriptRequest {
    fn verdict(
        &self,
        is_admitted: bool,
        statuses: &[[i64; 3]],
        receipt: Receipt,
    ) -> Option<Verdict> {
        let parts = statuses.iter().zip(&self.parts);
        let buckets = parts.map(|(status, part)| Some((part.params.status(*status)?, receipt)));
        let buckets: SmallVec<[_; 1]> = buckets.collect::<Option<_>>()?;
        self.is_consistent(is_admitted, &buckets).then(|| Verdict::new(is_admitted, buckets))
    }

    /// Returns true if the statuses do not contradict the decision. Otherwise the reply is malformed.
    fn is_consistent(&self, is_admitted: bool, buckets: &[(BucketStatus, Receipt)]) -> bool {
        let has_room =
            |(status, _): &(BucketStatus, Receipt)| status.retry_after == Some(Duration::ZERO);
        match self.operation {
            // After an admitted check, there may be no room for the same cost a second time, so any wait is possible.
            Operation::Check | Operation::Lease if is_admitted => {
                buckets.iter().all(|(status, _)| status.retry_after.is_some())
            }
            Operation::Check | Operation::Peek => is_admitted == buckets.iter().all(has_room),
            // The script also denies a lease if the bucket has too many leases, or the state of another algorithm.
            Operation::Lease => true,
            // If a permit has expired, the script denies the renewal, whatever the buckets have.
            Operation::Renew => true,
            Operation::Debit | Operation::Refund | Operation::Return | Operation::Reset => {
                is_admitted
            }
        }
    }
}

impl BucketParams {
    fn status(&self, [remaining, reset, retry]: [i64; 3]) -> Option<BucketStatus> {
        Some(BucketStatus {
            remaining: u32::try_from(remaining).ok().filter(|it| *it <= self.quota.capacity())?,
            reset_after: micros(reset)?,
            retry_after: match retry {
                -1 => None,
                wait => Some(micros(wait)?),
            },
        })
    }
}

fn micros(number: i64) -> Option<Duration> {
    u64::try_from(number).ok().map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Key, Quota,
        store::{Bucket, BucketRequest, log_encoding::LogEncoding, script::batch::RequestIds},
    };

    const MINUTE: i64 = 60_000_000;

    fn request(operation: Operation, quotas: &[&str], key: u32, cost: u32) -> ScriptRequest {
        let key = Key::from(key);
        let quotas: Vec<Quota> = quotas.iter().map(|quota| quota.parse().unwrap()).collect();
        let request = |(index, quota): (usize, &Quota)| {
            BucketRequest::new(Bucket::new("p", index, &key), *quota, cost)
        };
        let requests: Vec<_> = quotas.iter().enumerate().map(request).collect();
        ScriptRequest::new("test", LogEncoding::Packed, operation, &requests)
    }

    fn read(requests: &[&ScriptRequest], reply: &[i64]) -> Option<Vec<BatchOutcome>> {
        let requests: Vec<_> = requests.iter().map(|request| (*request, 0)).collect();
        let batch = Batch::new(&RequestIds::new(), &requests, || 0);
        Some(batch.read(reply, &[StoreError::Permission, StoreError::OutOfMemory])?.outcomes)
    }

    fn decided(outcome: &BatchOutcome) -> (bool, Vec<BucketStatus>) {
        let BatchOutcome::Decided(verdict) = outcome else { panic!("{outcome:?}") };
        (verdict.is_allowed(), verdict.statuses().collect())
    }

    #[test]
    fn malformed_replies_are_not_decoded() {
        let of = |operation| request(operation, &["5/minute"], 1, 1);
        let check = of(Operation::Check);
        for reply in [
            [9, 1, 4, MINUTE, 0],
            [9, 1, 0, MINUTE, MINUTE],
            [9, 0, 0, MINUTE, MINUTE],
            [9, 0, 3, 1, -1],
        ] {
            let outcomes = read(&[&check], &reply).expect("a decision");
            assert_eq!(decided(&outcomes[0]).0, reply[1] == 1, "{reply:?}");
        }
        assert_eq!(read(&[&check], &[9, -1]), Some(vec![BatchOutcome::DeadlineExceeded]));
        for reply in [
            &[9, 1, 6, MINUTE, 0][..],
            &[9, 1, -1, MINUTE, 0],
            &[9, 1, 4, MINUTE, -1],
            &[9, 1, 4, -2, 0],
            &[9, 0, 4, MINUTE, 0],
            &[9, 2, 4, MINUTE, 0],
            &[9, -4],
            &[-9, 1, 4, MINUTE, 0],
            &[9, 1, 4, MINUTE],
            &[9, 1, 4, MINUTE, 0, 0],
            &[9, 1],
            &[9],
            &[],
        ] {
            assert_eq!(read(&[&check], reply), None, "{reply:?}");
        }
        assert_eq!(read(&[&of(Operation::Peek)], &[9, 1, 0, MINUTE, MINUTE]), None);
        assert_eq!(read(&[&of(Operation::Refund)], &[9, 0, 0, MINUTE, MINUTE]), None);
        assert!(read(&[&of(Operation::Refund)], &[9, 1, 0, MINUTE, MINUTE]).is_some());
        let two = request(Operation::Check, &["5/minute", "9/hour"], 1, 1);
        assert_eq!(read(&[&two], &[9, 1, 4, MINUTE, 0]), None);
        assert!(read(&[&two], &[9, 1, 4, MINUTE, 0, 8, MINUTE, 0]).is_some());
    }

    #[test]
    fn coalesced_requests_report_status_at_their_turn() {
        let [one, two, three] = [(); 3].map(|()| request(Operation::Check, &["5/minute"], 1, 2));
        let reply = [9, 1, 3, MINUTE, 0, 1, 1, MINUTE, MINUTE, 0, 1, MINUTE, MINUTE];
        let outcomes = read(&[&one, &two, &three], &reply).unwrap();
        let status = |remaining, retry: i64| BucketStatus {
            remaining,
            reset_after: micros(MINUTE).unwrap(),
            retry_after: micros(retry),
        };
        assert_eq!(decided(&outcomes[0]), (true, vec![status(3, 0)]));
        assert_eq!(decided(&outcomes[1]), (true, vec![status(1, MINUTE)]));
        assert_eq!(decided(&outcomes[2]), (false, vec![status(1, MINUTE)]));
        // The first reply has too few statuses for its requests, and the second reply has too many.
        assert_eq!(read(&[&one, &two, &three], &reply[..9]), None);
        assert_eq!(read(&[&one, &two], &reply), None);
    }

    #[test]
    fn failed_request_has_the_cause_of_its_error_text() {
        let requests = [1, 2, 3].map(|key| request(Operation::Check, &["5/minute"], key, 1));
        let outcomes = read(&requests.each_ref(), &[9, -3, 1, 4, MINUTE, 0, -2]).unwrap();
        assert_eq!(outcomes[0], BatchOutcome::Failed(StoreError::OutOfMemory));
        assert!(decided(&outcomes[1]).0);
        assert_eq!(outcomes[2], BatchOutcome::Failed(StoreError::Permission));
        assert_eq!(read(&requests.each_ref(), &[9, -4, 1, 4, MINUTE, 0, -2]), None);
    }
}
