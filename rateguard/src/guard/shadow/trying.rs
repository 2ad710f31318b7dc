//! What of a request is tried, and how it goes along with the rest.

use std::future::Future;

use smallvec::SmallVec;

use super::{
    super::{
        Reservation, Unavailable,
        request::{Asked, Request},
    },
    beside::{Asking, Question, Shadows},
    trial::{Side, Trial},
};
use crate::{
    Decision,
    store::{Bucket, Charge, Operation},
};

impl Request<'_> {
    /// Does this to what is enforced, and beside it to what is tried.
    pub(in crate::guard) async fn tried(
        &self,
        operation: Operation,
        enforced: impl Future<Output = Result<Decision, Unavailable>>,
    ) -> Result<Decision, Unavailable> {
        match self.in_shadow(operation) {
            None => enforced.await,
            Some(asking) if self.is_in_shadow() => Ok(asking.decision().await?.0),
            Some(asking) => asking.beside(enforced).await.0,
        }
    }

    /// The same of a peek, at which nothing beside it is of interest.
    pub(in crate::guard) async fn peeked(
        &self,
        enforced: impl Future<Output = Result<Decision, Unavailable>>,
    ) -> Result<Decision, Unavailable> {
        if self.is_in_shadow()
            && let Some(asking) = self.in_shadow(Operation::Peek)
        {
            return Ok(asking.decision().await?.0);
        }
        enforced.await
    }

    /// The same of a reservation, which then holds what is tried, too.
    pub(in crate::guard) async fn tried_reservation(
        &self,
        enforced: impl Future<Output = Result<Reservation, Unavailable>>,
    ) -> Result<Reservation, Unavailable> {
        match self.in_shadow(Operation::Check) {
            None => enforced.await,
            Some(asking) if self.is_in_shadow() => {
                let (decision, shadows) = asking.decision().await?;
                Ok(Reservation::of_shadows(self.guard(), decision, &self.limits, shadows))
            }
            Some(asking) => {
                let (reservation, shadows) = asking.beside(enforced).await;
                Ok(reservation?.with_shadows(shadows))
            }
        }
    }

    /// Asks for what is in shadow, and waits for nothing.
    pub(crate) fn ask_in_shadow_alone(&self) -> Option<Shadows> {
        self.in_shadow(Operation::Check).map(Asking::at_once)
    }

    /// Charges what is in shadow, and waits for nothing.
    pub(crate) fn charge_in_shadow_alone(&self) {
        self.in_shadow(Operation::Charge).map(Asking::at_once);
    }

    /// Whether anything of it is tried.
    pub(in crate::guard) fn is_tried(&self) -> bool {
        self.limits.iter().any(|asked| asked.policy.trial().is_some())
    }

    /// Whether nothing of it is enforced.
    pub(in crate::guard) fn is_in_shadow(&self) -> bool {
        !self.limits.is_empty() && self.limits.iter().all(|asked| asked.policy.is_in_shadow())
    }

    /// What is tried, if anything is.
    pub(in crate::guard) fn in_shadow(&self, operation: Operation) -> Option<Asking> {
        if !self.is_tried() {
            return None;
        }
        let question = |(limit, asked): (usize, &Asked<'_>)| {
            let (side, is_told) = match asked.policy.trial()? {
                Trial::Whole => (Side::Own, true),
                Trial::Candidate(_) => (asked.side.other(), asked.side == Side::Own),
            };
            let (policy, key, cost) = (asked.policy.clone(), asked.key, asked.cost);
            let is_told = is_told && operation == Operation::Check;
            Some(Question { policy, side, key, cost, limit, is_told })
        };
        let questions: Vec<_> = self.limits.iter().enumerate().filter_map(question).collect();
        Some(Asking::new(self.guard(), questions, operation))
    }
}

impl Asked<'_> {
    /// The buckets of what is tried.
    pub(in crate::guard) fn tried_charges(&self) -> SmallVec<[Charge<'_>; 1]> {
        let side = match self.policy.trial() {
            None => return SmallVec::new(),
            Some(Trial::Whole) => Side::Own,
            Some(Trial::Candidate(_)) => self.side.other(),
        };
        let (name, quotas) = self.policy.on_side(side);
        let bucket = |place| Bucket::new(name.as_str(), place, &self.key);
        quotas
            .iter()
            .enumerate()
            .map(|(place, quota)| Charge::new(bucket(place), *quota, 1))
            .collect()
    }
}
