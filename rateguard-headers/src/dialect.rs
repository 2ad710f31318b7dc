//! Defines the dialects, which are the sets of header fields in which a server can report its limits.

use std::time::Duration;

use crate::{
    DialectInput, FieldValue, MAX_REPORTED_TIME,
    names::{
        RATELIMIT, RATELIMIT_POLICY, X_RATELIMIT_LIMIT, X_RATELIMIT_REMAINING, X_RATELIMIT_RESET,
    },
    write::{ceil_secs, rate_limit_policy_value, rate_limit_value, unix_ceil_secs},
};

/// The maximum number of fields that a dialect writes.
const MAX_FIELDS: usize = 3;

/// The names of the fields for the quota, the remaining units and the reset, which is the time at which the limit
/// admits more units.
const X_RATELIMIT_FIELDS: [&str; MAX_FIELDS] =
    [X_RATELIMIT_LIMIT, X_RATELIMIT_REMAINING, X_RATELIMIT_RESET];

/// The fields that a dialect writes. An item is `None` if the dialect has fewer than three fields, or if it omits
/// this field from the response.
type Fields = [Option<(&'static str, FieldValue)>; MAX_FIELDS];

/// A set of header fields in which a server reports its limits. With every dialect, a server can also send
/// `Retry-After`.
///
/// To add a dialect to this crate, follow `CONTRIBUTING.md` in the repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HeaderDialect {
    /// The server writes `X-RateLimit-Limit`, `X-RateLimit-Remaining` and `X-RateLimit-Reset`. The value of
    /// `X-RateLimit-Reset` is the number of seconds from now until the reset. If several limits apply, the fields
    /// report the tightest limit. No standard describes these fields.
    XRateLimit,
    /// The server writes the same fields as for `XRateLimit`, but like GitHub: `X-RateLimit-Reset` is a Unix time in
    /// seconds. The wait is the difference between this time and the time in the field `Date`. If the response has no
    /// `Date`, a client has to use its own clock, which must be correct.
    XRateLimitEpoch,
    /// The server writes `RateLimit` and `RateLimit-Policy`, which report any number of limits by name. The fields are
    /// Structured Fields (RFC 9651) and follow revision 11 of draft-ietf-httpapi-ratelimit-headers, of May 2026.
    /// Revision 11 expired in November 2026. It is not a standard, so a later revision can change the fields. RateGuard
    /// follows revision 11 until a later revision or a standard replaces it.
    Draft,
}

/// Generates the constant `ALL` and the method `name` from one table of dialects. If a dialect is missing in the
/// table, the crate does not compile.
macro_rules! names {
    ($count:literal: $($dialect:ident => $name:literal,)*) => {
        impl HeaderDialect {
            /// The list of all dialects.
            pub const ALL: [Self; $count] = [$(Self::$dialect),*];

            /// Returns the name that policies files use for the dialect.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$dialect => $name,)*
                }
            }
        }
    };
}

names! {
    3:
    XRateLimit => "x-ratelimit",
    XRateLimitEpoch => "x-ratelimit-epoch",
    Draft => "draft",
}

impl HeaderDialect {
    /// Returns whether this dialect and `other` conflict. Two different dialects conflict if both write a field with
    /// the same name, because a response cannot then use both dialects.
    #[must_use]
    pub fn conflicts_with(self, other: Self) -> bool {
        self != other && self.field_names().iter().any(|name| other.field_names().contains(name))
    }

    /// Returns whether the list contains two dialects that conflict with each other.
    #[must_use]
    pub fn have_conflict(dialects: &[Self]) -> bool {
        Self::find_conflict(dialects).is_some()
    }

    /// Returns the first two dialects in the list that conflict with each other, in the order of the list.
    #[must_use]
    pub fn find_conflict(dialects: &[Self]) -> Option<[Self; 2]> {
        dialects.iter().find_map(|one| {
            let other = dialects.iter().find(|other| one.conflicts_with(**other))?;
            Some([*one, *other])
        })
    }

