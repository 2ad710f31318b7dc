//! The buckets that store bans.

/// What a bucket of a ban stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BanRecord {
    /// The offences that lead to a ban.
    Offences,
    /// The number of past bans.
    PastBans,
    /// The active ban.
    Active,
}

impl BanRecord {
    pub(crate) const ALL: [Self; 3] = [Self::Offences, Self::PastBans, Self::Active];

    /// The suffix of the bucket name after the policy name. A policy name cannot contain braces, so no policy has a
    /// bucket with such a name.
    fn suffix(self) -> &'static str {
        match self {
            Self::Offences => "{offences}",
            Self::PastBans => "{bans}",
            Self::Active => "{banned}",
        }
    }

    /// Returns the bucket name for this content and a policy.
    pub(crate) fn bucket_name(self, policy: &str) -> String {
        [policy, self.suffix()].concat()
    }

    /// Returns the content of buckets with this name; `None` if the name does not belong to a ban.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        // Fast path, because most bucket names do not end with a brace.
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
    fn bucket_name_identifies_the_record() {
        for record in BanRecord::ALL {
            assert_eq!(BanRecord::of_name(&record.bucket_name("login")), Some(record));
        }
        for name in ["login", "offences", "login{shadow}", "banned", ""] {
            assert_eq!(BanRecord::of_name(name), None, "{name}");
        }
    }
}
