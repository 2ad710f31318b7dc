//! Defines what a limit of another server counts.

/// The unit in which a limit counts. This is the quota unit of draft-ietf-httpapi-ratelimit-headers-11, the parameter
/// `qu` in `RateLimit-Policy`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum QuotaUnit {
    /// The limit counts requests. This is the default of the draft.
    #[default]
    Requests,
    /// The limit counts the bytes of message bodies.
    ContentBytes,
    /// The limit counts the requests that the server processes at the same time.
    ConcurrentRequests,
    /// The limit counts in a unit that the draft does not define. The name of the unit has only visible ASCII
    /// characters and spaces, so it is safe in a log.
    Other(String),
}

impl QuotaUnit {
    /// Returns the name of the unit in `RateLimit-Policy`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Requests => "requests",
            Self::ContentBytes => "content-bytes",
            Self::ConcurrentRequests => "concurrent-requests",
            Self::Other(name) => name,
        }
    }

    /// Returns the unit with this name. An empty name is malformed, so the default unit applies.
    pub(crate) fn from_name(name: &str) -> Self {
        match name {
            "" | "requests" => Self::Requests,
            "content-bytes" => Self::ContentBytes,
            "concurrent-requests" => Self::ConcurrentRequests,
            _ => Self::Other(name.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for name in ["requests", "content-bytes", "concurrent-requests", "tokens", "Requests"] {
            assert_eq!(QuotaUnit::from_name(name).as_str(), name);
        }
        assert_eq!(QuotaUnit::from_name("Requests"), QuotaUnit::Other("Requests".to_owned()));
        assert_eq!(QuotaUnit::from_name(""), QuotaUnit::Requests);
    }
}
