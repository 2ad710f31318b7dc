//! The requests as the server executes them, each in one atomic step.

use super::{
    config::{Config, Variant},
    permit::{Entry, Message, Permit, Phase},
};

/// Executes the acquire request of a permit: counts the unexpired entries, and adds one if there is room.
pub(super) fn acquire(config: &Config, permits: &mut [Permit], index: usize) {
    let has_room = permits.iter().filter(|permit| permit.is_live()).count() < config.limit;
    let permit = &mut permits[index];
    let Some(message) = &mut permit.acquire else { return };
    if has_room && config.is_in_time(message.age) {
        permit.entry = Entry::Live { left: config.lease, revoked: false };
        message.phase = Phase::Success;
    } else {
        message.phase = Phase::Refusal;
    }
}

/// Executes the renew request of a permit: moves the expiry of an unexpired entry.
pub(super) fn renew(config: &Config, permit: &mut Permit) {
    let Some(Message { age, phase }) = &mut permit.renewal else { return };
    let is_renewable = match permit.entry {
        Entry::Live { revoked, .. } => !revoked,
        Entry::Expired => {
            config.has(Variant::RenewalRevivesExpired) || config.has(Variant::RenewalInsertsMissing)
        }
        Entry::Absent => config.has(Variant::RenewalInsertsMissing),
    };
    if is_renewable && config.is_in_time(*age) {
        permit.entry = Entry::Live { left: config.lease, revoked: false };
        *phase = Phase::Success;
    } else {
        *phase = Phase::Refusal;
    }
}

/// Executes a release request of a permit: removes the entry with the id of the permit, and no other entry.
pub(super) fn release(config: &Config, permits: &mut [Permit], index: usize) {
    permits[index].releases -= 1;
    if permits[index].is_live() || !config.has(Variant::ReleaseDecrementsCounter) {
        permits[index].entry = Entry::Absent;
    } else if let Some(other) = permits.iter_mut().find(|permit| permit.is_live()) {
        other.entry = Entry::Absent;
    }
}

/// Executes the release of a permit by an operator: the entry counts until it expires, but its holder cannot renew it.
/// So the holder learns at its next renewal that it has lost the permit, and releases it.
pub(super) fn release_by_operator(config: &Config, permit: &mut Permit) {
    if config.has(Variant::OperatorRemoves) {
        permit.entry = Entry::Absent;
    } else if let Entry::Live { revoked, .. } = &mut permit.entry {
        *revoked = true;
    }
}
