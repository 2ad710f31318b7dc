//! Tests the rules that the contract of `Store` has for quotas with a calendar period.

use std::time::Duration;

use super::subject::{Subject, fail, request, require};
use crate::{Quota, store::calendar_bounds};

const TICK: Duration = Duration::from_micros(1);

pub(super) async fn check_all(subject: &mut Subject<'_>) {
    limit_is_enforced_until_the_period_ends(subject).await;
}

async fn limit_is_enforced_until_the_period_ends(subject: &mut Subject<'_>) {
    // Without a clock that the test sets, a shorter period could end during the test.
    let units = if subject.time.is_manual() { &["hour", "day", "month"][..] } else { &["year"] };
    for unit in units {
        let quota: Quota = match format!("2/calendar {unit} Europe/Berlin").parse() {
            Ok(quota) => quota,
            Err(error) => fail(&format!("expected a calendar quota, found: {error}")),
        };
        let key = subject.key();
        for remaining in [1, 0] {
            let reply = subject.check(request(&key, quota, 1)).await;
            require(reply.allowed, "a check is admitted while the calendar period has room");
            require(reply.status.remaining == remaining, "each unit reduces `remaining` by 1");
        }
        let reply = subject.check(request(&key, quota, 1)).await;
        require(!reply.allowed, "a check is denied when the limit of the period is used up");
        let wait = reply.retry_after();
        require(wait == reply.status.reset_after, "all units of a period expire when it ends");
        if let (Some(now), Some(period)) = (subject.time.now(), quota.calendar_period()) {
            let until_end = calendar_bounds(period, now).end - now;
            require(wait == until_end, "`retry_after` is the time until the period ends");
            subject.time.advance(wait - TICK).await;
            let reply = subject.check(request(&key, quota, 1)).await;
            require(!reply.allowed, "a check 1 µs before the end of the period is denied");
            subject.time.advance(TICK).await;
            let reply = subject.check(request(&key, quota, 1)).await;
            require(
                reply.allowed && reply.status.remaining == 1,
                "the count is 0 at the start of the next period",
            );
        } else {
            require(wait <= Duration::from_secs(367 * 86_400), "no year is longer than 366 days");
        }
    }
}
