//! The fields of draft-ietf-httpapi-ratelimit-headers since its revision 07.

use crate::{
    ToldLimit,
    structured::{Item, Subject, decoded, dictionary, items, window_of},
    waits,
};

/// `RateLimit` and `RateLimit-Policy` since revision 08: lists of names, which say what belongs together.
///
/// An item that lacks what it has to have is ignored.
pub(crate) fn in_two_lists(standings: &str, policies: &[Item]) -> Vec<ToldLimit> {
    let standings: Vec<Item> =
        items(standings).into_iter().filter(|item| item.r.is_some()).collect();
    let policies: Vec<&Item> = policies.iter().filter(|item| item.q.is_some()).collect();
    let of_one_policy = |one: &Item, other: &Item| one.subject == other.subject;

    let told = standings.iter().filter_map(|standing| {
        told_limit(Some(standing), policies.iter().copied().find(|it| of_one_policy(it, standing)))
    });
    let left_out =
        policies.iter().filter(|policy| !standings.iter().any(|it| of_one_policy(it, policy)));
    told.chain(left_out.filter_map(|policy| told_limit(None, Some(policy)))).collect()
}

/// What both lists tell about one policy, if it has a name.
fn told_limit(standing: Option<&Item>, policy: Option<&Item>) -> Option<ToldLimit> {
    let Subject::Policy(name) = &standing.or(policy)?.subject else { return None };
    Some(ToldLimit {
        policy: Some(decoded(name)),
        quota: policy.and_then(|item| item.q),
        window: policy.and_then(Item::window),
        remaining: standing.and_then(|item| item.r),
        reset_after: standing.and_then(|item| item.t).map(waits::seconds),
    })
}

/// `RateLimit` in revision 07 of the draft: `limit=100, remaining=50, reset=5`.
pub(crate) fn in_a_dictionary(text: &str, policies: &[Item]) -> Option<ToldLimit> {
    let told = dictionary(text);
    let limit = ToldLimit {
        policy: None,
        quota: told.limit,
        window: told.limit.and_then(|quota| window_of(quota, policies)),
        remaining: told.remaining,
        reset_after: told.reset.map(waits::seconds),
    };
    (limit != ToldLimit::default()).then_some(limit)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Name, quota, window, remaining and reset of a limit, in seconds.
    type Told<'a> = (Option<&'a str>, [Option<u64>; 4]);

    fn told(limit: &ToldLimit) -> Told<'_> {
        let seconds = |duration: Option<Duration>| duration.map(|duration| duration.as_secs());
        let ToldLimit { policy, quota, window, remaining, reset_after } = limit;
        (policy.as_deref(), [*quota, seconds(*window), *remaining, seconds(*reset_after)])
    }

    fn check(policies: &str, standings: &str, expected: &[Told<'_>]) {
        let policies = items(policies);
        let limits = in_two_lists(standings, &policies);
        let limits = limits.iter().map(told).collect::<Vec<_>>();
        assert_eq!(limits, expected, "{standings}");
        assert_eq!(in_a_dictionary(standings, &policies), None, "{standings}");
    }

    #[test]
    fn what_belongs_together_is_found_by_its_name() {
        // Cloudflare's. Its two names differ, so nothing belongs together.
        check(
            r#""burst";q=100;w=60"#,
            r#""default";r=50;t=30"#,
            &[
                (Some("default"), [None, None, Some(50), Some(30)]),
                (Some("burst"), [Some(100), Some(60), None, None]),
            ],
        );
        // The draft's.
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
        // express-rate-limit's, with the start of a digest of the client's address.
        check(
            r#""100-in-15min"; q=100; w=900; pk=:MTJjYTE3YjQ5YWYy:"#,
            r#""100-in-15min"; r=99; t=900; pk=:MTJjYTE3YjQ5YWYy:"#,
            &[(Some("100-in-15min"), [Some(100), Some(900), Some(99), Some(900)])],
        );
        // As a proposal has it: names without quotation marks.
        check(
            "default;q=100;w=60",
            "default;r=50;t=30",
            &[(Some("default"), [Some(100), Some(60), Some(50), Some(30)])],
        );
    }

    #[test]
    fn one_policy_may_stand_differently_for_several_partitions() {
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
    fn what_lacks_what_it_has_to_have_is_ignored() {
        let standings = "a;t=5, b;r=-1;t=5, c;r=1;t=-5, 7;r=1, d;r=1.5";
        check(
            "a;q=9;w=0, b;w=60, 9;w=60",
            standings,
            &[(Some("c"), [None, None, Some(1), None]), (Some("a"), [Some(9), None, None, None])],
        );
        check("a;q=9;w=1,", "a;r=5;t=1", &[(Some("a"), [None, None, Some(5), Some(1)])]);
        check("a;q=9;w=1", "a;r=5;t=1,", &[(Some("a"), [Some(9), Some(1), None, None])]);
    }

    #[test]
    fn revision_07_is_a_dictionary() {
        for (standings, expected) in [
            ("limit=100, remaining=50, reset=5", Some([Some(100), Some(60), Some(50), Some(5)])),
            ("limit=7,remaining=0", Some([Some(7), None, Some(0), None])),
            ("limit=(1 2), remaining=-1, reset=1, reset=x", None),
            ("limit=100; remaining=50; reset=5", Some([Some(100), Some(60), None, None])),
            ("limit=100, remaining=50, reset=", None),
            ("limit=1, remaining=2, limit=3", Some([Some(3), None, Some(2), None])),
        ] {
            let limit = in_a_dictionary(standings, &items("10;w=1, 100;w=60, 100;w=3600"));
            assert_eq!(limit.as_ref().map(told), expected.map(|it| (None, it)), "{standings}");
            assert_eq!(in_two_lists(standings, &[]), [], "{standings}");
        }
    }
}
