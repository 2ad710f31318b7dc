//! Creates decisions for tests of code that processes decisions.

use crate::{
    Decision, Key, Quota, QuotaStatus,
    policy::PolicyName,
    store::{Bucket, BucketRequest, BucketStatus},
};

/// Returns a decision that has a status for each of these quotas. Each item of `quotas` has the name of the policy,
/// the quota, the cost in units, and the status of the bucket.
///
/// ```
/// use std::time::Duration;
/// use actix_rateguard_core::{Quota, store::BucketStatus, test_util};
///
/// let minute = Duration::from_secs(60);
/// let status = BucketStatus { remaining: 0, reset_after: minute, retry_after: Some(minute) };
/// let quota: Quota = "5/minute".parse()?;
/// let denial = test_util::decision(false, [("login", quota, 1, status)]);
/// assert_eq!(denial.retry_after(), Some(minute));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Panics
///
/// This function does not panic, but the methods of the decision panic if `quotas` is empty.
#[must_use]
pub fn decision<'a>(
    is_allowed: bool,
    quotas: impl IntoIterator<Item = (&'a str, Quota, u32, BucketStatus)>,
) -> Decision {
    let key = Key::global();
    let statuses = quotas.into_iter().map(|(policy, quota, cost, status)| {
        let request = BucketRequest::new(Bucket::new(policy, 0, &key), quota, cost);
        QuotaStatus::new(PolicyName::of(policy), &request, status)
    });
    Decision::new(is_allowed, statuses.collect())
}
