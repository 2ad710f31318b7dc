//! Checks that may wait: their bounds, and the report of their waits.

use super::{
    Request, Reservation, Unavailable, wait_deadlines::Deadlines, waiting_request::WaitingRequest,
};
use crate::telemetry::outcome::OutcomeLabel;

impl Request<'_> {
    /// Checks the request repeatedly until it is admitted. Returns a denial if the deadline of a limit that denies it
    /// permits no further wait. If `is_bounded` is true, the request only waits if fewer requests wait than the maximum
    /// numbers for the key and for the guard.
    pub(super) async fn reserve_until_room(
        &self,
        deadlines: Deadlines,
        is_bounded: bool,
    ) -> Result<Reservation, Unavailable> {
        if is_bounded && let Some(denial) = self.repeated_denial(&deadlines) {
            return Ok(denial);
        }
        let waiting = WaitingRequest::new(self, deadlines, is_bounded);
        let (result, waiting_since) = waiting.run().await;
        let Some(since) = waiting_since else {
            if let Ok(reservation) = &result
                && is_bounded
            {
                self.store_denial(reservation.decision());
            }
            return result;
        };
        let (policy, outcome) = match &result {
            Ok(reservation) => {
                let decision = reservation.decision();
                (Some(decision.policy_name()), OutcomeLabel::of(decision))
            }
            Err(unavailable) => {
                let first = self.limits().next().map(|it| it.policy.shared_name());
                (first, OutcomeLabel::of_unavailable(unavailable).0)
            }
        };
        if let Some(policy) = policy {
            self.guard().record_wait(policy, outcome);
        }
        result.map(|reservation| reservation.with_wait(since.elapsed()))
    }
}