    /// Returns the names of the fields that the dialect writes, in lower case.
    #[must_use]
    pub fn field_names(self) -> &'static [&'static str] {
        match self {
            Self::XRateLimit | Self::XRateLimitEpoch => &X_RATELIMIT_FIELDS,
            Self::Draft => &[RATELIMIT_POLICY, RATELIMIT],
        }
    }

    /// Returns the fields of a response. The names are in lower case.
    ///
    /// If all values of a dialect are numbers, this method does not allocate. If there is no limit to report in a
    /// field, `Draft` omits the field, because a Structured Field cannot contain an empty list. `X-RateLimit-Reset`
    /// reports a reset that is at most [`MAX_REPORTED_TIME`] from now. If the reset is unknown, the field is absent.
    pub fn fields<I: DialectInput>(
        self,
        input: &I,
    ) -> impl Iterator<Item = (&'static str, FieldValue)> + use<I> {
        let fields: Fields = match self {
            Self::XRateLimit => number_fields(X_RATELIMIT_FIELDS, input, reset_seconds(input)),
            Self::XRateLimitEpoch => {
                number_fields(X_RATELIMIT_FIELDS, input, reset_unix_time(input))
            }
            Self::Draft => {
                let text = |name, value: Option<String>| Some((name, FieldValue::Text(value?)));
                [
                    text(RATELIMIT_POLICY, rate_limit_policy_value(input.limits())),
                    text(RATELIMIT, rate_limit_value(input.reported_limits())),
                    None,
                ]
            }
        };
        fields.into_iter().flatten()
    }
}

fn reported_reset(input: &impl DialectInput) -> Option<Duration> {
    input.reset_after().map(|reset| reset.min(MAX_REPORTED_TIME))
}

/// Returns the reset in seconds from now, rounded up.
fn reset_seconds(input: &impl DialectInput) -> Option<u64> {
    reported_reset(input).map(ceil_secs)
}

/// Returns the reset as a Unix time in seconds, rounded up.
fn reset_unix_time(input: &impl DialectInput) -> Option<u64> {
    let reset = reported_reset(input)?;
    let now = input.now();
    Some(unix_ceil_secs(now.checked_add(reset).unwrap_or(now)))
}

