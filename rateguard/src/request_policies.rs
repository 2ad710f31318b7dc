//! The policies of one request. All limits of the request use the same policy set, also if the policies file changes
//! meanwhile.

use actix_rateguard_core::{RateGuard, adapter::PolicySetRef};
use actix_web::HttpRequest;

/// Returns the policy set of a request. All limits of one guard on that request get the same set.
pub(crate) fn policy_set<'a>(guard: &'a RateGuard, request: &HttpRequest) -> PolicySetRef<'a> {
    match guard.policy_set() {
        PolicySetRef::FromFile(current) => PolicySetRef::FromFile(
            crate::file_policies::request_policy_set(guard, request, current),
        ),
        fixed => fixed,
    }
}
