//! Charging what has been used, however much it is.

use smallvec::SmallVec;

use super::RateGuard;
use crate::{
    Algorithm, StoreError,
    store::{BucketRequest, Operation, Verdict},
};

impl RateGuard {
    /// Charges, in several steps if it is more than a log takes in one.
    pub(super) async fn debit(&self, charges: &[BucketRequest<'_>]) -> Result<Verdict, StoreError> {
        let mut left: SmallVec<[u32; 1]> = charges
            .iter()
            .map(|charge| match charge.quota.algorithm() {
                // Beyond its capacity it makes no difference.
                Algorithm::SlidingWindow => charge.cost.min(charge.quota.capacity()),
                _ => charge.cost,
            })
            .collect();
        for number in 1.. {
            let mut step: SmallVec<[BucketRequest<'_>; 1]> = charges.into();
            for (charge, left) in step.iter_mut().zip(&mut left) {
                charge.cost = match charge.quota.algorithm() {
                    Algorithm::SlidingWindow => (*left).min(charge.quota.max_cost()),
                    _ => *left,
                };
                *left -= charge.cost;
            }
            let verdict = self.ask(Operation::Debit, &step, self.shared.deadline).await?;
            if left.iter().all(|left| *left == 0) {
                if number == 1 {
                    return Ok(verdict);
                }
                break;
            }
        }
        // The last step was a part of it; how things stand for as much once more is another question.
        let levels = self.ask(Operation::Peek, charges, self.shared.deadline).await?;
        Ok(Verdict::new(true, levels.levels().zip(levels.receipts())))
    }
}
