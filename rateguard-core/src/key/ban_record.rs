//! Defines the buckets in which a store counts offences and records bans.

/// The content of a bucket that belongs to a ban. Each variant is stored in a separate bucket.
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

    /// Returns the suffix that follows the policy name in the bucket name. A policy name cannot contain braces, so the
    /// bucket of another policy never has the same name.
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

    /// Returns the content of the bucket that has this name; `None` if the bucket does not belong to a ban.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        // Most bucket names do not end with a brace, so this comparison usually avoids the search below.
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
