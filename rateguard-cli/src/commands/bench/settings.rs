//! The settings that follow from the measurements.

use std::time::Duration;

use super::measurements::Measurements;
use crate::output::{duration, rate};

/// The default deadline of a check.
const DEFAULT_DEADLINE: Duration = Duration::from_millis(100);
/// The deadline is at least this many times as long as a check, so that only a broken server exceeds it.
const DEADLINE_FACTOR: u32 = 4;

/// A setting with its reason.
pub(super) struct Setting {
    pub(super) name: &'static str,
    pub(super) value: String,
    pub(super) reason: String,
}

/// Returns the settings that follow from the measurements.
pub(super) fn settings(measured: &Measurements) -> Vec<Setting> {
    let deadline = deadline(measured);
    vec![
        deadline_setting(measured, deadline),
        on_error(measured, deadline),
        denial_cache(measured),
        lease(measured),
    ]
}

/// Returns the deadline: at least the default, and at least 4 times the 99th percentile of a check.
fn deadline(measured: &Measurements) -> Duration {
    let slowest = measured.check.percentile(0.99) * DEADLINE_FACTOR;
    let steps = [100, 200, 300, 500, 1_000, 2_000, 5_000, 10_000].map(Duration::from_millis);
    steps.into_iter().find(|step| *step >= slowest).unwrap_or(Duration::from_secs(20))
}

fn deadline_setting(measured: &Measurements, deadline: Duration) -> Setting {
    let p99 = duration(measured.check.percentile(0.99));
    let default = if deadline == DEFAULT_DEADLINE { " (the default)" } else { "" };
    Setting {
        name: "deadline",
        value: format!("\"{}ms\"", deadline.as_millis()),
        reason: format!(
            "99 % of the checks lasted at most {p99}. This deadline{default} is at least {DEADLINE_FACTOR} times as long"
        ),
    }
}

fn on_error(measured: &Measurements, deadline: Duration) -> Setting {
    let (count, above) = (measured.check.count(), measured.check.above(deadline));
    let found = if above == 0 {
        format!(
            "none of {count} checks exceeded the deadline, so this mode matters only while Redis is down"
        )
    } else {
        format!(
            "{above} of {count} checks exceeded the deadline, so this mode matters even while Redis is up"
        )
    };
    let reason = format!(
        "{found}. With \"local\", set `replicas` to the number of your processes, which a measurement cannot tell"
    );
    Setting { name: "on_error", value: "\"open\", \"closed\" or \"local\"".to_owned(), reason }
}

fn denial_cache(measured: &Measurements) -> Setting {
    let p50 = duration(measured.round_trip.percentile(0.5));
    Setting {
        name: "denial_cache_ttl",
        value: "\"250ms\"".to_owned(),
        reason: format!(
            "the default: a repeated denial then needs no round trip of {p50}. A reset or unban on another server takes up to 250 ms"
        ),
    }
}

fn lease(measured: &Measurements) -> Setting {
    let (plain, leased) = (measured.hot_key.per_second(), measured.leased_key.per_second());
    let all = measured.fastest().map_or(0.0, super::measurements::Run::per_second);
    let (plain_text, leased_text, all_text) = (rate(plain), rate(leased), rate(all));
    let (value, reason) = if leased > 1.5 * plain {
        (
            "for keys with many requests".to_owned(),
            format!(
                "one key got {plain_text} checks per second, and {leased_text} with a lease of 100 units. This process decided at most {all_text} checks per second on Redis. A limit whose keys come near these numbers needs a lease"
            ),
        )
    } else {
        (
            "none".to_owned(),
            format!(
                "one key got {plain_text} checks per second without a lease and {leased_text} with one, so a lease saves little here"
            ),
        )
    };
    Setting { name: "lease", value, reason }
}

#[cfg(test)]
mod tests {
    use super::{super::measurements::Run, *};

    fn measured(check: Duration, hot: usize, leased: usize) -> Measurements {
        let run = |count, duration| Run::new(vec![duration; count], 0, Duration::from_secs(1));
        Measurements {
            round_trip: run(10, check),
            check: run(100, check),
            concurrent: vec![(8, run(10, check))],
            hot_key: run(hot, check),
            leased_key: run(leased, check),
        }
    }

    fn value(measured: &Measurements, name: &str) -> String {
        settings(measured).into_iter().find(|it| it.name == name).unwrap().value
    }

    #[test]
    fn deadline_follows_the_slowest_checks() {
        for (milliseconds, expected) in
            [(1, "\"100ms\""), (25, "\"100ms\""), (26, "\"200ms\""), (700, "\"5000ms\"")]
        {
            let measured = measured(Duration::from_millis(milliseconds), 10, 10);
            assert_eq!(value(&measured, "deadline"), expected, "{milliseconds}");
        }
    }

    #[test]
    fn lease_is_recommended_only_if_it_saves_calls() {
        let time = Duration::from_millis(1);
        assert_eq!(value(&measured(time, 10, 100), "lease"), "for keys with many requests");
        assert_eq!(value(&measured(time, 10, 12), "lease"), "none");
    }
}
