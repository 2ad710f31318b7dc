//! The names of the limits of all middlewares that exist. No worker has to have started them.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use actix_rateguard_core::adapter::{LimitOrigin, NameRegistration, conflict_of};

use crate::{Policy, error::NameConflict};

/// The claims of the limits of all middlewares of a guard.
#[derive(Default)]
pub(crate) struct NameClaims(Mutex<Vec<Weak<NameClaim>>>);

/// The name of a limit whose middleware exists, with the settings that belong to this name. The middleware and its
/// clones own the claim, so a middleware that the program has dropped reserves no name.
pub(crate) struct NameClaim {
    policy: Policy,
    is_fixed: bool,
    origin: LimitOrigin,
}

impl NameClaim {
    fn registration(&self) -> NameRegistration<'_> {
        NameRegistration { policy: &self.policy, is_fixed: self.is_fixed, origin: self.origin }
    }
}

impl NameClaims {
    /// Claims the name of a limit, so that the next middleware can compare its limit with this one.
    ///
    /// # Errors
    ///
    /// [`NameConflict`] if a limit of a middleware that exists has the same name and cannot share its counts with this
    /// limit.
    pub(crate) fn add(
        &self,
        registration: &NameRegistration<'_>,
    ) -> Result<Arc<NameClaim>, NameConflict> {
        // Code under this lock cannot leave the list in an inconsistent state, so it is safe to use a poisoned lock.
        let mut claims = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        claims.retain(|claim| claim.strong_count() > 0);
        for claim in claims.iter().filter_map(Weak::upgrade) {
            if let Some(conflict) = conflict_of(&claim.registration(), registration) {
                return Err(conflict);
            }
        }
        let NameRegistration { policy, is_fixed, origin } = *registration;
        let claim = Arc::new(NameClaim { policy: policy.clone(), is_fixed, origin });
        claims.push(Arc::downgrade(&claim));
        Ok(claim)
    }
}
