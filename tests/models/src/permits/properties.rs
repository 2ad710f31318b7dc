//! The properties that the checker verifies.

use super::{
    config::Config,
    permit::{Entry, Holder, Message, Permit, Phase},
};

/// At each instant, the server counts at most `limit` entries.
pub const ENTRIES_WITHIN_LIMIT: &str = "unexpired entries are at most the limit";
/// At each instant, at most `limit` holders consider their permits valid.
pub const VALID_WITHIN_LIMIT: &str = "valid permits are at most the limit";
/// The server counts each permit that a holder considers valid.
pub const VALID_IS_COUNTED: &str = "a valid permit has an unexpired entry";
/// The permit of a process that crashed is free after one lease and one deadline.
pub const GHOSTS_EXPIRE: &str = "the entry of an ended holder expires in time";
/// If messages and renewals are in time, a holder keeps its permit for any time.
pub const RENEWED_IS_VALID: &str = "a permit with renewals in time is valid";

/// Returns the number of permits that their holders consider valid.
pub(super) fn valid(config: &Config, permits: &[Permit]) -> usize {
    permits.iter().filter(|permit| permit.is_valid(config)).count()
}

pub(super) fn entries_are_within_limit(config: &Config, permits: &[Permit]) -> bool {
    permits.iter().filter(|permit| permit.is_live()).count() <= config.limit
}

pub(super) fn valid_permits_have_entries(config: &Config, permits: &[Permit]) -> bool {
    permits.iter().all(|permit| permit.is_live() || !permit.is_valid(config))
}

pub(super) fn ghosts_are_expired(config: &Config, permits: &[Permit]) -> bool {
    let longest = config.longest_ghost();
    let has_ended =
        |permit: &Permit| matches!(permit.holder, Holder::Ended { since, .. } if since >= longest);
    permits.iter().all(|permit| !permit.is_live() || !has_ended(permit))
}

pub(super) fn all_holders_are_valid(config: &Config, permits: &[Permit]) -> bool {
    permits
        .iter()
        .all(|permit| !matches!(permit.holder, Holder::Holding { .. }) || permit.is_valid(config))
}

/// Returns true if the reply of a renewal will extend a permit that is still valid.
pub(super) fn renewal_extends(config: &Config, permits: &[Permit]) -> bool {
    permits.iter().any(|permit| match (permit.holder, permit.renewal) {
        (Holder::Holding { age: held }, Some(Message { age, phase: Phase::Success })) => {
            permit.is_valid(config) && age < held
        }
        _ => false,
    })
}

/// Returns true if all permits are in use, and one of them was that of a process that crashed.
pub(super) fn crashed_is_replaced(config: &Config, permits: &[Permit]) -> bool {
    let is_free_again = |permit: &Permit| permit.is_crashed() && permit.entry == Entry::Expired;
    valid(config, permits) == config.limit && permits.iter().any(is_free_again)
}

/// Returns true if the server refused a renewal, and the reply is on its way to the holder.
pub(super) fn holder_learns_expiry(permits: &[Permit]) -> bool {
    permits.iter().any(|permit| {
        matches!(permit.holder, Holder::Holding { .. })
            && matches!(permit.renewal, Some(Message { phase: Phase::Refusal, .. }))
    })
}