/// Returns the fields of a dialect that writes one number in each field: the quota, the remaining units and the
/// reset.
fn number_fields(
    [limit, remaining, reset]: [&'static str; MAX_FIELDS],
    input: &impl DialectInput,
    reset_value: Option<u64>,
) -> Fields {
    [(limit, Some(input.limit())), (remaining, Some(input.remaining())), (reset, reset_value)]
        .map(|(name, number)| Some((name, FieldValue::Number(number?))))
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;
    use crate::Limit;

    const SECOND: Duration = Duration::from_secs(1);

    /// A decision on several limits. The first limit is the tightest. The response reports the first `reported` limits.
    struct Decision {
        limits: Vec<Limit<'static>>,
        reported: usize,
    }

    impl DialectInput for Decision {
        fn limit(&self) -> u64 {
            self.limits[0].quota
        }

        fn remaining(&self) -> u64 {
            self.limits[0].remaining
        }

        fn reset_after(&self) -> Option<Duration> {
            (!self.limits[0].is_concurrent).then_some(self.limits[0].reset_after)
        }

        fn now(&self) -> SystemTime {
            UNIX_EPOCH + 1_700_000_000 * SECOND
        }

        fn limits(&self) -> impl Iterator<Item = Limit<'_>> {
            self.limits.iter().copied()
        }

        fn reported_limits(&self) -> impl Iterator<Item = Limit<'_>> {
            self.limits().take(self.reported)
        }
    }

    fn decision(reset_after: Duration, reported: usize) -> Decision {
        let burst = Limit {
            policy: "burst",
            quota: 100,
            window: 60 * SECOND,
            remaining: 50,
            reset_after,
            is_concurrent: false,
        };
        let daily = Limit {
            policy: "daily",
            quota: 1000,
            window: 86_400 * SECOND,
            remaining: 700,
            reset_after: 3_600 * SECOND,
            is_concurrent: false,
        };
        Decision { limits: vec![burst, daily], reported }
    }

    /// Returns the fields that a dialect writes for a decision, each as a line of text.
    fn fields(dialect: HeaderDialect, decision: &Decision) -> Vec<String> {
        dialect.fields(decision).map(|(name, value)| format!("{name}: {value}")).collect()
    }

    #[test]
    fn field_names_are_lowercase_and_match_the_written_fields() {
        for dialect in HeaderDialect::ALL {
            let written: Vec<_> = dialect.fields(&decision(SECOND, 2)).map(|it| it.0).collect();
            assert_eq!(written, dialect.field_names(), "{dialect:?}");
            for name in written {
                assert_eq!(http::HeaderName::from_static(name).as_str(), name);
            }
        }
    }

    #[test]
    fn unknown_reset_of_requests_in_progress_is_not_written() {
        let mut concurrent = decision(SECOND, 2);
        concurrent.limits[0] = Limit {
            policy: "exports",
            quota: 5,
            remaining: 0,
            is_concurrent: true,
            ..concurrent.limits[0]
        };
        assert_eq!(
            fields(HeaderDialect::XRateLimit, &concurrent),
            ["x-ratelimit-limit: 5", "x-ratelimit-remaining: 0"]
        );
        assert_eq!(
            fields(HeaderDialect::Draft, &concurrent),
            [
                r#"ratelimit-policy: "exports";q=5;qu="concurrent-requests", "daily";q=1000;w=86400"#,
                r#"ratelimit: "exports";r=0, "daily";r=700;t=3600"#,
            ]
        );
    }

    #[test]
    fn dialect_names_are_unique() {
        for (index, dialect) in HeaderDialect::ALL.into_iter().enumerate() {
            let position = HeaderDialect::ALL.iter().position(|it| it.name() == dialect.name());
            assert_eq!(position, Some(index));
        }
    }

    #[test]
    fn conflict_is_found_at_any_position_of_a_list() {
        use HeaderDialect::{Draft, XRateLimit, XRateLimitEpoch};
        for (dialects, conflict) in [
            (&[][..], None),
            (&[XRateLimit, Draft, XRateLimit], None),
            (&[Draft, XRateLimitEpoch, XRateLimit], Some([XRateLimitEpoch, XRateLimit])),
            (&[XRateLimit, Draft, XRateLimitEpoch], Some([XRateLimit, XRateLimitEpoch])),
        ] {
            assert_eq!(HeaderDialect::find_conflict(dialects), conflict, "{dialects:?}");
            assert_eq!(HeaderDialect::have_conflict(dialects), conflict.is_some(), "{dialects:?}");
        }
    }

    #[test]
    fn x_ratelimit_reports_the_reset_in_seconds_rounded_up() {
        let decision = decision(Duration::from_millis(29_001), 2);
        assert_eq!(
            fields(HeaderDialect::XRateLimit, &decision),
            ["x-ratelimit-limit: 100", "x-ratelimit-remaining: 50", "x-ratelimit-reset: 30"]
        );
    }

    #[test]
    fn x_ratelimit_epoch_reports_the_reset_as_unix_time() {
        let decision = decision(Duration::from_millis(29_001), 2);
        assert_eq!(
            fields(HeaderDialect::XRateLimitEpoch, &decision),
            [
                "x-ratelimit-limit: 100",
                "x-ratelimit-remaining: 50",
                "x-ratelimit-reset: 1700000030"
            ]
        );
    }

    #[test]
    fn x_ratelimit_resets_are_at_most_the_maximum() {
        let max = ceil_secs(MAX_REPORTED_TIME);
        for (dialect, reset) in [
            (HeaderDialect::XRateLimit, max),
            (HeaderDialect::XRateLimitEpoch, 1_700_000_000 + max),
        ] {
            let fields = fields(dialect, &decision(Duration::MAX, 2));
            assert_eq!(fields[2], format!("x-ratelimit-reset: {reset}"));
        }
    }

    #[test]
    fn draft_lists_all_policies_and_the_reported_limits() {
        let policies = r#"ratelimit-policy: "burst";q=100;w=60, "daily";q=1000;w=86400"#;
        for (reported, status) in [
            (2, r#"ratelimit: "burst";r=50;t=30, "daily";r=700;t=3600"#),
            (1, r#"ratelimit: "burst";r=50;t=30"#),
        ] {
            let decision = decision(30 * SECOND, reported);
            assert_eq!(fields(HeaderDialect::Draft, &decision), [policies, status]);
        }
    }

    #[test]
    fn draft_omits_fields_without_limits() {
        let policies = r#"ratelimit-policy: "burst";q=100;w=60, "daily";q=1000;w=86400"#;
        assert_eq!(fields(HeaderDialect::Draft, &decision(SECOND, 0)), [policies]);
        let no_limits = Decision { limits: Vec::new(), reported: 0 };
        assert_eq!(fields(HeaderDialect::Draft, &no_limits), [""; 0]);
    }
}
