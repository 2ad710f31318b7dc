//! Keys that no single step reaches, as those of different slots in Redis Cluster: one after the other.

use std::time::{Duration, Instant};

use super::RateGuard;
use crate::{
    StoreError,
    store::{BucketRequest, BucketStatus, Operation, Receipt, Verdict},
};

/// Does this to one key after the other, each in one step, and all of it by the deadline. When a check of one is denied, or
/// fails, the earlier ones get back what was taken of them, and the others only say how they stand: if any has no room, it
/// is a denial, whoever else does not answer.
pub(super) async fn one_after_the_other(
    guard: &RateGuard,
    operation: Operation,
    charges: &[BucketRequest<'_>],
    deadline: Duration,
) -> Result<Verdict, StoreError> {
    let mut keys = of_each_key(charges);
    let until = Instant::now() + deadline;
    let (mut is_allowed, mut failure) = (true, None);
    let mut unknown = Vec::new();
    for number in 0..keys.len() {
        let is_open = is_allowed && failure.is_none();
        let step = if is_open { operation } else { Operation::Peek };
        let answer = keys[number].apply(guard, until, step).await;
        if step == Operation::Check && !matches!(answer, Ok(true)) {
            for key in &mut keys[..number] {
                // A denial stays one if this fails. What was not given back counts, which is no harm to the limit.
                let _ = key.apply(guard, until, Operation::Refund).await;
            }
        }
        match answer {
            Ok(allowed) => is_allowed &= allowed,
            Err(cause) if matches!(operation, Operation::Check | Operation::Peek) => {
                failure.get_or_insert(cause);
                let key = &mut keys[number];
                unknown.extend_from_slice(&key.places);
                key.answers = vec![(BucketStatus::default(), Receipt::default()); key.places.len()];
            }
            Err(cause) => return Err(cause),
        }
    }
    if let Some(cause) = failure.filter(|_| is_allowed) {
        return Err(cause);
    }
    let mut answers: Vec<_> =
        keys.into_iter().flat_map(|key| key.places.into_iter().zip(key.answers)).collect();
    answers.sort_by_key(|(place, _)| *place);
    let answers = answers.into_iter().map(|(_, answer)| answer);
    Ok(Verdict::new(is_allowed, answers).without(unknown))
}

/// The charges of one key, with their places among all, and what was answered last.
struct OneKey<'a> {
    places: Vec<usize>,
    charges: Vec<BucketRequest<'a>>,
    answers: Vec<(BucketStatus, Receipt)>,
}

impl OneKey<'_> {
    async fn apply(
        &mut self,
        guard: &RateGuard,
        until: Instant,
        operation: Operation,
    ) -> Result<bool, StoreError> {
        if operation == Operation::Refund {
            // Of a gate nothing was taken.
            self.charges.iter_mut().for_each(|charge| charge.cost = charge.taken());
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(guard.shared.store.timeout_cause(&self.charges));
        }
        let verdict = guard.call_store(operation, &self.charges, left).await?;
        self.answers = verdict.levels().zip(verdict.receipts()).collect();
        if operation == Operation::Check {
            for (charge, receipt) in self.charges.iter_mut().zip(verdict.receipts()) {
                charge.receipt = receipt;
            }
        }
        Ok(verdict.is_allowed())
    }
}

fn of_each_key<'a>(charges: &[BucketRequest<'a>]) -> Vec<OneKey<'a>> {
    let mut keys: Vec<OneKey<'a>> = Vec::new();
    for (place, charge) in charges.iter().enumerate() {
        let is_its = |key: &&mut OneKey<'a>| key.charges[0].bucket.key() == charge.bucket.key();
        match keys.iter_mut().find(is_its) {
            Some(key) => {
                key.places.push(place);
                key.charges.push(*charge);
            }
            None => keys.push(OneKey {
                places: vec![place],
                charges: vec![*charge],
                answers: Vec::new(),
            }),
        }
    }
    keys
}
