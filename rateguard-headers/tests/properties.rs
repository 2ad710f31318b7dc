//! Properties of all limits and all responses.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_rateguard_headers::{
    DialectInput, HeaderDialect, Limit, MAX_WAIT, QuotaUnit, RateLimits, ceil_secs,
    rate_limit_policy_value, rate_limit_value, retry_after_seconds, unix_ceil_secs,
};
use proptest::{
    collection::{btree_map, vec},
    prelude::*,
    sample::select,
};

/// The maximum integer of Structured Fields.
const MAX_INTEGER: u64 = 999_999_999_999_999;

type Numbers = (u64, Duration, u64, Duration);

/// Limits with unique names.
fn limits() -> impl Strategy<Value = Vec<(String, Numbers)>> {
    let count = || prop_oneof![0..10_000_u64, any::<u64>()];
    let duration =
        || prop_oneof![any::<Duration>(), (0..100_000_u64).prop_map(Duration::from_millis)];
    let numbers = (count(), duration(), count(), duration());
    let name = prop_oneof![r#"[a-z%"\\0-9]{0,8}"#, r"\PC{0,40}"];
    btree_map(name, numbers, 1..9).prop_map(|limits| limits.into_iter().collect())
}

/// Field values: random bytes, and texts that resemble valid values.
fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..100),
        r#"[a-z0-9"=;,. %()?:@*-]{0,60}"#.prop_map(String::into_bytes),
        r#"("?[ab]"?(;[qwrat]=[0-9]{1,16}){0,3}(;qu="?[a-z-]{0,9}"?)?, ?){0,4}("?[ab]"?;[raq]=[0-9]{1,2})?"#
            .prop_map(String::into_bytes),
        "((limit|remaining|reset)=[0-9]{1,16},? ?){1,4}".prop_map(String::into_bytes),
        "[0-9]{1,25}(\\.[0-9]{0,25})?".prop_map(String::into_bytes),
        "(Mon|Tue|Sunday), [0-3][0-9][ -](Jan|Feb|Dec)[ -][0-9]{2,4} [0-2][0-9]:00:[0-6][0-9] GMT"
            .prop_map(String::into_bytes),
    ]
}

/// Field names of all dialects, and other names, in lower or upper case.
fn name() -> impl Strategy<Value = String> {
    let mut names = vec![
        "age",
        "date",
        "retry-after",
        "ratelimit-limit",
        "ratelimit-remaining",
        "ratelimit-reset",
        "server",
    ];
    names.extend(HeaderDialect::ALL.iter().flat_map(|dialect| dialect.field_names()));
    names.sort_unstable();
    names.dedup();
    (select(names), any::<bool>()).prop_map(|(name, is_upper)| {
        if is_upper { name.to_ascii_uppercase() } else { name.to_owned() }
    })
}

/// A decision on one limit.
struct Decision {
    limit: Limit<'static>,
    now: SystemTime,
}

impl DialectInput for Decision {
    fn limit(&self) -> u64 {
        self.limit.quota
    }

    fn remaining(&self) -> u64 {
        self.limit.remaining
    }

    fn reset_after(&self) -> Option<Duration> {
        Some(self.limit.reset_after)
    }

    fn now(&self) -> SystemTime {
        self.now
    }

    fn limits(&self) -> impl Iterator<Item = Limit<'_>> {
        [self.limit].into_iter()
    }

    fn reported_limits(&self) -> impl Iterator<Item = Limit<'_>> {
        self.limits()
    }
}

