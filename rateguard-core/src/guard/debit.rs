//! A debit takes units that the client has already used, even if there is no room.

use smallvec::SmallVec;

use super::RateGuard;
use crate::{
    StoreError,
    store::{BucketRequest, Operation, Verdict},
};

impl RateGuard {
    /// Debits the units. If the cost is above the number of units that a sliding-window log can take in one store
    /// call, the guard calls the store several times.
    pub(super) async fn debit(
        &self,
        requests: &[BucketRequest<'_>],
    ) -> Result<Verdict, StoreError> {
        let mut units_left: SmallVec<[u32; 1]> = requests
            .iter()
            .map(|request| match request.quota.algorithm().is_log() {
                // For one debit, a sliding-window log counts at most as many units as its capacity. All units that
                // were taken at the same time also expire together, so further units would change no decision.
                true => request.cost.min(request.quota.capacity()),
                false => request.cost,
            })
            .collect();
        for number in 1.. {
            let mut step: SmallVec<[BucketRequest<'_>; 1]> = requests.into();
            for (request, left) in step.iter_mut().zip(&mut units_left) {
                request.cost = match request.quota.algorithm().is_log() {
                    true => (*left).min(request.quota.max_cost()),
                    false => *left,
                };
                *left -= request.cost;
            }
            let verdict = self.run_operation(Operation::Debit, &step, self.shared.deadline).await?;
            if units_left.iter().all(|left| *left == 0) {
                if number == 1 {
                    return Ok(verdict);
                }
                break;
            }
        }
        // The verdict of the last store call is only for the units of that call. So a peek reads the statuses for
        // the whole debit.
        let peek = self.run_operation(Operation::Peek, requests, self.shared.deadline).await?;
        Ok(Verdict::new(true, peek.statuses().zip(peek.receipts())))
    }
}
