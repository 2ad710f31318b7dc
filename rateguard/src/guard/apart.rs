//! Keys that no single step reaches, as those of different slots in Redis Cluster: one after the other.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::asking::whole;
use crate::{
    StoreError,
    store::{Charge, Level, Operation, Receipt, Store, Verdict},
};

/// Whether these are of more than one key.
pub(super) fn are_of_several_keys(charges: &[Charge<'_>]) -> bool {
    charges.iter().any(|charge| charge.bucket.digest() != charges[0].bucket.digest())
}

/// Does this to one key after the other, each in one step, and tells whether any was `answered`. When a check of one is denied, or fails, the earlier ones get
/// back what was taken of them.
pub(super) async fn one_after_the_other(
    store: &dyn Store,
    operation: Operation,
    charges: &[Charge<'_>],
    answered: &AtomicBool,
) -> Result<Verdict, StoreError> {
    let mut keys = of_each_key(charges);
    let mut is_allowed = true;
    for number in 0..keys.len() {
        // After a denial, the others only say how they stand.
        let operation = if is_allowed { operation } else { Operation::Peek };
        let is_denied = match keys[number].apply(store, operation).await {
            Ok(allowed) => {
                answered.store(true, Relaxed);
                !allowed
            }
            Err(error) => {
                if operation == Operation::Check {
                    give_back(store, &mut keys[..number]).await;
                }
                return Err(error);
            }
        };
        if is_denied {
            is_allowed = false;
            if operation == Operation::Check {
                give_back(store, &mut keys[..number]).await;
            }
        }
    }
    let mut answers: Vec<_> =
        keys.into_iter().flat_map(|key| key.places.into_iter().zip(key.answers)).collect();
    answers.sort_by_key(|(place, _)| *place);
    Ok(Verdict::new(is_allowed, answers.into_iter().map(|(_, answer)| answer)))
}

async fn give_back(store: &dyn Store, keys: &mut [OneKey<'_>]) {
    for key in keys {
        // A denial stays one if this fails. What was not given back counts, which is no harm to the limit.
        let _ = key.apply(store, Operation::Refund).await;
    }
}

/// The charges of one key, with their places among all, and what was answered last.
struct OneKey<'a> {
    places: Vec<usize>,
    charges: Vec<Charge<'a>>,
    answers: Vec<(Level, Receipt)>,
}

impl OneKey<'_> {
    async fn apply(&mut self, store: &dyn Store, operation: Operation) -> Result<bool, StoreError> {
        if operation == Operation::Refund {
            // Of a gate nothing was taken.
            self.charges.iter_mut().for_each(|charge| charge.cost = charge.taken());
        }
        let answer = store.apply(operation, &self.charges).get().await;
        let verdict = whole(answer, &self.charges)?;
        self.answers = verdict.levels().zip(verdict.receipts()).collect();
        if operation == Operation::Check {
            for (charge, receipt) in self.charges.iter_mut().zip(verdict.receipts()) {
                charge.receipt = receipt;
            }
        }
        Ok(verdict.is_allowed())
    }
}

fn of_each_key<'a>(charges: &[Charge<'a>]) -> Vec<OneKey<'a>> {
    let mut keys: Vec<OneKey<'a>> = Vec::new();
    for (place, charge) in charges.iter().enumerate() {
        let is_its =
            |key: &&mut OneKey<'a>| key.charges[0].bucket.digest() == charge.bucket.digest();
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
