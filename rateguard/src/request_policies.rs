//! Determines the policies for one request. All limits of the request use the same policy set, even if the policies
//! file changes while the request is in progress.

use actix_rateguard_core::{RateGuard, adapter::PolicySetRef};
use actix_web::HttpRequest;

/// Returns the policy set for a request. All limits of one guard get the same set for this request.
pub(crate) fn policy_set<'a>(guard: &'a RateGuard, request: &HttpRequest) -> PolicySetRef<'a> {
    match guard.policy_set() {
        PolicySetRef::FromFile(current) => PolicySetRef::FromFile(
            crate::file_policies::request_policy_set(guard, request, current),
        ),
        fixed => fixed,
    }
}
