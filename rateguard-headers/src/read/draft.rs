//! Parses the fields that revision 07 and later revisions of draft-ietf-httpapi-ratelimit-headers define. The draft has
//! expired after revision 11. An open change in its repository renames the parameters `r` and `t` of `RateLimit` to `a`
//! and `w`, so the parser accepts these names, too.

use super::{
    ParsedLimit, QuotaUnit, retry,
    structured::{Item, Subject, decoded, dictionary, items, window_of},
};

/// Parses `RateLimit` and `RateLimit-Policy` of revision 08 and later. The fields are lists, and two items with the
/// same policy name describe the same limit.
///
/// The parser ignores an item of `RateLimit` that has neither the parameter `r` nor the proposed parameter `a`. It also
/// ignores an item of `RateLimit-Policy` without the parameter `q`.
pub(crate) fn parse_lists(statuses: &str, policies: &[Item]) -> Vec<ParsedLimit> {
    let has_remaining = |item: &Item| item.remaining().is_some();
    let statuses: Vec<Item> = items(statuses).into_iter().filter(has_remaining).collect();
    let policies: Vec<&Item> = policies.iter().filter(|item| item.q.is_some()).collect();
    let same_subject = |one: &Item, other: &Item| one.subject == other.subject;

    let with_status = statuses.iter().filter_map(|status| {
        parsed_limit(Some(status), policies.iter().copied().find(|it| same_subject(it, status)))
    });
    let without_status =
        policies.iter().filter(|policy| !statuses.iter().any(|it| same_subject(it, policy)));
    with_status
        .chain(without_status.filter_map(|policy| parsed_limit(None, Some(policy))))
        .collect()
}

/// Combines an item of `RateLimit` and an item of `RateLimit-Policy` that have the same policy name. Returns `None` if
/// the items have no policy name.
fn parsed_limit(status: Option<&Item>, policy: Option<&Item>) -> Option<ParsedLimit> {
    let Subject::Policy(name) = &status.or(policy)?.subject else { return None };
    Some(ParsedLimit {
        policy: Some(decoded(name)),
        quota: policy.and_then(|item| item.q),
        unit: policy.map(|item| item.unit.clone()).unwrap_or_default(),
        window: policy.and_then(Item::window),
        remaining: status.and_then(Item::remaining),
        reset_after: status.and_then(Item::reset_seconds).map(retry::seconds),
    })
}