proptest! {
    #[test]
    fn draft_fields_round_trip(limits in limits()) {
        let written: Vec<_> = limits
            .iter()
            .map(|(policy, (quota, window, remaining, reset_after))| Limit {
                policy,
                quota: *quota,
                window: *window,
                remaining: *remaining,
                reset_after: *reset_after,
                is_concurrent: false,
            })
            .collect();
        let names = HeaderDialect::Draft.field_names().iter();
        let values = [rate_limit_policy_value, rate_limit_value].map(|value| value(written.clone()).unwrap());
        let read = RateLimits::read(names.zip(values), UNIX_EPOCH);

        prop_assert_eq!(read.limits().len(), written.len());
        for (read, written) in read.limits().iter().zip(written) {
            prop_assert_eq!(read.policy(), Some(written.policy));
            prop_assert_eq!(read.quota(), Some(written.quota.min(MAX_INTEGER)));
            prop_assert_eq!(read.unit(), &QuotaUnit::Requests);
            let window = ceil_secs(written.window).clamp(1, MAX_INTEGER);
            prop_assert_eq!(read.window(), Some(Duration::from_secs(window)));
            prop_assert_eq!(read.remaining(), Some(written.remaining.min(MAX_INTEGER)));
            let reset = Duration::from_secs(ceil_secs(written.reset_after)).min(MAX_WAIT);
            prop_assert_eq!(read.reset_after(), Some(reset));
        }
    }

    #[test]
    fn proposed_parameter_names_mean_the_same_as_those_of_the_draft(
        remaining in 0..=MAX_INTEGER,
        reset in 0..=MAX_INTEGER,
        is_swapped in any::<bool>(),
    ) {
        let read = |[remaining_name, reset_name]: [&str; 2]| {
            let [remaining, reset] = [format!("{remaining_name}={remaining}"), format!("{reset_name}={reset}")];
            let [first, second] = if is_swapped { [reset, remaining] } else { [remaining, reset] };
            RateLimits::read([("ratelimit", format!("\"p\";{first};{second}"))], UNIX_EPOCH)
        };
        let draft = read(["r", "t"]);
        prop_assert_eq!(draft.limits()[0].remaining(), Some(remaining));
        prop_assert_eq!(&read(["a", "w"]), &draft);
        prop_assert_eq!(&read(["a", "t"]), &draft);
    }

    #[test]
    fn quota_unit_is_read_as_it_was_written(unit in "[ -~]{1,40}", quota in 0..=MAX_INTEGER) {
        let escaped = unit.replace('\\', r"\\").replace('"', "\\\"");
        let value = format!("p;qu=\"{escaped}\";q={quota}");
        let limits = RateLimits::read([("ratelimit-policy", value)], UNIX_EPOCH);
        prop_assert_eq!(limits.limits()[0].unit().as_str(), unit);
        prop_assert_eq!(limits.limits()[0].quota(), Some(quota));
    }

    #[test]
    fn fields_of_every_dialect_round_trip(
        quota in 0..=MAX_INTEGER,
        remaining in 0..=MAX_INTEGER,
        reset_after in (0..400 * 86_400_000_u64).prop_map(Duration::from_millis),
        now in (1_000_000_000_000..4_000_000_000_000_u64).prop_map(Duration::from_millis),
    ) {
        let window = Duration::from_secs(60);
        let limit = Limit { policy: "login", quota, window, remaining, reset_after, is_concurrent: false };
        let decision = Decision { limit, now: UNIX_EPOCH + now };
        for dialect in HeaderDialect::ALL {
            let fields = dialect.fields(&decision).map(|(name, value)| (name, value.to_string()));
            let limits = RateLimits::read(fields, decision.now);
            let [read] = limits.limits() else { panic!("{dialect:?}: {limits:?}") };
            prop_assert_eq!(read.quota(), Some(quota), "{:?}", dialect);
            prop_assert_eq!(read.remaining(), Some(remaining), "{:?}", dialect);
            // The reset is rounded up to a whole second, from now or since 1970.
            let reset = read.reset_after().unwrap_or_default();
            let rounded_up = reset_after + Duration::from_secs(1);
            prop_assert!(
                reset_after.min(MAX_WAIT) <= reset && reset < rounded_up,
                "{dialect:?}: expected {reset_after:?}, found {reset:?}"
            );
        }
    }

    #[test]
    fn reported_waits_are_never_too_short(
        wait in (0..366 * 86_400_000_u64).prop_map(Duration::from_millis),
        now in (1_000_000_000_000..4_000_000_000_000_u64).prop_map(Duration::from_millis),
    ) {
        let now = UNIX_EPOCH + now;
        let second = Duration::from_secs(1);
        let read = |name, value: u64| RateLimits::read([(name, value.to_string())], now);
        let after = read("retry-after", retry_after_seconds(wait)).retry_after().unwrap();
        prop_assert!(wait <= after && after <= (wait + second).max(second));

        let limits = read("x-ratelimit-reset", unix_ceil_secs(now + wait));
        let reset = limits.limits()[0].reset_after().unwrap();
        prop_assert!(wait.min(MAX_WAIT) <= reset && reset < wait + second);
    }

    #[test]
    fn no_response_makes_a_client_panic_or_wait_forever(
        fields in vec((name(), value()), 0..8),
        now in any::<u64>(),
    ) {
        let now = UNIX_EPOCH.checked_add(Duration::from_secs(now)).unwrap_or(SystemTime::now());
        let limits = RateLimits::read(fields, now);
        prop_assert!(limits.wait().is_none_or(|wait| wait <= MAX_WAIT));
        prop_assert!(limits.retry_after().is_none_or(|wait| wait <= MAX_WAIT));
        for limit in limits.limits() {
            prop_assert!(limit.reset_after().is_none_or(|reset| reset <= MAX_WAIT));
            prop_assert!(!limit.policy().is_some_and(|name| name.contains(char::is_control)));
            let unit = limit.unit().as_str();
            prop_assert!(!unit.is_empty() && unit.bytes().all(|byte| matches!(byte, b' '..=b'~')));
        }
    }
}
