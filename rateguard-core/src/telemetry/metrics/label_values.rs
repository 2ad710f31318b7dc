//! Lists the values of each label. The index of a value in its list is the discriminant of the value, so that a
//! table can have one entry for each value.

use crate::{
    store::Operation,
    telemetry::{mode::DecisionMode, outcome::OutcomeLabel},
};

impl OutcomeLabel {
    pub(super) const ALL: [Self; 4] = [Self::Allowed, Self::Denied, Self::Banned, Self::Rejected];
}

impl DecisionMode {
    pub(super) const ALL: [Self; 8] = [
        Self::Store,
        Self::Overflow,
        Self::Lease,
        Self::DenialCache,
        Self::Local,
        Self::Open,
        Self::Closed,
        Self::Shadow,
    ];
}

impl Operation {
    pub(super) const ALL: [Self; 8] = [
        Self::Check,
        Self::Peek,
        Self::Debit,
        Self::Refund,
        Self::Renew,
        Self::Lease,
        Self::Return,
        Self::Reset,
    ];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Peek => "peek",
            Self::Debit => "debit",
            Self::Refund => "refund",
            Self::Renew => "renew",
            Self::Lease => "lease",
            Self::Return => "return",
            Self::Reset => "reset",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StoreError;

    #[test]
    fn index_in_all_is_the_discriminant() {
        assert!(OutcomeLabel::ALL.into_iter().enumerate().all(|(index, it)| it as usize == index));
        assert!(DecisionMode::ALL.into_iter().enumerate().all(|(index, it)| it as usize == index));
        assert!(StoreError::ALL.into_iter().enumerate().all(|(index, it)| it.index() == index));
        assert!(Operation::ALL.into_iter().enumerate().all(|(index, it)| it as usize == index));
    }
}
