//! Defines the buckets that store the bans of a policy.

use std::time::Duration;

use actix_rateguard_grammar::Ban;
use smallvec::SmallVec;

use crate::{
    Algorithm, Key, Quota,
    key::BanRecord,
    store::{Bucket, BucketRequest},
};

/// The maximum number of past bans that the store counts. Each ban is twice as long as the previous ban, up to the
/// maximum duration. A key reaches the maximum duration before it has 32 bans.
pub(crate) const MAX_PAST_BANS: u32 = 32;

/// The ban of a policy, with the names of the buckets that store the ban.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Escalation {
    ban: Ban,
    /// The name of the bucket that counts offences.
    offences: String,
    /// The name of the bucket that counts past bans.
    past_bans: String,
    /// The name of the bucket that stores the active ban.
    active: String,
}

impl Escalation {
    pub(crate) fn new(ban: Ban, policy: &str) -> Self {
        let [offences, past_bans, active] =
            [BanRecord::Offences, BanRecord::PastBans, BanRecord::Active]
                .map(|record| record.bucket_name(policy));
        Self { ban, offences, past_bans, active }
    }

    pub(crate) fn ban(&self) -> Ban {
        self.ban
    }

    /// Returns the name of the bucket that stores the active ban.
    pub(crate) fn ban_bucket_name(&self) -> &str {
        &self.active
    }

    /// Returns the bucket request that tests whether a ban is active, but takes no units. The bucket has room if the
    /// key is not banned.
    pub(crate) fn ban_check<'a>(&'a self, key: &'a Key) -> BucketRequest<'a> {
        let mut ban_check = self.ban_request(key, 1);
        ban_check.check_only = true;
        ban_check
    }

    /// Returns the bucket request that starts a ban of `seconds` seconds. The bucket has room if the key is not
    /// banned.
    ///
    /// The bucket is a token bucket that gets one token each second. The request takes one token for each second of
    /// the ban, so the bucket is full again when the ban ends.
    pub(crate) fn ban_request<'a>(&'a self, key: &'a Key, seconds: u32) -> BucketRequest<'a> {
        // The duration of a ban is at most 90 days, so the number of seconds is a valid burst.
        let quota = TOKEN_A_SECOND.with_burst(seconds).unwrap_or(TOKEN_A_SECOND);
        BucketRequest::new(Bucket::new(&self.active, 0, key), quota, seconds)
    }

    /// Returns the [`ban_request`](Self::ban_request) for the remaining time of a ban, rounded up to whole seconds.
    pub(crate) fn ban_for<'a>(&'a self, key: &'a Key, left: Duration) -> BucketRequest<'a> {
        self.ban_request(key, whole_seconds(left))
    }

    /// Returns the bucket request that extends a ban. The remaining time increases from `left` to at least `length`,
    /// and to at most 1 second more than `length`. The bucket has no room if another call has already extended the
    /// ban.
    pub(crate) fn longer_ban<'a>(
        &'a self,
        key: &'a Key,
        left: Duration,
        length: Duration,
    ) -> BucketRequest<'a> {
        let seconds = whole_seconds(length.saturating_sub(left));
        let total = self.ban_request(key, whole_seconds(left) + seconds);
        BucketRequest { cost: seconds, ..total }
    }

    /// Returns the bucket request that counts one offence.
    pub(crate) fn offence<'a>(&'a self, key: &'a Key) -> BucketRequest<'a> {
        BucketRequest::new(Bucket::new(&self.offences, 0, key), self.ban.offences(), 1)
    }

    /// Returns the bucket request that adds `number` to the count of past bans. `None` if all bans have the same
    /// duration, because the number of past bans then has no effect.
    pub(crate) fn past_bans<'a>(&'a self, key: &'a Key, number: u32) -> Option<BucketRequest<'a>> {
        let quota = Quota::new(MAX_PAST_BANS, self.ban.memory()?).ok()?;
        Some(BucketRequest::new(Bucket::new(&self.past_bans, 0, key), quota, number))
    }

    /// Returns bucket requests for all buckets of the ban, so that a caller can reset them.
    pub(crate) fn records<'a>(&'a self, key: &'a Key) -> SmallVec<[BucketRequest<'a>; 3]> {
        let always = [self.ban_request(key, 1), self.offence(key)];
        always.into_iter().chain(self.past_bans(key, 1)).collect()
    }
}

/// Returns the number of seconds in a duration, rounded up to a whole number. A ban has fewer than 2^23 seconds, so
/// the number fits into 32 bits.
fn whole_seconds(time: Duration) -> u32 {
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

/// The limit and the window of the bucket that stores an active ban: one token each second.
const TOKEN_A_SECOND: Quota = match Quota::new(1, Duration::from_secs(1)) {
    Ok(quota) => match quota.with_algorithm(Algorithm::TokenBucket) {
        Ok(quota) => quota,
        Err(_) => quota,
    },
    Err(_) => unreachable!(),
};
