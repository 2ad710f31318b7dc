//! The buckets of a ban.

/// The content of a bucket of a ban.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BanRecord {
    /// The denials that lead to a ban.
    Offences,
    /// The number of past bans.
    PastBans,
    /// The active ban.
    Active,
}

impl BanRecord {
    pub(crate) const ALL: [Self; 3] = [Self::Offences, Self::PastBans, Self::Active];

    /// The suffix of the bucket name, after the name of the policy. The name of a policy cannot contain braces.
    fn suffix(self) -> &'static str {
        match self {
            Self::Offences => "{offences}",
            Self::PastBans => "{bans}",
            Self::Active => "{banned}",
        }
    }

    /// The name of the buckets with this content, for a policy.
    pub(crate) fn bucket_name(self, policy: &str) -> String {
        [policy, self.suffix()].concat()
    }

    /// The content of the buckets with this name; `None` if they are not buckets of a ban.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        // Fast path: the names of most buckets do not end with a brace.
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
