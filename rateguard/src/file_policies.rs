//! Stores the policy set for one request. A policy set is all policies and plans of a guard at one point in time.
//! All limits of the request use the stored set, even if the policies file changes while the request is in
//! progress.

use std::sync::Arc;

use actix_rateguard_core::{RateGuard, adapter::PolicySet};
use actix_web::{HttpMessage, HttpRequest};
use smallvec::SmallVec;

/// A list of guards that have checked this request. Each entry has the id of a guard and the policy set that the
/// first limit of this guard used.
struct RequestPolicySets(SmallVec<[(u64, Arc<PolicySet>); 1]>);

pub(crate) fn request_policy_set(
    guard: &RateGuard,
    request: &HttpRequest,
    current: Arc<PolicySet>,
) -> Arc<PolicySet> {
    let mut extensions = request.extensions_mut();
    let Some(RequestPolicySets(sets)) = extensions.get_mut() else {
        let first = (guard.id(), Arc::clone(&current));
        extensions.insert(RequestPolicySets(SmallVec::from_iter([first])));
        return current;
    };
    match sets.iter().find(|(id, _)| *id == guard.id()) {
        Some((_, first)) => Arc::clone(first),
        None => {
            sets.push((guard.id(), Arc::clone(&current)));
            current
        }
    }
}