/// Parses `RateLimit` in the form of revision 07 of the draft: `limit=100, remaining=50, reset=5`.
pub(crate) fn parse_rev07(text: &str, policies: &[Item]) -> Option<ParsedLimit> {
    let dictionary = dictionary(text);
    let limit = ParsedLimit {
        policy: None,
        quota: dictionary.limit,
        unit: QuotaUnit::Requests,
        window: dictionary.limit.and_then(|quota| window_of(quota, policies)),
        remaining: dictionary.remaining,
        reset_after: dictionary.reset.map(retry::seconds),
    };
    (limit != ParsedLimit::default()).then_some(limit)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// The values of a parsed limit: its name, and its quota, window, remaining units and reset. Durations are in
    /// seconds.
    type Numbers<'a> = (Option<&'a str>, [Option<u64>; 4]);

    fn numbers(limit: &ParsedLimit) -> Numbers<'_> {
        let seconds = |duration: Option<Duration>| duration.map(|duration| duration.as_secs());
        let ParsedLimit { policy, quota, unit: _, window, remaining, reset_after } = limit;
        (policy.as_deref(), [*quota, seconds(*window), *remaining, seconds(*reset_after)])
    }

    fn check(policies: &str, statuses: &str, expected: &[Numbers<'_>]) {
        let policies = items(policies);
        let limits = parse_lists(statuses, &policies);
        let limits = limits.iter().map(numbers).collect::<Vec<_>>();
        assert_eq!(limits, expected, "{statuses}");
        assert_eq!(parse_rev07(statuses, &policies), None, "{statuses}");
    }

    #[test]
    fn items_of_both_lists_are_matched_by_name() {
        // This is the example in Cloudflare's documentation. The two names are different, so the result has two
        // limits.
        check(
            r#""burst";q=100;w=60"#,
            r#""default";r=50;t=30"#,
            &[
                (Some("default"), [None, None, Some(50), Some(30)]),
                (Some("burst"), [Some(100), Some(60), None, None]),
            ],
        );
        // These are examples from the draft.
        check(
            r#""hour";q=1000;w=3600, "day";q=5000;w=86400"#,
            r#""day";r=100;t=36000"#,
            &[
                (Some("day"), [Some(5000), Some(86_400), Some(100), Some(36_000)]),
                (Some("hour"), [Some(1000), Some(3600), None, None]),
            ],
        );
        check(
            r#""permin";q=50;w=60,"perhr";q=1000;w=3600"#,
            "",
            &[
                (Some("permin"), [Some(50), Some(60), None, None]),
                (Some("perhr"), [Some(1000), Some(3600), None, None]),
            ],
        );
        check(
            "",
            r#""default";r=999;pk=:dHJpYWwxMjEzMjM=:"#,
            &[(Some("default"), [None, None, Some(999), None])],
        );
        check(
            r#""peruser";q=65535;qu="content-bytes";w=10;pk=:sdfjLJUOUH==:"#,
            "",
            &[(Some("peruser"), [Some(65_535), Some(10), None, None])],
        );
        // express-rate-limit sends these fields. The partition key `pk` is the start of a digest of the client's
        // address.
        check(
            r#""100-in-15min"; q=100; w=900; pk=:MTJjYTE3YjQ5YWYy:"#,
            r#""100-in-15min"; r=99; t=900; pk=:MTJjYTE3YjQ5YWYy:"#,
            &[(Some("100-in-15min"), [Some(100), Some(900), Some(99), Some(900)])],
        );
        // These are the parameter names that an open change of the draft proposes.
        check(
            r#""burst";q=100;w=60"#,
            r#""burst";a=80;w=45"#,
            &[(Some("burst"), [Some(100), Some(60), Some(80), Some(45)])],
        );
        // In a proposed form of the fields, names have no quotation marks.
        check(
            "default;q=100;w=60",
            "default;r=50;t=30",
            &[(Some("default"), [Some(100), Some(60), Some(50), Some(30)])],
        );
    }

    #[test]
    fn limit_has_the_unit_of_its_policy() {
        let policies =
            r#""bytes";q=65535;qu="content-bytes";w=10, "calls";q=9;w=1, "rest";q=5;qu="jobs""#;
        let limits = parse_lists("bytes;r=5, calls;r=4, other;r=3", &items(policies));
        let units: Vec<_> = limits.iter().map(|it| (it.policy().unwrap(), it.unit())).collect();
        assert_eq!(
            units,
            [
                ("bytes", &QuotaUnit::ContentBytes),
                ("calls", &QuotaUnit::Requests),
                ("other", &QuotaUnit::Requests),
                ("rest", &QuotaUnit::Other("jobs".to_owned())),
            ]
        );
    }

    #[test]
    fn each_partition_of_a_policy_is_a_limit() {
        check(
            "a;q=9;w=1",
            "a;r=1;pk=:YQ==:, a;r=2;pk=:Yg==:",
            &[
                (Some("a"), [Some(9), Some(1), Some(1), None]),
                (Some("a"), [Some(9), Some(1), Some(2), None]),
            ],
        );
    }

    #[test]
    fn items_without_required_parameters_are_ignored() {
        let statuses = "a;t=5, b;r=-1;t=5, c;r=1;t=-5, 7;r=1, d;r=1.5";
        check(
            "a;q=9;w=0, b;w=60, 9;w=60",
            statuses,
            &[(Some("c"), [None, None, Some(1), None]), (Some("a"), [Some(9), None, None, None])],
        );
        check("a;q=9;w=1,", "a;r=5;t=1", &[(Some("a"), [None, None, Some(5), Some(1)])]);
        check("a;q=9;w=1", "a;r=5;t=1,", &[(Some("a"), [Some(9), Some(1), None, None])]);
    }

    #[test]
    fn revision_07_is_parsed_as_a_dictionary() {
        for (statuses, expected) in [
            ("limit=100, remaining=50, reset=5", Some([Some(100), Some(60), Some(50), Some(5)])),
            ("limit=7,remaining=0", Some([Some(7), None, Some(0), None])),
            ("limit=(1 2), remaining=-1, reset=1, reset=x", None),
            ("limit=100; remaining=50; reset=5", Some([Some(100), Some(60), None, None])),
            ("limit=100, remaining=50, reset=", None),
            ("limit=1, remaining=2, limit=3", Some([Some(3), None, Some(2), None])),
        ] {
            let limit = parse_rev07(statuses, &items("10;w=1, 100;w=60, 100;w=3600"));
            assert_eq!(limit.as_ref().map(numbers), expected.map(|it| (None, it)), "{statuses}");
            assert_eq!(parse_lists(statuses, &[]), [], "{statuses}");
        }
    }
}
