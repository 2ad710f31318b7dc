//! Defines the buckets that store bans.

/// The content of a bucket that stores a part of a ban.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BanRecord {
    /// The bucket counts the offences that lead to a ban.
    Offences,
    /// The bucket counts past bans.
    PastBans,
    /// The bucket stores the active ban.
    Active,
}

impl BanRecord {
    pub(crate) const ALL: [Self; 3] = [Self::Offences, Self::PastBans, Self::Active];

    /// Returns the suffix of the bucket name, which follows the policy name. A policy name cannot contain braces,
    /// so no policy has a bucket with such a name.
    fn suffix(self) -> &'static str {
        match self {
            Self::Offences => "{offences}",
            Self::PastBans => "{bans}",
            Self::Active => "{banned}",
        }
    }

    /// Returns the name of the bucket that stores this content for a policy.
    pub(crate) fn bucket_name(self, policy: &str) -> String {
        [policy, self.suffix()].concat()
    }

    /// Returns which record of a ban the bucket with this name stores; `None` if the name does not belong to a ban.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        // Most bucket names do not end with a brace, so this comparison saves the search below.
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
