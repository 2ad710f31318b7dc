//! The buckets that a ban consists of.

/// What a bucket of a ban counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BanRecord {
    /// The denials that lead to a ban.
    Offences,
    /// The bans that were.
    PastBans,
    /// The ban that is under way.
    Active,
}

impl BanRecord {
    pub(crate) const ALL: [Self; 3] = [Self::Offences, Self::PastBans, Self::Active];

    /// What follows the policy's name in the name of the bucket. No name of a policy has braces.
    fn suffix(self) -> &'static str {
        match self {
            Self::Offences => "{offences}",
            Self::PastBans => "{bans}",
            Self::Active => "{banned}",
        }
    }

    /// The name of the buckets with such records of a policy.
    pub(crate) fn bucket_name(self, policy: &str) -> String {
        [policy, self.suffix()].concat()
    }

    /// What the buckets of this name record, if they are a ban's.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        // Most names are not: one look at their last byte says so.
        if name.as_bytes().last() != Some(&b'}') {
            return None;
        }
        Self::ALL.into_iter().find(|record| name.ends_with(record.suffix()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_known_by_the_name_of_its_bucket() {
        for record in BanRecord::ALL {
            assert_eq!(BanRecord::of_name(&record.bucket_name("login")), Some(record));
        }
        for name in ["login", "offences", "login{shadow}", "banned", ""] {
            assert_eq!(BanRecord::of_name(name), None, "{name}");
        }
    }
}
